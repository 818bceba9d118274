"""The gateway of the benchmarks: a minimal HTTP server in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
from collections import deque
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


PAYOUT = {
    "paymentId": "18608029", "status": "payoutsuccessful", "transactionStatus": "Y", "paymentBrand": "VISA",
    "paymentMode": "CC", "amount": "100.00", "currency": "EUR", "merchantTransactionId": "@",
    "remark": "Payout Successful", "result": {"code": "00001", "description": "Transaction succeeded"},
    "timestamp": "2026-02-09 19:42:23", "descriptor": "x" * 200,
}  # fmt: skip
TOKEN = {"result": {"code": "200", "description": "ok"}, "AuthToken": "benchmark-token"}
STRIPE = {
    "id": "po_1", "object": "payout", "amount": 10000, "arrival_date": 1, "automatic": False, "balance_transaction": "txn_1",
    "created": 1, "currency": "eur", "description": "x" * 200, "destination": "ba_1", "livemode": False, "metadata": {},
    "method": "standard", "reconciliation_status": "not_applicable", "source_type": "card", "status": "pending", "type": "card",
}  # fmt: skip
BEFORE, AFTER = json.dumps(PAYOUT).encode().split(b"@")


def answer(content: bytes) -> bytes:
    """Build a reply with its headers."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


TOKEN_ANSWER, STRIPE_ANSWER = (answer(json.dumps(fields).encode()) for fields in (TOKEN, STRIPE))


def reply(head: bytes, body: bytes) -> bytes:
    """Return the reply to a token call, a payout, or a Stripe payout of about the same size."""
    if head.startswith(b"POST /v1/"):
        return STRIPE_ANSWER
    _, named, rest = body.partition(b"merchantTransactionId=")
    if not named:
        return TOKEN_ANSWER
    return answer(b"%b%b%b" % (BEFORE, rest.partition(b"&")[0], AFTER))


class Pause:
    """Writes answers after a fixed delay, with one timer, so that the server needs little CPU."""

    def __init__(self, seconds: float) -> None:
        """Set the delay, in seconds."""
        self.seconds = seconds
        self.waiting: deque[tuple[float, Any, bytes]] = deque()

    def add(self, transport: asyncio.WriteTransport, answer: bytes) -> None:
        """Store an answer until it is due."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.call_later(self.seconds, self.write)
        self.waiting.append((loop.time() + self.seconds, transport, answer))

    def write(self) -> None:
        """Write the answers that are due."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self.waiting and self.waiting[0][0] <= now:
            _, transport, answer = self.waiting.popleft()
            transport.write(answer)
        if self.waiting:
            loop.call_later(max(self.waiting[0][0] - now, 0.001), self.write)


class Answers(asyncio.Protocol):
    """Answers each complete request, after the delay if there is one."""

    def __init__(self, pause: Pause) -> None:
        """Share the delay's timer with all connections."""
        self.pause = pause
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Parse received bytes. A token call is answered at once."""
        self.pending += data
        while True:
            head, separator, rest = self.pending.partition(b"\r\n\r\n")
            if not separator:
                return
            lower = head.lower()
            at = lower.index(b"content-length:") + 15
            end = lower.find(b"\r\n", at)
            length = int(lower[at : None if end < 0 else end])
            if len(rest) < length:
                return
            body, self.pending = rest[:length], rest[length:]
            answer = reply(head, body)
            if self.pause.seconds and answer is not TOKEN_ANSWER:
                self.pause.add(self.transport, answer)
            else:
                self.transport.write(answer)


def serve(ready: Connection, pause: float = 0.0) -> None:
    """Run the server until it is killed."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        shared = Pause(pause)
        server = await loop.create_server(lambda: Answers(shared), "127.0.0.1", 0, backlog=8192)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


@contextlib.contextmanager
def serving(pause: float = 0.0) -> Iterator[int]:
    """Serve in another process; yield the port."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, pause), daemon=True)
    server.start()
    try:
        yield mine.recv()
    finally:
        server.kill()
        server.join()
