"""One connection of `HttptoolsTransport`'s; loaded when it is opened, as httptools is an extra."""

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

#: How many bytes every system takes at once into an empty buffer (Linux: the least of ``tcp_wmem``).
_TAKEN_AT_ONCE: Final = 4096
#: How many bytes a reply's head, and the framing of its body, may take beside the body itself.
_MOST_FRAMING: Final = 65_536
_INTERIM: Final = range(100, 200)


# A reply is in here, and event loops show a protocol that failed: not by its fields.
@define(eq=False, init=False, repr=False)
class Connection(asyncio.Protocol):
    """A connection that carries one request at a time, and is never used again once anything about it is odd.

    :ivar used: when its last request ended, or when it was made (the loop's time).
    :ivar closed: done once the connection is closed.
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
    # What is asked, and until when an answer is waited for.
    _waiting: asyncio.Future[WireReply | WireFailure] | None
    _timer: asyncio.TimerHandle | None
    _timeouts: Timeouts
    _deadline: float
    _limit: int
    _may_linger: bool
    # What came back so far.
    _heard: float
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
        """Whether it is open, and owes nobody anything."""
        return self._is_clean and self._waiting is None and not self._transport.is_closing()

    @property
    def is_silent(self) -> bool:
        """Whether it is reusable, and nothing has come that the event loop does not know of yet, such as its end."""
        return self.is_reusable and not (self._poll is not None and self._poll.poll(0))

    def ask(
        self, request: bytes, timeouts: Timeouts, limits: Limits, deadline: float
    ) -> asyncio.Future[WireReply | WireFailure]:
        """Write a request; the future ends with its reply, or with why there is none."""
        self._timeouts, self._deadline, self._limit = timeouts, deadline, limits.max_reply_bytes
        self._heard, self._received, self._size = self._loop.time(), 0, 0
        self._has_head = False
        # A TLS transport does not tell what of a request is still in the buffers beneath it.
        self._may_linger = self._is_tls and len(request) > _TAKEN_AT_ONCE
        self._waiting = waiting = self._loop.create_future()
        self._watch(min(self._heard + timeouts.read, deadline))
        self._transport.write(request)
        return waiting

    def close(self) -> None:
        """Close it in good order."""
        # Closed twice, a TLS transport of Python's could no more be aborted.
        if not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Close it at once, whatever is still on its way."""
        self._is_clean = False
        self._transport.abort()

    # Time

    def _watch(self, due: float) -> None:
        """Look at the time when a reply is due; a watch left from an earlier request that ends before that will do."""
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        now = self._loop.time()
        due = min(self._heard + self._timeouts.read, self._deadline)
        if now < due:
            self._watch(due)
        else:
            self._fail(
                WireFailure(
                    sent=True,
                    reason=DEADLINE if now >= self._deadline else read_timeout(self._timeouts),
                )
            )

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._connections.add(self)
        # Not on Windows: what the event loop has heard must do there.
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the reply; what nobody waits for spoils the connection."""
        if self._waiting is None:
            self.abort()
            return
        self._heard = self._loop.time()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Also of what follows a whole reply; that one stands, the connection does not.
            self._is_clean = False
        if self._answer is not None:
            # A reply that came before its request had gone out altogether answers something else.
            self._is_clean = self._is_clean and not (
                self._may_linger or self._transport.get_write_buffer_size()
            )
            self._end(self._answer)
        elif not self._is_clean:
            self._fail(WireFailure(sent=True, reason=BROKEN))
        elif self._size > self._limit or self._received > self._limit + _MOST_FRAMING:
            self._fail(oversized(self._limit))

    def eof_received(self) -> None:
        """Take the end of a reply whose length is told by nothing else, if it is the server that ended it."""
        self._is_clean = False
        unframed = not self._headers.keys() & {b"content-length", b"transfer-encoding"}
        if self._waiting is not None and self._has_head and unframed:
            if was_ended(self._transport.get_extra_info("ssl_object")):
                self._end(self._reply())
            else:
                self._fail(WireFailure(sent=True, reason=BROKEN))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever the reason, a byte had left
        """End with whatever is still waited for."""
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._end(WireFailure(sent=True, reason=BROKEN))
        # The parser holds this object, and this one the parser.
        del self._parser
        if not self.closed.done():
            self.closed.set_result(None)

    # What the parser tells

    def on_message_begin(self) -> None:
        """Hear of a reply after the one that was asked for."""
        if self._answer is not None:
            self._is_clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what a body's trailer says comes too late."""
        if not self._has_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Forget the head of an interim reply: the one that was asked for is still to come."""
        self._has_head = self._parser.get_status_code() not in _INTERIM
        if not self._has_head:
            self._headers.clear()

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body, while it is not too long; an interim reply's is nobody's."""
        self._size += len(piece)
        if self._has_head and self._size <= self._limit:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Make the reply of what came."""
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

    # How a request ends

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
