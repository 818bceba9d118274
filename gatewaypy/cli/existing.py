"""Stores that a command looks into, and must not make."""

from __future__ import annotations

from pathlib import Path

from gatewaypy.errors import ConfigurationError
from gatewaypy.storage.url import sqlite_path


def existing(url: str, *, what: str = "journal") -> str:
    """Return a store's URL where there is one: a mistyped name must not make an empty journal or inbox.

    :raises ConfigurationError: for a file that is not there, or a URL that is not understood.
    """
    path = sqlite_path(url)
    if path is not None and not Path(path).is_file():
        msg = f"there is no {what} at {path}"
        raise ConfigurationError(msg)
    return url
