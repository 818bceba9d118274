"""One connection of `HttptoolsTransport`; imports the extra httptools."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final, cast

import httptools
from attrs import define

from gatewaypy.protocol.wire import WireFailure
from gatewaypy.transport.failures import BROKEN, DEADLINE, oversized, read_timeout
from gatewaypy.transport.shared import reply_of
from gatewaypy.transport.tls import was_ended

if TYPE_CHECKING:
    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply

#: Bytes that every system accepts into an empty buffer (Linux: the minimum of ``tcp_wmem``).
_MIN_WRITE_BUFFER: Final = 4096
#: Maximum size of a reply's headers and the framing of its body, without the body.
_MAX_FRAMING_BYTES: Final = 65_536
_INTERIM: Final = range(100, 200)


# No generated repr: event loops log a protocol that failed, and it contains a reply.
@define(eq=False, init=False, repr=False)
class Connection(asyncio.Protocol):
    """A connection for one request at a time, which is not reused after any irregularity.

    Attributes:
        used: When its last request ended, or when it was created (the loop's time).
        closed: Done when the connection is closed.
    """

    used: float
    closed: asyncio.Future[None]
    _loop: asyncio.AbstractEventLoop
    _connections: set[Connection]
    _parser: httptools.HttpResponseParser
    _transport: asyncio.Transport
    _poll: select.poll | None
    _is_tls: bool
    _is_clean: bool
    # The current request.
    _waiting: asyncio.Future[WireReply | WireFailure] | None
    _timer: asyncio.TimerHandle | None
    _timeouts: Timeouts
    _deadline: float
    _limit: int
    _may_be_unsent: bool
    # The reply so far.
    _last_received: float
    _received: int
    _size: int
    _has_head: bool
    _headers: dict[bytes, bytes]
    _pieces: list[bytes]
    _answer: WireReply | WireFailure | None

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Connection]) -> None:
        self.used = loop.time()
        self.closed = loop.create_future()
        self._loop = loop
        self._connections = connections
        self._parser = httptools.HttpResponseParser(self)
        self._poll = self._waiting = self._timer = self._answer = None
        self._is_clean = True
        self._headers, self._pieces = {}, []

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def is_reusable(self) -> bool:
        """Whether it is open, and no request is in progress."""
        return self._is_clean and self._waiting is None and not self._transport.is_closing()

    @property
    def is_silent(self) -> bool:
        """Whether it is reusable, and the socket has no bytes or end that asyncio has not read."""
        return self.is_reusable and not (self._poll is not None and self._poll.poll(0))

    def ask(
        self, request: bytes, timeouts: Timeouts, limits: Limits, deadline: float
    ) -> asyncio.Future[WireReply | WireFailure]:
        """Write a request; the future's result is the reply or the failure."""
        self._timeouts, self._deadline, self._limit = timeouts, deadline, limits.max_reply_bytes
        self._last_received, self._received, self._size = self._loop.time(), 0, 0
        self._has_head = False
        # A TLS transport does not report the bytes in the buffers below it.
        self._may_be_unsent = self._is_tls and len(request) > _MIN_WRITE_BUFFER
        self._waiting = waiting = self._loop.create_future()
        self._set_timer(min(self._last_received + timeouts.read, deadline))
        self._transport.write(request)
        return waiting

    def close(self) -> None:
        """Close it with a closing handshake."""
        # If it is closed twice, a TLS transport of Python cannot be aborted any longer.
        if not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self._is_clean = False
        self._transport.abort()

    # Timeouts

    def _set_timer(self, due: float) -> None:
        """Set the timer. One from an earlier request is kept if it fires before that."""
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        now = self._loop.time()
        due = min(self._last_received + self._timeouts.read, self._deadline)
        if now < due:
            self._set_timer(due)
        else:
            self._fail(
                WireFailure(
                    sent=True,
                    reason=DEADLINE if now >= self._deadline else read_timeout(self._timeouts),
                )
            )

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._connections.add(self)
        # Windows has no poll: there, only the event loop's own state is checked.
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Parse a part of the reply; bytes without a request abort the connection."""
        if self._waiting is None:
            self.abort()
            return
        self._last_received = self._loop.time()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Bytes after a complete reply can cause it too: the reply stays valid.
            self._is_clean = False
        if self._answer is not None:
            # A reply that arrives before the whole request was sent answers something else.
            self._is_clean = self._is_clean and not (
                self._may_be_unsent or self._transport.get_write_buffer_size()
            )
            self._end(self._answer)
        elif not self._is_clean:
            self._fail(WireFailure(sent=True, reason=BROKEN))
        elif self._size > self._limit or self._received > self._limit + _MAX_FRAMING_BYTES:
            self._fail(oversized(self._limit))

    def eof_received(self) -> None:
        """End a reply without framing, if the server closed the connection."""
        self._is_clean = False
        unframed = not self._headers.keys() & {b"content-length", b"transfer-encoding"}
        if self._waiting is not None and self._has_head and unframed:
            if was_ended(self._transport.get_extra_info("ssl_object")):
                self._end(self._reply())
            else:
                self._fail(WireFailure(sent=True, reason=BROKEN))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a byte was sent
        """End the request in progress."""
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._end(WireFailure(sent=True, reason=BROKEN))
        # Breaks the reference cycle with the parser.
        del self._parser
        if not self.closed.done():
            self.closed.set_result(None)

    # Called by the parser

    def on_message_begin(self) -> None:
        """Note a second reply."""
        if self._answer is not None:
            self._is_clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header, but not one from the trailer of a body."""
        if not self._has_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Discard the headers of an interim reply, which precedes the reply."""
        self._has_head = self._parser.get_status_code() not in _INTERIM
        if not self._has_head:
            self._headers.clear()

    def on_body(self, piece: bytes) -> None:
        """Store a part of the body up to the limit; ignore that of an interim reply."""
        self._size += len(piece)
        if self._has_head and self._size <= self._limit:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Build the reply."""
        if self._has_head and self._answer is None:
            self._is_clean = self._is_clean and self._parser.should_keep_alive()
            self._answer = self._reply()

    def _reply(self) -> WireReply | WireFailure:
        if self._size > self._limit:
            return oversized(self._limit)
        kind, encoding = (
            self._headers.get(b"content-type", b""),
            self._headers.get(b"content-encoding", b"identity"),
        )
        status = self._parser.get_status_code()
        retry_after, date = self._headers.get(b"retry-after"), self._headers.get(b"date")
        return reply_of(
            status,
            kind.decode("latin-1"),
            encoding.decode("latin-1").lower(),
            b"".join(self._pieces),
            retry_after=None if retry_after is None else retry_after.decode("latin-1"),
            date=None if date is None else date.decode("latin-1"),
        )

    # End of a request

    def _fail(self, failure: WireFailure) -> None:
        self.abort()
        self._end(failure)

    def _end(self, answer: WireReply | WireFailure) -> None:
        waiting, self._waiting = self._waiting, None
        self._answer = None
        self._headers.clear()
        self._pieces.clear()
        self.used = self._loop.time()
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
