"""Payouts on many machines: real brokers, a real PostgreSQL, and workers that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from attrs import evolve
from support.services import make_broker, need_rabbitmq, need_redis
from support.stores import postgres_schema

pytest.importorskip("taskiq")
asyncpg = pytest.importorskip("asyncpg")

from taskiq import AckableMessage, AsyncBroker, InMemoryBroker  # noqa: E402 - an extra
from taskiq.exceptions import SendTaskError  # noqa: E402 - an extra
from taskiq.message import BrokerMessage  # noqa: E402 - an extra

from gatewaypy import Customer, Gateway, Money, Timeouts, errors  # noqa: E402 - after the extras
from gatewaypy.payouts import PayoutJob, PayoutOrder, State  # noqa: E402 - after the extras
from gatewaypy.payouts.distributed import (  # noqa: E402 - after the extras
    ChunkOptions,
    PayoutWorker,
    remaining,
    resubmit,
    submit,
)
from gatewaypy.payouts.journal.rows import Conflict, Scope  # noqa: E402 - after the extras
from gatewaypy.sandbox import MERCHANT, FaultKind, Sandbox  # noqa: E402 - after the extras

pytestmark = pytest.mark.heavy
TESTS = Path(__file__).parent.parent
QUICK = Timeouts(connect=5, read=5, total=20, inquiry=0.5)
DECLINED = Money("6005.00", "EUR")
PENDING = Money("6091.00", "EUR")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale the lifetime of intents to the short quiet periods of these tests."""
    monkeypatch.setattr("gatewaypy.payouts.sender.MAX_INTENT_AGE", 1.0)


@pytest.fixture
async def journal_url() -> AsyncIterator[str]:
    """Return the URL of an empty PostgreSQL journal."""
    async for url in postgres_schema():
        yield url


@pytest.fixture
async def lenient() -> AsyncIterator[Sandbox]:
    """Serve a sandbox that executes a used id again: a payout sent twice is paid twice."""
    async with Sandbox(refuse_duplicates=False).serve() as sandbox:
        yield sandbox


@pytest.fixture(params=["redis", "rabbitmq"])
async def broker_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a real broker of each kind."""
    pytest.importorskip("taskiq_redis" if request.param == "redis" else "taskiq_aio_pika")
    return need_redis() if request.param == "redis" else need_rabbitmq()


@pytest.fixture
async def queue(broker_url: str) -> AsyncIterator[str]:
    """Return a queue for this test, and delete it afterwards."""
    name = f"gatewaypy-test-{secrets.token_hex(6)}"
    yield name
    if broker_url.startswith("redis"):
        from redis.asyncio import Redis

        async with Redis.from_url(broker_url) as client:
            await client.delete(name, f"autoclaim:{name}:{name}")
        return
    from aio_pika import connect

    async with await connect(broker_url) as connection, connection.channel() as channel:
        for each in (name, f"{name}.dead"):
            await channel.queue_delete(each)


def orders(number: int, *, every: int = 100, first: int = 0) -> Iterator[PayoutOrder]:
    """Build orders; one in a hundred is declined."""
    for at in range(first, first + number):
        amount = DECLINED if at % every == every - 1 else Money("5.00", "EUR")
        yield PayoutOrder(
            merchant_transaction_id=f"P-{at}", amount=amount, customer=Customer(email="a@b.example")
        )


def make_job(journal_url: str, batch: str = "monday", *, at: Sandbox | None = None) -> PayoutJob:
    """Build the job of a submitter; its gateway is that of the workers, and need not be open."""
    base_url = "http://127.0.0.1:9" if at is None else at.base_url
    return PayoutJob(Gateway(base_url, MERCHANT), journal=journal_url, batch=batch)


def make_worker(
    sandbox: Sandbox, journal_url: str, broker: AsyncBroker | None = None, **options: Any
) -> PayoutWorker:
    chosen: Any = {"quiet_period": 2.0, "resend_unknown": True, "concurrency": 20, **options}
    gateway = Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK)
    return PayoutWorker(
        InMemoryBroker() if broker is None else broker,
        lambda: gateway,
        journal=journal_url,
        **chosen,
    )


@contextlib.asynccontextmanager
async def opened(worker: PayoutWorker) -> AsyncIterator[PayoutWorker]:
    await worker._open(None)
    try:
        yield worker
    finally:
        await worker._close(None)


class Collecting(InMemoryBroker):
    """A broker that records its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []

    async def kick(self, message: BrokerMessage) -> None:
        self.messages.append(message.message)

    def chunks(self) -> list[Scope]:
        return [Scope(*json.loads(message)["args"]) for message in self.messages]


