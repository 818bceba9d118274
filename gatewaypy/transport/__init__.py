"""HTTP clients behind one small protocol; the only part of the library that imports one."""

from gatewaypy.transport.aiohttp import AiohttpTransport
from gatewaypy.transport.base import Transport
from gatewaypy.transport.choice import fastest_transport
from gatewaypy.transport.httpx import HttpxTransport
from gatewaypy.transport.pyreqwest import PyreqwestTransport

__all__ = ["AiohttpTransport", "HttpxTransport", "PyreqwestTransport", "Transport", "fastest_transport"]
