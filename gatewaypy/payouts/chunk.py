"""A chunk of a batch, and a shared journal narrowed to it: what one worker may touch."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal import Journal
from gatewaypy.payouts.schema import COLUMNS
from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.payouts.rows import Row

_LAST_ID: Final = 2**63 - 1


@frozen
class Chunk:
    """The orders of one batch whose journal ids lie in a range: all that a message in the broker says."""

    batch: str
    first: int = 0
    last: int = _LAST_ID


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

    async def take(
        self, state: State, *, after: int = 0, most: int = 256, batch: str | None = None, last: int | None = None
    ) -> list[Row]:
        """Make rows of the chunk one's own; see `Journal.take`."""
        now = State.UNKNOWN if state is State.SENDING else state
        # The state is asked for twice: where another transaction holds a row, PostgreSQL waits for it and then looks at the outer
        # condition alone. Without it a row whose intent was just written would be planned once more, and sent by two.
        # It stands in the text, since a prepared statement with a parameter in its place cannot use the index of open rows.
        (rows,) = await self._store.run(
            (
                f"UPDATE gatewaypy_payouts SET owner = ?, fence = fence + 1, state = '{now.value}' WHERE state = '{state.value}'"  # noqa: S608
                f" AND id IN (SELECT id FROM gatewaypy_payouts WHERE state = '{state.value}' AND member = ? AND batch = ?"
                f" AND id > ? AND id <= ? ORDER BY id LIMIT ?) RETURNING {COLUMNS}",
                (
                    *(self.owner, self._member, self._chunk.batch if batch is None else batch),
                    *(max(after, self._chunk.first - 1), min(last or _LAST_ID, self._chunk.last), most),
                ),
            )
        )
        return sorted((self._row(row) for row in rows), key=lambda row: row.id)

    async def mine(self, state: State, *, after: int = 0, most: int = 256) -> list[Row]:
        """Return rows of the chunk that are one's own already; see `Journal.mine`."""
        (rows,) = await self._store.run(
            (
                f"SELECT {COLUMNS} FROM gatewaypy_payouts WHERE state = '{state.value}' AND owner = ? AND member = ?"  # noqa: S608
                " AND id > ? AND id <= ? ORDER BY id LIMIT ?",
                (self.owner, self._member, max(after, self._chunk.first - 1), self._chunk.last, most),
            )
        )
        return [self._row(row) for row in rows]

    async def left(self) -> Left:
        """Count what is left to be done; an order that is pending is done with, until somebody asks about it again."""
        (rows,) = await self._store.run(
            (
                "SELECT COUNT(*), COALESCE(SUM(CASE WHEN state IN ('planned', 'sending', 'unknown') THEN 1 ELSE 0 END), 0),"
                " COALESCE(SUM(CASE WHEN state IN ('planned', 'sending', 'unknown') AND owner = ? THEN 1 ELSE 0 END), 0)"
                " FROM gatewaypy_payouts WHERE member = ? AND batch = ? AND id >= ? AND id <= ?",
                (self.owner, self._member, self._chunk.batch, self._chunk.first, self._chunk.last),
            )
        )
        return Left(*map(int, rows[0]))

    async def open_orders(self) -> int:
        """Count the orders that are left to be done, however many are settled: by the index of open ones alone."""
        (rows,) = await self._store.run(
            (
                "SELECT COUNT(*) FROM gatewaypy_payouts WHERE state IN ('planned', 'sending', 'unknown') AND member = ?"
                " AND batch = ? AND id >= ? AND id <= ?",
                (self._member, self._chunk.batch, self._chunk.first, self._chunk.last),
            )
        )
        return int(rows[0][0])

    async def parts(self, size: int, *, states: str) -> AsyncIterator[Chunk]:
        """Cut what is in some states, given as SQL, into chunks of at most that many orders."""
        after = self._chunk.first - 1
        while True:
            (rows,) = await self._store.run(
                (
                    f"SELECT id FROM gatewaypy_payouts WHERE {states} AND member = ? AND batch = ? AND id > ? AND id <= ?"  # noqa: S608
                    " ORDER BY id LIMIT ?",
                    (self._member, self._chunk.batch, after, self._chunk.last, size),
                )
            )
            if not rows:
                return
            after = rows[-1][0]
            yield Chunk(self._chunk.batch, rows[0][0], after)
