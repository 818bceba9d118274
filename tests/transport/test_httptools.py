"""What only the asyncio transport has: it parses replies and checks connections before writing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bare_server import HASTY, OK, answer_each, listening, read_and, read_request, send
from support.transports import made

from gatewaypy import HttptoolsTransport, Limits, Secret, Timeouts
from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest
from gatewaypy.secret import SecretBytes
from gatewaypy.transport.httptools_connection import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trustme


def served_by(authority: trustme.CA) -> ssl.SSLContext:
    """Create the TLS context of a server."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return server


@pytest.fixture
async def transport() -> AsyncIterator[HttptoolsTransport]:
    """Open a transport."""
    async with HttptoolsTransport() as one:
        yield one


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/x\r\n\r\n"],
)
async def test_httptools_interim_reply_is_skipped(
    transport: HttptoolsTransport, interim: bytes
) -> None:
    """A 1xx before the reply is skipped, and the connection is reused."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_and(interim + OK, reader, writer)

    async with listening(serve) as port:
        for _ in range(2):
            assert await send(transport, port) == WireReply(
                200, "Application/JSON; charset=utf-8", b"{}"
            )
    assert connections == 1


async def test_httptools_reply_without_length_ends_at_close(
    transport: HttptoolsTransport,
) -> None:
    """If nothing else sets the length of a reply, the end of its connection does."""
    async with listening(
        lambda reader, writer: read_and(b"HTTP/1.1 200 OK\r\n\r\n{}", reader, writer)
    ) as port:
        assert await send(transport, port) == WireReply(200, "", b"{}")


async def test_httptools_protocol_switch_is_sent(transport: HttptoolsTransport) -> None:
    """A server that switches protocols has not answered, and the request counts as sent."""
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"
    async with listening(lambda reader, writer: read_and(switching, reader, writer)) as port:
        failure = await send(transport, port)
    assert (failure.sent, failure.reason) == (
        True,
        "the connection broke before the whole reply arrived",
    )


async def test_httptools_endless_headers_are_refused(transport: HttptoolsTransport) -> None:
    """A server that sends one header endlessly does not fill the memory."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
        finally:
            gone.set()

    async with listening(serve) as port:
        failure = await send(transport, port)
        await asyncio.wait_for(gone.wait(), 5)
    assert (failure.sent, failure.reason) == (True, "the reply is longer than 1000 bytes")


async def test_httptools_trailer_changes_nothing(transport: HttptoolsTransport) -> None:
    """A trailer after the body changes neither its type nor its encoding."""
    answered = OK.replace(
        b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    )
    trailer = b"Content-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    async with listening(
        lambda reader, writer: read_and(answered + trailer, reader, writer)
    ) as port:
        assert await send(transport, port) == WireReply(
            200, "Application/JSON; charset=utf-8", b"{}"
        )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://127.0.0.1:x/",
        "ftp://127.0.0.1/",
        "http:///x",
    ],
)
async def test_httptools_invalid_url_is_not_sent(transport: HttptoolsTransport, url: str) -> None:
    """A URL that cannot be connected to is refused before the guard is called."""
    request = WireRequest(url, "application/json", "application/json", SecretBytes(b"{}"))
    deadline = asyncio.get_running_loop().time() + 5
    answer = await transport.send(
        request, timeouts=Timeouts(), limits=Limits(), deadline=deadline, send_guard=lambda: True
    )
    assert isinstance(answer, WireFailure)
    assert not answer.sent


