"""A chunk of a batch, and a shared journal narrowed to it: what one worker may touch."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from attrs import frozen

from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.journal.sql import COUNT_UNSETTLED, LAST_ID, LEFT, select_merged_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.payouts.journal.rows import Row
    from gatewaypy.payouts.states import State


@frozen
class Chunk:
    """The orders of one batch whose journal ids lie in a range: all that a message in the broker says."""

    batch: str
    first: int = 0
    last: int = LAST_ID


@frozen
class Left:
    """How many rows a chunk has, how many of them are open, and how many of those are this run's own."""

    rows: int
    open: int
    own: int


class ChunkJournal(Journal):
    """A journal narrowed to one chunk, with an owner of its own: two runs over one chunk know each other's rows apart."""

    def __init__(self, journal: Journal, chunk: Chunk) -> None:
        """Share what the journal has open, whatever that is."""
        vars(self).update(vars(journal))
        self.owner = secrets.token_hex(8)
        self._chunk = chunk
        if self._file is not None:
            msg = "a journal in a file belongs to one machine: many share one in PostgreSQL"
            raise ConfigurationError(msg)

    async def claim(
        self,
        state: State,
        *,
        after: int = 0,
        most: int = 256,
        batch: str | None = None,
        last: int | None = None,
    ) -> list[Row]:
        """Make rows of the chunk one's own; see `Journal.claim`."""
        chunk, first, last = self._chunk, self._after(after), self._last(last)
        return await super().claim(
            state, after=first, most=most, batch=chunk.batch if batch is None else batch, last=last
        )

    async def owned_rows(
        self, state: State, *, after: int = 0, most: int = 256, last: int | None = None
    ) -> list[Row]:
        """Return rows of the chunk that are one's own already; see `Journal.owned_rows`."""
        return await super().owned_rows(
            state, after=self._after(after), most=most, last=self._last(last)
        )

    def _after(self, number: int) -> int:
        return max(number, self._chunk.first - 1)

    def _last(self, number: int | None) -> int:
        return self._chunk.last if number is None else min(number, self._chunk.last)

    async def left(self) -> Left:
        """Count what is left to be done; an order that is pending is done with, until somebody asks about it again."""
        chunk = self._chunk
        (rows,) = await self._store.run(
            (LEFT, (chunk.first, chunk.last, self.owner, self._member, chunk.batch))
        )
        return Left(*map(int, rows[0]))

    async def open_orders(self) -> int:
        """Count the orders that are left to be done, however many are settled: by the index of open ones alone."""
        chunk = self._chunk
        (rows,) = await self._store.run(
            (COUNT_UNSETTLED, (self._member, chunk.batch, chunk.first, chunk.last))
        )
        return int(rows[0][0])

    async def parts(
        self, size: int, *states: State, are_unclaimed: bool = False
    ) -> AsyncIterator[Chunk]:
        """Cut what is in some states into chunks of at most that many orders.

        Args:
            size: The most orders of a chunk.
            states: Whose orders are wanted.
            are_unclaimed: Leave out what a worker has begun: it has not the fence any more that it was planned with.
        """
        after = self._chunk.first - 1
        sql = select_merged_page("id, fence", "member, batch", states)
        while True:
            page = (self._member, self._chunk.batch, after, size, self._chunk.last)
            (rows,) = await self._store.run((sql, (*page * len(states), size)))
            if not rows:
                return
            after = rows[-1][0]
            numbers = [number for number, fence in rows if not are_unclaimed or fence == 0]
            if numbers:
                yield Chunk(self._chunk.batch, numbers[0], numbers[-1])
