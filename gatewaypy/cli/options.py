"""What several commands share: the option for the HTTP client, and the check of a store."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewaypy.errors import ConfigurationError
from gatewaypy.storage.url import sqlite_path
from gatewaypy.transport import (
    AiohttpTransport,
    HttptoolsTransport,
    HttpxTransport,
    PyreqwestTransport,
    fastest_transport,
)

if TYPE_CHECKING:
    from gatewaypy.transport import Transport


class TransportChoice(enum.Enum):
    """The HTTP client of a command."""

    AUTO = "auto"
    HTTPX = "httpx"
    HTTPX2 = "httpx2"
    AIOHTTP = "aiohttp"
    HTTPTOOLS = "httptools"
    PYREQWEST = "pyreqwest"

    def make(self) -> Transport:
        """Return the transport.

        ``auto`` is the fastest installed transport that calls the send guard right before the first
        byte. Payout jobs need that.
        """
        match self:
            case TransportChoice.AUTO:
                return fastest_transport(guard_at_first_byte=True)
            case TransportChoice.AIOHTTP:
                return AiohttpTransport()
            case TransportChoice.HTTPTOOLS:
                return HttptoolsTransport()
            case TransportChoice.PYREQWEST:
                return PyreqwestTransport()
            case TransportChoice.HTTPX2:
                return HttpxTransport(library="httpx2")
            case TransportChoice.HTTPX:
                return HttpxTransport()


TRANSPORT = Annotated[
    TransportChoice,
    typer.Option(
        help="the HTTP client; auto takes the fastest that is installed and safe (docs/transports.md)"
    ),
]


def check_existing(url: str, *, what: str = "journal") -> str:
    """Return a store's URL after a check that its SQLite file exists.

    A mistyped name must not create an empty store. Other URLs are not checked.

    Raises:
        ConfigurationError: The SQLite file does not exist, or the URL is invalid.
    """
    path = sqlite_path(url)
    if path is not None and not Path(path).is_file():
        msg = f"there is no {what} at {path}"
        raise ConfigurationError(msg)
    return url