async def test_httptools_unresolvable_host_is_not_sent(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any error before the write means not sent; an unexpected error shows only its name."""

    async def fail(*_: Any, **__: Any) -> None:
        raise LookupError("of a name")

    monkeypatch.setattr(transport._eyeballs, "start_connection", fail)
    assert await send(transport, 1) == WireFailure(
        sent=False, reason="no connection: it failed with LookupError"
    )


async def test_httptools_past_deadline_sends_nothing(transport: HttptoolsTransport) -> None:
    """After the deadline neither the guard is called nor a request sent, on any connection."""
    async with listening(answer_each) as port:
        assert isinstance(await send(transport, port), WireReply)
        late = await send(
            transport, port, total=0, say=lambda: pytest.fail("it was about to be sent")
        )
    assert late == WireFailure(sent=False, reason="the deadline for the whole call passed")


@pytest.mark.parametrize(
    ("path", "content_type", "token"),
    [("/path", "application/json", "to\r\nken: 1"), ("/path", "application/json", "tökén"), ("/pa th", "application/json", "token"),
     ("/pa\r\nth", "application/json", "token"), ("/päth", "application/json", "token"), ("/path", "text\r\nX: 1", "token")],
)  # fmt: skip
async def test_httptools_header_injection_is_not_sent(
    transport: HttptoolsTransport, path: str, content_type: str, token: str
) -> None:
    """A line break in a token, a type or a URL sends nothing, and the value is not shown."""
    request = WireRequest(
        f"http://127.0.0.1:1{path}",
        content_type,
        "application/json",
        SecretBytes(b"{}"),
        Secret(token),
    )
    answer = await transport.send(
        request,
        timeouts=Timeouts(),
        limits=Limits(),
        deadline=asyncio.get_running_loop().time() + 5,
        send_guard=lambda: pytest.fail("it was about to be sent"),
    )
    assert isinstance(answer, WireFailure)
    assert not answer.sent
    assert "HTTP headers do not allow" in answer.reason


async def test_httptools_unnoticed_close_uses_new_connection(
    transport: HttptoolsTransport,
) -> None:
    """If the server closed while the loop was busy, a new connection is used."""
    hung_up, received = threading.Event(), []

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(10_000))
                connection.sendall(OK)
            hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        port = listener.getsockname()[1]
        assert isinstance(await send(transport, port), WireReply)
        # The event loop is blocked meanwhile, as by an application that is busy.
        assert hung_up.wait(5)
        assert isinstance(await send(transport, port), WireReply)
        server.join(5)
    assert len(received) == 2


async def test_httptools_second_address_is_tried_in_parallel(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a host has several addresses, a silent one does not delay one that answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(deaf.getsockname())
        async with listening(answer_each) as port:
            loop = asyncio.get_running_loop()
            as_it_is, kind = loop.getaddrinfo, (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            lookups = [[(*kind, deaf.getsockname()), (*kind, ("127.0.0.1", port))]]

            async def addresses(*arguments: Any, **options: Any) -> Any:
                # uvloop looks up each address again when it connects.
                return lookups.pop() if lookups else await as_it_is(*arguments, **options)

            monkeypatch.setattr(loop, "getaddrinfo", addresses)
            answer = await send(transport, port)
        for other in waiting:
            other.close()
    assert isinstance(answer, WireReply)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_httptools_early_answer_closes_connection(scheme: str, authority: trustme.CA) -> None:
    """A connection answered before its request was read is not reused, over TLS either."""
    connections = 0
    tls = served_by(authority) if scheme == "https" else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        while await reader.read(1_000_000):
            pass

    async with listening(serve, tls) as port, made("httptools", authority) as transport, transport:
        for _ in range(2):
            assert isinstance(
                await send(transport, port, scheme=scheme, body=b"x" * 30_000_000), WireReply
            )
    assert connections == 2


async def test_httptools_late_connection_is_closed(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call cancelled at the end of its TLS handshake leaves no connection."""
    as_it_is = Connection.connection_made

    def made_too_late(line: Connection, transport: asyncio.BaseTransport) -> None:
        as_it_is(line, transport)
        task.cancel()

    async with (
        listening(answer_each, served_by(authority)) as port,
        made("httptools", authority) as transport,
        transport,
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "connection_made", made_too_late)
            task = asyncio.ensure_future(send(transport, port, scheme="https"))
            with pytest.raises(asyncio.CancelledError):
                await task
        answers = await asyncio.gather(*(send(transport, port, scheme="https") for _ in range(4)))
    assert all(isinstance(answer, WireReply) for answer in answers)


async def test_httptools_reopen_during_close_keeps_connections(authority: trustme.CA) -> None:
    """While old connections close slowly, a new user can open the transport and pay."""
    left = threading.Event()

    def silent(listener: socket.socket) -> None:
        with served_by(authority).wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(10_000)
            connection.sendall(OK)
            left.wait(10)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.wait({leaving})
        writer.write(OK)
        await reader.read()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=silent, args=(listener,))
        server.start()
        async with listening(serve) as port, made("httptools", authority) as transport:
            await transport.__aenter__()
            assert isinstance(
                await send(transport, listener.getsockname()[1], scheme="https"), WireReply
            )
            leaving = asyncio.ensure_future(transport.__aexit__(None, None, None))
            await asyncio.sleep(0)
            async with transport:
                answer = await send(transport, port)
            left.set()
        server.join(5)
    assert isinstance(answer, WireReply)


async def test_httptools_shorter_timeout_after_longer_works(transport: HttptoolsTransport) -> None:
    """The timeout of one request does not affect the next on its connection."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_and(OK, reader, writer)
        await reader.read()

    async with listening(once) as port:
        assert isinstance(await send(transport, port), WireReply)
        # If the timer of the first request stayed, this deadline would pass before it.
        failure = await send(transport, port, timeouts=HASTY, total=5)
    assert (failure.sent, failure.reason) == (True, "no answer within 0.6 s")


async def test_httptools_longer_timeout_after_shorter_works(transport: HttptoolsTransport) -> None:
    """A timer of an earlier request does not end a later one."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_and(OK, reader, writer)
        await read_request(reader)
        await asyncio.sleep(1.7)
        writer.write(OK)

    async with listening(slow) as port:
        assert isinstance(await send(transport, port, timeouts=Timeouts(read=1.5)), WireReply)
        assert isinstance(await send(transport, port), WireReply)


