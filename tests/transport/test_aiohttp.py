"""What only aiohttp has: a service's session to share, and what it does with connections."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.bare_server import OK, answer_each, listening, read_request, send
from yarl import URL

from gatewaypy import AiohttpTransport, errors
from gatewaypy.protocol.wire import WireFailure, WireReply
from gatewaypy.transport.aiohttp_sender import Progress, _CalledOffError, _head_goes
from gatewaypy.transport.tls import default_context

if TYPE_CHECKING:
    from pathlib import Path


async def test_nothing_of_the_services_session_gets_into_a_payment() -> None:
    """Its cookies, headers, authentication, proxies and traces stay with it, and its reply cookies are not kept."""
    heads, traced = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0].lower())
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: theirs=2; Path=/\r\n\r\n"))

    async def hear(*_: Any) -> None:
        traced.append(True)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(hear)
    async with (
        listening(serve) as port,
        aiohttp.ClientSession(
            headers={"X-Theirs": "1", "Authorization": "Basic theirs"},
            cookies={"theirs": "1"},
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            trace_configs=[trace],
            raise_for_status=True,
            trust_env=True,
        ) as session,
        AiohttpTransport(session) as transport,
    ):
        for _ in range(2):
            assert isinstance(await send(transport, port), WireReply)
    assert traced == []
    assert all(b"theirs" not in head for head in heads)
    assert (
        session.cookie_jar.filter_cookies(URL(f"http://127.0.0.1:{port}/"))["theirs"].value == "1"
    )


async def test_the_services_connections_bound_ours() -> None:
    """On a shared connector of one connection payments go one after the other, and one that waited too long was not sent."""
    together, most = 0, 0
    may_answer = asyncio.Event()
    may_answer.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal together, most
        while True:
            await read_request(reader)
            together += 1
            most = max(most, together)
            await asyncio.sleep(0.1)
            await may_answer.wait()
            together -= 1
            writer.write(OK)

    async with (
        listening(serve) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        AiohttpTransport(session) as transport,
    ):
        answers = await asyncio.gather(*(send(transport, port) for _ in range(3)))
        may_answer.clear()
        holding = asyncio.create_task(send(transport, port))
        while not together:
            await asyncio.sleep(0)
        late = await send(transport, port, total=0.2)
        may_answer.set()
        answers.append(await holding)
        assert not session.closed
    assert all(isinstance(answer, WireReply) for answer in answers)
    assert (most, late.sent) == (1, False)


async def test_a_session_that_closes_takes_nothing_with_it() -> None:
    """With the service's session gone nothing is sent, and a new transport is refused at once."""
    async with listening(answer_each) as port, aiohttp.ClientSession() as session:
        async with AiohttpTransport(session) as transport:
            await session.close()
            assert await send(transport, port) == WireFailure(
                sent=False, reason="the session is closed"
            )
        with pytest.raises(errors.ConfigurationError, match="closed"):
            AiohttpTransport(session)


async def test_a_transport_that_is_not_open_sends_nothing(quiet_port: int) -> None:
    """Nothing goes out before the first user has come."""
    assert not (await send(AiohttpTransport(), quiet_port)).sent


@pytest.mark.parametrize(
    "insecure",
    [
        lambda _: aiohttp.TCPConnector(ssl=False),
        lambda _: aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(b"x" * 32)),
        lambda _: aiohttp.TCPConnector(ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)),
        lambda folder: aiohttp.UnixConnector(str(folder / "socket")),
    ],
    ids=["unverified", "fingerprint", "careless context", "no TLS"],
)
async def test_a_connector_that_does_not_verify_is_refused(insecure: Any, tmp_path: Path) -> None:
    """A service that verifies nobody, or whose connector does not speak TLS, carries no payments."""
    async with aiohttp.ClientSession(connector=insecure(tmp_path)) as session:
        with pytest.raises(errors.InsecureConnection):
            AiohttpTransport(session)


async def test_a_context_of_the_services_own_is_taken() -> None:
    """A connector with a context that verifies is fine."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=default_context())
    ) as session:
        AiohttpTransport(session)


async def test_a_server_that_speaks_first_gets_nothing() -> None:
    """Where every new connection has an answer waiting before anything was asked, nothing is sent."""
    async with listening(answer_each) as port, AiohttpTransport() as transport:
        session = transport._sender._session

        class Hasty(session._request_class):
            async def send(self, conn: Any) -> Any:
                conn.protocol.data_received(OK)
                return await super().send(conn)

        session._request_class = Hasty
        failure = await send(transport, port)
    assert failure == WireFailure(sent=False, reason="the server spoke before it was asked")


async def test_the_first_byte_leaves_after_the_question() -> None:
    """Aiohttp tells of the head before it writes it: what the trace calls 'sent' is about to be."""
    written: list[str] = []

    class Writing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            written.append("arrived")
            self.transport.write(OK)

    server = await asyncio.get_running_loop().create_server(Writing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def say() -> bool:
        written.append("asked")
        return True

    async with AiohttpTransport() as transport:
        assert isinstance(await send(transport, port, say=say), WireReply)
    server.close()
    assert written == ["asked", "asked", "arrived"]


async def test_without_a_word_from_aiohttp_it_counts_as_sent() -> None:
    """A stand-in for aiohttp that tells nothing leaves nothing known; a question that was answered by no leaves it unsent."""
    progress = Progress(lambda: False)
    assert progress.sent
    progress.has_begun = True
    with pytest.raises(_CalledOffError):
        await _head_goes(None, type("Context", (), {"trace_request_ctx": progress}), None)
    assert not progress.sent


async def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra's name is in the message."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[aiohttp\]"):
        async with AiohttpTransport():
            pass
