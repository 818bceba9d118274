"""The default transport, on both libraries, against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from gatewaypy import HttpxTransport, Limits, Secret, Timeouts, errors
from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest
from gatewaypy.secret import SealedBytes
from gatewaypy.transport.httpx import _Progress, _Stage
from gatewaypy.transport.tls import checked, default_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUTS = Timeouts(connect=1, read=0.5, total=1.5)


@contextlib.asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return head, await reader.readexactly(length)


async def send(
    transport: HttpxTransport, port: int, *, scheme: str = "http", say: bool = True, total: float = 1.5, limit: int = 1000
) -> Any:
    request = WireRequest(
        f"{scheme}://127.0.0.1:{port}/path", "application/json", "application/json", SealedBytes(b"{}"), Secret("token")
    )
    return await transport.send(
        request,
        timeouts=TIMEOUTS,
        limits=Limits(max_reply_bytes=limit),
        deadline=asyncio.get_running_loop().time() + total,
        about_to_send=lambda: say,
    )


async def test_one_post_goes_out_as_it_is(library: str) -> None:
    """The request has its body, its token and nothing that was not asked for; connections are used again."""
    heads, connections = [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            head, body = await read_request(reader)
            heads.append(head)
            assert body == b"{}"
            writer.write(OK)

    async with listening(serve) as port, HttpxTransport(library=library) as transport:
        for _ in range(3):
            assert await send(transport, port) == WireReply(200, "application/json", b"{}")
    assert connections == 1
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "POST /path HTTP/1.1"
    names = {line.split(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "content-type", "accept", "accept-encoding", "user-agent", "authtoken", "content-length"}
    assert "AuthToken: token" in lines


async def test_nobody_listening_means_not_sent(library: str, unused_tcp_port: int) -> None:
    """A refused connection took nothing with it."""
    async with HttpxTransport(library=library) as transport:
        failure = await send(transport, unused_tcp_port)
    assert failure == WireFailure(sent=False, reason=failure.reason)
    assert "no connection" in failure.reason


async def test_a_server_that_never_accepts_means_not_sent(library: str) -> None:
    """A connection that does not come about in time took nothing with it."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        async with HttpxTransport(library=library) as transport:
            failure = await send(transport, port)
        for other in waiting:
            other.close()
    assert (failure.sent, failure.reason) == (False, "no connection within 1 s")


async def read_and(reply: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(reply)
    await writer.drain()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "the connection broke"),
        (b"\x15\x03\x01garbage\r\n\r\n", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, "longer than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "compressed"),
    ],
    ids=range(7),
)
async def test_a_broken_answer_means_sent(library: str, reply: bytes, reason: str) -> None:
    """Once the request is out, nothing that comes or does not come back makes it unsent."""
    async with (
        listening(lambda reader, writer: read_and(reply, reader, writer)) as port,
        HttpxTransport(library=library) as transport,
    ):
        failure = await send(transport, port)
    assert failure.sent
    assert reason in failure.reason


async def test_a_server_that_says_nothing_means_sent(library: str) -> None:
    """A reply that does not begin within the read deadline leaves the request out there."""
    over = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await over.wait()

    async with listening(stall) as port, HttpxTransport(library=library) as transport:
        failure = await send(transport, port)
        over.set()
    assert (failure.sent, failure.reason) == (True, "no answer within 0.5 s")


async def test_a_reply_in_drops_meets_the_whole_deadline(library: str) -> None:
    """A server that keeps each read short of its deadline does not hold a call for ever."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with listening(trickle) as port, HttpxTransport(library=library) as transport:
        failure = await send(transport, port, total=0.6)
    assert (failure.sent, failure.reason) == (True, "the deadline for the whole call passed")


async def test_an_idle_connection_that_was_closed_is_not_used(library: str) -> None:
    """A server that hangs up between two requests costs a new connection, not a request."""
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_and(OK, reader, writer)

    async with listening(once) as port, HttpxTransport(library=library) as transport:
        for _ in range(3):
            assert isinstance(await send(transport, port), WireReply)
            await asyncio.sleep(0)
            await _hung_up(transport)
    assert connections == 3


async def _hung_up(transport: HttpxTransport) -> None:
    """Wait until the idle connection's socket has heard of its end."""
    pool = transport._idle[-1].pool._pool
    for _ in range(1000):
        if all(connection.has_expired() for connection in pool.connections):
            return
        await asyncio.sleep(0.001)
    pytest.fail("the server's close did not arrive")


