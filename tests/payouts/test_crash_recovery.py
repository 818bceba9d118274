"""Payout jobs killed at named and random moments: each order is paid at most once, none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from support.payout_process import orders

from gatewaypy.payouts import Journal, State
from gatewaypy.sandbox import MERCHANT, Sandbox

pytestmark = [pytest.mark.heavy, pytest.mark.untraced]
TESTS = Path(__file__).parent.parent
#: Larger before a release: ``make soak``.
PAYOUTS = int(os.environ.get("GATEWAYPY_SOAK_PAYOUTS", "3000"))
KILLS = int(os.environ.get("GATEWAYPY_SOAK_KILLS", "20"))
HITS = int(os.environ.get("GATEWAYPY_SOAK_HITS", "2"))

POINTS = [
    "before plan",
    "after plan",
    "before claim",
    "after claim",
    "before record_intent",
    "after record_intent",
    "before payout",
    "at the first byte",
    "after the answer",
    "before record",
    "after record",
    "before inquiry",
    "after inquiry",
    "after record_not_found",
]


class Process:
    """A job's process."""

    def __init__(self, url: str, store: str, count: int, *trap: str) -> None:
        self.arguments = [
            sys.executable,
            str(TESTS / "support" / "payout_process.py"),
            url,
            store,
            str(count),
            *trap,
        ]
        self.environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        self.environ.pop("COVERAGE_PROCESS_START", None)
        self.environ.pop("COVERAGE_PROCESS_CONFIG", None)
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments,
            env=self.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        await self.process.communicate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def end(self, seconds: float = 100) -> int:
        """Wait for the exit code, which is below 0 after a signal."""
        _, errors = await asyncio.wait_for(self.process.communicate(), seconds)
        assert self.process.returncode is not None
        assert self.process.returncode <= 0, errors.decode()
        return self.process.returncode


@contextlib.asynccontextmanager
async def faulty_sandbox(**options: bool):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Serve a sandbox that cuts 1 % before and after, stalls 0.3 %, and delays records."""
    async with Sandbox(inquiry_delay=0.3, seed=7, **options).serve() as sandbox:
        for kind, probability in (("cut before", 0.01), ("cut after", 0.01), ("stall", 0.003)):
            sandbox.faults.add(kind, operation="payout", times=None, probability=probability)
        yield sandbox


async def check(sandbox: Sandbox, store: str, count: int) -> None:
    """Compare the ledger with the journal, order by order."""
    paid = Counter(entry.merchant_transaction_id for entry in sandbox.ledger.entries)
    assert [
        merchant_transaction_id for merchant_transaction_id, times in paid.items() if times > 1
    ] == []
    async with Journal(store, MERCHANT.member_id) as journal:
        rows, after = {}, 0
        while page := await journal.list_entries(after=after):
            rows |= {row.merchant_transaction_id: row for row in page}
            after = page[-1].id
    expected = {order.merchant_transaction_id: order for order in orders(count)}
    assert set(rows) == set(expected)
    for merchant_transaction_id, row in rows.items():
        declined = expected[merchant_transaction_id].amount.wire() == "6051.00"
        assert row.state is (State.FAILED if declined else State.SUCCEEDED), row
        assert paid[merchant_transaction_id] == (0 if declined else 1), row


async def test_job_killed_at_named_moment_resumes(store_url: str) -> None:
    """Wherever the job was killed, the next run completes its work."""
    count, hits = 120, random.Random(5)
    async with faulty_sandbox() as sandbox:
        died = Counter[str]()
        for point in POINTS:
            for _ in range(HITS):
                once = point.split()[1] in {"plan", "take"} or "absent" in point
                trap = (point, "1" if once else str(hits.randint(1, 8)), "SIGKILL")
                async with Process(sandbox.base_url, store_url, count, *trap) as process:
                    died[point] += await process.end() == -signal.SIGKILL
                # More orders for the next process, with a new id for each of them.
                count += 12
        async with Process(sandbox.base_url, store_url, count) as last:
            assert await last.end() == 0
        await check(sandbox, store_url, count)
    # Some points are reached only after a failure; the others must have been passed.
    assert set(POINTS) - set(died + Counter()) <= {
        "before inquiry",
        "after inquiry",
        "after record_not_found",
    }, died


async def test_job_killed_at_random_moments_pays_once(store_url: str) -> None:
    """With every fault and many SIGKILLs, each payout is paid at most once and accounted for."""
    instants, killed = random.Random(3), 0
    async with faulty_sandbox() as sandbox:
        while killed < KILLS:
            async with Process(sandbox.base_url, store_url, PAYOUTS) as process:
                with contextlib.suppress(TimeoutError):
                    if await process.end(instants.uniform(0.4, 1.0 + PAYOUTS / 2500)) == 0:
                        # The process survived: the remaining kills go to a run without work.
                        killed = max(killed, KILLS - 2)
                process.kill()
                killed += 1
        async with Process(sandbox.base_url, store_url, PAYOUTS) as last:
            assert await last.end(600) == 0
        await check(sandbox, store_url, PAYOUTS)


@pytest.mark.parametrize("point", ["after record_intent", "before payout", "at the first byte"])
async def test_job_frozen_past_intent_lifetime_sends_nothing(point: str) -> None:
    """A job stopped after its intent sends nothing when it resumes, because others own its rows."""
    from support.stores import postgres_schema

    async for store in postgres_schema():
        async with Sandbox(inquiry_delay=0.0, refuse_duplicates=False).serve() as sandbox:
            async with Process(sandbox.base_url, store, 200, point, "60", "SIGSTOP") as frozen:
                await stopped(frozen.process.pid)
                await asyncio.sleep(5.5)
                async with Process(sandbox.base_url, store, 200) as other:
                    assert await other.end() == 0
                frozen.process.send_signal(signal.SIGCONT)
                assert await frozen.end() == 0
            await check(sandbox, store, 200)


async def stopped(pid: int) -> None:
    """Wait until a process has stopped itself."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(1000):
        if (await asyncio.to_thread(status.read_text)).rsplit(")", 1)[1].split()[0] == "T":
            return
        await asyncio.sleep(0.02)
    pytest.fail("the process never stopped")
