"""One run of a payout job: its queues, its open rows and its failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from gatewaypy.models import OperationResult, Outcome
    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.payouts.states import State
    from gatewaypy.payouts.throttle import Throttle


@frozen(kw_only=True)
class PayoutResult:
    """The result of an order in this run.

    Args:
        order: The order.
        state: ``SUCCEEDED``, ``FAILED``, ``REVIEW`` (a person has to decide) or ``PENDING`` (a
            callback or a later run reports the outcome). None if the journal has the id with
            another amount or payee, or cannot store the order; it was not sent then.
        outcome: The outcome.
        payment_id: The gateway's id, if it is known.
        result: The gateway's answer, if there was one.
        evidence: The reason, if the gateway did not decide.
    """

    order: PayoutOrder
    state: State | None
    outcome: Outcome
    payment_id: str | None = None
    result: OperationResult | None = None
    evidence: str | None = None


@define(eq=False)
class Run:
    """One run.

    Args:
        results: The results for the caller; None at the end.
        queue: The rows to send; None for each sender at the end.
        places: Limits the payouts in flight.
        throttle: Limits how fast payouts begin.
        driver: The task of the run.
        stopping: Set if no further payout may begin.
        wake: Ends the poller's delay.
        fed: Whether every row has been sent.
        failure: Why the run ends early.
        open: Ids of the rows that this run planned or claimed and has not reported.
        followed: Those of them that are inquired about, or that another process owns.
    """

    results: asyncio.Queue[PayoutResult | None]
    queue: asyncio.Queue[Row | None]
    places: asyncio.Semaphore
    throttle: Throttle
    driver: asyncio.Task[None] | None = None
    stopping: asyncio.Event = field(factory=asyncio.Event)
    wake: asyncio.Event = field(factory=asyncio.Event)
    fed: bool = False
    failure: Exception | None = None
    open: set[int] = field(factory=set)
    followed: set[int] = field(factory=set)

    async def report(self, row_id: int, result: PayoutResult) -> None:
        """Report a row's result, once."""
        if row_id in self.open:
            self.open.discard(row_id)
            self.followed.discard(row_id)
            await self.results.put(result)

    def stop(self) -> None:
        """Let no payout begin any more."""
        self.stopping.set()
        self.wake.set()
        self.throttle.stop()

    def fail(self, error: Exception) -> None:
        """End the run for an error, after the payouts in flight."""
        self.failure = self.failure or error
        self.stop()

    def break_off(self, error: Exception) -> None:
        """End the run for an error, after the planned payouts; no further order can be read."""
        self.failure = self.failure or error

    async def drain(self) -> None:
        """Stop, and wait for the payouts in flight. Their results are in the journal only."""
        self.stop()
        driver = self.driver
        while driver is not None and not driver.done():
            reading = asyncio.ensure_future(self.results.get())
            await asyncio.wait({driver, reading}, return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()
        if driver is not None and not driver.cancelled():
            # Without this, asyncio logs the error, which is the run's failure, as never retrieved.
            driver.exception()
