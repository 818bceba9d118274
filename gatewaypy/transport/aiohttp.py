"""Requests by aiohttp, on connections of their own or on those of a service's session."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import define, field

from gatewaypy.config import check_number
from gatewaypy.imports import import_extra
from gatewaypy.protocol.wire import WireFailure
from gatewaypy.transport.shared import SharedTransport
from gatewaypy.transport.tls import default_context, validate_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import aiohttp

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply, WireRequest
    from gatewaypy.transport.aiohttp_sender import Sender


@define(eq=False, init=False)
class AiohttpTransport(SharedTransport):
    """A transport that costs a fraction of the default one and knows as much (extra ``aiohttp``).

    :param session: your service's own session, to share its connections with: their limit, resolver and addresses. Its
        cookies, headers, authentication, proxies and traces do not get into a payment. Make it on the loop that uses this
        transport, and close it after the gateway.
    :param ssl_context: a context of your own, for a private certificate authority or a client certificate; it must verify.
        Payments go by it, or by the default one, on a shared session too.
    :param keepalive_timeout: how many seconds an idle connection is kept; a shared session's connector keeps to its own time.
    :raises InsecureConnection: for a context, or a session's connector, that does not verify.
    :raises ConfigurationError: for a session that is closed.

    No proxy, no redirect, no cookie, no HTTP/2, no retry: one POST, once.
    """

    _shared: aiohttp.ClientSession | None = field(repr=False)
    _context: ssl.SSLContext | None
    _keepalive_timeout: float
    _sender: Sender | None = field(repr=False)

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        keepalive_timeout: float = 15.0,
    ) -> None:
        super().__init__()
        check_number("keepalive_timeout", keepalive_timeout, least=0)
        self._shared = session
        self._context = validate_context(ssl_context) if ssl_context is not None else None
        self._keepalive_timeout = keepalive_timeout
        self._sender = None
        if session is not None:
            _loaded().connector_of(session)

    def _open(self) -> None:
        self._context = self._context or default_context()
        self._sender = _loaded().Sender(self._shared, self._context, self._keepalive_timeout)

    async def _close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    async def send(
        self,
        request: WireRequest,
        *,
        timeouts: Timeouts,
        limits: Limits,
        deadline: float,
        send_guard: Callable[[], bool],
    ) -> WireReply | WireFailure:
        """Send a request once; see `Transport.send`."""
        if self._sender is None:
            return WireFailure(sent=False, reason="the transport is not open")
        return await self._sender.send(
            request,
            timeouts=timeouts,
            limits=limits,
            deadline=deadline,
            send_guard=send_guard,
        )


def _loaded() -> Any:  # noqa: ANN401 - a module
    import_extra("aiohttp", feature="AiohttpTransport", extra="aiohttp")
    return import_module("gatewaypy.transport.aiohttp_sender")
