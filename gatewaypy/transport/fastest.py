"""Which transport to take where the caller does not care: the fastest that is installed and safe for the purpose."""

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
    """Make the fastest transport whose library is installed: httptools, then pyreqwest, then aiohttp, then httpx.

    :param guard_at_first_byte: only one that asks ``send_guard`` at the first byte itself, as payout jobs must: a process that was
        frozen since its intent became durable must not send any more. That leaves pyreqwest out, which connects after the
        question.
    """
    if find_spec("httptools") is not None and find_spec("aiohappyeyeballs") is not None:
        return HttptoolsTransport()
    if not guard_at_first_byte and find_spec("pyreqwest") is not None:
        return PyreqwestTransport()
    if find_spec("aiohttp") is not None:
        return AiohttpTransport()
    return HttpxTransport()
