"""Requests on asyncio's own connections, with replies parsed by httptools."""

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
from gatewaypy.transport.failures import (
    CANCELLED_BEFORE_SEND,
    DEADLINE,
    NOT_OPEN,
    connect_timeout,
)
from gatewaypy.transport.shared import SharedTransport
from gatewaypy.transport.tls import default_context, validate_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply, WireRequest
    from gatewaypy.transport.httptools_connection import Connection

#: How long the closing handshake of a connection may take, in seconds.
_GRACE: Final = 1.0
#: Delay before the host's next address is tried too, in seconds (recommended by RFC 8305).
_NEXT_ADDRESS: Final = 0.25


# The key of two look-ups per request.
@frozen(cache_hash=True)
class _Origin:
    """Scheme, host and port of a connection."""

    is_tls: bool
    host: str
    port: int


@frozen
class _Target:
    """The origin of a URL, and the first lines of each request to it."""

    origin: _Origin
    start: bytes


@define(eq=False, init=False)
class HttptoolsTransport(SharedTransport):
    """The fastest transport (extra ``httptools``).

    Headers and body are written at once, right after ``send_guard`` was called on an open
    connection. Before that, a request is certainly not sent; after it, it counts as sent.

    One POST, once: no proxy, redirect, cookie, HTTP/2 or retry.

    Args:
        ssl_context: Your own context, for a private certificate authority or a client
            certificate. It must verify certificates and host names.
        keepalive_timeout: How long an idle connection is kept, in seconds. It must be shorter
            than the gateway's own limit, which is not documented. Otherwise a request may be sent
            on a connection that is being closed.

    Raises:
        InsecureConnection: The context does not verify, or allows TLS below 1.2.
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
        # A copy: another gateway may open this transport while they close.
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
            return NOT_OPEN
        target = _target(request.url)
        if target is None or not _has_plain_headers(request):
            return WireFailure(
                sent=False,
                reason="the URL, a header or the token contains a character that HTTP headers"
                " do not allow",
            )
        connection = self._take_idle(target.origin) or await self._open_connection(
            target.origin, timeouts, deadline
        )
        if isinstance(connection, WireFailure):
            return connection
        try:
            # No await from here to the write: the state of the connection cannot change.
            blocked = self._blocked(deadline, send_guard)
            if blocked is not None:
                return blocked
            return await connection.ask(_serialize(target, request), timeouts, limits, deadline)
        finally:
            self._put_back(connection, target.origin)

    def _blocked(self, deadline: float, send_guard: Callable[[], bool]) -> WireFailure | None:
        """Return why the request must not be sent, or None."""
        if self._loop.time() >= deadline:
            return WireFailure(sent=False, reason=DEADLINE)
        try:
            return None if send_guard() else CANCELLED_BEFORE_SEND
        except Exception as error:  # noqa: BLE001 - it did not return True
            return WireFailure(
                sent=False,
                reason=f"send_guard failed with {type(error).__name__}",
            )

    def _take_idle(self, origin: _Origin) -> Connection | None:
        """Return the idle connection that was used last and is still usable."""
        idle = self._idle[origin]
        oldest = self._loop.time() - self._keepalive_timeout
        # Closing at most one expired connection per request limits their number.
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

    async def _open_connection(
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
        except Exception as error:  # noqa: BLE001 - nothing was written
            return WireFailure(
                sent=False, reason=f"no connection: it failed with {type(error).__name__}"
            )
        # After a TLS handshake there may be more bytes, which are harmless.
        if not (connection.is_reusable if origin.is_tls else connection.is_silent):
            return WireFailure(
                sent=False,
                reason="no connection: the server sent bytes, or closed, before the request",
            )
        return connection

    async def _connect(self, origin: _Origin, handshake_timeout: float) -> Connection:
        loop = self._loop
        addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        tls: dict[str, Any] = {}
        if origin.is_tls:
            tls = {
                "ssl": self._context,
                "server_hostname": origin.host,
                "ssl_handshake_timeout": handshake_timeout,
                "ssl_shutdown_timeout": _GRACE,
            }
        connected = await self._eyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS
        )
        connection: Connection = self._httptools_connection.Connection(loop, self._connections)
        try:
            await loop.create_connection(lambda: connection, sock=connected, **tls)
        except BaseException:
            # The event loop owns the socket and closes it. A connection that was established
            # nevertheless is aborted, because a closing handshake would take time.
            if connection in self._connections:
                connection.abort()
                # uvloop has closed it already, and does not call connection_lost.
                self._connections.discard(connection)
            raise
        return connection


@lru_cache(maxsize=128)
def _target(url: str) -> _Target | None:
    """Parse a URL; None if the request line and ``Host`` cannot contain it."""
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
    start = (
        f"POST {path} HTTP/1.1\r\nHost: {authority}\r\n"
        "User-Agent: gatewaypy\r\nAccept-Encoding: identity\r\n"
    )
    return _Target(_Origin(is_tls, host, port), start.encode("ascii"))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _has_plain_headers(request: WireRequest) -> bool:
    """Return whether headers can contain all values: a line break would start another header."""
    token = "" if request.token is None else request.token.reveal()
    return _is_plain(f"{request.content_type}{request.accept}{token}")


def _serialize(target: _Target, request: WireRequest) -> SecretBytes:
    token = "" if request.token is None else f"AuthToken: {request.token.reveal()}\r\n"
    headers = (
        f"Content-Type: {request.content_type}\r\nAccept: {request.accept}\r\n"
        f"Content-Length: {len(request.body)}\r\n{token}\r\n"
    )
    # SecretBytes, because a traceback may show the variables of the frames that write it.
    return SecretBytes(b"".join((target.start, headers.encode("ascii"), request.body)))
