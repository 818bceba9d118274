"""Requests by httpx, or by its continuation httpx2: one connection a line, so that the cost of a request stays flat.

httpx's own pool walks all its connections at every request; with hundreds in flight that walk is most of the work, and a
cancelled request can lose its place for good. Here every request in flight has a line of its own, a pool of exactly one
connection, and lines are reused last in, first out. A line on which anything went wrong is thrown away.
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
    """How far a request has come, as httpcore's trace tells it."""

    UNTOLD = 0
    CONNECTING = 1
    SENDING = 2


class _WithheldError(Exception):
    """Raised through httpcore where a request must not go out any more."""


@define
class _Progress:
    """Listens to httpcore's trace of one request."""

    send_guard: Callable[[], bool]
    stage: _Stage = _Stage.UNTOLD
    withheld: bool = False
    torn: bool = False

    async def trace(self, event: str, _: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            if not self.send_guard():
                self.withheld = True
                raise _WithheldError
            self.stage = _Stage.SENDING
        elif event == "http11.send_request_body.started" and not self.send_guard():
            # Its head is out, so it counts as sent; without its body nobody can carry it out.
            self.torn = True
            raise _WithheldError
        elif event == "connection.connect_tcp.started" and self.stage is _Stage.UNTOLD:
            # Never back from sending: whatever a client does after that, a byte has left.
            self.stage = _Stage.CONNECTING


@define(eq=False)
class _SingleConnectionPool:
    """A pool of one connection, and when it was last used (the loop's time)."""

    pool: Any
    used: float = 0.0


@define(eq=False, init=False)
class HttpxTransport(SharedTransport):
    """The default transport.

    :param library: ``"httpx"``, or ``"httpx2"`` (the extra of that name).
    :param ssl_context: a context of your own, for a private certificate authority or a client certificate; it must verify.
    :param keepalive_timeout: how many seconds an idle connection is kept. Shorter than the gateway's own limit, which is not
        documented, lest a request go out on a connection that is being closed.
    :param app: an ASGI application to call in this process in place of the network, such as a `Sandbox`.
    :raises InsecureConnection: for a context that does not verify or allows TLS below 1.2.

    No proxy, no redirect, no cookie, no HTTP/2, no retry: one POST, once.
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
        # httpx loads its core with its first pool, and anyio its way to asyncio when it is first used: not with a payment.
        _ = self._new_line()
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
        """Send a request once on a line of its own; see `Transport.send`."""
        try:
            line = self._line(self._loop.time())
        except Exception as error:  # noqa: BLE001 - without a line nothing was sent
            return WireFailure(
                sent=False, reason=f"the HTTP client failed with {type(error).__name__}"
            )
        progress = _Progress(send_guard)
        reusable = False
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    answer = await self._exchange(line, request, progress, timeouts, limits)
                reusable = isinstance(answer, WireReply) and not _has_more(line)
            except TimeoutError:
                answer = _failure(progress, DEADLINE)
            except Exception as error:  # noqa: BLE001 - whatever a client raises, the question is whether a byte left
                if (
                    isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout)
                    and progress.stage is _Stage.UNTOLD
                ):
                    # No real connection says nothing of itself; a mocked one (respx) does, and this one says it never was.
                    progress.stage = _Stage.CONNECTING
                answer = _failure(progress, self._describe(error, timeouts))
        finally:
            if reusable and self._users:
                line.used = self._loop.time()
                self._idle.append(line)
            else:
                self._drop(line)
        return answer

    async def _exchange(
        self,
        line: _SingleConnectionPool,
        request: WireRequest,
        progress: _Progress,
        timeouts: Timeouts,
        limits: Limits,
    ) -> WireReply | WireFailure:
        if self._app is not None and not progress.send_guard():
            # In process nothing tells when a request begins to go out: it is as good as gone from here on.
            progress.withheld = True
            raise _WithheldError
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
        response = await line.pool.handle_async_request(
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
            # Its bytes as they come: what the client's response object would add is for bodies that are decoded.
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

    def _line(self, now: float) -> _SingleConnectionPool:
        # One look at the line that has been idle longest keeps their number down to what is in use.
        if self._idle and now - self._idle[0].used > self._keepalive_timeout:
            self._drop(self._idle.popleft())
        return self._idle.pop() if self._idle else self._new_line()

    def _new_line(self) -> _SingleConnectionPool:
        if self._app is not None:
            return _SingleConnectionPool(self._httpx.ASGITransport(app=self._app))
        one = self._httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=self._keepalive_timeout
        )
        return _SingleConnectionPool(
            self._httpx.AsyncHTTPTransport(
                verify=self._context, trust_env=False, limits=one, retries=0
            )
        )

    def _drop(self, line: _SingleConnectionPool) -> None:
        """Close a line in a task of its own: whoever waits for the answer has nothing to do with that."""
        task = self._loop.create_task(self._shut(line))
        self._dropped.add(task)
        task.add_done_callback(self._dropped.discard)

    @staticmethod
    async def _shut(line: _SingleConnectionPool) -> None:
        try:
            async with asyncio.timeout(_GRACE):
                await line.pool.aclose()
        except Exception:  # noqa: BLE001, S110 - a connection that cannot even be closed is of no more use to anybody
            pass

    def _describe(self, error: Exception, timeouts: Timeouts) -> str:
        """Put an error into words that hold nothing of the request; httpcore's own may quote a header."""
        httpx = self._httpx
        if isinstance(error, httpx.ConnectTimeout):
            return connect_timeout(timeouts)
        if isinstance(error, httpx.ConnectError):
            return f"no connection: {error}"
        if isinstance(error, httpx.TimeoutException):
            return read_timeout(timeouts)
        if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            return BROKEN
        return f"the HTTP client failed with {type(error).__name__}"


def _is_whole(response: Any) -> bool:  # noqa: ANN401 - either library's
    """Tell whether a reply was read to an end of its own, or to its connection's, and then whether the server made that."""
    if "content-length" in response.headers or "transfer-encoding" in response.headers:
        return True
    # A mocked reply has come over no network.
    stream = response.extensions.get("network_stream")
    return stream is None or was_ended(stream.get_extra_info("ssl_object"))


def _has_more(line: _SingleConnectionPool) -> bool:
    """Tell whether more came than was asked for: h11 keeps it, and would take it for the answer to the next request."""
    pool = getattr(line.pool, "_pool", None)
    if pool is None:
        return False
    try:
        # Nothing public tells; a client whose parts are called otherwise one day has no connection used again.
        return any(one._connection._h11_state.trailing_data[0] for one in pool.connections)  # noqa: SLF001
    except AttributeError:
        return True


def _failure(progress: _Progress, reason: str) -> WireFailure:
    if progress.withheld:
        return CANCELLED_BEFORE_SEND
    if progress.torn:
        return ABORTED_MID_REQUEST
    return WireFailure(sent=progress.stage is not _Stage.CONNECTING, reason=reason)