async def test_a_request_can_be_called_off_before_its_first_byte(library: str) -> None:
    """Where the caller says no at the last moment nothing is sent, on a new connection and on a used one."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            await read_request(reader)
            requests += 1
            writer.write(OK)

    async with listening(serve) as port, HttpxTransport(library=library) as transport:
        assert await send(transport, port, say=False) == WireFailure(sent=False, reason="it was called off before its first byte")
        assert isinstance(await send(transport, port), WireReply)
        assert not (await send(transport, port, say=False)).sent
    assert requests == 1


async def test_a_request_that_went_out_never_counts_as_unsent_again() -> None:
    """Should a client connect anew after it began to send, the byte that left stays left."""
    progress = _Progress(lambda: True)
    for event in ("connection.connect_tcp.started", "http11.send_request_headers.started", "connection.connect_tcp.started"):
        await progress.trace(event, {})
    assert progress.stage is _Stage.SENDING


async def test_a_redirect_is_not_followed(library: str) -> None:
    """A 302 is an answer like any other; the token goes nowhere else."""
    reply = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with (
        listening(lambda reader, writer: read_and(reply, reader, writer)) as port,
        HttpxTransport(library=library) as transport,
    ):
        assert (await send(transport, port)).http_status == 302


async def test_idle_connections_do_not_pile_up(library: str) -> None:
    """Connections that a burst needed are closed when they have been idle for long enough."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(OK)

    async with listening(serve) as port, HttpxTransport(library=library, keepalive=0.05) as transport:
        await asyncio.gather(*(send(transport, port) for _ in range(20)))
        most = len(transport._idle)
        await asyncio.sleep(0.06)
        for _ in range(most):
            await send(transport, port)
        assert most > 1
        assert len(transport._idle) == 1


class TestTls:
    """Certificates and names are verified, and there is no switch for it."""

    async def attempt(self, library: str, context: ssl.SSLContext, issued: trustme.LeafCert) -> Any:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(server)
        seen = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await read_request(reader))
            writer.write(OK)

        # A handshake that fails is what is tested; the server's own complaint of it is not.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with listening(serve, server) as port, HttpxTransport(library=library, ssl_context=context) as transport:
            answer = await send(transport, port, scheme="https")
        return answer, seen

    async def test_a_trusted_certificate_is_taken(self, library: str, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
        """With the right authority and name the request goes through."""
        answer, seen = await self.attempt(library, trusting, authority.issue_cert("127.0.0.1"))
        assert isinstance(answer, WireReply)
        assert len(seen) == 1

    async def test_another_name_is_refused(self, library: str, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
        """A certificate for another host shows nothing of the request to it."""
        answer, seen = await self.attempt(library, trusting, authority.issue_cert("gateway.example"))
        assert (answer.sent, seen) == (False, [])

    async def test_an_unknown_authority_is_refused(self, library: str, authority: trustme.CA) -> None:
        """The system's authorities do not know this run's, so nothing is sent."""
        answer, seen = await self.attempt(library, default_context(), authority.issue_cert("127.0.0.1"))
        assert (answer.sent, seen) == (False, [])
        assert "certificate" in answer.reason

    def test_a_context_that_does_not_verify_is_refused(self) -> None:
        """No context without verification, without host names, or with old TLS gets in."""
        careless = ssl.create_default_context()
        careless.check_hostname = False
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        old = ssl.create_default_context()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = ssl.TLSVersion.TLSv1_1
        for context in (careless, unverified, old):
            with pytest.raises(errors.InsecureConnection):
                HttpxTransport(ssl_context=context)
        assert checked(default_context()).minimum_version is ssl.TLSVersion.TLSv1_2


class TestUsers:
    """A transport serves several gateways of one loop."""

    async def test_the_last_user_closes_it(self) -> None:
        """Connections live as long as somebody uses the transport."""
        transport = HttpxTransport()
        async with transport:
            async with transport:
                pass
            assert transport._users == 1
        assert transport._users == 0

    def test_another_loop_is_refused(self) -> None:
        """Two loops do not share connections."""
        transport = HttpxTransport()

        async def use() -> None:
            async with transport:
                with pytest.raises(errors.ConfigurationError, match="another event loop"):
                    await asyncio.to_thread(asyncio.run, transport.__aenter__())

        asyncio.run(use())

    async def test_a_missing_library_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The extra's name is in the message."""
        monkeypatch.setitem(sys.modules, "httpx2", None)
        with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[httpx2\]"):
            async with HttpxTransport(library="httpx2"):
                pass
