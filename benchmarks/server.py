"""The gateway's place in the benchmarks: a small HTTP server in a process of its own, which does just enough."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection


def payout(body: bytes) -> dict[str, Any]:
    """Answer a payout with its own id."""
    own = next((part[22:] for part in body.split(b"&") if part.startswith(b"merchantTransactionId=")), b"PAYOUT-1")
    return {
        "paymentId": "18608029", "status": "payoutsuccessful", "transactionStatus": "Y", "paymentBrand": "VISA",
        "paymentMode": "CC", "amount": "100.00", "currency": "EUR", "merchantTransactionId": own.decode(),
        "remark": "Payout Successful", "result": {"code": "00001", "description": "Transaction succeeded"},
        "timestamp": "2026-02-09 19:42:23", "descriptor": "x" * 200,
    }  # fmt: skip


TOKEN = {"result": {"code": "200", "description": "ok"}, "AuthToken": "benchmark-token"}
STRIPE = {
    "id": "po_1", "object": "payout", "amount": 10000, "arrival_date": 1, "automatic": False, "balance_transaction": "txn_1",
    "created": 1, "currency": "eur", "description": "x" * 200, "destination": "ba_1", "livemode": False, "metadata": {},
    "method": "standard", "reconciliation_status": "not_applicable", "source_type": "card", "status": "pending", "type": "card",
}  # fmt: skip


def reply(path: bytes, body: bytes) -> bytes:
    """Answer a token call, a payout, or one of Stripe's of about the same size."""
    ours = TOKEN if b"merchant.username" in body else payout(body)
    fields = STRIPE if path.startswith(b"/v1/") else ours
    content = json.dumps(fields).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


class Answers(asyncio.Protocol):
    """Answers each whole request, after a pause."""

    def __init__(self, pause: float) -> None:
        """Wait that many seconds before each answer."""
        self.pause = pause
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Take what came; a token call is answered at once."""
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
            answer = reply(head.split(b" ", 2)[1], body)
            if self.pause and b"authToken" not in head:
                asyncio.get_running_loop().call_later(self.pause, self.transport.write, answer)
            else:
                self.transport.write(answer)


def serve(ready: Connection, pause: float = 0.0) -> None:
    """Run the server until it is killed."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answers(pause), "127.0.0.1", 0, backlog=8192)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


@contextlib.contextmanager
def serving(pause: float = 0.0) -> Iterator[int]:
    """Serve in another process; give the port."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, pause), daemon=True)
    server.start()
    try:
        yield mine.recv()
    finally:
        server.kill()
        server.join()
