"""The choice of the fastest installed transport."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from gatewaypy.transport.aiohttp import AiohttpTransport
from gatewaypy.transport.httptools import HttptoolsTransport
from gatewaypy.transport.httpx import HttpxTransport
from gatewaypy.transport.pyreqwest import PyreqwestTransport

if TYPE_CHECKING:
    from gatewaypy.transport.base import Transport


def fastest_transport(*, guard_at_first_byte: bool = False) -> Transport:
    """Create the fastest transport whose library is installed.

    The order is httptools, pyreqwest, aiohttp, httpx.

    Args:
        guard_at_first_byte: Only transports that call ``send_guard`` right before the first byte.
            Payout jobs need this: a process that was suspended after its intent was stored must
            not send. It excludes pyreqwest, which connects after the call.

    Returns:
        The transport.
    """
    if find_spec("httptools") is not None and find_spec("aiohappyeyeballs") is not None:
        return HttptoolsTransport()
    if not guard_at_first_byte and find_spec("pyreqwest") is not None:
        return PyreqwestTransport()
    if find_spec("aiohttp") is not None:
        return AiohttpTransport()
    return HttpxTransport()
