"""Measure the cost of a payout job's journal, and its memory: ``name ratio target ok|short``.

A transport in the same process answers after a delay, as a network and a bank do. The same orders
are paid with a SQLite journal (FULL, group commit) and without one, in interleaved rounds; the
ratio is the median. Memory must not grow with the number of orders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from drive import peak_memory

from gatewaypy import Credentials, Customer, Gateway, Limits, Money, Payout, Timeouts
from gatewaypy.payouts import PayoutJob, PayoutOrder
from gatewaypy.protocol.wire import WireReply

if TYPE_CHECKING:
    from collections.abc import Iterator

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="benchmarkKey000000000000",  # noqa: S106
)
CUSTOMER = Customer("Ada", "Lovelace", "ada@shop.example")
IN_FLIGHT = 500
LATENCY = 0.25


def orders(count: int) -> Iterator[PayoutOrder]:
    """Yield orders, each made when it is needed."""
    amount = Money("5.00", "EUR")
    for number in range(count):
        yield PayoutOrder(
            merchant_transaction_id=f"PAYOUT-{number}", amount=amount, customer=CUSTOMER
        )


class StandIn:
    """A transport that answers as the gateway does, after a delay, without a socket."""

    def __init__(self, pause: float) -> None:
        """Set the delay, in seconds."""
        self._pause = pause
        self._number = 0

    async def __aenter__(self) -> Self:
        """Open nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""

    async def send(self, request: Any, *, send_guard: Any, **_: Any) -> WireReply:  # noqa: ANN401 - any request
        """Answer a token call or a payout."""
        if request.url.endswith("authToken"):
            return WireReply(
                200,
                "application/json",
                b'{"result": {"code": "200"}, "AuthToken": "a.b.c", "memberId": "11344"}',
            )
        send_guard()
        self._number += 1
        await asyncio.sleep(self._pause)
        merchant_transaction_id = (
            bytes(request.body).split(b"merchantTransactionId=")[1].split(b"&")[0].decode()
        )
        fields = {
            "paymentId": str(self._number),
            "merchantTransactionId": merchant_transaction_id,
            "transactionStatus": "Y",
            "status": "payoutsuccessful",
            "amount": "5.00",
            "currency": "EUR",
            "result": {"code": "00001", "description": "Transaction succeeded"},
        }
        return WireReply(200, "application/json", json.dumps(fields).encode())


def gateway(pause: float) -> Gateway:
    """Create a client with this transport."""
    return Gateway(
        "https://gateway.example",
        MERCHANT,
        transport=StandIn(pause),  # type: ignore[arg-type]
        timeouts=Timeouts(),
        limits=Limits(max_in_flight=IN_FLIGHT),
    )


async def journalled(count: int, url: str, pause: float = LATENCY) -> float:
    """Run a job; return payouts per second."""
    async with (
        gateway(pause) as client,
        PayoutJob(client, journal=url, concurrency=IN_FLIGHT) as job,
    ):
        started, done = time.perf_counter(), 0
        async for _ in job.run(orders(count)):
            done += 1
        assert done == count
        return count / (time.perf_counter() - started)


async def unjournalled(count: int, pause: float = LATENCY) -> float:
    """Pay the same orders with bounded workers and no journal; return payouts per second."""
    waiting = orders(count)
    results: list[Payout] = []

    async def work(client: Gateway) -> None:
        results.extend(
            [
                await client.payout(
                    order.amount,
                    merchant_transaction_id=order.merchant_transaction_id,
                    customer=order.customer,
                )
                for order in waiting
            ]
        )

    async with gateway(pause) as client:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work(client))
        assert len(results) == count
        return count / (time.perf_counter() - started)


def one(count: int, url: str) -> None:
    """Run a job; print its CPU time a payout in microseconds, and its peak memory in KiB."""
    began = time.process_time()
    asyncio.run(journalled(count, url, pause=0.0))
    cpu = (time.process_time() - began) / count * 1e6
    print(json.dumps({"cpu": cpu, "peak": peak_memory()}))


def peak(count: int) -> int:
    """Run a job in its own process; return its peak memory in KiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", str(count), f"sqlite:///{folder}/payouts.db"]
        return int(
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[
                "peak"
            ]
        )


def say(name: str, ratio: float, target: float, *, at_least: bool) -> None:
    """Print one line."""
    good = ratio >= target if at_least else ratio <= target
    print(f"{name} {ratio:.2f} {target} {'ok' if good else 'short'}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--payouts", type=int, default=10_000, help="a round's payouts for journal-cost"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=1_000_000, help="the larger job of job-memory")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(int(given.one[0]), given.one[1])
        return
    print(
        f"# {platform.processor() or platform.machine()}, Python {platform.python_version()}, {IN_FLIGHT} in flight,"
    )
    print(f"# the gateway answers after {LATENCY:g} s")
    ratios = []
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            bare = asyncio.run(unjournalled(given.payouts))
            kept = asyncio.run(journalled(given.payouts, f"sqlite:///{folder}/payouts.db"))
        print(f"# round {number}: {kept:.0f}/s journalled, {bare:.0f}/s not", flush=True)
        ratios.append(kept / bare)
    say("journal-cost", statistics.median(ratios), 0.9, at_least=True)
    small, large = peak(10_000), peak(given.large)
    print(f"# peak memory: {small} KiB for 10,000 orders, {large} KiB for {given.large:,}")
    say("job-memory", large / small, 1.1, at_least=False)


if __name__ == "__main__":
    main()
