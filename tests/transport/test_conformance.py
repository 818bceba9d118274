"""What every transport has in common, against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import socket
import ssl
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from support.bare_server import (
    HASTY,
    OK,
    SILENT,
    answer_each,
    listening,
    read_and,
    read_request,
    send,
)
from support.transports import ASK_BEFORE_CONNECTING, ASK_ONCE, WANT_A_LENGTH, made

from gatewaypy import Timeouts, errors
from gatewaypy.protocol.wire import WireFailure, WireReply
from gatewaypy.transport.failures import BROKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.transport import Transport


@pytest.fixture
async def transport(kind: str) -> AsyncIterator[Transport]:
    """Open each transport."""
    async with made(kind) as one, one:
        yield one


async def test_transport_post_is_sent_unchanged(transport: Transport) -> None:
    """The request has its body, its token and nothing else; connections are reused."""
    heads, connections = [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            head, body = await read_request(reader)
            heads.append(head)
            assert body == b"{}"
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n"))

    async with listening(serve) as port:
        for _ in range(3):
            assert await send(transport, port) == WireReply(
                200, "Application/JSON; charset=utf-8", b"{}"
            )
    assert connections == 1
    for head in heads:
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /path HTTP/1.1"
        headers = Counter(line.split(":")[0].lower() for line in lines[1:] if line)
        expected = (
            "host",
            "content-type",
            "accept",
            "accept-encoding",
            "user-agent",
            "authtoken",
            "content-length",
        )
        assert headers == Counter(expected)
        values = {
            name.lower(): value for name, value in (line.split(": ") for line in lines[1:] if line)
        }
        assert (values["authtoken"], values["accept-encoding"], values["user-agent"]) == (
            "token",
            "identity",
            "gatewaypy",
        )


async def test_transport_reply_has_retry_after_and_date(transport: Transport) -> None:
    """A reply has the headers that set the time of a retry, as received, or none."""
    date, later = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:00 GMT"
    limited = f"HTTP/1.1 429 Slow Down\r\nDate: {date}\r\nretry-after: {later}\r\nContent-Length: 0\r\n\r\n"
    replies = [limited.encode(), OK, OK.replace(b"\r\n\r\n", b"\r\nRetry-After: \xfc\r\n\r\n")]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(replies.pop(0))

    async with listening(serve) as port:
        first, second, third = [await send(transport, port) for _ in range(3)]
    assert (first.http_status, first.retry_after, first.date) == (429, later, date)
    assert (second.retry_after, second.date) == (None, None)
    # How a client decodes other characters than ASCII is its own choice; the reply must not be lost
    # because of it.
    assert third.http_status == 200


async def test_transport_large_request_and_reply_arrive(transport: Transport) -> None:
    """What does not fit into one packet arrives whole in both directions."""
    sent, received = b"s" * 300_000, b"r" * 300_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await read_request(reader))[1] == sent
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
            % (len(received), received)
        )
        await writer.drain()

    async with listening(serve) as port:
        reply = await send(transport, port, body=sent, limit=len(received))
    assert reply == WireReply(200, "", received)


async def test_transport_refused_connection_is_not_sent(
    transport: Transport, quiet_port: int
) -> None:
    """A refused connection carried nothing."""
    failure = await send(transport, quiet_port)
    assert failure == WireFailure(sent=False, reason=failure.reason)
    assert "no connection" in failure.reason


async def test_transport_connect_timeout_is_not_sent(kind: str, transport: Transport) -> None:
    """A connection that times out carried nothing; most transports never called the guard."""
    asked = []

    def say() -> bool:
        asked.append(True)
        return True

    with socket.socket() as deaf, contextlib.ExitStack() as waiting:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        for _ in range(4):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        failure = await send(transport, port, say=say, timeouts=HASTY)
    assert (failure.sent, failure.reason) == (False, "no connection within 0.5 s")
    assert len(asked) == (1 if kind in ASK_BEFORE_CONNECTING else 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "the connection broke"),
        (b"\x15\x03\x01garbage\r\n\r\n", "the connection broke"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
            "longer than 1000 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "compressed"),
    ],
    ids=[
        "nothing",
        "half a head",
        "half a body",
        "half a chunk",
        "garbage",
        "too long",
        "compressed",
    ],
)
async def test_transport_broken_answer_is_sent(
    transport: Transport, reply: bytes, reason: str
) -> None:
    """After the request is sent, no kind of answer makes it unsent or sends it again."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(reply)
        await writer.drain()

    async with listening(serve) as port:
        failure = await send(transport, port)
    assert failure.sent
    assert reason in failure.reason
    assert requests == 1


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_transport_reused_connection_breaking_is_sent(
    transport: Transport, *, reset: bool
) -> None:
    """The second request on a connection that breaks is not repeated by the transport."""
    requests, connections = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests, connections
        connections += 1
        await read_and(OK, reader, writer)
        await read_request(reader)
        requests += 1
        if reset:
            writer.transport.abort()

    async with listening(serve) as port:
        assert isinstance(await send(transport, port), WireReply)
        failure = await send(transport, port)
    assert failure.sent
    assert (requests, connections) == (1, 1)