async def test_httptools_idle_connections_are_closed() -> None:
    """After a burst, unused connections are closed as others are used."""
    open_now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            await answer_each(reader, writer)
        finally:
            open_now -= 1

    async with listening(serve) as port, HttptoolsTransport(keepalive_timeout=0.2) as transport:
        await asyncio.gather(*(send(transport, port) for _ in range(20)))
        assert open_now > 1
        async with asyncio.timeout(10):
            while open_now > 1:
                await send(transport, port)
                await asyncio.sleep(0.02)


async def test_httptools_failing_guard_keeps_connection(
    transport: HttptoolsTransport,
) -> None:
    """If the send guard raises, nothing is sent, and the connection is reusable."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answer_each(reader, writer)

    def fail() -> bool:
        raise ZeroDivisionError

    async with listening(serve) as port:
        answer = await send(transport, port, say=fail)
        assert isinstance(answer, WireFailure)
        assert (answer.sent, "ZeroDivisionError" in answer.reason) == (False, True)
        assert isinstance(await send(transport, port), WireReply)
    assert connections == 1


async def test_httptools_closed_transport_sends_nothing() -> None:
    """Outside of ``async with`` nothing is sent."""
    assert await send(HttptoolsTransport(), 1) == WireFailure(
        sent=False, reason="the transport is not open"
    )


class _Wire(asyncio.Transport):
    """The event loop's side of a connection, which only records whether it was closed."""

    def __init__(self, one: socket.socket) -> None:
        super().__init__({"socket": one})
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closed = True


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{} \r\n1\r\n \r\n0\r\n\r\n"


@given(
    st.sampled_from(
        [
            (OK, b"{}"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"{}"),
            (CHUNKED, b"{}  "),
        ]
    ),
    st.lists(st.integers(1, 120)),
    st.one_of(st.binary(max_size=40), st.integers(0, len(OK)).map(lambda length: OK[:length])),
)
def test_httptools_reply_is_same_in_any_packets(
    written: tuple[bytes, bytes], cuts: list[int], surplus: bytes
) -> None:
    """Packets may end anywhere; bytes after the reply only make the connection unusable."""
    reply, body = written
    sent = reply + surplus
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    loop = asyncio.new_event_loop()
    with socket.socket() as one, contextlib.closing(loop):
        line, wire = Connection(loop, set()), _Wire(one)
        line.connection_made(wire)
        answer = line.ask(b"request", Timeouts(), Limits(), loop.time() + 60)
        for start, end in pairwise(edges):
            if not wire.closed:
                line.data_received(sent[start:end])
        result = answer.result()
        assert isinstance(result, WireReply)
        assert (result.http_status, result.content_type.lower()[:16], result.body) == (
            200,
            "application/json",
            body,
        )
        # llhttp skips line breaks between two replies.
        assert line.is_reusable is (not surplus.strip(b"\r\n"))
        assert (line._headers, line._pieces, repr(line)) == ({}, [], "<Connection>")
        line.connection_lost(None)
        assert line.closed.done()


async def test_httptools_guarded_request_is_not_a_use(
    transport: HttptoolsTransport,
) -> None:
    """A request blocked by the guard does not make an idle connection seem fresh."""
    async with listening(answer_each) as port:
        await send(transport, port)
        (line,) = transport._connections
        answered = line.used
        assert not (await send(transport, port, say=lambda: False)).sent
        assert line.used == answered
        before = asyncio.get_running_loop().time()
        await send(transport, port)
        assert line.used >= before


async def test_httptools_cancelled_handover_leaves_nothing(
    transport: HttptoolsTransport,
) -> None:
    """However late a call is cancelled while connecting, the transport drops the connection."""
    connect = transport._eyeballs.start_connection
    calls: list[asyncio.Task[Any]] = []

    async def going(*arguments: Any, **options: Any) -> socket.socket:
        connected = await connect(*arguments, **options)
        asyncio.get_running_loop().call_soon(calls[-1].cancel)
        return connected

    transport._eyeballs = SimpleNamespace(start_connection=going)
    async with listening(answer_each) as port:
        for _ in range(5):
            calls.append(asyncio.ensure_future(send(transport, port)))
            with pytest.raises(asyncio.CancelledError):
                await calls[-1]
        async with asyncio.timeout(5):
            while transport._connections:
                await asyncio.sleep(0)
