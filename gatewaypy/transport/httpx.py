"""Requests by httpx or its continuation httpx2, with one pool per connection.

httpx's own pool iterates over all of its connections at every request. With hundreds in flight
this is most of the work, and a cancelled request can lose its place permanently. Here every request
in flight has a pool of exactly one connection. Pools are reused last in, first out, and closed
after any failure.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import define, field

from gatewaypy.config import check_number
from gatewaypy.imports import import_extra
from gatewaypy.protocol.wire import WireFailure, WireReply
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
from gatewaypy.transport.shared import SharedTransport, reply_of
from gatewaypy.transport.tls import default_context, validate_context, was_ended

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireRequest

_GRACE: Final = 1.0


class _Stage(enum.IntEnum):
    """The progress of a request, from httpcore's trace."""

    NOT_STARTED = 0
    CONNECTING = 1
    SENDING = 2


class _BlockedError(Exception):
    """Raised through httpcore if the send guard blocked the request."""


@define
class _Progress:
    """Receives httpcore's trace of one request."""

    send_guard: Callable[[], bool]
    stage: _Stage = _Stage.NOT_STARTED
    is_blocked: bool = False
    is_aborted: bool = False

    async def trace(self, event: str, _: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            if not self.send_guard():
                self.is_blocked = True
                raise _BlockedError
            self.stage = _Stage.SENDING
        elif event == "http11.send_request_body.started" and not self.send_guard():
            # The headers were sent. Without the body the gateway cannot execute the request.
            self.is_aborted = True
            raise _BlockedError
        elif event == "connection.connect_tcp.started" and self.stage is _Stage.NOT_STARTED:
            # Never back from SENDING: a byte was sent.
            self.stage = _Stage.CONNECTING


@define(eq=False)
class _SingleConnectionPool:
    """A pool of one connection, and the loop's time of its last use."""

    pool: Any
    used: float = 0.0


@define(eq=False, init=False)
class HttpxTransport(SharedTransport):
    """The default transport.

    One POST, once: no proxy, redirect, cookie, HTTP/2 or retry.

    Args:
        library: ``"httpx"``, or ``"httpx2"`` (the extra of that name).
        ssl_context: Your own context, for a private certificate authority or a client
            certificate. It must verify certificates and host names.
        keepalive_timeout: How long an idle connection is kept, in seconds. It must be shorter
            than the gateway's own limit, which is not documented. Otherwise a request may be sent
            on a connection that is being closed.
        app: An ASGI application to call in this process instead of the network, such as a
            `Sandbox`.

    Raises:
        InsecureConnection: The context does not verify, or allows TLS below 1.2.
    """

    library: str
    _keepalive_timeout: float
    _context: ssl.SSLContext | None
    _app: Any
    _httpx: Any = field(repr=False)
    _idle: deque[_SingleConnectionPool] = field(repr=False)
    _dropped: set[asyncio.Task[None]] = field(repr=False)
    _parsed: Callable[[str], Any] = field(repr=False)

    def __init__(
        self,
        *,
        library: Literal["httpx", "httpx2"] = "httpx",
        ssl_context: ssl.SSLContext | None = None,
        keepalive_timeout: float = 15.0,
        app: Any = None,  # noqa: ANN401 - any ASGI application
    ) -> None:
        super().__init__()
        check_number("keepalive_timeout", keepalive_timeout, least=0)
        self.library = library
        self._keepalive_timeout = keepalive_timeout
        self._context = validate_context(ssl_context) if ssl_context is not None else None
        self._app = app
        self._httpx = None
        self._idle = deque()
        self._dropped = set()

    def _open(self) -> None:
        self._httpx = import_extra(
            self.library, feature=f"HttpxTransport(library={self.library!r})", extra=self.library
        )
        self._context = self._context or default_context()
        self._parsed = lru_cache(maxsize=128)(self._httpx.URL)
        # httpx imports its core with the first pool, and anyio its backend at the first use. Both
        # must happen before a payment.
        _ = self._new_pool()
        import_module("anyio").get_current_task()

    async def _close(self) -> None:
        while self._idle:
            self._drop(self._idle.pop())
        while self._dropped:
            await asyncio.wait(self._dropped)

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
        try:
            entry = self._take_pool(self._loop.time())
        except Exception as error:  # noqa: BLE001 - nothing was sent
            return WireFailure(sent=False, reason=client_failure(error))
        progress = _Progress(send_guard)
        reusable = False
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    answer = await self._exchange(entry, request, progress, timeouts, limits)
                reusable = isinstance(answer, WireReply) and not _has_more(entry)
            except TimeoutError:
                answer = _failure(progress, DEADLINE)
            except Exception as error:  # noqa: BLE001 - of any class
                if (
                    isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout)
                    and progress.stage is _Stage.NOT_STARTED
                ):
                    # A mocked connection (respx) sends no trace.
                    progress.stage = _Stage.CONNECTING
                answer = _failure(progress, self._describe(error, timeouts))
        finally:
            if reusable and self._users:
                entry.used = self._loop.time()
                self._idle.append(entry)
            else:
                self._drop(entry)
        return answer

    async def _exchange(
        self,
        entry: _SingleConnectionPool,
        request: WireRequest,
        progress: _Progress,
        timeouts: Timeouts,
        limits: Limits,
    ) -> WireReply | WireFailure:
        if self._app is not None and not progress.send_guard():
            # In process there is no trace: from here on the request counts as sent.
            progress.is_blocked = True
            raise _BlockedError
        url = self._parsed(request.url)
        headers = [
            (b"Host", url.netloc),
            (b"Content-Type", request.content_type.encode("ascii")),
            (b"Accept", request.accept.encode("ascii")),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"gatewaypy"),
            (b"Content-Length", b"%d" % len(request.body)),
        ]
        if request.token is not None:
            headers.append((b"AuthToken", request.token.reveal().encode("latin-1")))
        response = await entry.pool.handle_async_request(
            self._httpx.Request(
                "POST",
                url,
                headers=headers,
                stream=self._httpx.ByteStream(request.body),
                extensions={
                    "trace": progress.trace,
                    "timeout": {
                        "connect": timeouts.connect,
                        "read": timeouts.read,
                        "write": timeouts.read,
                        "pool": None,
                    },
                },
            )
        )
        try:
            body = bytearray()
            # The bytes as they arrive: the client's response object would decode them.
            async for piece in response.stream:
                body += piece
                if len(body) > limits.max_reply_bytes:
                    return oversized(limits.max_reply_bytes)
            if not _is_whole(response):
                return WireFailure(sent=True, reason=BROKEN)
        finally:
            await response.stream.aclose()
        headers = response.headers
        return reply_of(
            response.status_code,
            headers.get("content-type"),
            headers.get("content-encoding"),
            body,
            retry_after=headers.get("retry-after"),
            date=headers.get("date"),
        )

    def _take_pool(self, now: float) -> _SingleConnectionPool:
        # Closing at most one expired pool per request limits their number to what is in use.
        if self._idle and now - self._idle[0].used > self._keepalive_timeout:
            self._drop(self._idle.popleft())
        return self._idle.pop() if self._idle else self._new_pool()

    def _new_pool(self) -> _SingleConnectionPool:
        if self._app is not None:
            return _SingleConnectionPool(self._httpx.ASGITransport(app=self._app))
        one_connection = self._httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=self._keepalive_timeout
        )
        return _SingleConnectionPool(
            self._httpx.AsyncHTTPTransport(
                verify=self._context, trust_env=False, limits=one_connection, retries=0
            )
        )

    def _drop(self, entry: _SingleConnectionPool) -> None:
        """Close a pool in a task, so that the caller does not wait for it."""
        task = self._loop.create_task(self._shut(entry))
        self._dropped.add(task)
        task.add_done_callback(self._dropped.discard)

    @staticmethod
    async def _shut(entry: _SingleConnectionPool) -> None:
        try:
            async with asyncio.timeout(_GRACE):
                await entry.pool.aclose()
        except Exception:  # noqa: BLE001, S110 - it is not used again
            pass

    def _describe(self, error: Exception, timeouts: Timeouts) -> str:
        """Return the reason of a failure; httpcore's own text may quote a header."""
        httpx = self._httpx
        if isinstance(error, httpx.ConnectTimeout):
            return connect_timeout(timeouts)
        if isinstance(error, httpx.ConnectError):
            return f"no connection: {error}"
        if isinstance(error, httpx.TimeoutException):
            return read_timeout(timeouts)
        if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            return BROKEN
        return client_failure(error)


def _is_whole(response: Any) -> bool:  # noqa: ANN401 - either library's
    """Return whether a reply is complete: it has its own end, or the server closed."""
    if "content-length" in response.headers or "transfer-encoding" in response.headers:
        return True
    # A mocked reply has no network stream.
    stream = response.extensions.get("network_stream")
    return stream is None or was_ended(stream.get_extra_info("ssl_object"))


def _has_more(entry: _SingleConnectionPool) -> bool:
    """Return whether bytes follow the reply: h11 would read them as the next reply."""
    pool = getattr(entry.pool, "_pool", None)
    if pool is None:
        return False
    try:
        # There is no public name. If the private ones change, no connection is reused.
        states = [each._connection._h11_state for each in pool.connections]  # noqa: SLF001
        return any(state.trailing_data[0] for state in states)
    except AttributeError:
        return True


def _failure(progress: _Progress, reason: str) -> WireFailure:
    if progress.is_blocked:
        return CANCELLED_BEFORE_SEND
    if progress.is_aborted:
        return ABORTED_MID_REQUEST
    return WireFailure(sent=progress.stage is not _Stage.CONNECTING, reason=reason)