async def test_transport_idle_close_repeats_no_request(transport: Transport) -> None:
    """A server that closes between two requests gets each once; a race counts as sent."""
    received: Counter[bytes] = Counter()
    hung_up = asyncio.Queue[None]()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received[(await read_request(reader))[1]] += 1
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        hung_up.put_nowait(None)

    answered = 0
    async with listening(once) as port:
        for number in range(30):
            answer = await send(transport, port, body=b"%02d" % number)
            if isinstance(answer, WireReply):
                answered += 1
                await hung_up.get()
            else:
                assert answer.sent
    assert answered >= 10
    assert set(received.values()) == {1}
    assert len(received) == answered


async def test_transport_unsolicited_reply_is_ignored(transport: Transport) -> None:
    """Bytes on an idle connection are not the answer to the next request."""
    spoken = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_and(OK, reader, writer)
        if not spoken.is_set():
            # Separate from the reply, because a client may still be reading it.
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 5\r\n\r\nstale")
            await writer.drain()
            spoken.set()
        await read_and(OK, reader, writer)

    async with listening(serve) as port:
        assert (await send(transport, port)).http_status == 200
        await spoken.wait()
        await asyncio.sleep(0.05)
        assert (await send(transport, port)).http_status == 200


async def test_transport_silent_server_is_sent(transport: Transport) -> None:
    """If no reply starts within the read timeout, the request counts as sent."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with listening(stall) as port:
        failure = await send(transport, port, timeouts=SILENT)
    assert (failure.sent, failure.reason) == (True, "no answer within 0.6 s")


async def test_transport_slow_reply_meets_total_deadline(transport: Transport) -> None:
    """Reads that are each within their timeout still end at the deadline of the call."""
    hung_up = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        gone = asyncio.ensure_future(reader.read())
        while not gone.done():
            writer.write(b" ")
            await asyncio.wait({gone}, timeout=0.1)
        hung_up.set()

    async with listening(trickle) as port:
        failure = await send(transport, port, timeouts=Timeouts(connect=20, read=1.5), total=2.0)
        await asyncio.wait_for(hung_up.wait(), 20)
    assert (failure.sent, failure.reason) == (True, "the deadline for the whole call passed")


async def test_transport_guard_cancels_before_first_byte(transport: Transport) -> None:
    """If the send guard refuses, nothing is sent, on a new connection or a reused one."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while await reader.read(1):
            requests += 1
            await read_request(reader)
            writer.write(OK)

    called_off = WireFailure(sent=False, reason="cancelled before any byte was sent")
    async with listening(serve) as port:
        assert await send(transport, port, say=lambda: False) == called_off
        assert isinstance(await send(transport, port), WireReply)
        assert await send(transport, port, say=lambda: False) == called_off
        assert isinstance(await send(transport, port), WireReply)
    assert requests == 2


