"""HTTP clients behind one small protocol; only this package imports one."""

from typing import TYPE_CHECKING

from gatewaypy.imports import lazy_exports
from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest
from gatewaypy.secret import SecretBytes
from gatewaypy.transport.base import Transport
from gatewaypy.transport.httpx import HttpxTransport

if TYPE_CHECKING:
    from gatewaypy.transport.aiohttp import AiohttpTransport
    from gatewaypy.transport.fastest import fastest_transport
    from gatewaypy.transport.httptools import HttptoolsTransport
    from gatewaypy.transport.pyreqwest import PyreqwestTransport
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AiohttpTransport": "gatewaypy.transport.aiohttp",
            "HttptoolsTransport": "gatewaypy.transport.httptools",
            "PyreqwestTransport": "gatewaypy.transport.pyreqwest",
            "fastest_transport": "gatewaypy.transport.fastest",
        },
    )

__all__ = [
    "AiohttpTransport",
    "HttptoolsTransport",
    "HttpxTransport",
    "PyreqwestTransport",
    "SecretBytes",
    "Transport",
    "WireFailure",
    "WireReply",
    "WireRequest",
    "fastest_transport",
]
