"""What only aiohttp has: a shared session of the application, and its connections."""

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
from gatewaypy.transport.aiohttp_sender import Progress, _BlockedError, _on_headers
from gatewaypy.transport.tls import default_context

if TYPE_CHECKING:
    from pathlib import Path


async def test_aiohttp_session_state_stays_out_of_payments() -> None:
    """Cookies, headers, authentication, proxies and traces are not used, no cookie is stored."""
    heads, traced = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0].lower())
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: theirs=2; Path=/\r\n\r\n"))

    async def trace_request(*_: Any) -> None:
        traced.append(True)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(trace_request)
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


async def test_aiohttp_connector_limits_connections() -> None:
    """On one shared connection payments are serial; one that waited too long was not sent."""
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


async def test_aiohttp_closed_session_sends_nothing() -> None:
    """With the application's session closed nothing is sent, and a new transport is refused."""
    async with listening(answer_each) as port, aiohttp.ClientSession() as session:
        async with AiohttpTransport(session) as transport:
            await session.close()
            assert await send(transport, port) == WireFailure(
                sent=False, reason="the session is closed"
            )
        with pytest.raises(errors.ConfigurationError, match="closed"):
            AiohttpTransport(session)


async def test_aiohttp_transport_not_open_sends_nothing(quiet_port: int) -> None:
    """Before the transport is opened nothing is sent."""
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
async def test_aiohttp_connector_without_verification_raises(insecure: Any, tmp_path: Path) -> None:
    """A connector that does not verify certificates or has no TLS is refused."""
    async with aiohttp.ClientSession(connector=insecure(tmp_path)) as session:
        with pytest.raises(errors.InsecureConnection):
            AiohttpTransport(session)


async def test_aiohttp_own_verifying_context_is_accepted() -> None:
    """A connector with a context that verifies is accepted."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=default_context())
    ) as session:
        AiohttpTransport(session)


async def test_aiohttp_server_that_answers_first_gets_nothing() -> None:
    """If a new connection has an answer before any request, nothing is sent."""
    async with listening(answer_each) as port, AiohttpTransport() as transport:
        session = transport._sender._session

        class Hasty(session._request_class):
            async def send(self, conn: Any) -> Any:
                conn.protocol.data_received(OK)
                return await super().send(conn)

        session._request_class = Hasty
        failure = await send(transport, port)
    assert failure == WireFailure(sent=False, reason="the server sent bytes before the request")


async def test_aiohttp_trace_precedes_first_byte() -> None:
    """Aiohttp reports the headers before it writes them: 'sent' means about to be sent."""
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


async def test_aiohttp_without_trace_counts_as_sent() -> None:
    """A fake that reports nothing leaves the state unknown; a send guard that refuses: unsent."""
    progress = Progress(lambda: False)
    assert progress.sent
    progress.has_started = True
    with pytest.raises(_BlockedError):
        await _on_headers(None, type("Context", (), {"trace_request_ctx": progress}), None)
    assert not progress.sent


async def test_aiohttp_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[aiohttp\]"):
        async with AiohttpTransport():
            pass
