"""Sending payouts. An intent is on disk before each attempt, and the outcome is recorded after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import define, evolve

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
from gatewaypy.payouts.journal.updates import PayoutUpdate
from gatewaypy.payouts.outcome_poller import OUTCOMES, report_ended
from gatewaypy.payouts.run import PayoutResult
from gatewaypy.payouts.states import State
from gatewaypy.protocol import codes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatewaypy.interfaces import PayoutClient
    from gatewaypy.models import OperationResult
    from gatewaypy.payouts.journal.journal import Journal
    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.run import Run

#: Maximum age of an intent when the first byte is sent, in seconds. If the intent is older, another
#: process may own its row.
MAX_INTENT_AGE: Final = 5.0
_USED_BEFORE: Final = "the gateway answered 20015, duplicate, to the first attempt"


@define(eq=False, kw_only=True)
class PayoutSender:
    """Sends the rows of one run.

    Args:
        job_run: The run.
        gateway: Executes the payouts.
        journal: The journal.
        clock: Seconds since this machine started.
        max_attempts: Maximum failed attempts per payout in this run. Only attempts that sent no byte
            are repeated. An attempt that the gateway delays (Retry-After) does not count.
        acquire: Waits until a payout may start. Returns False if no more payouts may start.
    """

    job_run: Run
    gateway: PayoutClient
    journal: Journal
    clock: Callable[[], float]
    max_attempts: int
    acquire: Callable[[], Awaitable[bool]]

    async def run(self) -> None:
        """Send the rows of the run's queue until the queue returns None."""
        run = self.job_run
        while (row := await run.queue.get()) is not None:
            if run.stopping.is_set():
                continue
            try:
                await self.send(row)
            except Exception as error:  # noqa: BLE001 - other answers are recorded first
                run.fail(error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                run.fail(
                    RuntimeError(
                        f"{row.order.merchant_transaction_id}: the gateway client cancelled the"
                        " call; run the job again, and it inquires about the payout"
                    )
                )

    async def send(self, row: Row) -> None:
        """Send a planned row, and record the outcome."""
        run, failures = self.job_run, 0
        while failures < self.max_attempts:
            # A place limits only calls to the gateway. It is released before the outcome is written.
            async with run.places:
                started = self.clock()
                attempt, answer = await self._execute(row)
            if not isinstance(answer, NotSent):
                await self._end(row, answer, attempt, seconds=self.clock() - started)
                if row.id in run.open:
                    run.followed.add(row.id)
                return
            await self.journal.mark_unsent(row, str(answer))
            if answer.retry_after is not None:
                # The gateway asks to wait. That is not a failure.
                await run.throttle.hold(answer.retry_after)
                continue
            run.throttle.failed(answer, failures)
            await run.throttle.wait_before_retry(failures)
            failures += 1
        # The row stays planned, and this run does not send it again.
        run.open.discard(row.id)
        run.followed.discard(row.id)

    async def _execute(self, row: Row) -> tuple[int, Payout | GatewayError | None]:
        """Record the intent and send a row.

        Returns:
            The attempt's number and its answer; 0 and None if the row must not be sent.
        """
        if not await self.acquire():
            return 0, None
        # The clock is read before the intent is recorded. If the process freezes after this point,
        # the send guard finds the intent too old.
        started = self.clock()
        if not (attempt := await self.journal.record_intent(row)):
            return 0, None
        try:
            answer: Payout | GatewayError = await self.gateway.payout(
                **row.order.arguments(),
                send_guard=lambda: self.clock() - started <= MAX_INTENT_AGE,
            )
        except (*NOTHING_DONE, OutcomeUnknown) as error:
            answer = error
        return attempt, answer

    async def _end(
        self, row: Row, answer: Payout | GatewayError | None, attempt: int, *, seconds: float
    ) -> None:
        """Record the answer to a row that was sent, or why it was not sent."""
        run = self.job_run
        match answer:
            case None if not run.stopping.is_set():
                # Another process owns the row, or it is no longer planned.
                await report_ended(run, self.journal, [row.id])
            case AuthenticationFailed() | ConfigurationError():
                # Every other payout of this run would fail too.
                await self.journal.mark_unsent(row, str(answer))
                run.fail(answer)
            case InvalidRequest():
                if await self.journal.mark_refused(row, str(answer)):
                    await run.report(
                        row.id,
                        PayoutResult(
                            order=row.order,
                            state=State.FAILED,
                            outcome=Outcome.FAILED,
                            evidence=str(answer),
                        ),
                    )
            case OutcomeUnknown():
                run.throttle.failed(answer)
                await self._record_unknown(row, answer, attempt)
            case Payout():
                run.throttle.succeeded()
                await self.record(row, answer, attempt, seconds=seconds)

    async def _record_unknown(self, row: Row, error: OutcomeUnknown, attempt: int) -> None:
        is_used = error.code == codes.DUPLICATE and not row.is_resent
        update = PayoutUpdate(
            state=State.REVIEW if is_used else State.UNKNOWN,
            payment_id=error.payment_id,
            code=error.code,
            evidence=f"{_USED_BEFORE}; {error}" if is_used else str(error),
        )
        merchant_transaction_id = row.order.merchant_transaction_id
        state = await self.journal.record(merchant_transaction_id, update, attempt=attempt)
        if state is not None and state.is_end:
            # This update ended the row, or an earlier callback did.
            await report_ended(self.job_run, self.journal, [row.id])

    async def record(
        self, row: Row, result: OperationResult, attempt: int, *, seconds: float | None = None
    ) -> State | None:
        """Record a result, and report the row if it has ended.

        Args:
            row: The row.
            result: The gateway's answer, or the result of an inquiry.
            attempt: The attempt that the result belongs to.
            seconds: How long the answer took.

        Returns:
            The row's state afterwards; None if the journal has no such row.
        """
        update = PayoutUpdate.from_status(result, seconds=seconds)
        if getattr(result, "duplicate", False) and not row.is_resent:
            # Another program sent a payout with this id, or it was sent before this journal was made.
            update = evolve(
                update,
                state=State.REVIEW,
                evidence=f"{_USED_BEFORE}; the gateway has payment {result.payment_id}",
            )
        merchant_transaction_id = row.order.merchant_transaction_id
        state = await self.journal.record(merchant_transaction_id, update, attempt=attempt)
        if state is not None and state.is_end:
            # A row on the review list has no outcome until a person decides.
            is_own = state is update.state and state is not State.REVIEW
            await self.job_run.report(
                row.id,
                PayoutResult(
                    order=row.order,
                    state=state,
                    outcome=result.outcome if is_own else OUTCOMES[state],
                    payment_id=result.payment_id,
                    result=result,
                    evidence=update.evidence,
                ),
            )
        return state
