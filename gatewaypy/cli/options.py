"""The HTTP client that commands go by."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

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
    """Which HTTP client to go by."""

    AUTO = "auto"
    HTTPX = "httpx"
    HTTPX2 = "httpx2"
    AIOHTTP = "aiohttp"
    HTTPTOOLS = "httptools"
    PYREQWEST = "pyreqwest"

    def make(self) -> Transport:
        """Make it; ``auto`` takes the fastest that is installed and asks at the first byte, as a payout job must."""
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
