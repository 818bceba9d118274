"""What only the default transport has: its connections, on both libraries."""

from __future__ import annotations

import asyncio
import ssl
import sys

import pytest
from support.bare_server import OK, answer_each, listening, read_and, send

from gatewaypy import HttpxTransport, errors
from gatewaypy.protocol.wire import WireReply
from gatewaypy.transport.httpx import _Progress, _Stage
from gatewaypy.transport.tls import default_context, validate_context


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    """Run a test on each of the two libraries of the default transport."""
    pytest.importorskip(request.param)
    return request.param


async def test_httpx_closed_idle_connection_is_not_used(library: str) -> None:
    """A server that closes between two requests costs a connection, not a request."""
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
    """Wait until the socket of the idle connection has received its end."""
    pool = transport._idle[-1].pool._pool
    for _ in range(1000):
        if all(connection.has_expired() for connection in pool.connections):
            return
        await asyncio.sleep(0.001)
    pytest.fail("the server's close did not arrive")


async def test_httpx_sent_request_never_becomes_unsent() -> None:
    """If a client reconnects after it began to send, the request still counts as sent."""
    progress = _Progress(lambda: True)
    for event in (
        "connection.connect_tcp.started",
        "http11.send_request_headers.started",
        "connection.connect_tcp.started",
    ):
        await progress.trace(event, {})
    assert progress.stage is _Stage.SENDING


async def test_httpx_idle_connections_are_closed(library: str) -> None:
    """Connections of a burst are closed when they have been idle long enough."""
    async with (
        listening(answer_each) as port,
        HttpxTransport(library=library, keepalive_timeout=0.05) as transport,
    ):
        await asyncio.gather(*(send(transport, port) for _ in range(20)))
        most = len(transport._idle)
        await asyncio.sleep(0.06)
        for _ in range(most):
            await send(transport, port)
        assert most > 1
        assert len(transport._idle) == 1


def test_httpx_unverified_context_is_refused() -> None:
    """A context without verification, without host names or with old TLS is refused."""
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
    assert validate_context(default_context()).minimum_version is ssl.TLSVersion.TLSv1_2


async def test_httpx_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[httpx2\]"):
        async with HttpxTransport(library="httpx2"):
            pass
