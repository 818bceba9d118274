"""A payout job: every order is in the journal before it is sent, sent at most once, and followed until its end is known."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from attrs import define, field, frozen

from gatewaypy.errors import AuthenticationFailed, ConfigurationError, GatewayError, InvalidRequest, NotSent, OutcomeUnknown
from gatewaypy.models import Outcome, Payout
from gatewaypy.payouts.findings import Finding, finding_of
from gatewaypy.payouts.journal import Conflict, Journal, Row
from gatewaypy.payouts.pace import Pace
from gatewaypy.payouts.report import Report, make_report
from gatewaypy.payouts.states import State
from gatewaypy.protocol import requests
from gatewaypy.protocol.settle import Unsettled, settle
from gatewaypy.storage.sqlite import boot_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from gatewaypy.config import Credentials
    from gatewaypy.models import OperationResult, Transaction
    from gatewaypy.payouts.orders import PayoutOrder

#: An intent that is older than this when its first byte is about to go is not sent: its row may be another's by now.
SEND_WITHIN: Final = 5.0
_PLANNED_AT_ONCE: Final = 256
_PATIENCE_OF_STREAMS: Final = 0.05
_ASKED_AT_ONCE: Final = 64


class Pays(Protocol):
    """What a job needs of a `Gateway`."""

    @property
    def credentials(self) -> Credentials:
        """Whose payouts they are."""
        ...

    @property
    def payout(self) -> Callable[..., Coroutine[Any, Any, Payout]]:
        """Send money; see `Gateway.payout`."""
        ...

    async def inquire(self, *, merchant_transaction_id: str) -> Transaction:
        """Ask what became of it."""
        ...


@frozen(kw_only=True)
class PayoutResult:
    """An order that has reached its end, or its pause, in this run.

    ``state`` is ``SUCCEEDED``, ``FAILED``, ``REVIEW`` (a person has to decide), ``PENDING`` (a callback or a later run will
    tell), or ``None`` for an order whose id the journal knows with another amount or payee: that one was not touched. ``result``
    is the gateway's answer where there was one, ``evidence`` the reason for anything that is not plain.
    """

    order: PayoutOrder
    state: State | None
    outcome: Outcome
    payment_id: str | None = None
    result: OperationResult | None = None
    evidence: str | None = None


@define(eq=False)
class _Run:
    """One run: what is on its way, what came of it, and why it ends early, where it does."""

    results: asyncio.Queue[PayoutResult | None]
    queue: asyncio.Queue[Row | None]
    places: asyncio.Semaphore
    pace: Pace
    stopping: asyncio.Event = field(factory=asyncio.Event)
    wake: asyncio.Event = field(factory=asyncio.Event)
    fed: bool = False
    failure: Exception | None = None

    def stop(self) -> None:
        """Begin nothing any more."""
        self.stopping.set()
        self.wake.set()
        self.pace.stop()

    def fail(self, error: Exception) -> None:
        """End for a reason; what is on its way ends first, and is journalled."""
        self.failure = self.failure or error
        self.stop()


class PayoutJob:
    """Pays out what orders say, never twice by itself and never forgetting one; it may be killed at any instant and run again.

    ::

        async with PayoutJob(gateway, journal="sqlite:///payouts.db", concurrency=500) as job:
            async for result in job.run(orders): ...

    :param gateway: an open `Gateway`.
    :param journal: a store's URL, or a `Journal` of your own.
    :param concurrency: how many payouts are on their way at a time.
    :param per_second: how many may begin in a second; ``None`` for as many as can (needs ``gatewaypy[payouts]``).
    :param quiet_period: seconds for which the gateway must have said "not found", without a break and by this process's own
        clock, before a payout whose answer was lost counts as not made. Longer than the gateway may still execute a request.
    :param resend_unknown: the platform refuses a used id, so what is not found after the quiet period is sent again under its
        own; otherwise it goes on the review list, and a person decides.
    :param pending_patience: seconds to go on asking about payouts that are pending once all else is done.
    :param pause_after: failures in a row (no connection, no plain answer) after which the job pauses, longer each time.
    :param attempts: how often a payout is begun in one run of which no byte left; it stays planned after that.
    :param batch: a name for these orders in the journal.
    :param clock: seconds since this machine started, the same in every process; tests give their own.
    """

    def __init__(
        self,
        gateway: Pays,
        *,
        journal: str | Journal,
        concurrency: int = 100,
        per_second: float | None = None,
        quiet_period: float = 120.0,
        resend_unknown: bool = False,
        pending_patience: float = 60.0,
        pause_after: int = 20,
        attempts: int = 5,
        batch: str = "",
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """Configure the job; nothing is opened yet."""
        if type(concurrency) is not int or concurrency < 1:
            msg = "concurrency must be an integer of at least 1"
            raise ConfigurationError(msg)
        self.gateway = gateway
        self.journal = journal if isinstance(journal, Journal) else Journal(journal, gateway.credentials.member_id)
        self._concurrency = concurrency
        self._quiet_period = quiet_period
        self._resend_unknown = resend_unknown
        self._pending_patience = pending_patience
        self._attempts = attempts
        self._batch = batch
        self._clock = clock
        self._per_second = per_second
        self._pause_after = pause_after
        self._stopped = False
        self._run: _Run | None = None

    async def __aenter__(self) -> Self:
        """Open the journal.

        :raises ConfigurationError: where the journal cannot keep what is promised, or another process runs it.
        """
        await self.journal.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the journal."""
        await self.journal.aclose()

    def stop(self) -> None:
        """Begin no payout any more; what is on its way ends and is journalled, and the run ends then."""
        self._stopped = True
        if self._run is not None:
            self._run.stop()

    async def report(self) -> Report:
        """Sum the journal up."""
        return await make_report(self.journal)

    async def run(self, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder] = ()) -> AsyncIterator[PayoutResult]:
        """Finish what the journal holds, then pay out the orders; give each result as it comes.

        Orders that the journal has already, with the same amount and payee, are not paid again: running the same file again is
        how a job is resumed. Orders are read as they are needed, so that memory does not grow with their number.

        :raises AuthenticationFailed: where the gateway takes the credentials no longer; nothing is lost.
        """
        if self._run is not None:
            msg = "this job is running already: one run at a time"
            raise ConfigurationError(msg)
        run = self._run = _Run(
            results=asyncio.Queue(self._concurrency * 2),
            queue=asyncio.Queue(self._concurrency),
            places=asyncio.Semaphore(self._concurrency),
            pace=Pace(per_second=self._per_second, pause_after=self._pause_after),
        )
        if self._stopped:
            run.stop()
        driver = asyncio.get_running_loop().create_task(self._drive(run, orders))
        try:
            while (result := await run.results.get()) is not None:
                yield result
        finally:
            run.stop()
            # Nobody takes results any more where the caller went away; what is on its way must end all the same.
            while not driver.done():
                while not run.results.empty():
                    run.results.get_nowait()
                await asyncio.wait([driver], timeout=_PATIENCE_OF_STREAMS)
            self._run = None
        await driver

    async def _drive(self, run: _Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]) -> None:
        try:
            # What may have been sent is asked about before anything else: its senders are gone, or this is a second run. Rows
            # are taken over once, here: two jobs that took them from each other for ever would never see a quiet period's end.
            for state in (State.SENDING, State.UNKNOWN, State.PENDING):
                after = 0
                while rows := await self.journal.take(state, after=after):
                    after = rows[-1].id
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow(run))
                # Half as many again as there are places: they write down what came of the payouts before.
                workers = [group.create_task(self._work(run)) for _ in range(self._concurrency + self._concurrency // 2 + 1)]
                await self._feed(run, orders)
                for _ in workers:
                    await run.queue.put(None)
                await asyncio.gather(*workers)
                run.fed = True
                run.wake.set()
                await following
        except Exception as error:  # noqa: BLE001 - it is raised below, once the results are out
            run.fail(error)
        await run.results.put(None)
        if run.failure is not None:
            raise run.failure

    # Feeding

    async def _feed(self, run: _Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]) -> None:
        try:
            await self._feed_planned(run)
            async with contextlib.aclosing(chunks(orders, _PLANNED_AT_ONCE)) as grouped:
                async for chunk in grouped:
                    if run.stopping.is_set():
                        return
                    await self._plan(run, chunk)
        except Exception as error:  # noqa: BLE001 - a file that breaks off must not tear what is on its way
            run.fail(error)

    async def _feed_planned(self, run: _Run) -> None:
        after = 0
        while not run.stopping.is_set() and (rows := await self.journal.take(State.PLANNED, after=after)):
            for row in rows:
                await run.queue.put(row)
            after = rows[-1].id

    async def _plan(self, run: _Run, chunk: list[PayoutOrder]) -> None:
        for order, planned in zip(chunk, await self.journal.plan(chunk, batch=self._batch), strict=True):
            if isinstance(planned, Conflict):
                await run.results.put(PayoutResult(order=order, state=None, outcome=Outcome.UNKNOWN, evidence=planned.evidence))
            elif planned is not None:
                await run.queue.put(planned)

    # Sending

    async def _work(self, run: _Run) -> None:
        while (row := await run.queue.get()) is not None:
            if run.stopping.is_set():
                continue
            try:
                await self._send(run, row)
            except Exception as error:  # noqa: BLE001 - the others' answers must reach the journal before the run ends for it
                run.fail(error)

    async def _send(self, run: _Run, row: Row) -> None:
        for attempt in range(self._attempts):
            # The place is for the gateway alone: nobody waits with it for an answer to be on disk.
            async with run.places:
                begun = self._clock()
                told = await self._begin(run, row)
            if not isinstance(told, NotSent):
                await self._end(run, row, told, seconds=self._clock() - begun)
                return
            await self.journal.give_back(row, str(told))
            run.pace.failed()
            await run.pace.rest(attempt)

    async def _begin(self, run: _Run, row: Row) -> Payout | GatewayError | None:
        """Send a row, once its intent is on disk; return what came of it, ``None`` where it may not be sent."""
        if not await run.pace.turn():
            return None
        # Read before the intent is asked for: whatever freezes this process from here on makes the intent too old to be sent.
        begun = self._clock()
        if not await self.journal.intend(row):
            return None
        order = row.order
        try:
            return await self.gateway.payout(
                order.amount,
                merchant_transaction_id=order.merchant_transaction_id,
                payment_id=order.payment_id,
                customer=order.customer,
                stored_card=order.stored_card,
                terminal_id=order.terminal_id,
                extra=order.extra,
                may_send=lambda: self._clock() - begun <= SEND_WITHIN,
            )
        except (NotSent, AuthenticationFailed, InvalidRequest, OutcomeUnknown) as told:
            return told

    async def _end(self, run: _Run, row: Row, told: Payout | GatewayError | None, *, seconds: float) -> None:
        """Write down what came of a row that was sent, or why it was not."""
        match told:
            case AuthenticationFailed():
                await self.journal.give_back(row, str(told))
                run.fail(told)
            case InvalidRequest():
                if await self.journal.refuse(row, str(told)):
                    await run.results.put(
                        PayoutResult(order=row.order, state=State.FAILED, outcome=Outcome.FAILED, evidence=str(told))
                    )
            case OutcomeUnknown():
                run.pace.failed()
                finding = Finding(state=State.UNKNOWN, payment_id=told.payment_id, code=told.code, evidence=str(told))
                await self.journal.learn(row.order.merchant_transaction_id, finding)
            case Payout():
                run.pace.succeeded()
                await self._learn(run, row.order, told, seconds=seconds)

    async def _learn(self, run: _Run, order: PayoutOrder, told: OperationResult, *, seconds: float | None = None) -> State | None:
        finding = finding_of(told, seconds=seconds)
        state = await self.journal.learn(order.merchant_transaction_id, finding)
        if state is not None and state.is_end:
            await run.results.put(
                PayoutResult(order=order, state=state, outcome=told.outcome, payment_id=told.payment_id, result=told)
            )
        return state

    # Following what is not plain yet

    async def _follow(self, run: _Run) -> None:
        """Ask about unknown and pending rows, round after round, until there are none or patience ends."""
        try:
            await self._follow_until_plain(run)
            await self._tell_pending(run)
        except Exception as error:  # noqa: BLE001 - what is on its way ends before the run does
            run.fail(error)

    async def _follow_until_plain(self, run: _Run) -> None:
        pause, since = min(0.1, max(self._quiet_period / 4, 0.01)), None
        while True:
            was_fed = run.fed
            unknown = await self._ask_all(run, State.UNKNOWN)
            pending = await self._ask_all(run, State.PENDING)
            if was_fed and not unknown:
                since = self._clock() if since is None else since
                if not pending or self._clock() - since >= self._pending_patience:
                    return
            if run.stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await run.wake.wait()
            run.wake.clear()
            pause = min(pause * 1.5, max(0.1, self._quiet_period / 8), 10.0)

    async def _ask_all(self, run: _Run, state: State) -> int:
        """Ask about every row of a state; return how many are left in it."""
        left, after = 0, 0
        while rows := await self.journal.mine(state, after=after, most=_ASKED_AT_ONCE):
            after = rows[-1].id
            states = await asyncio.gather(*(self._ask(run, row) for row in rows))
            left += sum(told is state for told in states)
            if run.stopping.is_set():
                break
        return left

    async def _ask(self, run: _Run, row: Row) -> State | None:
        order = row.order
        # An answer tells how things were when it was asked for, however long it then took, or this process slept.
        asked = self._clock()
        try:
            transaction = await self.gateway.inquire(merchant_transaction_id=order.merchant_transaction_id)
        except GatewayError:
            # No answer is no absence: the gateway may know it all the same.
            await self.journal.seen(row)
            return row.state
        if not transaction.found:
            return await self._not_found(run, row, asked)
        await self.journal.seen(row)
        settled = settle(request_of(order, self.gateway.credentials), transaction)
        if isinstance(settled, Unsettled):
            if not settled.hopeless:
                return row.state
            return await self._give_to_review(run, row, settled.reason)
        return await self._learn(run, order, settled)

    async def _not_found(self, run: _Run, row: Row, asked: float) -> State | None:
        if row.state is not State.UNKNOWN:
            # It was found before: a gateway that forgets is no reason to send anything.
            return row.state
        since = await self.journal.absent(row, self._clock())
        if asked - since < self._quiet_period:
            return State.UNKNOWN
        evidence = f"not found for {asked - since:.0f} s after attempt {row.attempt}"
        if not self._resend_unknown:
            return await self._give_to_review(run, row, evidence)
        again = await self.journal.plan_again(row, f"{evidence}; sent again, as the platform refuses a used id")
        if again is not None:
            await self._send(run, again)
        # Whatever came of it, another round has to look.
        return State.UNKNOWN

    async def _give_to_review(self, run: _Run, row: Row, evidence: str) -> State | None:
        state = await self.journal.learn(row.order.merchant_transaction_id, Finding(state=State.REVIEW, evidence=evidence))
        if state is State.REVIEW:
            await run.results.put(PayoutResult(order=row.order, state=State.REVIEW, outcome=Outcome.UNKNOWN, evidence=evidence))
        return state

    async def _tell_pending(self, run: _Run) -> None:
        after = 0
        while rows := await self.journal.mine(State.PENDING, after=after):
            after = rows[-1].id
            for row in rows:
                await run.results.put(
                    PayoutResult(order=row.order, state=State.PENDING, outcome=Outcome.PENDING, payment_id=row.payment_id)
                )


def request_of(order: PayoutOrder, credentials: Credentials) -> requests.Request:
    """Return the request that an order is sent as: an inquiry's answer is compared with it."""
    return requests.payout(
        credentials=credentials,
        amount=order.amount,
        merchant_transaction_id=order.merchant_transaction_id,
        payment_id=order.payment_id,
        customer=order.customer,
        stored_card=order.stored_card,
        notification_url=None,
        terminal_id=order.terminal_id,
        extra=order.extra,
    )


async def chunks(
    orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder], most: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    """Group orders, as many at a time as come together: a slow stream's are not kept waiting for others."""
    if isinstance(orders, AsyncIterable):
        async with contextlib.aclosing(_chunks_of_stream(orders, most)) as stream:
            async for chunk in stream:
                yield chunk
        return
    iterator = iter(orders)
    while chunk := list(itertools.islice(iterator, most)):
        yield chunk


async def _chunks_of_stream(orders: AsyncIterable[PayoutOrder], most: int) -> AsyncGenerator[list[PayoutOrder], None]:
    stream = aiter(orders)
    coming: asyncio.Future[PayoutOrder] | None = None
    chunk: list[PayoutOrder] = []
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(stream))
            done, _ = await asyncio.wait([coming], timeout=_PATIENCE_OF_STREAMS if chunk else None)
            if done:
                try:
                    chunk.append(coming.result())
                except StopAsyncIteration:
                    break
                coming = None
            if len(chunk) == most or not done:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
    finally:
        if coming is not None:
            coming.cancel()
