"""A payout job on many machines: its journal in PostgreSQL, shared by all, and a taskiq broker that hands out chunks of it.

The broker spreads the work and guards nothing: a chunk that is delivered twice, to two workers at once, or anew after its worker
died, finds in the journal what was begun, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
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

    from gatewaypy.payouts.journal.rows import Remaining
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.payouts.run import PayoutClient, Run

logger: Final = logging.getLogger("gatewaypy.payouts")

#: The task's name in the broker.
TASK: Final = "gatewaypy.payouts:chunk"
_RETRY: Final = Backoff(0.2, 30.0)
_POLL_INTERVAL: Final = 1.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@frozen(kw_only=True)
class Submission:
    """What came of submitting orders: how many are new in the journal, how many it had already, how many it has with another
    amount or payee (those are not touched), and how many chunks were handed to the broker.

    Where the journal counts as ``restored`` from a backup, workers ask about the new orders and do not send them.
    """  # noqa: D205 - one sentence

    planned: int
    known: int
    conflicts: int
    chunks: int
    restored: bool = False


class ChunkOptions(TypedDict, total=False):
    """Options of a `PayoutJob` that a worker takes too, with the same meaning and, but for ``pending_timeout``, defaults."""

    quiet_period: float
    resend_unknown: bool
    pending_timeout: float
    failure_threshold: int
    max_attempts: int
    clock: Callable[[], float]


class _ChunkJob(PayoutJob):
    """A job over one chunk, which shares its worker's turns with the others."""

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
    """How many payouts are on their way in this process, and how fast they begin, over all of its chunks."""

    places: asyncio.Semaphore
    throttle: Throttle


