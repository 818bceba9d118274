"""Requests by aiohttp, on connections of its own or of a service's session."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import define, field

from gatewaypy.config import check_number
from gatewaypy.imports import import_extra
from gatewaypy.transport.failures import NOT_OPEN
from gatewaypy.transport.shared import SharedTransport
from gatewaypy.transport.tls import default_context, validate_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import aiohttp

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest
    from gatewaypy.transport.aiohttp_sender import Sender


@define(eq=False, init=False)
class AiohttpTransport(SharedTransport):
    """A transport by aiohttp, which costs a fraction of the default one (extra ``aiohttp``).

    One POST, once: no proxy, redirect, cookie, HTTP/2 or retry.

    Args:
        session: Your service's session, whose connections, limit, resolver and addresses are
            shared. Its cookies, headers, authentication, proxies and traces are not used. Create
            it on the loop that uses this transport, and close it after the gateway.
        ssl_context: Your own context, for a private certificate authority or a client
            certificate. It must verify certificates and host names.
            Requests use it, or the default one, on a shared session too.
        keepalive_timeout: How long an idle connection is kept, in seconds. A shared session's
            connector has its own.

    Raises:
        InsecureConnection: The context, or the session's connector, does not verify.
        ConfigurationError: The session is closed.
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
            _load_sender().connector_of(session)

    def _open(self) -> None:
        self._context = self._context or default_context()
        self._sender = _load_sender().Sender(self._shared, self._context, self._keepalive_timeout)

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
            return NOT_OPEN
        return await self._sender.send(
            request,
            timeouts=timeouts,
            limits=limits,
            deadline=deadline,
            send_guard=send_guard,
        )


def _load_sender() -> Any:  # noqa: ANN401 - a module
    import_extra("aiohttp", feature="AiohttpTransport", extra="aiohttp")
    return import_module("gatewaypy.transport.aiohttp_sender")