async def test_transport_guard_aborts_before_body(kind: str, transport: Transport) -> None:
    """If the guard refuses after the headers, no whole request arrives, and it counts as sent."""
    answers, requests = [True, False], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(OK)

    async with listening(serve) as port:
        answer = await send(transport, port, say=lambda: answers.pop(0))
    if kind in ASK_ONCE:
        assert isinstance(answer, WireReply)
    else:
        assert (answer, requests) == (
            WireFailure(sent=True, reason="aborted after the headers and before the body"),
            0,
        )


async def test_transport_redirect_is_not_followed(transport: Transport) -> None:
    """A 302 or 307 is returned like any answer; the token goes to no other host."""
    for status in (302, 307):
        reply = (
            b"HTTP/1.1 %d Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            % status
        )
        async with listening(
            lambda reader, writer, reply=reply: read_and(reply, reader, writer)
        ) as port:
            assert (await send(transport, port)).http_status == status


async def test_transport_surplus_answer_is_ignored(transport: Transport) -> None:
    """If a server answers once too often, the extra answer is not that of the next request."""
    asked = 0

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            await read_request(reader)
            asked += 1
            body_bytes = b"%d" % asked
            once = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
                len(body_bytes),
                body_bytes,
            )
            writer.write(
                once + once.replace(body_bytes, b"surplus"[: len(body_bytes)])
                if asked % 2
                else once
            )

    async with listening(answer_twice) as port:
        for number in range(1, 9):
            answer = await send(transport, port)
            assert isinstance(answer, WireFailure) or bytes(answer.body) == b"%d" % number


