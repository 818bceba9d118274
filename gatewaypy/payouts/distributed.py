"""A payout job on many machines: a shared journal in PostgreSQL, and a taskiq broker.

The broker only distributes chunks of the orders. A chunk that is delivered twice, or again after
its worker died, finds in the journal what was sent, so that nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from attrs import frozen

from gatewaypy.backoff import Backoff, interruptible_sleep
from gatewaypy.errors import ConfigurationError, GatewayError
from gatewaypy.imports import missing_extra
from gatewaypy.payouts.job import PayoutJob, check_options, warn_if_restored
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.journal.rows import Conflict, Row, Scope
from gatewaypy.payouts.journal.sql import UNSETTLED
from gatewaypy.payouts.order_stream import group_orders
from gatewaypy.payouts.signals import call_on_signals
from gatewaypy.payouts.states import State
from gatewaypy.payouts.throttle import Throttle

try:
    from taskiq import Context, TaskiqDepends, TaskiqEvents
    from taskiq.kicker import AsyncKicker
except ImportError:
    raise missing_extra("gatewaypy.payouts.distributed", "distributed,postgres") from None

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from taskiq import AsyncBroker

    from gatewaypy.interfaces import PayoutClient
    from gatewaypy.payouts.journal.rows import Remaining
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.payouts.run import Run

__all__ = ["TASK", "ChunkOptions", "PayoutWorker", "Submission", "remaining", "resubmit", "submit"]

logger: Final = logging.getLogger("gatewaypy.payouts")

#: The task's name in the broker.
TASK: Final = "gatewaypy.payouts:chunk"
_RETRY: Final = Backoff(0.2, 30.0)
_POLL_INTERVAL: Final = 1.0


@frozen(kw_only=True)
class Submission:
    """The result of submitting orders.

    Args:
        planned: Number of orders that are new in the journal.
        known: Number of orders that it had already.
        conflicts: Number of orders that it has with another amount or payee, or cannot store. They
            are not sent.
        chunks: Number of chunks that the broker got.
        restored: Whether the journal counts as restored from a backup. Workers inquire about new
            orders then and do not send them.
    """

    planned: int
    known: int
    conflicts: int
    chunks: int
    restored: bool = False


class ChunkOptions(TypedDict, total=False):
    """Options of a `PayoutJob` for a worker. Only the default of ``pending_timeout`` differs: 0."""

    quiet_period: float
    resend_unknown: bool
    pending_timeout: float
    failure_threshold: int
    max_attempts: int
    clock: Callable[[], float]


class _ChunkJob(PayoutJob):
    """A job for one chunk, within the limits of its worker."""

    def __init__(self, gateway: PayoutClient, shared: _SharedLimits, **options: Any) -> None:  # noqa: ANN401 - see PayoutJob
        super().__init__(gateway, **options)
        self._shared = shared

    def _new_run(self) -> Run:
        run = super()._new_run()
        run.places = self._shared.places
        return run

    async def _acquire(self, run: Run) -> bool:
        return await self._shared.throttle.acquire() and await super()._acquire(run)


@frozen
class _SharedLimits:
    """The limits of this process, for all of its chunks."""

    places: asyncio.Semaphore
    throttle: Throttle


class PayoutWorker:
    """Runs the chunks of a taskiq worker process.

    The worker opens the gateway and the journal when it starts, and closes them when it ends. It
    acknowledges a message once no order of the chunk is planned, being sent or unknown. If it dies
    before that, the broker delivers the message again, or :func:`resubmit` sends it again.

    On SIGTERM and SIGINT no further payout begins. The payouts in flight end and are journaled. The
    rest of each chunk goes back to the broker.

    Args:
        broker: The broker of one merchant and one journal. Another merchant needs another queue.
        make_gateway: Creates the `Gateway` with its credentials, in the worker's process only.
        journal: A PostgreSQL URL, or a `Journal` that is not opened yet.
        concurrency: Maximum number of payouts in flight in this process.
        per_second: How many payouts may begin in a second in this process; None for no limit.
        options: See `ChunkOptions`.

    Raises:
        ConfigurationError: An option has an invalid value.

    Example::

        broker = AioPikaBroker("amqp://…", qos=8)
        worker = PayoutWorker(
            broker,
            lambda: Gateway(platforms.XOALA.live, Credentials.from_env()),
            journal="postgresql://…",
        )

    Then run ``taskiq worker module:broker``.
    """

    def __init__(
        self,
        broker: AsyncBroker,
        make_gateway: Callable[[], AbstractAsyncContextManager[PayoutClient]],
        *,
        journal: str | Journal,
        concurrency: int = 100,
        per_second: float | None = None,
        **options: Unpack[ChunkOptions],
    ) -> None:
        """Register the task; nothing is opened yet."""
        checked = {name: value for name, value in options.items() if name != "clock"}
        check_options(concurrency=concurrency, per_second=per_second, **checked)  # type: ignore[arg-type]
        self._make_gateway = make_gateway
        self._journal_option = journal
        self._concurrency = concurrency
        self._options: ChunkOptions = {"pending_timeout": 0.0, **options}
        self._takeover_timeout = 2 * self._options.get("quiet_period", 120.0) + 60.0
        self._opened = contextlib.AsyncExitStack()
        self._per_second = per_second
        self._reset()

        async def chunk(
            batch: str,
            first: int,
            last: int,
            context: Context = TaskiqDepends(),  # noqa: B008 - taskiq's way
        ) -> bool:
            return await self._serve(Scope(batch, first, last), context)

        broker.register_task(chunk, task_name=TASK)
        broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, self._open)
        broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, self._close)

    def _reset(self) -> None:
        """Create the objects of one event loop."""
        self._running: dict[Scope, asyncio.Task[bool]] = {}
        self._jobs: set[PayoutJob] = set()
        self._stopping = asyncio.Event()
        self._shared = _SharedLimits(
            asyncio.Semaphore(self._concurrency),
            Throttle(per_second=self._per_second, failure_threshold=1),
        )

    def stop(self) -> None:
        """Begin no further payout, and give the rest of each chunk back to the broker."""
        self._stopping.set()
        self._shared.throttle.stop()
        for job in self._jobs:
            job.stop()

    async def _open(self, _: object) -> None:
        self._reset()
        async with contextlib.AsyncExitStack() as opening:
            self._gateway = await opening.enter_async_context(self._make_gateway())
            option = self._journal_option
            self._journal = (
                option
                if isinstance(option, Journal)
                else Journal(option, self._gateway.credentials.member_id)
            )
            await opening.enter_async_context(self._journal)
            await self._journal.check_gateway(self._gateway)
            await warn_if_restored(self._journal)
            # An invalid option raises now, and not at the first chunk.
            self._job(self._journal.with_scope(Scope("")))
            opening.callback(call_on_signals(self.stop))
            self._opened = opening.pop_all()

    async def _close(self, _: object) -> None:
        self.stop()
        if self._running:
            await asyncio.wait(self._running.values())
        await self._opened.aclose()

    async def _serve(self, scope: Scope, context: Context) -> bool:
        """Run a message's chunk; acknowledge it once it is done or sent to the broker again."""
        task = self._running.get(scope)
        if task is None:
            # A chunk that one process gets twice is run once. Both messages wait for its end.
            task = self._running[scope] = asyncio.get_running_loop().create_task(self.run(scope))
            task.add_done_callback(lambda _: self._running.pop(scope, None))
        is_done = await asyncio.shield(task)
        if not is_done:
            await _kick(context.broker, scope)
        if context.is_ackable:
            await context.ack()
        return is_done

    async def run(self, scope: Scope) -> bool:
        """Run a chunk until none of its orders is planned, being sent or unknown.

        If another worker claims the rows meanwhile, this one waits for them to end, and claims
        them again if they do not. Errors of the gateway and the journal are logged, and the chunk
        is run again.

        Returns:
            False if the worker was stopped before.

        Raises:
            ConfigurationError: The journal has no such orders. The message belongs to another
                journal or merchant.
        """
        journal, attempt = self._journal.with_scope(scope), 0
        while not self._stopping.is_set():
            left = await self._try(journal, scope)
            if left is not None and not left.total:
                msg = (
                    f"the journal has no orders of this merchant in {scope}; the message is meant"
                    " for another worker"
                )
                raise ConfigurationError(msg)
            if left is not None and not left.open:
                return True
            await interruptible_sleep(self._stopping, _RETRY.delay(attempt))
            attempt += 1
        return False

    async def _try(self, journal: Journal, scope: Scope) -> Remaining | None:
        """Run a chunk once; return its remaining rows, or None after an error."""
        try:
            job = self._job(journal)
            self._jobs.add(job)
            try:
                async for _ in job.run():
                    pass
            finally:
                self._jobs.discard(job)
            return await self._wait_for_others(journal)
        except GatewayError as error:
            logger.warning("%s: %s; the chunk is run again", scope, error)
        except Exception as error:  # noqa: BLE001 - the message waits until the database is back
            logger.warning("%s: %s; the chunk is run again", scope, type(error).__name__)
        return None

    def _job(self, journal: Journal) -> _ChunkJob:
        return _ChunkJob(
            self._gateway,
            self._shared,
            journal=journal,
            concurrency=self._concurrency,
            **self._options,
        )

    async def _wait_for_others(self, journal: Journal) -> Remaining:
        """Wait while another run owns the open rows, but not longer than the takeover timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._takeover_timeout
        while (
            (left := await journal.count_remaining()).open
            and not left.own
            and loop.time() < deadline
            and not self._stopping.is_set()
        ):
            await interruptible_sleep(self._stopping, _POLL_INTERVAL)
        return left


async def submit(
    job: PayoutJob,
    broker: AsyncBroker,
    chunk_size: int = 500,
    *,
    orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder] = (),
) -> Submission:
    """Plan orders in a shared journal, and send them to the broker in chunks.

    Each chunk is on disk before the broker gets it. Orders are read as they are needed, so that
    memory does not grow with their number. To complete an interrupted submission, submit the same
    orders again: rows of the batch that no worker has claimed are sent first, then new orders.

    Args:
        job: An open `PayoutJob` with the shared journal and a ``batch``. Its gateway need not be
            open, because nothing is sent to it.
        broker: A taskiq broker after ``await broker.startup()``.
        chunk_size: Number of orders of a chunk. Some hundred keep the broker's cost low.
        orders: The orders.

    Raises:
        ConfigurationError: The chunk size is invalid, or the journal is in a file.
        taskiq.SendTaskError: The broker accepts no message. The planned orders are in the journal.
    """
    journal, batch = _shared(job), job.batch
    planned = known = conflicts = kicked = 0
    # Orders that are new to a restored journal are unknown.
    async for scope in journal.split(
        _check_chunk_size(chunk_size), State.PLANNED, State.UNKNOWN, only_unclaimed=True
    ):
        await _kick(broker, scope)
        kicked += 1
    async with contextlib.aclosing(group_orders(orders, chunk_size)) as grouped:
        async for group in grouped:
            rows = await job.journal.plan(group, batch=batch)
            ids = [row.id for row in rows if isinstance(row, Row)]
            for row in rows:
                if isinstance(row, Conflict):
                    conflicts += 1
                    logger.warning(
                        "%s is not planned: %s", row.order.merchant_transaction_id, row.evidence
                    )
            planned, known = planned + len(ids), known + rows.count(None)
            if ids:
                await _kick(broker, Scope(batch, min(ids), max(ids)))
                kicked += 1
    restored = bool(await job.journal.restored_because())
    return Submission(
        planned=planned, known=known, conflicts=conflicts, chunks=kicked, restored=restored
    )


async def resubmit(
    job: PayoutJob, broker: AsyncBroker, chunk_size: int = 500, *, pending: bool = False
) -> int:
    """Send the orders of the batch that are not settled to the broker again.

    Use it if messages were lost, or if the broker does not deliver the messages of a dead worker
    again. It is safe at any time. The next worker claims the rows of a busy one, and inquires about
    the payouts in flight.

    Args:
        job: As for :func:`submit`.
        broker: As for :func:`submit`.
        chunk_size: As for :func:`submit`.
        pending: Also inquire again about pending orders.

    Returns:
        The number of chunks; 0 if every order is settled.
    """
    kicked = 0
    states = (*UNSETTLED, State.PENDING) if pending else UNSETTLED
    async for scope in _shared(job).split(_check_chunk_size(chunk_size), *states):
        await _kick(broker, scope)
        kicked += 1
    return kicked


async def remaining(job: PayoutJob) -> int:
    """Count the orders of the batch that are planned, being sent or unknown; 0 at the end."""
    return await _shared(job).count_unsettled()


def _shared(job: PayoutJob) -> Journal:
    return job.journal.with_scope(Scope(job.batch))


def _check_chunk_size(chunk_size: int) -> int:
    if type(chunk_size) is not int or chunk_size < 1:
        msg = "chunk_size: must be an integer of at least 1"
        raise ConfigurationError(msg)
    return chunk_size


async def _kick(broker: AsyncBroker, scope: Scope) -> None:
    # By its name, so that the submitter needs neither a worker nor credentials.
    kicker: AsyncKicker[..., Any] = AsyncKicker(TASK, broker, {"ack_type": "manual"})
    await kicker.kiq(scope.batch, scope.first_id, scope.last_id)
