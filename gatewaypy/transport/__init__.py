"""HTTP clients behind one small protocol; the only part of the library that imports one."""

from gatewaypy.transport.base import Transport
from gatewaypy.transport.httpx import HttpxTransport

__all__ = ["HttpxTransport", "Transport"]
