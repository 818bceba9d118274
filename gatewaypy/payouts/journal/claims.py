"""Rows that a run claims, sends and inquires about.

A claim gives a row an owner and increments its fence. Each update of a claimed row compares both,
so that the previous owner cannot change the row. Only a row whose intent is recorded is sent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gatewaypy.payouts.journal.rows import Remaining, Row, Scope
from gatewaypy.payouts.journal.sql import (
    CLEAR_NOT_FOUND,
    COLUMNS,
    COUNT_REMAINING,
    COUNT_UNSETTLED,
    ENDED,
    MARK_REFUSED,
    MARK_UNSENT,
    MOVE_TO_REVIEW,
    RECORD_INTENT,
    RECORD_NOT_FOUND,
    REPLAN,
    claim_page,
    select_merged_page,
    select_page,
)
from gatewaypy.printable import printable
from gatewaypy.storage.batching import Batcher
from gatewaypy.storage.table_parameter import table_parameter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from gatewaypy.payouts.journal.lock import JournalLock
    from gatewaypy.payouts.journal.order_codec import OrderCodec
    from gatewaypy.payouts.states import State
    from gatewaypy.storage import Store


class RowClaims:
    """The rows of one merchant, as one owner claims and updates them; `Journal` adds the rest.

    Args:
        store: The journal's store.
        member_id: The merchant.
        codec: Reads and writes orders.
        lock: The file next to the journal, which counts intents; None if there is none.
    """

    def __init__(
        self, store: Store, member_id: str, codec: OrderCodec, lock: JournalLock | None
    ) -> None:
        """Create an owner."""
        self._store = store
        self._member = member_id
        self._codec = codec
        self._lock = lock
        self.scope = Scope()
        self.owner = secrets.token_hex(8)
        self._intents: Batcher[Row, int] = Batcher(self._record_intents, lambda row: row.id)

    # Claiming

    async def claim(self, state: State, *, after: int = 0, limit: int = 256) -> list[Row]:
        """Claim open rows in a state, ordered by id.

        A claim increments the fence of each row, so that updates by the previous owner fail. A
        claimed ``SENDING`` row becomes ``UNKNOWN``: its sender may have died, or may be slow.

        Args:
            state: State to claim from.
            after: Claim only rows with a greater id.
            limit: Maximum number of rows.

        Returns:
            The claimed rows; empty if no open row of this state is left in the scope.
        """
        scope = self.scope
        key, values = (
            ("member", (self._member,))
            if scope.batch is None
            else ("member, batch", (self._member, scope.batch))
        )
        after = self._first_after(after)
        while True:
            claimed, left = await self._store.run(
                (claim_page(key, state), (self.owner, *values, after, limit, scope.last_id)),
                (select_page("id", key, state), (*values, after, 1, scope.last_id)),
            )
            # If another process moves every row of the page, there may be further rows.
            if claimed or not left:
                return sorted(
                    (self._codec.read_row(row) for row in claimed), key=lambda row: row.id
                )

    async def owned_rows(self, state: State, *, after: int = 0, limit: int = 256) -> list[Row]:
        """Return the unknown or pending rows that this object has claimed, ordered by id.

        Args:
            state: ``UNKNOWN`` or ``PENDING``.
            after: Return only rows with a greater id.
            limit: Maximum number of rows.
        """
        page = (self.owner, self._first_after(after), limit, self.scope.last_id)
        (rows,) = await self._store.run((select_page(COLUMNS, "owner", state), page))
        return [self._codec.read_row(row) for row in rows]

    def _first_after(self, row_id: int) -> int:
        return max(row_id, self.scope.first_id - 1)

    async def count_remaining(self) -> Remaining:
        """Count the rows of the scope's batch, and those of them that are not settled.

        A pending order does not count, because a callback or a later inquiry resolves it.
        """
        scope = self.scope
        (rows,) = await self._store.run(
            (
                COUNT_REMAINING,
                (scope.first_id, scope.last_id, self.owner, self._member, scope.batch),
            )
        )
        return Remaining(*map(int, rows[0]))

    async def count_unsettled(self) -> int:
        """Count the rows of the scope's batch that are not settled, by the index of open rows."""
        scope = self.scope
        (rows,) = await self._store.run(
            (COUNT_UNSETTLED, (self._member, scope.batch, scope.first_id, scope.last_id))
        )
        return int(rows[0][0])

    async def split(
        self, size: int, *states: State, only_unclaimed: bool = False
    ) -> AsyncIterator[Scope]:
        """Split the scope's batch into scopes.

        Args:
            size: Maximum number of orders of a scope.
            states: States of the orders.
            only_unclaimed: Leave out rows that a worker has claimed before.
        """
        after = self._first_after(0)
        sql = select_merged_page("id, fence", "member, batch", states)
        while True:
            page = (self._member, self.scope.batch, after, size, self.scope.last_id)
            (rows,) = await self._store.run((sql, (*page * len(states), size)))
            if not rows:
                return
            after = rows[-1][0]
            ids = [row_id for row_id, fence in rows if not only_unclaimed or fence == 0]
            if ids:
                yield Scope(self.scope.batch, ids[0], ids[-1])

    async def ended(self, row_ids: Iterable[int]) -> list[tuple[Row, str | None]]:
        """Return those of some rows that have ended, with their evidence, for any owner."""
        ids = table_parameter((row_id,) for row_id in row_ids)
        (rows,) = await self._store.run((ENDED, (ids, self._member)))
        return [(self._codec.read_row(tuple(row)), evidence) for *row, evidence in rows]

    # Sending

    async def record_intent(self, row: Row) -> int:
        """Record that a row is about to be sent.

        The intent is on disk when this returns, and counted in the file next to the journal.

        Returns:
            The number of this attempt; 0 if the row has another owner or is not planned, so that
            it must not be sent.
        """
        return await self._intents(row)

    async def _record_intents(self, rows: list[Row]) -> list[int]:
        (moved,) = await self._store.run(
            (RECORD_INTENT, (table_parameter((row.id, row.owner, row.fence) for row in rows),))
        )
        if moved and self._lock is not None:
            self._lock.count(len(moved))
        attempts: dict[int, int] = dict(moved)
        return [attempts.get(row.id, 0) for row in rows]

    async def mark_unsent(self, row: Row, evidence: str) -> bool:
        """Record that no byte of a row left, so that it is planned again.

        Returns:
            False if the row has another owner.
        """
        (rows,) = await self._store.run(
            (MARK_UNSENT, (printable(evidence), row.id, row.owner, row.fence))
        )
        return bool(rows)

    async def mark_refused(self, row: Row, evidence: str) -> bool:
        """Record that the library refused a row: nothing was sent, and nothing will be.

        Returns:
            False if the row has another owner.
        """
        (rows,) = await self._store.run(
            (MARK_REFUSED, (printable(evidence), row.id, row.owner, row.fence))
        )
        return bool(rows)

    # Inquiring

    async def move_to_review(self, row: Row, evidence: str, *, is_absent: bool) -> bool:
        """Put a claimed row on the review list.

        Args:
            row: The row.
            evidence: Why a person has to decide.
            is_absent: The gateway does not know the row. A later inquiry or callback that knows it
                takes it off the list.

        Returns:
            False if the row has another owner or another state.
        """
        source = "absence" if is_absent else None
        (rows,) = await self._store.run(
            (MOVE_TO_REVIEW, (source, printable(evidence), row.id, row.owner, row.fence))
        )
        return bool(rows)

    async def record_not_found(self, row: Row, now: float) -> float:
        """Record that the gateway does not know a row.

        Args:
            row: The row.
            now: The caller's clock, in seconds.

        Returns:
            Since when this owner has found it so, by the same clock.
        """
        (rows,) = await self._store.run((RECORD_NOT_FOUND, (self.owner, now, self.owner, row.id)))
        return float(rows[0][0])

    async def clear_not_found(self, row: Row) -> None:
        """Record an answer other than "not found", so that the quiet period starts again."""
        await self._store.run((CLEAR_NOT_FOUND, (row.id,)))

    async def replan(self, row: Row, evidence: str) -> Row | None:
        """Plan an unknown row again under its own id, if the platform refuses a used id.

        Returns:
            The row with a new fence; None if it has another owner or another state.
        """
        (rows,) = await self._store.run(
            (REPLAN, (printable(evidence), row.id, row.owner, row.fence))
        )
        return self._codec.read_row(rows[0]) if rows else None
