"""Stores that a command looks into, and must not make."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gatewaypy.errors import ConfigurationError

_SQLITE: Final = "sqlite:///"


def existing(url: str, *, what: str = "journal") -> str:
    """Return a store's URL where there is one: a mistyped name must not make an empty journal or inbox.

    :raises ConfigurationError: for a file that is not there.
    """
    path = url.removeprefix(_SQLITE)
    if url.startswith(_SQLITE) and not Path(path).is_file():
        msg = f"there is no {what} at {path}"
        raise ConfigurationError(msg)
    return url
