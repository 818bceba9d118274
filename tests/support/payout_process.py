"""A payout job in a process: ``payout_process.py URL JOURNAL COUNT [POINT HIT SIGNAL]``.

A point is a moment of a payout; when it is passed for the HIT-th time, the process sends itself the
signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from gatewaypy import Customer, Gateway, Money, Timeouts
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder
from gatewaypy.sandbox import MERCHANT

TIMEOUTS = Timeouts(connect=2, read=1, total=3, inquiry=1.5)


def orders(count: int) -> list[PayoutOrder]:
    """One order in a hundred is declined."""
    return [
        PayoutOrder(
            merchant_transaction_id=f"PAYOUT-{number}",
            amount=Money("6051.00" if number % 100 == 99 else "5.00", "EUR"),
            customer=Customer(email="ada@shop.example"),
        )
        for number in range(count)
    ]


class Trap:
    """Sends a signal to this process when a point is passed for the HIT-th time."""

    def __init__(self, point: str = "", hit: int = 0, name: str = "SIGKILL") -> None:
        self.point, self.left, self.signal = point, hit, getattr(signal, name)

    def passed(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.signal)

    def around(self, owner: Any, method: str, name: str) -> None:
        """Add two points to a coroutine function: before it, and after it."""
        original = getattr(owner, method)

        async def passing(*arguments: Any, **options: Any) -> Any:
            self.passed(f"before {name}")
            result = await original(*arguments, **options)
            self.passed(f"after {name}")
            return result

        setattr(owner, method, passing)


def lay(trap: Trap, job: PayoutJob, gateway: Gateway) -> None:
    """Set the trap at every point."""
    for method in (
        "plan",
        "claim",
        "record_intent",
        "mark_unsent",
        "record",
        "record_not_found",
    ):
        trap.around(job.journal, method, method)
    trap.around(gateway, "inquire", "inquiry")
    payout = gateway.payout

    async def paying(*arguments: Any, send_guard: Any, **options: Any) -> Any:
        trap.passed("before payout")

        def asked() -> bool:
            trap.passed("at the first byte")
            return bool(send_guard())

        result = await payout(*arguments, send_guard=asked, **options)
        trap.passed("after the answer")
        return result

    gateway.payout = paying  # type: ignore[method-assign, assignment]


async def main() -> None:
    url, store, count, *trap = sys.argv[1:]
    async with Gateway(url, MERCHANT, timeouts=TIMEOUTS) as gateway:
        journal = Journal(store, MERCHANT.member_id)
        job = PayoutJob(
            gateway,
            journal=journal,
            concurrency=50,
            quiet_period=1.0,
            resend_unknown=True,
            pending_timeout=5.0,
            failure_threshold=200,
        )
        if trap:
            lay(Trap(trap[0], int(trap[1]), trap[2]), job, gateway)
        async with job:
            async for _ in job.run(orders(int(count))):
                pass


if __name__ == "__main__":
    asyncio.run(main())