async def test_transport_environment_proxy_is_not_used(
    kind: str, monkeypatch: pytest.MonkeyPatch, quiet_port: int
) -> None:
    """A proxy of the environment gets no payment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.setenv(spelled, f"http://127.0.0.1:{quiet_port}")
    async with listening(answer_each) as port, made(kind) as transport, transport:
        assert isinstance(await send(transport, port), WireReply)


async def test_transport_cancelled_requests_leave_pool_usable(transport: Transport) -> None:
    """Callers cancelled at any stage get no other's answer, and remaining connections work."""
    seeded = random.Random(7)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = (await read_request(reader))[1]
            await asyncio.sleep(seeded.random() / 200)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async def ask(number: int) -> None:
        answer = await send(transport, port, body=b"%d" % number)
        assert answer.body == b"%d" % number

    async with listening(echo) as port:
        tasks = [asyncio.create_task(ask(number)) for number in range(200)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            for task in seeded.sample(tasks, 8):
                task.cancel()
        end = await asyncio.gather(*tasks, return_exceptions=True)
        assert [
            error
            for error in end
            if error is not None and not isinstance(error, asyncio.CancelledError)
        ] == []
        await asyncio.gather(*(ask(number) for number in range(50)))


class TestTls:
    """Certificates and names are verified, and no option disables it."""

    async def attempt(
        self,
        kind: str,
        authority: trustme.CA | None,
        issued: trustme.LeafCert,
        change: Any = lambda _: None,
    ) -> tuple[Any, list[Any]]:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(server)
        change(server)
        seen = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await read_request(reader))
            writer.write(OK)

        # The test needs a failed handshake; the server's own error about it does not matter.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with listening(serve, server) as port, made(kind, authority) as transport, transport:
            answer = await send(transport, port, scheme="https")
        return answer, seen

    async def test_transport_trusted_certificate_is_accepted(
        self, kind: str, authority: trustme.CA
    ) -> None:
        """With the right authority and name the request is answered."""
        answer, seen = await self.attempt(kind, authority, authority.issue_cert("127.0.0.1"))
        assert isinstance(answer, WireReply)
        assert len(seen) == 1

    async def test_transport_certificate_of_other_host_is_refused(
        self, kind: str, authority: trustme.CA
    ) -> None:
        """A server with a certificate for another host receives nothing of the request."""
        answer, seen = await self.attempt(kind, authority, authority.issue_cert("gateway.example"))
        assert (answer.sent, seen) == (False, [])
        assert "certificate" in answer.reason

    async def test_transport_unknown_authority_is_refused(
        self, kind: str, authority: trustme.CA
    ) -> None:
        """The system does not know the authority of this test, so nothing is sent."""
        answer, seen = await self.attempt(kind, None, authority.issue_cert("127.0.0.1"))
        assert (answer.sent, seen) == (False, [])
        assert "certificate" in answer.reason

    async def test_transport_expired_certificate_is_refused(
        self, kind: str, authority: trustme.CA
    ) -> None:
        """A certificate past its end date is refused."""
        valid_from, end = (
            dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2020, 2, 1, tzinfo=dt.UTC),
        )
        answer, seen = await self.attempt(
            kind, authority, authority.issue_cert("127.0.0.1", not_before=valid_from, not_after=end)
        )
        assert (answer.sent, seen) == (False, [])
        assert "certificate" in answer.reason

    async def test_transport_old_tls_is_refused(self, kind: str, authority: trustme.CA) -> None:
        """A server with TLS 1.1 at most receives nothing."""

        def grow_old(server: ssl.SSLContext) -> None:
            server.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1

        answer, seen = await self.attempt(
            kind, authority, authority.issue_cert("127.0.0.1"), grow_old
        )
        assert (answer.sent, seen) == (False, [])
        assert "no connection" in answer.reason

    async def test_transport_server_without_tls_receives_nothing(self, kind: str) -> None:
        """A server without TLS, or that closes during the handshake, receives nothing."""
        sent_bytes = []

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sent_bytes.append(await reader.read(1000))

        async with listening(hang_up) as port, made(kind) as transport, transport:
            answer = await send(transport, port, scheme="https")
        assert not answer.sent
        assert b"token" not in b"".join(sent_bytes)

    @pytest.mark.parametrize(
        "piece", [b"\r\n", b'\r\n{"transactionStatus": "Y"', b"Transfer-Encoding: identity\r\n\r\n"]
    )
    async def test_transport_truncated_reply_is_an_error(
        self, kind: str, authority: trustme.CA, piece: bytes
    ) -> None:
        """A reply without a length whose connection was cut is refused, unless TLS was closed."""
        start = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n" + piece

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(start)
            writer.transport.abort()

        assert await self.answer_of(kind, authority, cut) == WireFailure(sent=True, reason=BROKEN)

    async def test_transport_reply_ended_by_server_is_complete(
        self, kind: str, authority: trustme.CA
    ) -> None:
        """A reply without a length is accepted if the server closed TLS properly."""
        answer = await self.answer_of(
            kind, authority, partial(read_and, b"HTTP/1.1 200 OK\r\n\r\n{}")
        )
        assert answer == (
            WireFailure(sent=True, reason=BROKEN)
            if kind in WANT_A_LENGTH
            else WireReply(200, "", b"{}")
        )

    async def answer_of(self, kind: str, authority: trustme.CA, serve: Any) -> Any:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server)
        async with listening(serve, server) as port, made(kind, authority) as transport, transport:
            return await send(transport, port, scheme="https")


class TestUsers:
    """A transport serves several gateways of one loop."""

    async def test_transport_last_user_closes_it(self, kind: str) -> None:
        """Connections stay open while the transport has a user, and it can be reopened."""
        closed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer_each(reader, writer)
            finally:
                closed.set()

        async with listening(serve) as port, made(kind) as transport:
            async with transport:
                async with transport:
                    assert isinstance(await send(transport, port), WireReply)
                assert not closed.is_set()
            if kind != "aiohttp shared":
                await asyncio.wait_for(closed.wait(), 5)
            async with transport:
                assert isinstance(await send(transport, port), WireReply)

    async def test_transport_other_loop_is_refused(self, transport: Transport) -> None:
        """Two event loops do not share connections."""
        with pytest.raises(errors.ConfigurationError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, transport.__aenter__())
