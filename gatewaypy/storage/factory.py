"""The store of a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.errors import ConfigurationError
from gatewaypy.storage.url import is_postgres, sqlite_path

if TYPE_CHECKING:
    from gatewaypy.storage.base import Store


def open_store(url: str) -> Store:
    """Return the store of a URL, without opening it.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` (a path without options) or
            ``postgresql://user@host/database`` with options of the server or the driver, such as
            ``search_path``.

    Returns:
        The store. Its method ``open`` connects.

    Raises:
        ConfigurationError: Another kind of URL, an unknown part of it, or a missing extra.
    """
    # A URL from a setting may be missing.
    path = sqlite_path(url) if isinstance(url, str) else None
    if path is not None:
        from gatewaypy.storage.sqlite import SqliteStore  # noqa: PLC0415 - loaded on use

        return SqliteStore(path)
    if isinstance(url, str) and is_postgres(url):
        from gatewaypy.storage.postgres import PostgresStore  # noqa: PLC0415 - an extra

        return PostgresStore(url)
    msg = "a store's URL is sqlite:///path/to/file.db or postgresql://user@host/database"
    raise ConfigurationError(msg)
