"""The part of `AiohttpTransport` that imports aiohttp; loaded when it is opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

from gatewaypy.errors import ConfigurationError, InsecureConnection
from gatewaypy.protocol.wire import WireFailure
from gatewaypy.transport.failures import (
    ABORTED_MID_REQUEST,
    BROKEN,
    CANCELLED_BEFORE_SEND,
    DEADLINE,
    client_failure,
    connect_timeout,
    oversized,
    read_timeout,
)
from gatewaypy.transport.shared import reply_of
from gatewaypy.transport.tls import refuse_insecure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import SimpleNamespace

    from aiohttp.connector import Connection

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply, WireRequest

_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "gatewaypy"}


class _BlockedError(Exception):
    """Raised through aiohttp if the send guard blocked the request."""


class _StaleConnectionError(Exception):
    """Raised through aiohttp if a connection is not usable, before anything was sent on it."""


@define
class Progress:
    """The progress of one request, from aiohttp's trace."""

    send_guard: Callable[[], bool]
    has_started: bool = False
    is_connecting: bool = False
    is_sending: bool = False
    is_aborted: bool = False

    @property
    def sent(self) -> bool:
        """Whether a byte may have been sent.

        aiohttp reports the headers before it writes them. Without any report, as from a stand-in
        for aiohttp, the request counts as sent.
        """
        return self.is_sending or not self.has_started


async def _on_request_start(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.has_started = True


async def _on_connect_start(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.is_connecting = True


async def _on_headers(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    progress: Progress = context.trace_request_ctx
    if not progress.send_guard():
        raise _BlockedError
    progress.is_sending = True


async def _on_body(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    progress: Progress = context.trace_request_ctx
    if not progress.send_guard():
        # Older versions have written the headers by now. Without the body the gateway cannot
        # execute the request.
        progress.is_aborted = True
        raise _BlockedError


class _Request(aiohttp.ClientRequest):
    """A request that checks its connection again before it uses it.

    aiohttp stores bytes that arrive on an idle connection, and would read them as the answer to
    the next request.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            raise _StaleConnectionError
        return await super().send(conn)


def connector_of(session: aiohttp.ClientSession) -> aiohttp.TCPConnector:
    """Check a service's session and return its connector.

    Raises:
        ConfigurationError: The session is closed.
        InsecureConnection: It does not do TLS itself, or does not verify.
    """
    connector = session.connector
    if connector is None or session.closed:
        msg = "the session is closed"
        raise ConfigurationError(msg)
    if not isinstance(connector, aiohttp.TCPConnector):
        raise InsecureConnection(
            "session", "must have a TCPConnector, which does TLS", type(connector).__name__
        )
    # aiohttp has no public name for it. Each request has a context of its own, which takes
    # precedence, but a service that does not verify should be notified.
    connector_ssl: Any = getattr(connector, "_ssl", True)
    if hasattr(connector_ssl, "verify_mode"):
        refuse_insecure(connector_ssl)
    elif connector_ssl is not True:
        raise InsecureConnection("session", "must verify certificates and host names")
    return connector


def _session(
    shared: aiohttp.ClientSession | None, context: ssl.SSLContext, keepalive_timeout: float
) -> aiohttp.ClientSession:
    """Create a session; of a shared one it uses only the connections."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_on_request_start)
    trace.on_connection_create_start.append(_on_connect_start)
    trace.on_request_headers_sent.append(_on_headers)
    trace.on_request_chunk_sent.append(_on_body)
    return aiohttp.ClientSession(
        # No limit: the library's slots limit the requests in flight.
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=keepalive_timeout)
        if shared is None
        else connector_of(shared),
        connector_owner=shared is None,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        request_class=_Request,
        trace_configs=[trace],
        auto_decompress=False,
    )


@define(eq=False, init=False)
class Sender:
    """A session, and the requests on it."""

    _context: ssl.SSLContext
    _session: aiohttp.ClientSession
    _owns_connections: bool
    _timeouts: dict[Timeouts, aiohttp.ClientTimeout] = field(repr=False)

    def __init__(
        self,
        shared: aiohttp.ClientSession | None,
        context: ssl.SSLContext,
        keepalive_timeout: float,
    ) -> None:
        self._context = context
        self._session = _session(shared, context, keepalive_timeout)
        self._owns_connections = shared is None
        self._timeouts = {}

    async def close(self) -> None:
        """Close the session, and its connections if they are not shared."""
        await self._session.close()

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
        if self._session.closed:
            return WireFailure(sent=False, reason="the session is closed")
        progress = Progress(send_guard)
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        return await self._exchange(request, progress, timeouts, limits)
                    except _StaleConnectionError:
                        # Nothing was sent on that connection, which is closed. If a new one is
                        # not usable either, a retry would not end.
                        if progress.is_connecting:
                            return WireFailure(
                                sent=False, reason="the server sent bytes before the request"
                            )
        except _BlockedError:
            return CANCELLED_BEFORE_SEND
        except Exception as error:  # noqa: BLE001 - of any class
            if progress.is_aborted:
                return ABORTED_MID_REQUEST
            return WireFailure(sent=progress.sent, reason=_describe(error, timeouts))

    async def _exchange(
        self, request: WireRequest, progress: Progress, timeouts: Timeouts, limits: Limits
    ) -> WireReply | WireFailure:
        headers = {"Content-Type": request.content_type, "Accept": request.accept}
        if request.token is not None:
            headers["AuthToken"] = request.token.reveal()
        response = await self._session.post(
            request.url,
            data=request.body,
            headers=headers,
            ssl=self._context,
            allow_redirects=False,
            timeout=self._timeout(timeouts),
            trace_request_ctx=progress,
        )
        try:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > limits.max_reply_bytes:
                    return oversized(limits.max_reply_bytes)
        finally:
            # After a complete reply the connection is in the pool again; otherwise this closes it.
            response.close()
        # Such a reply ends with its connection, which others on the network can end. Of the
        # encodings only chunks have an end of their own.
        has_length = (
            "Content-Length" in response.headers
            or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        )
        if not has_length and response.url.scheme == "https":
            return WireFailure(sent=True, reason=BROKEN)
        received = response.headers
        return reply_of(
            response.status,
            received.get("Content-Type"),
            received.get("Content-Encoding"),
            body,
            retry_after=received.get("Retry-After"),
            date=received.get("Date"),
        )

    def _timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(timeouts)
        if timeout is None:
            timeout = self._timeouts[timeouts] = aiohttp.ClientTimeout(
                total=None,
                # On a shared session this would include the wait for a free connection, which
                # the deadline limits.
                connect=timeouts.connect if self._owns_connections else None,
                sock_connect=timeouts.connect,
                sock_read=timeouts.read,
            )
        return timeout


def _describe(error: Exception, timeouts: Timeouts) -> str:
    """Return the reason of a failure; aiohttp's own text may quote the headers."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return connect_timeout(timeouts)
        case aiohttp.ServerTimeoutError():
            return read_timeout(timeouts)
        case TimeoutError():
            return DEADLINE
        case aiohttp.ClientConnectorError():
            # Its arguments are the address and the cause.
            return f"no connection: {error.args[1]}"
        case (
            aiohttp.ClientConnectionError()
            | aiohttp.ClientPayloadError()
            | aiohttp.ClientResponseError()
        ):
            return BROKEN
    return client_failure(error)
