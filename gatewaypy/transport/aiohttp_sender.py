"""What `AiohttpTransport` does with aiohttp itself; loaded when it is opened, as aiohttp is an extra and takes its time."""

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

_OURS: Final = {"Accept-Encoding": "identity", "User-Agent": "gatewaypy"}


class _CalledOffError(Exception):
    """Raised through aiohttp where a request must not go out any more."""


class _SpoiltError(Exception):
    """Raised through aiohttp where a connection is of no use, before anything went out on it."""


@define
class Progress:
    """How far one request has come, as aiohttp's trace tells it."""

    send_guard: Callable[[], bool]
    has_begun: bool = False
    is_connecting: bool = False
    is_sending: bool = False
    is_torn: bool = False

    @property
    def sent(self) -> bool:
        """Whether a byte may have left: aiohttp tells of the head before it writes it.

        Where it tells nothing at all (a stand-in for aiohttp), the request counts as sent.
        """
        return self.is_sending or not self.has_begun


async def _begins(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.has_begun = True


async def _connects(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.is_connecting = True


async def _head_goes(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    progress: Progress = context.trace_request_ctx
    if not progress.send_guard():
        raise _CalledOffError
    progress.is_sending = True


async def _body_goes(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    progress: Progress = context.trace_request_ctx
    if not progress.send_guard():
        # Older versions have written the head by now, newer ones write it with the body: without that nobody can carry it out.
        progress.is_torn = True
        raise _CalledOffError


class _Request(aiohttp.ClientRequest):
    """A request that looks at its connection once more before it uses it.

    What arrives on a connection while it idles is kept by aiohttp, and would be taken for the answer to the next request.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            raise _SpoiltError
        return await super().send(conn)


def connector_of(session: aiohttp.ClientSession) -> aiohttp.TCPConnector:
    """Return the connections of a service's own session, once it is sure that they can be trusted with a payment.

    :raises ConfigurationError: where the session is closed.
    :raises InsecureConnection: where it does not speak TLS by itself, or does not verify.
    """
    connector = session.connector
    if connector is None or session.closed:
        msg = "the session is closed"
        raise ConfigurationError(msg)
    if not isinstance(connector, aiohttp.TCPConnector):
        raise InsecureConnection(
            "session", "a session on a TCPConnector, which speaks TLS", type(connector).__name__
        )
    # aiohttp has no public name for it. Our own context goes with each request and comes before it; still, a service that
    # verifies nobody has made a mistake that it should hear of.
    theirs: Any = getattr(connector, "_ssl", True)
    if hasattr(theirs, "verify_mode"):
        refuse_insecure(theirs)
    elif theirs is not True:
        raise InsecureConnection(
            "session", "certificates and host names must be verified", "a connector that does not"
        )
    return connector


def _session(
    shared: aiohttp.ClientSession | None, context: ssl.SSLContext, keepalive_timeout: float
) -> aiohttp.ClientSession:
    """Make a session of our own; of a shared one it takes the connections and nothing else."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_begins)
    trace.on_connection_create_start.append(_connects)
    trace.on_request_headers_sent.append(_head_goes)
    trace.on_request_chunk_sent.append(_body_goes)
    return aiohttp.ClientSession(
        # No limit of its own: the library's slots bound what is in flight.
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=keepalive_timeout)
        if shared is None
        else connector_of(shared),
        connector_owner=shared is None,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_OURS,
        request_class=_Request,
        trace_configs=[trace],
        auto_decompress=False,
    )


@define(eq=False, init=False)
class Sender:
    """A session of our own, and the requests that go by it."""

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
        """Close the connections, if they are ours."""
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
                    except _SpoiltError:
                        # Nothing went out on that connection, and it is gone. Were a new one spoilt too, this would not end.
                        if progress.is_connecting:
                            return WireFailure(
                                sent=False, reason="the server spoke before it was asked"
                            )
        except _CalledOffError:
            return CANCELLED_BEFORE_SEND
        except Exception as error:  # noqa: BLE001 - whatever a client raises, the question is whether a byte left
            if progress.is_torn:
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
            # Of a reply that was read to its end the connection is back in the pool already; any other is closed with it.
            response.close()
        # Its end was the connection's, which over TLS anybody on the way can make; nothing is left here to tell by.
        # Of the encodings only chunks have an end of their own.
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
        made = self._timeouts.get(timeouts)
        if made is None:
            made = self._timeouts[timeouts] = aiohttp.ClientTimeout(
                total=None,
                # A wait for a place among a service's connections is no part of connecting; the deadline bounds it.
                connect=timeouts.connect if self._owns_connections else None,
                sock_connect=timeouts.connect,
                sock_read=timeouts.read,
            )
        return made


def _describe(error: Exception, timeouts: Timeouts) -> str:
    """Put an error into words that hold nothing of the request; aiohttp's own may quote its headers."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return connect_timeout(timeouts)
        case aiohttp.ServerTimeoutError():
            return read_timeout(timeouts)
        case TimeoutError():
            return DEADLINE
        case aiohttp.ClientConnectorError():
            # The first of its arguments is where it connected to, the second what came of it.
            return f"no connection: {error.args[1]}"
        case (
            aiohttp.ClientConnectionError()
            | aiohttp.ClientPayloadError()
            | aiohttp.ClientResponseError()
        ):
            return BROKEN
    return f"the HTTP client failed with {type(error).__name__}"
