"""Feeding a run: rows that are planned already come first, then new orders as they are read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from attrs import define

from gatewaypy.models import Outcome
from gatewaypy.payouts.journal.rows import Conflict
from gatewaypy.payouts.order_stream import group_orders
from gatewaypy.payouts.run import PayoutResult
from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from gatewaypy.payouts.journal.journal import Journal
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.payouts.run import Run

_ORDERS_PER_PLAN: Final = 256


@define(eq=False)
class OrderFeed:
    """Puts rows into a run's queue.

    Args:
        job_run: The run.
        journal: The journal.
        batch: The name of the new orders in the journal.
    """

    job_run: Run
    journal: Journal
    batch: str

    async def run(self, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]) -> None:
        """Feed until the orders end, or until the run is stopped while they yield nothing."""
        run = self.job_run
        feeding = asyncio.ensure_future(self._feed(orders))
        stopped = asyncio.ensure_future(run.stopping.wait())
        try:
            await asyncio.wait({feeding, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.cancelled():
                # The source of the orders did it. This must not look like the end of the orders,
                # because no journal has the rest of them.
                run.break_off(
                    RuntimeError(
                        "the stream of orders was cancelled from within; the rest of them was not"
                        " read"
                    )
                )
        finally:
            stopped.cancel()
            feeding.cancel()
            await asyncio.wait({feeding})

    async def _feed(self, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]) -> None:
        try:
            await self._feed_planned()
            async with contextlib.aclosing(group_orders(orders, _ORDERS_PER_PLAN)) as groups:
                async for group in groups:
                    if self.job_run.stopping.is_set():
                        return
                    await self._plan(group)
        except Exception as error:  # noqa: BLE001 - payouts in progress end before it is raised
            self.job_run.break_off(error)

    async def _feed_planned(self) -> None:
        run, after = self.job_run, 0
        while not run.stopping.is_set() and (
            rows := await self.journal.claim(State.PLANNED, after=after)
        ):
            run.open.update(row.id for row in rows)
            for row in rows:
                await run.queue.put(row)
            after = rows[-1].id

    async def _plan(self, orders: list[PayoutOrder]) -> None:
        run = self.job_run
        rows = await self.journal.plan(orders, batch=self.batch)
        for order, row in zip(orders, rows, strict=True):
            if isinstance(row, Conflict):
                await run.results.put(
                    PayoutResult(
                        order=order, state=None, outcome=Outcome.UNKNOWN, evidence=row.evidence
                    )
                )
            elif row is not None:
                run.open.add(row.id)
                if row.state is State.PLANNED:
                    await run.queue.put(row)
                else:
                    # A row that is new to a restored journal is unknown; the poller resolves it.
                    run.followed.add(row.id)
