"""One run of a payout job: what is on its way, what came of it, and why it ends early, where it does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatewaypy.config import Credentials
    from gatewaypy.models import OperationResult, Outcome, Payout, Transaction
    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.payouts.states import State
    from gatewaypy.payouts.throttle import Throttle


class PayoutClient(Protocol):
    """What a job needs of a `Gateway`; a client with a ``platform`` is also compared with the journal's own gateway."""

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
class Run:
    """One run; ``places`` are the payouts that may be on their way at a time.

    ``open`` has the ids of the rows that this run fed or took over and whose end it has not
    reported; ``followed`` those of them that are inquired about, or that another process has.
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

    async def report(self, number: int, result: PayoutResult) -> None:
        """Give a row's result, once: whoever learns of its end first."""
        if number in self.open:
            self.open.discard(number)
            self.followed.discard(number)
            await self.results.put(result)

    def stop(self) -> None:
        """Begin nothing any more."""
        self.stopping.set()
        self.wake.set()
        self.throttle.stop()

    def fail(self, error: Exception) -> None:
        """End for a reason; what is on its way ends first, and is journalled."""
        self.failure = self.failure or error
        self.stop()

    def break_off(self, error: Exception) -> None:
        """End once what is planned was sent: no more orders can be read."""
        self.failure = self.failure or error

    async def drain(self) -> None:
        """Stop, and wait for the end of what is on its way; its results, which nobody takes any more, are in the journal."""
        self.stop()
        driver = self.driver
        while driver is not None and not driver.done():
            taking = asyncio.ensure_future(self.results.get())
            await asyncio.wait({driver, taking}, return_when=asyncio.FIRST_COMPLETED)
            taking.cancel()
        if driver is not None and not driver.cancelled():
            # Looking at its error, which is this run's failure, keeps asyncio from complaining of one that nobody waited for.
            driver.exception()
