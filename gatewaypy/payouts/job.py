"""A payout job: every order is in the journal before it is sent, sent at most once, and followed until its end is known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Self

from attrs import evolve

from gatewaypy.config import check_flag, check_number
from gatewaypy.errors import (
    NOTHING_DONE,
    AuthenticationFailed,
    ConfigurationError,
    GatewayError,
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
)
from gatewaypy.models import Outcome, Payout
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.journal.planning import refusal_of_batch
from gatewaypy.payouts.journal.rows import Conflict, Row
from gatewaypy.payouts.journal.updates import PayoutUpdate
from gatewaypy.payouts.order_stream import group_orders
from gatewaypy.payouts.outcome_poller import OUTCOMES, OutcomePoller, report_ended
from gatewaypy.payouts.report import Report, make_report
from gatewaypy.payouts.run import PayoutClient, PayoutResult, Run
from gatewaypy.payouts.states import State
from gatewaypy.payouts.throttle import Throttle
from gatewaypy.protocol import codes
from gatewaypy.storage.sqlite import boot_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
    from types import TracebackType

    from gatewaypy.models import OperationResult
    from gatewaypy.payouts.orders import PayoutOrder

logger: Final = logging.getLogger("gatewaypy.payouts")

#: An intent that is older than this when its first byte is about to go is not sent: its row may be another's by now.
SEND_WITHIN: Final = 5.0
_PLANNED_AT_ONCE: Final = 256
_USED_BEFORE: Final = "the gateway answered 20015, duplicate, to the first attempt"


def check_options(
    *,
    concurrency: int,
    per_second: float | None,
    quiet_period: float = 0.0,
    resend_unknown: bool = False,
    pending_timeout: float = 0.0,
    failure_threshold: int = 1,
    max_attempts: int = 1,
) -> None:
    """Check the options of a job or a worker before anything is opened.

    Raises:
        ConfigurationError: Naming the first option that cannot be what it is.
    """
    check_number("concurrency", concurrency, least=1, is_whole=True)
    if per_second is not None:
        check_number("per_second", per_second, above=0)
    check_number("quiet_period", quiet_period, least=0)
    check_flag("resend_unknown", resend_unknown)
    check_number("pending_timeout", pending_timeout, least=0)
    check_number("failure_threshold", failure_threshold, least=1, is_whole=True)
    check_number("max_attempts", max_attempts, least=1, is_whole=True)


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
    :param pending_timeout: seconds to go on asking about payouts that are pending once all else is done.
    :param failure_threshold: failures in a row (no connection, no plain answer) after which the job pauses, longer each time.
    :param max_attempts: how often a payout is begun in one run of which no byte left; it stays planned after that.
    :param batch: a name for these orders in the journal.
    :param clock: seconds since this machine started, the same in every process; tests give their own.
    """

    def __init__(
        self,
        gateway: PayoutClient,
        *,
        journal: str | Journal,
        concurrency: int = 100,
        per_second: float | None = None,
        quiet_period: float = 120.0,
        resend_unknown: bool = False,
        pending_timeout: float = 60.0,
        failure_threshold: int = 20,
        max_attempts: int = 5,
        batch: str = "",
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """Configure the job; nothing is opened yet."""
        check_options(
            concurrency=concurrency,
            per_second=per_second,
            quiet_period=quiet_period,
            resend_unknown=resend_unknown,
            pending_timeout=pending_timeout,
            failure_threshold=failure_threshold,
            max_attempts=max_attempts,
        )
        if not isinstance(journal, str | Journal) or not isinstance(batch, str):
            msg = "journal: must be a store's URL or a Journal; batch: must be a text"
            raise ConfigurationError(msg)
        refused = refusal_of_batch(batch)
        if refused is not None:
            # A frame that raises stays in the traceback, with whatever its names still hold.
            del batch
            raise refused
        self.gateway = gateway
        self.journal = (
            journal
            if isinstance(journal, Journal)
            else Journal(journal, gateway.credentials.member_id)
        )
        self.journal.check_merchant(gateway)
        self._concurrency = concurrency
        self._quiet_period = quiet_period
        self._resend_unknown = resend_unknown
        self._pending_patience = pending_timeout
        self._attempts = max_attempts
        self.batch = batch
        self._clock = clock
        self._per_second = per_second
        self._pause_after = failure_threshold
        self._stopped = False
        self._run: Run | None = None
        #: Why a run ended whose caller had left its loop by then.
        self._unheard: Exception | None = None

    async def __aenter__(self) -> Self:
        """Open the journal.

        :raises ConfigurationError: where the journal cannot keep what is promised, another process runs it, or it pays at another
            gateway.
        """
        await self.journal.__aenter__()
        try:
            await self.journal.check_gateway(self.gateway)
            await warn_if_restored(self.journal)
        except BaseException:
            await self.journal.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for what is on its way, where the loop over the results was broken off, and close the journal."""
        try:
            if self._run is not None:
                await self._run.drain()
                self._unheard = self._run.failure
        finally:
            await self.journal.aclose()
        if self._unheard is not None and error is None:
            raise self._unheard

    def stop(self) -> None:
        """Begin no payout any more; what is on its way ends and is journalled, and the run ends then."""
        self._stopped = True
        if self._run is not None:
            self._run.stop()

    async def report(self) -> Report:
        """Sum the journal up."""
        return await make_report(self.journal)

    async def run(
        self, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder] = ()
    ) -> AsyncIterator[PayoutResult]:
        """Finish what the journal holds, then pay out the orders; give each result as it comes.

        Orders that the journal has already, with the same amount and payee, are not paid again: running the same file again is
        how a job is resumed. Orders are read as they are needed, so that memory does not grow with their number.

        :raises AuthenticationFailed: where the gateway takes the credentials no longer; nothing is lost.
        :raises ConfigurationError: where the gateway is not open, was closed, or belongs to another event loop; nothing is lost.
        """
        if self._run is not None:
            msg = "this job is running already: one run at a time"
            raise ConfigurationError(msg)
        run = self._run = self._new_run()
        if self._stopped:
            run.stop()
        driver = run.driver = asyncio.get_running_loop().create_task(self._drive(run, orders))
        try:
            while (result := await run.results.get()) is not None:
                yield result
        finally:
            # Nobody takes results any more where the caller went away; what is on its way must end all the same.
            await run.drain()
            self._run, self._unheard = None, run.failure
        self._unheard = None
        await driver

    def _new_run(self) -> Run:
        return Run(
            results=asyncio.Queue(self._concurrency * 2),
            queue=asyncio.Queue(self._concurrency),
            places=asyncio.Semaphore(self._concurrency),
            pace=Throttle(per_second=self._per_second, failure_threshold=self._pause_after),
        )

    async def _turn(self, run: Run) -> bool:
        """Wait until one more may begin; false where none may any more."""
        # What pays may be another object than a Gateway, which knows of no such wish.
        while (
            not run.stopping.is_set() and (delay := getattr(self.gateway, "retry_delay", 0.0)) > 0
        ):
            await run.pace.hold(delay)
        return await run.pace.turn()

    async def _drive(
        self, run: Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]
    ) -> None:
        try:
            await self.journal.check_gateway(self.gateway)
            # What may have been sent is asked about before anything else: its senders are gone, or this is a second run. Rows
            # are taken over once, here: two jobs that took them from each other for ever would never see a quiet period's end.
            for state in (State.SENDING, State.UNKNOWN, State.PENDING):
                after = 0
                while rows := await self.journal.claim(state, after=after):
                    after = rows[-1].id
                    run.open.update(row.id for row in rows)
                    run.followed.update(row.id for row in rows)
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follower(run).follow())
                # Half as many again as there are places: they write down what came of the payouts before.
                workers = [
                    group.create_task(self._work(run))
                    for _ in range(self._concurrency + self._concurrency // 2 + 1)
                ]
                await self._feed_until_stopped(run, orders)
                for _ in workers:
                    await run.queue.put(None)
                await asyncio.gather(*workers)
                run.fed = True
                if run.failure is not None:
                    # The orders broke off: what was planned before is sent, and nothing is waited for.
                    run.stop()
                run.wake.set()
                await following
            await report_ended(run, self.journal, run.open)
        except Exception as error:  # noqa: BLE001 - it is raised below, once the results are out
            run.fail(error)
        await run.results.put(None)
        if run.failure is not None:
            raise run.failure

    def _follower(self, run: Run) -> OutcomePoller:
        return OutcomePoller(
            run=run,
            gateway=self.gateway,
            journal=self.journal,
            clock=self._clock,
            quiet_period=self._quiet_period,
            pending_timeout=self._pending_patience,
            learn=self._learn,
            resend=self._send if self._resend_unknown else None,
        )

    # Feeding

    async def _feed_until_stopped(
        self, run: Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]
    ) -> None:
        """Feed, and wait no longer for a stream that has nothing to give once the run is to end."""
        feeding = asyncio.ensure_future(self._feed(run, orders))
        stopped = asyncio.ensure_future(run.stopping.wait())
        try:
            await asyncio.wait({feeding, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.cancelled():
                # By what gives the orders: the rest of them is in no journal, so this must not look like their end.
                run.break_off(
                    RuntimeError(
                        "the stream of orders was cancelled from within; the rest of them was not read"
                    )
                )
        finally:
            stopped.cancel()
            feeding.cancel()
            await asyncio.wait({feeding})

    async def _feed(
        self, run: Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]
    ) -> None:
        try:
            await self._feed_planned(run)
            async with contextlib.aclosing(group_orders(orders, _PLANNED_AT_ONCE)) as grouped:
                async for chunk in grouped:
                    if run.stopping.is_set():
                        return
                    await self._plan(run, chunk)
        except Exception as error:  # noqa: BLE001 - a file that breaks off must not tear what is on its way
            run.break_off(error)

    async def _feed_planned(self, run: Run) -> None:
        after = 0
        while not run.stopping.is_set() and (
            rows := await self.journal.claim(State.PLANNED, after=after)
        ):
            run.open.update(row.id for row in rows)
            for row in rows:
                await run.queue.put(row)
            after = rows[-1].id

    async def _plan(self, run: Run, chunk: list[PayoutOrder]) -> None:
        for order, planned in zip(
            chunk, await self.journal.plan(chunk, batch=self.batch), strict=True
        ):
            if isinstance(planned, Conflict):
                await run.results.put(
                    PayoutResult(
                        order=order, state=None, outcome=Outcome.UNKNOWN, evidence=planned.evidence
                    )
                )
            elif planned is not None:
                run.open.add(planned.id)
                if planned.state is State.PLANNED:
                    await run.queue.put(planned)
                else:
                    # What is new to a restored journal is unknown, and the follower's.
                    run.followed.add(planned.id)

    # Sending

    async def _work(self, run: Run) -> None:
        while (row := await run.queue.get()) is not None:
            if run.stopping.is_set():
                continue
            try:
                await self._send(run, row)
            except Exception as error:  # noqa: BLE001 - the others' answers must reach the journal before the run ends for it
                run.fail(error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                merchant_transaction_id = row.order.merchant_transaction_id
                run.fail(
                    RuntimeError(
                        f"{merchant_transaction_id}: what should have sent it was cancelled; the next run asks what became of it"
                    )
                )

    async def _send(self, run: Run, row: Row) -> None:
        tries = 0
        while tries < self._attempts:
            # The place is for the gateway alone: nobody waits with it for an answer to be on disk.
            async with run.places:
                begun = self._clock()
                attempt, told = await self._begin(run, row)
            if not isinstance(told, NotSent):
                await self._end(run, row, told, attempt, seconds=self._clock() - begun)
                if row.id in run.open:
                    run.followed.add(row.id)
                return
            await self.journal.mark_unsent(row, str(told))
            if told.retry_after is not None:
                # The gateway is there, and asked for patience: nothing has failed.
                await run.pace.hold(told.retry_after)
                continue
            run.pace.failed(told, tries)
            await run.pace.rest(tries)
            tries += 1
        # It is planned, and nobody of this run sends it any more.
        run.open.discard(row.id)
        run.followed.discard(row.id)

    async def _begin(self, run: Run, row: Row) -> tuple[int, Payout | GatewayError | None]:
        """Send a row, once its intent is on disk; return the attempt and what came of it, ``None`` where it may not be sent."""
        if not await self._turn(run):
            return 0, None
        # Read before the intent is asked for: whatever freezes this process from here on makes the intent too old to be sent.
        begun = self._clock()
        if not (attempt := await self.journal.record_intent(row)):
            return 0, None
        try:
            told: Payout | GatewayError = await self.gateway.payout(
                **row.order.arguments(),
                send_guard=lambda: self._clock() - begun <= SEND_WITHIN,
            )
        except (*NOTHING_DONE, OutcomeUnknown) as error:
            told = error
        return attempt, told

    async def _end(
        self,
        run: Run,
        row: Row,
        told: Payout | GatewayError | None,
        attempt: int,
        *,
        seconds: float,
    ) -> None:
        """Write down what came of a row that was sent, or why it was not."""
        match told:
            case None if not run.stopping.is_set():
                # Another has it, or it is no longer planned.
                await report_ended(run, self.journal, [row.id])
            case AuthenticationFailed() | ConfigurationError():
                # No payout of this run will fare better.
                await self.journal.mark_unsent(row, str(told))
                run.fail(told)
            case InvalidRequest():
                if await self.journal.mark_refused(row, str(told)):
                    await run.report(
                        row.id,
                        PayoutResult(
                            order=row.order,
                            state=State.FAILED,
                            outcome=Outcome.FAILED,
                            evidence=str(told),
                        ),
                    )
            case OutcomeUnknown():
                run.pace.failed(told)
                await self._end_unknown(run, row, told, attempt)
            case Payout():
                run.pace.succeeded()
                await self._learn(run, row, told, attempt, seconds=seconds)

    async def _end_unknown(self, run: Run, row: Row, told: OutcomeUnknown, attempt: int) -> None:
        is_used = told.code == codes.DUPLICATE and not row.is_resent
        state, evidence = (
            (State.REVIEW, f"{_USED_BEFORE}; {told}") if is_used else (State.UNKNOWN, str(told))
        )
        finding = PayoutUpdate(
            state=state, payment_id=told.payment_id, code=told.code, evidence=evidence
        )
        state_now = await self.journal.record(
            row.order.merchant_transaction_id, finding, attempt=attempt
        )
        if state_now is not None and state_now.is_end:
            # By this, or by a callback that knew better before.
            await report_ended(run, self.journal, [row.id])

    async def _learn(
        self,
        run: Run,
        row: Row,
        told: OperationResult,
        attempt: int,
        *,
        seconds: float | None = None,
    ) -> State | None:
        finding, order = PayoutUpdate.from_status(told, seconds=seconds), row.order
        if getattr(told, "duplicate", False) and not row.is_resent:
            # The payout that has this id was made by somebody else, or by this file before the journal was.
            finding = evolve(
                finding,
                state=State.REVIEW,
                evidence=f"{_USED_BEFORE}; the gateway has payment {told.payment_id}",
            )
        state = await self.journal.record(order.merchant_transaction_id, finding, attempt=attempt)
        if state is not None and state.is_end:
            # What is for a person to decide has no outcome yet, whatever was told.
            is_told = state is finding.state and state is not State.REVIEW
            outcome = told.outcome if is_told else OUTCOMES[state]
            await run.report(
                row.id,
                PayoutResult(
                    order=order,
                    state=state,
                    outcome=outcome,
                    payment_id=told.payment_id,
                    result=told,
                    evidence=finding.evidence,
                ),
            )
        return state


async def warn_if_restored(journal: Journal) -> None:
    """Log that a journal counts as restored, and what that means."""
    because = await journal.restored_because()
    if because:
        logger.warning(
            "the journal counts as restored from a backup: %s; orders that are new to it are asked about, and not sent,"
            " until 'gatewaypy payouts trust' ends that",
            because,
        )
