"""Measure the limits of a payout job on this machine, and derive the needs of large jobs.

    python benchmarks/scaling.py [--payouts 10000] [--rounds 5]
        [--postgres postgresql://root@127.0.0.1:5432/test]

Measured are:

- durable steps of the journal (an intent and an outcome for each payout), on SQLite by one process
  and on PostgreSQL by one and by two;
- disk and write-ahead log of a payout in PostgreSQL;
- a whole job in one process, against a simulated gateway that answers after a fixed time;
- CPU time of the client for a call over a real socket (ours.py).

Rates are the best of the rounds, because other work on the machine only lowers them. The needs of
1,000,000 and of 100,000,000 payouts a day are computed from them and printed with their inputs.
PostgreSQL shares the machine with the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import multiprocessing
import os
import platform
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import ours
from attrs import frozen
from drive import drive
from server import serving

from gatewaypy import Credentials, Customer, Money, Outcome, OutcomeSource, Payout
from gatewaypy.models import ResultCode
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, PayoutUpdate, State

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="benchmarkKey00000000000000000000",  # noqa: S106
)
CUSTOMER = Customer(given_name="Ada", surname="Lovelace", email="ada@example.com")
AMOUNT = Money("100.00", "EUR")
AT_ONCE = 1000
CHUNK = 500
LATENCY = 0.3
DAYS = (1_000_000, 100_000_000)
#: The busiest hour has this many times the day's average, because payouts are made in business
#: hours.
PEAK = 4.0
#: Planned share of a resource. The rest is for restarts, vacuum, backups and other programs.
LOAD = 0.6
TIMES = (0.3, 1.0, 3.0)


@frozen
class Measured:
    """The measured figures."""

    sqlite: float
    plan: float
    postgres: float
    postgres_by_two: float
    row_bytes: float
    wal_bytes: float
    job_rate: dict[int, float]
    job_cpu: float
    client_cpu: float


def orders(number: int, prefix: str) -> list[PayoutOrder]:
    """Make orders."""
    return [
        PayoutOrder(
            merchant_transaction_id=f"{prefix}-{at}",
            amount=AMOUNT,
            customer=CUSTOMER,
            terminal_id="1106",
        )
        for at in range(number)
    ]


async def steps(url: str, number: int, prefix: str) -> tuple[float, float]:
    """Return a journal's rates in payouts a second: planning, and intent with outcome, on disk."""
    done = PayoutUpdate(
        state=State.SUCCEEDED,
        payment_id="18608029",
        code="00001",
        description="Transaction succeeded",
        seconds=0.3,
    )
    async with Journal(url, MERCHANT.member_id) as journal:
        made = orders(number, prefix)
        started = time.perf_counter()
        rows = [
            row
            for at in range(0, number, CHUNK)
            for row in await journal.plan(made[at : at + CHUNK], batch=prefix)
        ]
        planning = time.perf_counter() - started
        left = iter(rows)

        async def work() -> None:
            for row in left:
                if not await journal.record_intent(row):  # type: ignore[arg-type]
                    sys.exit("an intent was refused")
                await journal.record(row.order.merchant_transaction_id, done)  # type: ignore[union-attr]

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return number / planning, number / (time.perf_counter() - started)


def in_another_process(url: str, number: int, prefix: str) -> float:
    """Measure steps in the process of a pool."""
    return asyncio.run(steps(url, number, prefix))[1]


class Simulated:
    """A gateway that pays after a fixed time and needs almost no CPU."""

    credentials = MERCHANT

    def __init__(self, latency: float) -> None:
        self.latency = latency

    async def payout(self, amount: Money, *, merchant_transaction_id: str, **_: Any) -> Payout:  # noqa: ANN401 - as PayoutJob's
        """Pay after the fixed time."""
        await asyncio.sleep(self.latency)
        return Payout(
            outcome=Outcome.SUCCEEDED, payment_id="18608029", merchant_transaction_id=merchant_transaction_id, amount=amount,
            status="payoutsuccessful", result=ResultCode("00001", "Transaction succeeded"), outcome_source=OutcomeSource.REPLY,
        )  # fmt: skip

    async def inquire(self, *, merchant_transaction_id: str) -> Any:  # noqa: ANN401 - never called
        """Raise, because every outcome is known and no inquiry is needed."""
        raise NotImplementedError(merchant_transaction_id)


async def whole_job(url: str, number: int, concurrency: int, turn: int) -> tuple[float, float]:
    """Run a job with planned orders; return payouts a second, and CPU microseconds for each."""
    number = min(number, concurrency * 20)
    async with PayoutJob(Simulated(LATENCY), journal=url, concurrency=concurrency) as job:
        made = orders(number, f"J{concurrency}-{turn}")
        for at in range(0, number, CHUNK):
            await job.journal.plan(made[at : at + CHUNK])
        started, used = time.perf_counter(), time.process_time()
        async for _ in job.run():
            pass
        return number / (time.perf_counter() - started), (time.process_time() - used) / number * 1e6


async def client_cpu(requests: int) -> float:
    """Return the CPU microseconds of a call on the default transport, with 100 in flight."""
    with serving() as port:
        async with ours.client(port, 100) as call:
            return (await drive(call, requests, 100))["cpu"]


async def by_two_processes(url: str, number: int, prefix: str) -> float:
    """Return the rate of two processes with one journal, in payouts a second in all."""
    loop = asyncio.get_running_loop()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = [
            pool.apply_async(in_another_process, (url, number, f"{prefix}-{at}")) for at in range(2)
        ]
        return sum(await asyncio.gather(*(loop.run_in_executor(None, part.get) for part in parts)))


