"""Requests on asyncio's own connections, their replies read by httptools: the cheapest transport, and the one that knows most."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict, deque
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attrs import define, field, frozen

from gatewaypy.config import check_number
from gatewaypy.imports import import_extra
from gatewaypy.protocol.wire import WireFailure
from gatewaypy.secret import SecretBytes
from gatewaypy.transport.failures import CANCELLED_BEFORE_SEND, DEADLINE, connect_timeout
from gatewaypy.transport.shared import SharedTransport
from gatewaypy.transport.tls import default_context, validate_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply, WireRequest
    from gatewaypy.transport.httptools_connection import Connection

#: How long a connection that is closed in good order may take to say so.
_GRACE: Final = 1.0
#: After how long the next of a host's addresses is tried beside the one before (RFC 8305 recommends a quarter of a second).
_NEXT_ADDRESS: Final = 0.25


# Looked up by twice a request.
@frozen(cache_hash=True)
class _Origin:
    """Whom a connection leads to."""

    is_tls: bool
    host: str
    port: int


@frozen
class _Target:
    """Where a URL leads, and what every request to it begins with."""

    origin: _Origin
    start: bytes


@define(eq=False, init=False)
class HttptoolsTransport(SharedTransport):
    """The fastest transport (extra ``httptools``).

    :param ssl_context: a context of your own, for a private certificate authority or a client certificate; it must verify.
    :param keepalive_timeout: how many seconds an idle connection is kept. Shorter than the gateway's own limit, which is not
        documented, lest a request go out on a connection that is being closed.
    :raises InsecureConnection: for a context that does not verify or allows TLS below 1.2.

    Head and body are written in one piece, right after ``send_guard`` was asked on an open connection: before that a request is
    certainly not sent, after it, it counts as sent.

    No proxy, no redirect, no cookie, no HTTP/2, no retry: one POST, once.
    """

    _keepalive_timeout: float
    _context: ssl.SSLContext | None
    _httptools_connection: Any = field(repr=False)
    _eyeballs: Any = field(repr=False)
    _connections: set[Connection] = field(repr=False)
    _idle: defaultdict[_Origin, deque[Connection]] = field(repr=False)

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, keepalive_timeout: float = 15.0
    ) -> None:
        super().__init__()
        check_number("keepalive_timeout", keepalive_timeout, least=0)
        self._keepalive_timeout = keepalive_timeout
        self._context = validate_context(ssl_context) if ssl_context is not None else None
        self._connections = set()
        self._idle = defaultdict(deque)

    def _open(self) -> None:
        import_extra("httptools", feature="HttptoolsTransport", extra="httptools")
        self._eyeballs = import_extra(
            "aiohappyeyeballs", feature="HttptoolsTransport", extra="httptools"
        )
        self._httptools_connection = import_module("gatewaypy.transport.httptools_connection")
        self._context = self._context or default_context()

    async def _close(self) -> None:
        self._idle.clear()
        # Those of now: while they close, another gateway may open this transport again.
        connections = tuple(self._connections)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=_GRACE)
        for connection in connections:
            connection.abort()

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
        if not self._users:
            return WireFailure(sent=False, reason="the transport is not open")
        target = _target(request.url)
        if target is None or not _can_be_said(request):
            return WireFailure(
                sent=False,
                reason="its URL, a header or its token cannot be written in a request's head",
            )
        connection = self._used(target.origin) or await self._connected(
            target.origin, timeouts, deadline
        )
        if isinstance(connection, WireFailure):
            return connection
        try:
            # Nothing is awaited from here to the write: the connection that was looked at is the one that is written to.
            withheld = self._withheld(deadline, send_guard)
            if withheld is not None:
                return withheld
            return await connection.ask(_written(target, request), timeouts, limits, deadline)
        finally:
            self._put_back(connection, target.origin)

    def _withheld(self, deadline: float, send_guard: Callable[[], bool]) -> WireFailure | None:
        """Ask for the last time whether to send; say why not."""
        if self._loop.time() >= deadline:
            return WireFailure(sent=False, reason=DEADLINE)
        try:
            return None if send_guard() else CANCELLED_BEFORE_SEND
        except Exception as error:  # noqa: BLE001 - whoever cannot answer has not said yes
            return WireFailure(
                sent=False,
                reason=f"the last question whether to send failed with {type(error).__name__}",
            )

    def _used(self, origin: _Origin) -> Connection | None:
        """Take the connection that was used last, if there is one that is still good."""
        idle = self._idle[origin]
        oldest = self._loop.time() - self._keepalive_timeout
        # One look at the connection that has been idle longest keeps their number down to what is in use.
        if idle and idle[0].used < oldest:
            idle.popleft().close()
        while idle:
            connection = idle.pop()
            if connection.used >= oldest and connection.is_silent:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection, origin: _Origin) -> None:
        if connection.is_reusable and self._users:
            self._idle[origin].append(connection)
        else:
            connection.abort()

    async def _connected(
        self, origin: _Origin, timeouts: Timeouts, deadline: float
    ) -> Connection | WireFailure:
        limit = min(self._loop.time() + timeouts.connect, deadline)
        try:
            async with asyncio.timeout_at(limit):
                connection = await self._connect(origin, timeouts.connect)
        except TimeoutError:
            return WireFailure(
                sent=False, reason=DEADLINE if limit == deadline else connect_timeout(timeouts)
            )
        except OSError as error:
            return WireFailure(sent=False, reason=f"no connection: {error}")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing was written
            return WireFailure(
                sent=False, reason=f"no connection: it failed with {type(error).__name__}"
            )
        # After a TLS handshake there may be more to read, and no harm in it.
        if not (connection.is_reusable if origin.is_tls else connection.is_silent):
            return WireFailure(
                sent=False,
                reason="no connection: the server spoke, or hung up, before it was asked",
            )
        return connection

    async def _connect(self, origin: _Origin, patience: float) -> Connection:
        loop = self._loop
        addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        tls: dict[str, Any] = {}
        if origin.is_tls:
            tls = {
                "ssl": self._context,
                "server_hostname": origin.host,
                "ssl_handshake_timeout": patience,
                "ssl_shutdown_timeout": _GRACE,
            }
        connected = await self._eyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS
        )
        connection: Connection = self._httptools_connection.Connection(loop, self._connections)
        try:
            await loop.create_connection(lambda: connection, sock=connected, **tls)
        except BaseException:
            # The socket is the event loop's by now, which closes it. A connection that came about all the same would take its
            # time to do so in good order.
            if connection in self._connections:
                connection.abort()
                # uvloop, which has closed it already, never tells of its end.
                self._connections.discard(connection)
            raise
        return connection


@lru_cache(maxsize=128)
def _target(url: str) -> _Target | None:
    """Read a URL; ``None`` where it cannot be written into a request's first lines."""
    if not _is_plain(url) or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, is_tls = parts.hostname, parts.scheme == "https"
    authority = f"[{host}]" if ":" in host else host
    if port is None:
        port = 443 if is_tls else 80
    else:
        authority = f"{authority}:{port}"
    start = f"POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: gatewaypy\r\nAccept-Encoding: identity\r\n"
    return _Target(_Origin(is_tls, host, port), start.encode("ascii"))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _can_be_said(request: WireRequest) -> bool:
    """Tell whether all that goes into a head fits there: a line break in a token would begin another header."""
    token = "" if request.token is None else request.token.reveal()
    return _is_plain(f"{request.content_type}{request.accept}{token}")


def _written(target: _Target, request: WireRequest) -> SecretBytes:
    token = "" if request.token is None else f"AuthToken: {request.token.reveal()}\r\n"
    headers = (
        f"Content-Type: {request.content_type}\r\nAccept: {request.accept}\r\n"
        f"Content-Length: {len(request.body)}\r\n{token}\r\n"
    )
    # Sealed, as a local of whoever writes it may be shown should that fail.
    return SecretBytes(b"".join((target.start, headers.encode("ascii"), request.body)))
