"""What a payment costs on the default transport with 10 and with 1,000 in flight, and what httpx costs when it is called by hand.

    python benchmarks/in_flight.py [--rounds 5] [--requests 3000]

The sandbox's place is taken by a small server in a process of its own, which answers every payment at once; the figure is the
CPU time of this process. Rounds of all measures are interleaved and medians taken; each line is `name ratio target ok|short`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import platform
import statistics
import sys
import time
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx

from gatewaypy import Credentials, Customer, Gateway, Limits, Money, Timeouts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

MERCHANT = Credentials(member_id="11344", partner_id="4", username="shop", secret_key="benchmarkKey00000000000000000000")  # noqa: S106
CUSTOMER = Customer(given_name="Ada", surname="Lovelace", email="ada@example.com")
AMOUNT = Money("100.00", "EUR")
NUMBERS = count()


def reply(body: bytes) -> bytes:
    """Answer a token call, or a payout with its own id."""
    if b"merchant.username" in body:
        fields: dict[str, Any] = {"result": {"code": "200", "description": "ok"}, "AuthToken": "benchmark-token"}
    else:
        own = next(part[22:] for part in body.split(b"&") if part.startswith(b"merchantTransactionId="))
        fields = {
            "paymentId": "18608029", "status": "payoutsuccessful", "transactionStatus": "Y", "paymentBrand": "VISA",
            "paymentMode": "CC", "amount": "100.00", "currency": "EUR", "merchantTransactionId": own.decode(),
            "remark": "Payout Successful", "result": {"code": "00001", "description": "Transaction succeeded"},
            "timestamp": "2026-02-09 19:42:23", "descriptor": "x" * 200,
        }  # fmt: skip
    content = json.dumps(fields).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


class Answers(asyncio.Protocol):
    """An HTTP server that does just enough."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: Any = transport
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.pending += data
        while True:
            head, separator, rest = self.pending.partition(b"\r\n\r\n")
            if not separator:
                return
            lower = head.lower()
            at = lower.index(b"content-length:") + 15
            length = int(lower[at : lower.find(b"\r\n", at) if b"\r\n" in lower[at:] else None])
            if len(rest) < length:
                return
            body, self.pending = rest[:length], rest[length:]
            self.transport.write(reply(body))


def serve(ready: Connection) -> None:
    """Run the server until it is killed."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def drive(call: Callable[[], Awaitable[Any]], requests: int, in_flight: int) -> float:
    """Return the CPU microseconds of a call, with that many in flight all the time."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(call() for _ in range(in_flight)))
    gc.collect()
    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return (time.process_time() - started) / requests * 1e6


async def ours(port: int, requests: int, in_flight: int) -> float:
    """Measure ``gateway.payout()``."""
    limits, timeouts = Limits(max_in_flight=in_flight), Timeouts(connect=30, read=60, total=90)
    async with Gateway(f"http://127.0.0.1:{port}", MERCHANT, limits=limits, timeouts=timeouts) as gateway:

        async def call() -> None:
            paid = await gateway.payout(AMOUNT, merchant_transaction_id=f"PAYOUT-{next(NUMBERS)}", customer=CUSTOMER)
            if not paid.succeeded:
                sys.exit(f"a payout ended as {paid}")

        return await drive(call, requests, in_flight)


async def by_hand(port: int, requests: int, in_flight: int) -> float:
    """Measure ``httpx.AsyncClient.post`` of a body of the same size, its reply read as JSON."""
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    form = {"merchantTransactionId": "PAYOUT-1", "amount": "100.00", "currency": "EUR", "padding": "x" * 250}
    async with httpx.AsyncClient(limits=limits, timeout=90, trust_env=False) as client:

        async def call() -> None:
            (await client.post(f"http://127.0.0.1:{port}/payout", data=form, headers={"AuthToken": "t"})).json()

        return await drive(call, requests, in_flight)


def main() -> int:
    """Measure, and print each ratio with its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000)
    options = parser.parse_args()
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = mine.recv()
    print(f"Python {platform.python_version()}, {platform.machine()}, httpx {version('httpx')}, httpcore {version('httpcore')}")
    measures = {
        "payout, 1 in flight": lambda: ours(port, options.requests // 3, 1),
        "httpx by hand, 1 in flight": lambda: by_hand(port, options.requests // 3, 1),
        "payout, 10 in flight": lambda: ours(port, options.requests, 10),
        "payout, 1,000 in flight": lambda: ours(port, options.requests, 1000),
    }
    costs: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(options.rounds):
        for name, measure in measures.items():
            costs[name].append(asyncio.run(measure()))
    server.kill()
    medians = {name: statistics.median(figures) for name, figures in costs.items()}
    for name, median in medians.items():
        print(f"{name:28} {median:8.0f} µs CPU (rounds: {', '.join(f'{figure:.0f}' for figure in costs[name])})")
    ratios = (
        ("default-flat", medians["payout, 1,000 in flight"] / medians["payout, 10 in flight"], 1.25),
        ("default-vs-bare", medians["payout, 1 in flight"] / medians["httpx by hand, 1 in flight"], 1.0),
    )
    for name, ratio, target in ratios:
        print(f"{name} {ratio:.2f} {target:.2f} {'ok' if ratio <= target else 'short'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