class PayoutWorker:
    """Runs the chunks that a taskiq worker process is given.

    ::

        broker = AioPikaBroker("amqp://…", qos=8)
        worker = PayoutWorker(broker, lambda: Gateway(platforms.XOALA.live, Credentials.from_env()), journal="postgresql://…")

    and then ``taskiq worker module:broker``. The gateway and the journal are opened when the worker starts and closed when it
    ends. A message is acknowledged once no order of its chunk is left planned, on its way or unknown: what died before that is
    delivered again by the broker, or kicked again by :func:`resubmit`.

    On SIGTERM and SIGINT no payout is begun any more; what is on its way ends and is journalled, and the rest of each chunk goes
    back to the broker.

    :param broker: the broker of one merchant's payouts and one journal; a second merchant's has a queue of its own.
    :param make_gateway: makes the `Gateway`, with its credentials; called in the worker's process alone.
    :param journal: a PostgreSQL URL, or a `Journal` of your own, with a ``encrypt`` for instance; not opened yet.
    :param concurrency: how many payouts are on their way at a time in this process, over all of its chunks.
    :param per_second: how many may begin in a second in this process; ``None`` for as many as can.
    :param options: see `ChunkOptions`; ``pending_timeout`` is 0 here: pending orders are left to callbacks.
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
        """Give the broker its task; nothing is opened yet."""
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
        """Make what belongs to one event loop, and to one opening."""
        self._running: dict[Scope, asyncio.Task[bool]] = {}
        self._jobs: set[PayoutJob] = set()
        self._stopping = asyncio.Event()
        self._shared = _SharedLimits(
            asyncio.Semaphore(self._concurrency),
            Throttle(per_second=self._per_second, failure_threshold=1),
        )

    def stop(self) -> None:
        """Begin no payout any more, and give back to the broker what is left."""
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
            # Whatever is wrong with the options is said now, and not at the first chunk.
            self._job(self._journal.with_scope(Scope("")))
            opening.callback(_on_signals(self.stop))
            self._opened = opening.pop_all()

    async def _close(self, _: object) -> None:
        self.stop()
        if self._running:
            await asyncio.wait(self._running.values())
        await self._opened.aclose()

    async def _serve(self, scope: Scope, context: Context) -> bool:
        """Do what a message asks for; acknowledge it once that is done, or somebody else has been asked for the rest."""
        task = self._running.get(scope)
        if task is None:
            # A chunk that is delivered twice to one process is run once, and both messages wait for its end.
            task = self._running[scope] = asyncio.get_running_loop().create_task(self.run(scope))
            task.add_done_callback(lambda _: self._running.pop(scope, None))
        is_done = await asyncio.shield(task)
        if not is_done:
            await _kick(context.broker, scope)
        if context.is_ackable:
            await context.ack()
        return is_done

    async def run(self, scope: Scope) -> bool:
        """Run a chunk until none of its orders is left planned, on its way or unknown; false where the worker stops before.

        Another worker may be given the same chunk meanwhile, and then has its rows; this one waits for them to end, and takes
        them over where they do not. Errors of the gateway's or the journal's are logged, and the chunk is tried again.

        :raises ConfigurationError: where the journal has no such orders: the message is another journal's, or another merchant's.
        """
        journal, attempt = self._journal.with_scope(scope), 0
        while not self._stopping.is_set():
            left = await self._try(journal, scope)
            if left is not None and not left.total:
                msg = f"the journal has no orders of this merchant in {scope}: the message is meant for another worker"
                raise ConfigurationError(msg)
            if left is not None and not left.open:
                return True
            await interruptible_sleep(self._stopping, _RETRY.delay(attempt))
            attempt += 1
        return False

    async def _try(self, journal: Journal, scope: Scope) -> Remaining | None:
        """Go over a chunk once; return what is left of it, where the journal could tell."""
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
            logger.warning("%s: %s; it is tried again", scope, error)
        except Exception as error:  # noqa: BLE001 - a database that is away comes back, and the message waits for that
            logger.warning("%s: %s; it is tried again", scope, type(error).__name__)
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
        """Wait while another run has the open rows; not for ever, since its process may have died."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._takeover_timeout
        while (
            (left := await journal.count_remaining()).open
            and not left.own
            and loop.time() < give_up
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
    """Plan orders into a shared journal, and hand them to the broker in chunks; each chunk is on disk before it is handed over.

    Orders are read as they are needed, so that memory does not grow with their number. Submitting again is harmless, and how an
    interrupted submission is completed: what the batch has that no worker has begun is handed over first, then what is new.

    :param job: an open `PayoutJob` with the shared journal and a ``batch``; its gateway need not be open, nothing is sent.
    :param broker: a taskiq broker that was started (``await broker.startup()``).
    :param chunk_size: orders in a chunk: some hundred, so that the broker costs next to nothing and a dead worker leaves little.
    :raises InvalidRequest: for an order with a card number, where the journal has no ``encrypt``; the chunks before are submitted.
    :raises taskiq.SendTaskError: where the broker takes no message; what was planned is in the journal.
    """
    journal, batch = _shared(job), job.batch
    planned = known = conflicts = kicked = 0
    # New to a restored journal, an order is unknown.
    async for scope in journal.split(
        _checked(chunk_size), State.PLANNED, State.UNKNOWN, only_unclaimed=True
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
    """Hand all of the batch that is not settled to the broker once more; return the number of chunks, 0 where all is done.

    For what no broker delivers again: its messages were lost, or their worker died and nothing makes it look. It is safe at any
    time; a worker that is busy with a chunk loses it to the next, which asks the gateway about whatever was on its way.

    :param pending: also ask once more about orders that are pending.
    """
    kicked = 0
    states = (*UNSETTLED, State.PENDING) if pending else UNSETTLED
    async for scope in _shared(job).split(_checked(chunk_size), *states):
        await _kick(broker, scope)
        kicked += 1
    return kicked


async def remaining(job: PayoutJob) -> int:
    """Count the orders of the batch that are planned, on their way or unknown: 0 once every worker is done with it."""
    return await _shared(job).count_unsettled()


def _shared(job: PayoutJob) -> Journal:
    return job.journal.with_scope(Scope(job.batch))


def _checked(chunk_size: int) -> int:
    if type(chunk_size) is not int or chunk_size < 1:
        msg = "chunk_size must be an integer of at least 1"
        raise ConfigurationError(msg)
    return chunk_size


async def _kick(broker: AsyncBroker, scope: Scope) -> None:
    # By its name: whoever submits needs no worker, and no gateway's credentials.
    kicker: AsyncKicker[..., Any] = AsyncKicker(TASK, broker, {"ack_type": "manual"})
    await kicker.kiq(scope.batch, scope.first_id, scope.last_id)


def _on_signals(stop: Callable[[], None]) -> Callable[[], None]:
    """Call a function on SIGTERM and SIGINT, beside what taskiq does then; return what undoes it.

    taskiq lets tasks run to their end first, and tells them nothing of it.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop, undo = asyncio.get_running_loop(), contextlib.ExitStack()
    for number in _SIGNALS:
        before = signal.getsignal(number)
        # Where nobody else listens, the signal must go on ending the process.
        if not callable(before) or before is signal.default_int_handler:
            continue

        def heard(got: int, frame: Any, before: Callable[..., Any] = before) -> None:  # noqa: ANN401 - an interpreter's frame
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop)
            before(got, frame)

        signal.signal(number, heard)
        undo.callback(signal.signal, number, before)
    return undo.close