async def rows(journal_url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(journal_url)
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def states(journal_url: str) -> dict[str, int]:
    return dict(
        await rows(journal_url, "SELECT state, COUNT(*) FROM gatewaypy_payouts GROUP BY state")
    )  # type: ignore[arg-type]


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for a condition that another process causes."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def complaints(sandbox: Sandbox, number: int, declined: int) -> list[str]:
    """Compare the ledger with the payouts; return the differences."""
    paid = Counter(entry.merchant_transaction_id for entry in sandbox.ledger.entries)
    differences = [
        f"{merchant_transaction_id} was paid {times} times"
        for merchant_transaction_id, times in paid.items()
        if times > 1
    ]
    if len(paid) != number - declined:
        differences.append(f"{len(paid)} of {number - declined} were paid")
    return differences


class Worker:
    """A worker process."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = [str(TESTS / "support" / "worker_process.py"), *arguments]

    async def __aenter__(self) -> Self:
        environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        # A killed process writes no coverage, and half a file of it would break that of the others.
        environ.pop("COVERAGE_PROCESS_START", None)
        environ.pop("COVERAGE_PROCESS_CONFIG", None)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self.arguments, env=environ, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert await asyncio.wait_for(self.process.stdout.readline(), 30) == b"ready\n"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)


@contextlib.asynccontextmanager
async def started(broker: AsyncBroker) -> AsyncIterator[AsyncBroker]:
    await broker.startup()
    try:
        yield broker
    finally:
        await broker.shutdown()


async def test_submit_to_restored_journal_sends_nothing_twice(
    journal_url: str, lenient: Sandbox
) -> None:
    """Workers look up the orders that a shared journal lost, and do not send them again."""
    broker = Collecting()
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        assert not (await submit(job, broker, 5, orders=orders(10))).restored
        for chunk in broker.chunks():
            assert await worker.run(chunk)
    await rows(
        journal_url, "DELETE FROM gatewaypy_payouts WHERE merchant_transaction_id IN ('P-3', 'P-7')"
    )
    await rows(journal_url, "UPDATE gatewaypy_journal SET home = 'elsewhere'")
    async with make_job(journal_url, at=lenient) as job:
        # The submitter ended before the broker had its chunk.
        planned = await job.journal.plan(list(orders(5, first=3)), batch="monday")
        assert [row.state.value for row in planned if not isinstance(row, Conflict | None)] == [
            "unknown"
        ] * 2
        broker = Collecting()
        submission = await submit(job, broker, 5, orders=orders(12))
        assert (submission.restored, submission.planned, submission.known) == (True, 2, 10)
    async with opened(make_worker(lenient, journal_url, resend_unknown=False)) as worker:
        for chunk in broker.chunks():
            assert await worker.run(chunk)
    assert await states(journal_url) == {"succeeded": 10, "review": 2}
    assert complaints(lenient, 10, 0) == []


async def test_worker_at_other_gateway_raises(journal_url: str, lenient: Sandbox) -> None:
    """A worker whose gateway differs from that of its submitter does not start."""
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, Collecting(), orders=orders(3))
    async with Sandbox().serve() as other:
        with pytest.raises(errors.ConfigurationError, match=f"pays at {lenient.base_url}"):
            await make_worker(other, journal_url)._open(None)
        assert other.ledger.entries == []


async def test_workers_one_killed_pay_each_order_once(
    broker_url: str, queue: str, journal_url: str, lenient: Sandbox
) -> None:
    """2,000 payouts, cuts, declines and a SIGKILL: each is paid at most once and ends."""
    for kind in (FaultKind.CUT_BEFORE, FaultKind.CUT_AFTER):
        lenient.faults.add(kind, operation="payout", probability=0.01, times=None)
    arguments = (broker_url, queue, journal_url, lenient.base_url)
    async with (
        started(make_broker(broker_url, queue)) as broker,
        make_job(journal_url, at=lenient) as job,
        Worker(*arguments) as doomed,
        Worker(*arguments),
    ):
        submission = await submit(job, broker, 100, orders=orders(2000))
        assert (submission.planned, submission.chunks) == (2000, 20)
        await until(lambda: len(lenient.ledger.entries) > 400)
        assert await doomed.end(signal.SIGKILL) == -signal.SIGKILL
        async with asyncio.timeout(60):
            turn = 0
            while await remaining(job):
                await asyncio.sleep(0.1)
                turn += 1
                # RabbitMQ redelivers the messages of a dead worker by itself; Redis only when new
                # ones arrive.
                if turn % 20 == 0 and broker_url.startswith("redis"):
                    await resubmit(job, broker, 100)
    assert complaints(lenient, 2000, 20) == []
    assert await states(journal_url) == {"succeeded": 1980, "failed": 20}
    ((again,),) = await rows(journal_url, "SELECT COUNT(*) FROM gatewaypy_payouts WHERE fence > 1")
    assert again > 0


async def test_worker_sigterm_finishes_sent_and_returns_rest(
    broker_url: str, queue: str, journal_url: str, lenient: Sandbox
) -> None:
    """A stopped worker ends what it sent, and the next worker does the rest."""
    lenient.reply_delay = 0.05
    arguments = (broker_url, queue, journal_url, lenient.base_url)
    async with (
        started(make_broker(broker_url, queue)) as broker,
        make_job(journal_url, at=lenient) as job,
    ):
        await submit(job, broker, 300, orders=orders(600))
        async with Worker(*arguments) as first:
            await until(lambda: len(lenient.ledger.entries) > 50)
            assert await first.end(signal.SIGTERM) == 0
        left = await states(journal_url)
        assert set(left) <= {"planned", "succeeded", "failed"}
        assert left["planned"] > 0
        lenient.reply_delay = 0.0
        async with Worker(*arguments):
            async with asyncio.timeout(40):
                while await remaining(job):
                    await asyncio.sleep(0.05)
    assert complaints(lenient, 600, 6) == []


async def test_chunk_at_two_workers_is_paid_once(journal_url: str, lenient: Sandbox) -> None:
    """The second worker claims what is left; what the first sent is looked up, not sent again."""
    broker = Collecting()
    lenient.reply_delay = 0.02
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, broker, 200, orders=orders(200))
        (chunk,) = broker.chunks()
        async with (
            opened(make_worker(lenient, journal_url)) as first,
            opened(make_worker(lenient, journal_url)) as second,
        ):
            running = asyncio.create_task(first.run(chunk))
            await until(lambda: len(lenient.ledger.entries) > 20)
            assert await asyncio.gather(running, second.run(chunk)) == [True, True]
        assert await remaining(job) == 0
    assert complaints(lenient, 200, 2) == []


@pytest.mark.parametrize(
    ("before", "meanwhile"),
    [
        (State.PLANNED, State.SENDING),
        (State.SENDING, State.SUCCEEDED),
        (State.UNKNOWN, State.REVIEW),
        (State.PENDING, State.FAILED),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["journal", "chunk"])
async def test_claim_skips_rows_that_moved_meanwhile(
    journal_url: str, before: State, meanwhile: State, whole: bool
) -> None:
    """If another transaction moves a row on during a claim, its state stays."""
    async with make_job(journal_url) as job:
        await job.journal.plan(list(orders(3)), batch="monday")
        await rows(journal_url, "UPDATE gatewaypy_payouts SET state = $1", before.value)
        journal = job.journal if whole else job.journal.with_scope(Scope("monday"))
        other = await asyncpg.connect(journal_url)
        async with other.transaction():
            await other.execute(
                "UPDATE gatewaypy_payouts SET state = $1 WHERE merchant_transaction_id = 'P-1'",
                meanwhile.value,
            )
            taking = asyncio.create_task(journal.claim(before))
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE gatewaypy_payouts%'"
            while not await rows(journal_url, waiting):
                await asyncio.sleep(0.02)
        await other.close()
        assert [row.order.merchant_transaction_id for row in await taking] == ["P-0", "P-2"]
    assert await rows(
        journal_url,
        "SELECT state, fence FROM gatewaypy_payouts WHERE merchant_transaction_id = 'P-1'",
    ) == [(meanwhile.value, 0)]


async def test_chunk_delivered_twice_to_process_runs_once(
    journal_url: str, lenient: Sandbox
) -> None:
    """Both messages wait for the one run, and a third that arrives later has no work."""
    broker = Collecting()
    async with make_job(journal_url, at=lenient) as job, started(InMemoryBroker()) as queue:
        worker = make_worker(lenient, journal_url, queue)
        await submit(job, broker, 50, orders=orders(50))
        async with opened(worker):
            for _ in range(2):
                await asyncio.gather(
                    *(queue.receiver.callback(broker.messages[0]) for _ in range(2))
                )  # type: ignore[attr-defined]
    ((most,),) = await rows(journal_url, "SELECT MAX(fence) FROM gatewaypy_payouts")
    assert most == 1
    assert complaints(lenient, 50, 0) == []


async def test_message_has_only_batch_and_range(journal_url: str, lenient: Sandbox) -> None:
    """The broker has neither an order nor a credential, only where the orders are."""
    broker = Collecting()
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, broker, 500, orders=orders(3))
    (message,) = map(json.loads, broker.messages)
    assert message["args"] == ["monday", 1, 3]
    assert message["kwargs"] == {}
    assert message["labels"] == {"ack_type": "manual"}


async def test_submit_again_completes_interrupted_one(journal_url: str, lenient: Sandbox) -> None:
    """A second submission hands over only planned orders that were not; conflicts are counted."""
    broker = Collecting()

    async def broken() -> AsyncIterator[PayoutOrder]:
        for order in orders(25):
            yield order
        raise OSError("the file broke off")

    class Full(Collecting):
        async def kick(self, message: BrokerMessage) -> None:
            if len(self.messages) == 1:
                raise ConnectionError
            await super().kick(message)

    async with make_job(journal_url, at=lenient) as job:
        with pytest.raises(OSError, match="broke off"):
            await submit(job, broker, 10, orders=broken())
        assert [chunk.last_id for chunk in broker.chunks()] == [10, 20, 25], (
            "what came before the error is planned too"
        )
        full = Full()
        with pytest.raises(SendTaskError):
            await submit(job, full, 10, orders=orders(40))
        async with opened(make_worker(lenient, journal_url)) as worker:
            assert await worker.run(Scope("monday", 1, 10))
            other = PayoutOrder(
                merchant_transaction_id="P-0",
                amount=Money("7.00", "EUR"),
                customer=Customer(email="a@b.example"),
            )
            broker = Collecting()
            submission = await submit(job, broker, 10, orders=[*orders(40), other])
            assert (
                submission.planned,
                submission.known,
                submission.conflicts,
                submission.chunks,
            ) == (15, 25, 1, 4)
            for chunk in broker.chunks():
                assert await worker.run(chunk)
        assert await remaining(job) == 0
        assert await resubmit(job, broker) == 0
    assert complaints(lenient, 40, 0) == []


async def test_worker_stopped_returns_its_chunk(journal_url: str, lenient: Sandbox) -> None:
    """A stopped run sends its message again before it acknowledges, and no payout is in flight."""
    broker = Collecting()
    lenient.reply_delay = 0.05
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, broker, 200, orders=orders(200))
        worker = make_worker(lenient, journal_url, broker)
        async with opened(worker):
            delivered = asyncio.create_task(broker.receiver.callback(broker.messages[0]))
            await until(lambda: len(lenient.ledger.entries) > 10)
            worker.stop()
            await delivered
            await broker.receiver.callback(broker.messages[0])
        assert broker.chunks() == [broker.chunks()[0]] * 3
        # On a busy machine an answer may be late; the test requires only that no payout is in
        # flight.
        assert "sending" not in set(await states(journal_url))
        lenient.reply_delay = 0.0
        async with opened(make_worker(lenient, journal_url)) as second:
            assert await second.run(broker.chunks()[-1])
    assert complaints(lenient, 200, 2) == []


async def test_message_is_acknowledged_after_last_order(journal_url: str, lenient: Sandbox) -> None:
    """A message is acknowledged when its last order ends, and never if it leads to no order."""
    broker = Collecting()
    lost = Collecting()
    acknowledged: list[int] = []
    async with (
        make_job(journal_url, at=lenient) as job,
        make_job(journal_url, "tuesday", at=lenient) as other,
    ):
        await submit(job, broker, 50, orders=orders(50))
        await submit(other, lost, 50, orders=orders(1, first=1000))

        async def acknowledge() -> None:
            acknowledged.append(await remaining(job))

        async with opened(make_worker(lenient, journal_url, broker)):
            await broker.receiver.callback(AckableMessage(data=broker.messages[0], ack=acknowledge))
            assert acknowledged == [0]
            await rows(
                journal_url, "UPDATE gatewaypy_payouts SET member = '4711' WHERE batch = 'tuesday'"
            )
            await broker.receiver.callback(AckableMessage(data=lost.messages[0], ack=acknowledge))
            assert acknowledged == [0]
    assert complaints(lenient, 50, 0) == []


async def test_worker_close_waits_for_sent_payouts(journal_url: str, lenient: Sandbox) -> None:
    """A worker that is closed during a chunk waits for what it sent."""
    broker = Collecting()
    lenient.reply_delay = 0.2
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, broker, 200, orders=orders(200))
        async with opened(make_worker(lenient, journal_url, broker)):
            delivered = asyncio.create_task(broker.receiver.callback(broker.messages[0]))
            await until(lambda: len(lenient.ledger.entries) > 10)
        await delivered
    assert set(await states(journal_url)) == {"planned", "succeeded"}
    assert len(broker.messages) == 2


async def test_chunk_of_other_journal_raises(journal_url: str, lenient: Sandbox) -> None:
    """A message that leads to no order of this merchant is an error, not a finished chunk."""
    async with opened(make_worker(lenient, journal_url)) as worker:
        with pytest.raises(errors.ConfigurationError, match="meant for another worker"):
            await worker.run(Scope("tuesday", 1, 10))


async def test_chunk_pending_orders_wait_for_callbacks(journal_url: str, lenient: Sandbox) -> None:
    """A chunk ends when its orders are settled or pending; finish_pending looks those up again."""
    broker = Collecting()
    waiting = PayoutOrder(
        merchant_transaction_id="W-1", amount=PENDING, customer=Customer(email="a@b.example")
    )
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        await submit(job, broker, 10, orders=[*orders(3), waiting])
        assert await worker.run(broker.chunks()[0])
        assert await states(journal_url) == {"succeeded": 3, "pending": 1}
        assert await resubmit(job, broker, 10) == 0
        assert await resubmit(job, broker, 10, pending=True) == 1
        lenient.ledger.approve(
            next(r for r in lenient.ledger.records.values() if r.merchant_transaction_id == "W-1")
        )
        assert await worker.run(broker.chunks()[-1])
    assert await states(journal_url) == {"succeeded": 4}


async def test_chunk_not_found_without_resend_goes_to_review(
    journal_url: str, lenient: Sandbox
) -> None:
    """If used ids may be accepted again, an aborted payout goes to review and the chunk ends."""
    broker = Collecting()
    lenient.faults.add(FaultKind.CUT_BEFORE, operation="payout", times=2)
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url, resend_unknown=False)) as worker,
    ):
        await submit(job, broker, 10, orders=orders(10))
        assert await worker.run(broker.chunks()[0])
        assert (await job.report()).by_state == {State.SUCCEEDED: 8, State.REVIEW: 2}
    assert len(lenient.ledger.entries) == 8


async def test_chunk_with_cut_database_connections_completes(
    journal_url: str, lenient: Sandbox
) -> None:
    """However often the journal's connection breaks, the chunk completes without a second send."""
    broker = Collecting()
    lenient.reply_delay = 0.01
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        await submit(job, broker, 300, orders=orders(300))
        running = asyncio.create_task(worker.run(broker.chunks()[0]))
        for paid in (20, 60, 100, 140, 180):
            await until(lambda paid=paid: len(lenient.ledger.entries) > paid)  # type: ignore[misc]
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                ((pid,),) = (await worker._journal._store.run(("SELECT pg_backend_pid()", ())))[0]
                await rows(journal_url, "SELECT pg_terminate_backend($1)", pid)
        assert await running
        assert await remaining(job) == 0
    assert complaints(lenient, 300, 3) == []


async def test_chunk_with_failing_journal_is_retried(
    journal_url: str,
    lenient: Sandbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database error is logged by its type only, and the chunk runs again."""
    broker, failures = Collecting(), iter((True, True))
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        await submit(job, broker, 10, orders=orders(10))
        run = worker._journal._store.run

        async def fail(*statements: Any) -> Any:
            if next(failures, False):
                raise OSError("the disk of account 4711 is full")
            return await run(*statements)

        monkeypatch.setattr(worker._journal._store, "run", fail)
        assert await worker.run(broker.chunks()[0])
    assert complaints(lenient, 10, 0) == []
    assert "OSError; the chunk is run again" in caplog.text
    assert "4711" not in caplog.text


async def test_chunk_with_rejected_credentials_is_retried(
    journal_url: str, lenient: Sandbox
) -> None:
    """A rejected token sends no payout: the chunk is retried until the gateway accepts it."""
    broker = Collecting()
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        await submit(job, broker, 10, orders=orders(10))
        refusal = lenient.faults.add(FaultKind.REJECT_TOKEN, operation="payout", times=30)
        assert await worker.run(broker.chunks()[0])
    assert complaints(lenient, 10, 0) == []
    # On a busy machine some intents expire instead: those are not sent, and so not refused.
    assert refusal.applied > 1


async def test_chunk_takes_over_from_silent_run(journal_url: str, lenient: Sandbox) -> None:
    """If the run that owns the rows makes no progress, this one does not wait permanently."""
    broker = Collecting()
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url)) as worker,
    ):
        await submit(job, broker, 10, orders=orders(10))
        worker._takeover_timeout = 0.5
        took = asyncio.Event()
        pay = worker._gateway.payout

        async def slow(*arguments: Any, **options: Any) -> Any:
            # Another run claims every row while the first payouts of this one are in flight, and
            # makes no progress.
            if not took.is_set():
                took.set()
                await rows(
                    journal_url,
                    "UPDATE gatewaypy_payouts SET owner = 'gone', fence = fence + 1 WHERE state = 'planned'",
                )
            return await pay(*arguments, **options)

        worker._gateway.payout = slow  # type: ignore[method-assign]
        worker._concurrency = 1
        assert await worker.run(broker.chunks()[0])
    assert complaints(lenient, 10, 0) == []


async def test_worker_concurrency_counts_all_chunks(journal_url: str, lenient: Sandbox) -> None:
    """However many chunks a worker has, no more payouts are in flight than configured."""
    broker = Collecting()
    lenient.reply_delay = 0.01
    under_way = most = 0
    async with (
        make_job(journal_url, at=lenient) as job,
        opened(make_worker(lenient, journal_url, concurrency=5, per_second=2000)) as worker,
    ):
        await submit(job, broker, 20, orders=orders(100))
        pay = worker._gateway.payout

        async def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await pay(*arguments, **options)
            finally:
                under_way -= 1

        worker._gateway.payout = counted  # type: ignore[method-assign]
        assert all(await asyncio.gather(*map(worker.run, broker.chunks())))
    assert most == 5
    assert complaints(lenient, 100, 1) == []


async def test_worker_invalid_options_raise_at_start(
    journal_url: str, lenient: Sandbox, tmp_path: Path
) -> None:
    """A journal in a file or an impossible option fails in the worker and in the submission."""
    with pytest.raises(errors.ConfigurationError, match="must be in PostgreSQL"):
        await make_worker(lenient, f"sqlite:///{tmp_path}/journal.db")._open(None)
    with pytest.raises(errors.ConfigurationError, match="concurrency"):
        await make_worker(lenient, journal_url, concurrency=0)._open(None)
    with pytest.raises(errors.ConfigurationError, match="per_second"):
        await make_worker(lenient, journal_url, per_second=0)._open(None)
    async with make_job(f"sqlite:///{tmp_path}/journal.db") as job:
        with pytest.raises(errors.ConfigurationError, match="must be in PostgreSQL"):
            await submit(job, Collecting(), 10, orders=orders(1))
    async with make_job(journal_url, at=lenient) as job:
        for size in (0, -1, True, 2.5):
            with pytest.raises(errors.ConfigurationError, match="chunk_size"):
                await submit(job, Collecting(), size)  # type: ignore[arg-type]


def test_worker_keeps_existing_sigterm_behavior() -> None:
    """If no other code handles SIGTERM, it ends the process; the worker removes its handler."""
    from gatewaypy.payouts.signals import call_on_signals

    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))

    async def listen() -> None:
        stopped = asyncio.Event()
        undo = call_on_signals(stopped.set)
        assert signal.getsignal(signal.SIGINT) is interrupting
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stopped.wait(), 5)
        undo()
        signal.raise_signal(signal.SIGTERM)

    interrupting = signal.getsignal(signal.SIGINT)
    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(listen())
        loop.close()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM, signal.SIGTERM]


async def test_worker_in_thread_installs_no_signal_handler() -> None:
    """A worker in another thread starts without handlers; its owner calls stop."""
    from gatewaypy.payouts.signals import call_on_signals

    before = signal.getsignal(signal.SIGTERM)
    (await asyncio.to_thread(call_on_signals, lambda: None))()
    assert signal.getsignal(signal.SIGTERM) is before


def test_worker_without_taskiq_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """If taskiq is not installed, importing the module names the extra."""
    monkeypatch.setitem(sys.modules, "taskiq", None)
    monkeypatch.delitem(sys.modules, "gatewaypy.payouts.distributed")
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[distributed,postgres\]"):
        importlib.import_module("gatewaypy.payouts.distributed")


async def test_example_worker_pays_its_file(journal_url: str) -> None:
    """The documented worker and submitter pay the example's file, and the worker ends cleanly."""
    pytest.importorskip("taskiq_aio_pika")
    from aio_pika import connect

    folder = TESTS.parent / "examples" / "distributed"
    account = evolve(MERCHANT, member_id=str(secrets.randbelow(10**9) + 1))
    async with Sandbox((account,)).serve() as sandbox:
        environ = os.environ | {
            "BROKER": need_rabbitmq(), "JOURNAL": journal_url, "TOKENS": need_redis(), "GATEWAY_URL": sandbox.base_url,
            "GATEWAYPY_MEMBER_ID": account.member_id, "GATEWAYPY_PARTNER_ID": account.partner_id,
            "GATEWAYPY_USERNAME": account.username, "GATEWAYPY_SECRET_KEY": account.secret_key.reveal(),
            "PYTHONPATH": os.pathsep.join([str(folder), str(TESTS.parent)]),
        }  # fmt: skip
        run: Any = {
            "cwd": folder,
            "env": environ,
            "stdout": asyncio.subprocess.PIPE,
            "start_new_session": True,
        }
        python = (
            sys.executable,
            "-m",
            "taskiq",
            "worker",
            "worker:broker",
            "--workers",
            "1",
            "--log-level",
            "WARNING",
        )
        worker = await asyncio.create_subprocess_exec(*python, **run)
        try:
            submitter = await asyncio.create_subprocess_exec(
                sys.executable, "submitter.py", "monday", "../payouts.csv", **run
            )
            printed, _ = await asyncio.wait_for(submitter.communicate(), 30)
            worker.terminate()
            await asyncio.wait_for(worker.wait(), 20)
        finally:
            if worker.returncode is None:
                os.killpg(worker.pid, signal.SIGKILL)
                await worker.wait()
            async with (
                await connect(need_rabbitmq()) as connection,
                connection.channel() as channel,
            ):
                for each in (f"payouts-{account.member_id}", "taskiq.dead_letter"):
                    await channel.queue_delete(each)
        assert sandbox.requests["token"] == 1
        paid = len(sandbox.ledger.entries)
    assert submitter.returncode == worker.returncode == 0
    assert printed.decode().splitlines()[-1].startswith(f"{paid} paid, ")
    assert not await rows(
        journal_url,
        "SELECT 1 FROM gatewaypy_payouts WHERE state IN ('planned', 'sending', 'unknown')",
    )


async def test_worker_with_closed_gateway_returns_orders(
    journal_url: str, lenient: Sandbox
) -> None:
    """A chunk whose gateway was closed leaves its orders planned; another worker pays them."""
    broker = Collecting()
    async with make_job(journal_url, at=lenient) as job:
        await submit(job, broker, orders=orders(20))
    (chunk,) = broker.chunks()
    async with opened(make_worker(lenient, journal_url)) as worker:
        await worker._gateway.aclose()
        assert await worker._try(worker._journal.with_scope(chunk), chunk) is None
        assert await states(journal_url) == {"planned": 20}
    async with opened(make_worker(lenient, journal_url)) as worker:
        assert await worker.run(chunk)
    assert await states(journal_url) == {"succeeded": 20}


def test_chunk_options_are_options_of_a_job() -> None:
    """A worker passes its options to the job of each chunk under the same names."""
    assert set(ChunkOptions.__annotations__) <= set(inspect.signature(PayoutJob).parameters)