async def measure(number: int, rounds: int, postgres: str) -> Measured:
    """Measure everything, in a schema of its own that is dropped at the end."""
    connection = await asyncpg.connect(postgres)
    print(
        f"PostgreSQL {await connection.fetchval('SHOW server_version')}, synchronous_commit=on, fsync=on"
    )
    schema = f"gatewaypy_scaling_{secrets.token_hex(4)}"
    await connection.execute(f"CREATE SCHEMA {schema}")
    url = f"{postgres}?search_path={schema}"
    sqlite, planned, by_one, by_two, logged = [], [], [], [], []
    try:
        for turn in range(rounds):
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                sqlite.append((await steps(f"sqlite:///{folder}/journal.db", number, "S"))[1])
            wal = await connection.fetchval("SELECT pg_current_wal_lsn()")
            plan_rate, rate = await steps(url, number, f"P{turn}")
            planned.append(plan_rate)
            by_one.append(rate)
            logged.append(
                await connection.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", wal) / number
            )
            by_two.append(await by_two_processes(url, number, f"T{turn}"))
        # Each row has left two older versions, whose space later rows reuse. The size is measured
        # without them.
        await connection.execute(f"VACUUM FULL {schema}.gatewaypy_payouts")
        size = await connection.fetchval(
            f"SELECT pg_total_relation_size('{schema}.gatewaypy_payouts')"
        ) / (3 * rounds * number)
        jobs = {
            at_once: [await whole_job(url, number, at_once, turn) for turn in range(rounds)]
            for at_once in (100, 1000)
        }
    finally:
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.close()
    return Measured(
        sqlite=max(sqlite),
        plan=max(planned),
        postgres=max(by_one),
        postgres_by_two=max(by_two),
        row_bytes=size,
        # The log has the other work of the server too, so the smallest round is used.
        wal_bytes=float(min(logged)),
        job_rate={at_once: max(rate for rate, _ in rates) for at_once, rates in jobs.items()},
        job_cpu=min(used for _, used in jobs[1000]),
        client_cpu=await client_cpu(number // 4),
    )


def show_measured(measured: Measured, number: int) -> None:
    """Print the measured figures."""
    print(f"\nMeasured: {number:,} payouts, {AT_ONCE} at once, chunks of {CHUNK}")
    print(
        f"  journal, SQLite, 1 process             {measured.sqlite:9,.0f} payouts/s (intent and outcome, each on disk)"
    )
    print(f"  journal, PostgreSQL, 1 process         {measured.postgres:9,.0f} payouts/s")
    print(
        f"  journal, PostgreSQL, 2 processes       {measured.postgres_by_two:9,.0f} payouts/s in all"
    )
    print(f"  planning, PostgreSQL, 1 submitter      {measured.plan:9,.0f} orders/s")
    print(
        f"  disk of a payout in PostgreSQL         {measured.row_bytes:9,.0f} bytes, indexes included"
    )
    print(f"  write-ahead log of a payout            {measured.wal_bytes:9,.0f} bytes")
    for at_once, rate in measured.job_rate.items():
        bound = at_once / LATENCY
        print(
            f"  job, {at_once:4} in flight x {LATENCY} s           {rate:9,.0f} payouts/s (in flight / latency: {bound:,.0f})"
        )
    print(f"  CPU of the job for a payout            {measured.job_cpu:9,.0f} us")
    print(f"  CPU of the client for a call           {measured.client_cpu:9,.0f} us")


def show_day(measured: Measured, day: int) -> None:
    """Print the needs of a number of payouts a day."""
    average = day / 86_400
    peak = average * PEAK
    cpu = (measured.job_cpu + measured.client_cpu) / 1e6
    processes = math.ceil(peak * cpu / LOAD)
    servers = peak / (measured.postgres_by_two * LOAD)
    print(
        f"\n{day:,} payouts a day: {average:,.0f}/s on average, {peak:,.0f}/s in the busiest hour (x {PEAK:g})"
    )
    print(f"  planning them by one submitter: {day / measured.plan / 3600:,.2f} hours")
    print(
        f"  chunks of {CHUNK}: {day / CHUNK:,.0f} messages a day, {peak / CHUNK:,.2f}/s at the peak"
    )
    for seconds in TIMES:
        in_flight_at_peak = math.ceil(peak * seconds)
        print(
            f"  gateway answers in {seconds:g} s: {in_flight_at_peak:,} in flight, as many connections to it"
        )
    print(
        f"  worker processes of a core each at {LOAD:.0%}: {processes:,}, as many connections to PostgreSQL"
    )
    print(f"  journal: {servers:,.2f} of this machine's PostgreSQL at {LOAD:.0%}")
    print(
        f"  write-ahead log: {peak * measured.wal_bytes / 1e6:,.2f} MB/s at the peak, {day * measured.wal_bytes / 1e9:,.1f} GB a day"
    )
    print(
        f"  journal's growth: {day * measured.row_bytes / 1e9:,.1f} GB a day, {day * measured.row_bytes * 365 / 1e12:,.2f} TB a year"
    )


def main() -> int:
    """Measure, compute and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payouts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--postgres",
        default=os.environ.get("GATEWAYPY_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test"),
    )
    options = parser.parse_args()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, asyncpg"
    )
    measured = asyncio.run(measure(options.payouts, options.rounds, options.postgres))
    show_measured(measured, options.payouts)
    for day in DAYS:
        show_day(measured, day)
    return 0


if __name__ == "__main__":
    sys.exit(main())
