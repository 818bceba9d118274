"""Inquiries about payouts without a known outcome, in rounds, until each has one."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.backoff import Backoff, interruptible_sleep
from gatewaypy.errors import AuthenticationFailed, ConfigurationError, GatewayError
from gatewaypy.models import Outcome
from gatewaypy.payouts.run import PayoutResult
from gatewaypy.payouts.states import State
from gatewaypy.protocol.inquiry import Unresolved, resolve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from gatewaypy.interfaces import PayoutClient
    from gatewaypy.models import OperationResult
    from gatewaypy.payouts.journal.journal import Journal
    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.run import Run

_CONCURRENT_INQUIRIES: Final = 64
_LOOK_UP_LIMIT: Final = 256
#: The outcome of a row in an end state.
OUTCOMES: Final = {
    State.SUCCEEDED: Outcome.SUCCEEDED,
    State.FAILED: Outcome.FAILED,
    State.REVIEW: Outcome.UNKNOWN,
}
_MAX_INITIAL_DELAY: Final = 0.1
_MIN_INITIAL_DELAY: Final = 0.01
_MAX_DELAY: Final = 10.0


@define(eq=False)
class Rounds:
    """The delays between rounds of inquiries, and the time without an unknown row.

    Args:
        clock: Seconds since this machine started.
        quiet_period: Shorter quiet periods have shorter delays, in seconds.
        pending_timeout: How long to inquire about pending rows once no row is unknown, in seconds.
    """

    clock: Callable[[], float]
    quiet_period: float
    pending_timeout: float
    _number: int = 0
    _resolved_since: float | None = None

    def is_last(self, unknown: int, pending: int) -> bool:
        """Return whether a round after the last order needs no further round.

        Args:
            unknown: How many rows are still unknown.
            pending: How many rows are still pending.
        """
        if unknown:
            return False
        if self._resolved_since is None:
            self._resolved_since = self.clock()
        return not pending or self.clock() - self._resolved_since >= self.pending_timeout

    def next_delay(self) -> float:
        """Return the delay before the next round, in seconds."""
        initial = min(_MAX_INITIAL_DELAY, max(self.quiet_period / 4, _MIN_INITIAL_DELAY))
        limit = min(max(_MAX_INITIAL_DELAY, self.quiet_period / 8), _MAX_DELAY)
        delay = Backoff(initial, limit, factor=1.5).delay(self._number)
        self._number += 1
        return delay


@define(eq=False, kw_only=True)
class OutcomePoller:
    """Resolves one run's unknown and pending rows.

    Args:
        job_run: The run.
        gateway: Answers the inquiries.
        journal: The journal.
        clock: Seconds since this machine started.
        quiet_period: How long the gateway must not find a payout before it counts as not executed,
            in seconds.
        pending_timeout: See `Rounds`.
        record: Records the result of an inquiry, and returns the row's state afterwards.
        resend: Sends a row that is planned again; None if a person decides about rows that are
            not found.
    """

    job_run: Run
    gateway: PayoutClient
    journal: Journal
    clock: Callable[[], float]
    quiet_period: float
    pending_timeout: float
    record: Callable[[Row, OperationResult, int], Awaitable[State | None]]
    resend: Callable[[Row], Awaitable[None]] | None
    _seen: set[int] = field(factory=set, init=False)

    async def run(self) -> None:
        """Inquire until every row is resolved; an error ends the run after the open sends."""
        try:
            await self._inquire_until_resolved()
            await self._report_pending()
        except Exception as error:  # noqa: BLE001 - the driver raises it
            self.job_run.fail(error)

    async def _inquire_until_resolved(self) -> None:
        run = self.job_run
        rounds = Rounds(self.clock, self.quiet_period, self.pending_timeout)
        while True:
            was_fed = run.fed
            self._seen.clear()
            unknown = await self._inquire_all(State.UNKNOWN)
            pending = await self._inquire_all(State.PENDING)
            if not run.stopping.is_set():
                # A callback, a person or another process ended the rows that are no longer there.
                await report_ended(run, self.journal, run.followed - self._seen)
            if run.stopping.is_set() or (was_fed and rounds.is_last(unknown, pending)):
                return
            delay = max(rounds.next_delay(), getattr(self.gateway, "retry_delay", 0.0))
            await interruptible_sleep(run.wake, delay)
            run.wake.clear()

    async def _inquire_all(self, state: State) -> int:
        """Inquire about every row in a state; return how many stay in it."""
        count, after = 0, 0
        while rows := await self.journal.owned_rows(
            state, after=after, limit=_CONCURRENT_INQUIRIES
        ):
            after = rows[-1].id
            self._seen.update(row.id for row in rows)
            # If one inquiry fails, the answers of the others are recorded first.
            states = await asyncio.gather(
                *(self._inquire(row) for row in rows), return_exceptions=True
            )
            for found in states:
                if isinstance(found, asyncio.CancelledError):
                    msg = "the gateway client cancelled an inquiry; run the job again"
                    raise RuntimeError(msg)  # noqa: TRY004 - this task was not cancelled
                if isinstance(found, BaseException):
                    raise found
            count += sum(found is state for found in states)
            if self.job_run.stopping.is_set():
                break
        return count

    async def _inquire(self, row: Row) -> State | None:
        order = row.order
        # An answer is about the moment of the inquiry, however long it takes or the process sleeps.
        asked_at = self.clock()
        try:
            transaction = await self.gateway.inquire(
                merchant_transaction_id=order.merchant_transaction_id
            )
        except (AuthenticationFailed, ConfigurationError) as error:
            # Every other inquiry would fail too.
            self.job_run.fail(error)
            return row.state
        except GatewayError:
            # A missing answer is not "not found".
            await self.journal.clear_not_found(row)
            return row.state
        if not transaction.found:
            return await self._not_found(row, asked_at)
        await self.journal.clear_not_found(row)
        resolved = resolve(order.to_request(self.gateway.credentials), transaction)
        if not isinstance(resolved, Unresolved):
            return await self.record(row, resolved, row.attempt)
        return await self._move_to_review(row, resolved.reason) if resolved.final else row.state

    async def _not_found(self, row: Row, asked_at: float) -> State | None:
        if row.state is not State.UNKNOWN:
            # It was found before. If the gateway has lost it, it must still not be sent again.
            return row.state
        since = await self.journal.record_not_found(row, self.clock())
        if asked_at - since < self.quiet_period:
            return State.UNKNOWN
        # A row without an attempt is new to a restored journal, which may have lost one.
        attempt = f" after attempt {row.attempt}" if row.attempt else "; no attempt is known"
        evidence = f"not found for {asked_at - since:.0f} s{attempt}"
        if self.resend is None:
            return await self._move_to_review(row, evidence, is_absent=True)
        planned = await self.journal.replan(
            row, f"{evidence}; sent again, because the platform refuses a used id"
        )
        if planned is not None:
            await self.resend(planned)
        # The next round inquires about the result.
        return State.UNKNOWN

    async def _move_to_review(
        self, row: Row, evidence: str, *, is_absent: bool = False
    ) -> State | None:
        if not await self.journal.move_to_review(row, evidence, is_absent=is_absent):
            # The row has another state or another owner; the next round reads it again.
            return None
        result = PayoutResult(
            order=row.order, state=State.REVIEW, outcome=Outcome.UNKNOWN, evidence=evidence
        )
        await self.job_run.report(row.id, result)
        return State.REVIEW

    async def _report_pending(self) -> None:
        after = 0
        while rows := await self.journal.owned_rows(State.PENDING, after=after):
            after = rows[-1].id
            for row in rows:
                await self.job_run.report(
                    row.id,
                    PayoutResult(
                        order=row.order,
                        state=State.PENDING,
                        outcome=Outcome.PENDING,
                        payment_id=row.payment_id,
                    ),
                )


async def report_ended(run: Run, journal: Journal, row_ids: Iterable[int]) -> None:
    """Report those of some rows that a callback, a person or another process has ended."""
    remaining = iter(sorted(row_ids))
    while page := list(itertools.islice(remaining, _LOOK_UP_LIMIT)):
        for row, evidence in await journal.ended(page):
            result = PayoutResult(
                order=row.order,
                state=row.state,
                outcome=OUTCOMES[row.state],
                payment_id=row.payment_id,
                evidence=evidence,
            )
            await run.report(row.id, result)
