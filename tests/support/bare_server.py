"""Servers with scripted bytes, and a function that sends them one request by a transport."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from gatewaypy import Limits, Secret, Timeouts
from gatewaypy.protocol.wire import WireRequest
from gatewaypy.secret import SecretBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gatewaypy.transport import Transport

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"
#: For waits for an answer: a busy machine must not look like a silent gateway.
PATIENT = Timeouts(connect=20, read=20, total=30)
#: For waits for a timeout.
HASTY = Timeouts(connect=0.5, read=0.6, total=1.5)
#: For waits for a late answer on an open connection.
SILENT = Timeouts(connect=20, read=0.6, total=30)


@contextlib.asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
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
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return head, await reader.readexactly(length)


async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)


async def read_and(
    reply: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await read_request(reader)
    writer.write(reply)
    await writer.drain()


async def send(
    transport: Transport,
    port: int,
    *,
    scheme: str = "http",
    body: bytes = b"{}",
    say: Callable[[], bool] = lambda: True,
    timeouts: Timeouts = PATIENT,
    total: float = 30.0,
    limit: int = 1000,
) -> Any:
    request = WireRequest(
        f"{scheme}://127.0.0.1:{port}/path",
        "application/json",
        "application/json",
        SecretBytes(body),
        Secret("token"),
    )
    return await transport.send(
        request,
        timeouts=timeouts,
        limits=Limits(max_reply_bytes=limit),
        deadline=asyncio.get_running_loop().time() + total,
        send_guard=say,
    )
