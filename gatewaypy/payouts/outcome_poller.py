"""Asks what became of payouts whose end is not plain, round after round, until it is or patience ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.errors import AuthenticationFailed, ConfigurationError, GatewayError
from gatewaypy.models import Outcome
from gatewaypy.payouts.run import PayoutResult
from gatewaypy.payouts.states import State
from gatewaypy.protocol.inquiry import Unresolved, resolve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from gatewaypy.models import OperationResult
    from gatewaypy.payouts.journal.journal import Journal
    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.run import PayoutClient, Run

_ASKED_AT_ONCE: Final = 64
_LOOKED_UP_AT_ONCE: Final = 256
#: What a row's end means, whoever ended it.
OUTCOMES: Final = {
    State.SUCCEEDED: Outcome.SUCCEEDED,
    State.FAILED: Outcome.FAILED,
    State.REVIEW: Outcome.UNKNOWN,
}
_LONGEST_PAUSE: Final = 10.0


@define(eq=False, kw_only=True)
class OutcomePoller:
    """Follows one run's unknown and pending rows.

    :param learn: writes down what an inquiry tells of a row, and returns the row's state then.
    :param resend: sends a row that is planned again; ``None`` where what is not found is for a person to decide.
    """

    run: Run
    gateway: PayoutClient
    journal: Journal
    clock: Callable[[], float]
    quiet_period: float
    pending_timeout: float
    learn: Callable[[Run, Row, OperationResult, int], Awaitable[State | None]]
    resend: Callable[[Run, Row], Awaitable[None]] | None
    _seen: set[int] = field(factory=set, init=False)

    async def follow(self) -> None:
        """Ask until every row is plain; a failure ends the run once what is on its way has ended."""
        try:
            await self._until_plain()
            await self._tell_pending()
        except Exception as error:  # noqa: BLE001 - the driver raises it
            self.run.fail(error)

    async def _until_plain(self) -> None:
        run, pause, since = self.run, min(0.1, max(self.quiet_period / 4, 0.01)), None
        while True:
            was_fed = run.fed
            self._seen.clear()
            unknown = await self._ask_all(State.UNKNOWN)
            pending = await self._ask_all(State.PENDING)
            if not run.stopping.is_set():
                # What was followed and is no longer there has ended by other hands: a callback, a person, another process.
                await report_ended(run, self.journal, run.followed - self._seen)
            if was_fed and not unknown:
                since = self.clock() if since is None else since
                if not pending or self.clock() - since >= self.pending_timeout:
                    return
            if run.stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, getattr(self.gateway, "retry_delay", 0.0))):
                    await run.wake.wait()
            run.wake.clear()
            pause = min(pause * 1.5, max(0.1, self.quiet_period / 8), _LONGEST_PAUSE)

    async def _ask_all(self, state: State) -> int:
        """Ask about every row of a state; return how many are left in it."""
        left, after = 0, 0
        while rows := await self.journal.owned_rows(state, after=after, limit=_ASKED_AT_ONCE):
            after = rows[-1].id
            self._seen.update(row.id for row in rows)
            # Whatever one of them meets, what the others were told is written down first.
            told = await asyncio.gather(*(self._ask(row) for row in rows), return_exceptions=True)
            for answer in told:
                if isinstance(answer, asyncio.CancelledError):
                    msg = "an inquiry was cancelled by what should have sent it"
                    raise RuntimeError(msg)  # noqa: TRY004 - nobody cancelled this task
                if isinstance(answer, BaseException):
                    raise answer
            left += sum(answer is state for answer in told)
            if self.run.stopping.is_set():
                break
        return left

    async def _ask(self, row: Row) -> State | None:
        order = row.order
        # An answer tells how things were when it was asked for, however long it then took, or this process slept.
        asked = self.clock()
        try:
            transaction = await self.gateway.inquire(
                merchant_transaction_id=order.merchant_transaction_id
            )
        except (AuthenticationFailed, ConfigurationError) as error:
            # No row will ever be plain by asking like this.
            self.run.fail(error)
            return row.state
        except GatewayError:
            # No answer is no absence: the gateway may know it all the same.
            await self.journal.clear_not_found(row)
            return row.state
        if not transaction.found:
            return await self._not_found(row, asked)
        await self.journal.clear_not_found(row)
        settled = resolve(order.to_request(self.gateway.credentials), transaction)
        if not isinstance(settled, Unresolved):
            return await self.learn(self.run, row, settled, row.attempt)
        return await self._give_to_review(row, settled.reason) if settled.final else row.state

    async def _not_found(self, row: Row, asked: float) -> State | None:
        if row.state is not State.UNKNOWN:
            # It was found before: a gateway that forgets is no reason to send anything.
            return row.state
        since = await self.journal.record_not_found(row, self.clock())
        if asked - since < self.quiet_period:
            return State.UNKNOWN
        # Without an attempt it is new to a restored journal, which may have lost one.
        attempt = f" after attempt {row.attempt}" if row.attempt else "; no attempt is known"
        evidence = f"not found for {asked - since:.0f} s{attempt}"
        if self.resend is None:
            return await self._give_to_review(row, evidence, is_absent=True)
        again = await self.journal.replan(
            row, f"{evidence}; sent again, as the platform refuses a used id"
        )
        if again is not None:
            await self.resend(self.run, again)
        # Whatever came of it, another round has to look.
        return State.UNKNOWN

    async def _give_to_review(
        self, row: Row, evidence: str, *, is_absent: bool = False
    ) -> State | None:
        if not await self.journal.move_to_review(row, evidence, is_absent=is_absent):
            # It has moved on meanwhile, or another has it: the next round looks what became of it.
            return None
        result = PayoutResult(
            order=row.order, state=State.REVIEW, outcome=Outcome.UNKNOWN, evidence=evidence
        )
        await self.run.report(row.id, result)
        return State.REVIEW

    async def _tell_pending(self) -> None:
        after = 0
        while rows := await self.journal.owned_rows(State.PENDING, after=after):
            after = rows[-1].id
            for row in rows:
                await self.run.report(
                    row.id,
                    PayoutResult(
                        order=row.order,
                        state=State.PENDING,
                        outcome=Outcome.PENDING,
                        payment_id=row.payment_id,
                    ),
                )


async def report_ended(run: Run, journal: Journal, numbers: Iterable[int]) -> None:
    """Report those of some rows that have ended without this run."""
    waiting = iter(sorted(numbers))
    while page := list(itertools.islice(waiting, _LOOKED_UP_AT_ONCE)):
        for row, evidence in await journal.ended(page):
            result = PayoutResult(
                order=row.order,
                state=row.state,
                outcome=OUTCOMES[row.state],
                payment_id=row.payment_id,
                evidence=evidence,
            )
            await run.report(row.id, result)
