"""The key of a journal, and the mark of a restored journal, which only a person ends."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.pan import contains
from gatewaypy.payouts.journal.restoration import (
    DECIDED_SINCE,
    OPEN_IN_RESTORED,
    Memory,
    sign_of_loss,
)
from gatewaypy.payouts.journal.sql import DOUBT, DOUBT_REVIEWED, MARK, REMEMBER

if TYPE_CHECKING:
    from gatewaypy.payouts.journal.lock import JournalLock
    from gatewaypy.storage import Statement, Store


@frozen
class HistoryEntry:
    """An event of a journal as a whole. The time is the store's, in UTC, for information."""

    happened_at: object
    event: str
    reason: str
    person: str


@define(eq=False)
class JournalTrust:
    """Whether a journal counts as restored, so that a missing order may have been sent.

    Args:
        store: The journal's store.
        file: The file next to it; None if there is none.
        is_looking: Only read: no lock is held, and no mark is written.
    """

    store: Store
    file: JournalLock | None
    is_looking: bool = False
    #: The key of the orders' fingerprints, set when the journal is opened.
    key: bytes = b""
    #: Whether the journal counted as restored when this object read it last.
    is_restored: bool = False
    _seen: str = ""

    async def begin(self) -> None:
        """Read the journal's own row; mark the journal if it has lost rows."""
        # A sending process writes the file last, so that a count that is read first is never ahead
        # of the store.
        tally = (
            None if self.file is None else self.file.look() if self.is_looking else self.file.tally
        )
        # Without the file there is no count to compare the rows with.
        count = (
            ()
            if self.file is None
            else (("SELECT COALESCE(SUM(attempt), 0) FROM gatewaypy_payouts", ()),)
        )
        _, kept, *counted = await self.store.run(
            (
                "INSERT INTO gatewaypy_journal (id, key, home)"
                " VALUES (1, ?, ? || {table_id gatewaypy_journal}) ON CONFLICT (id) DO NOTHING",
                (secrets.token_hex(32), self.store.home),
            ),
            (
                "SELECT key, home, restored, opening, opening_before, opening_intents, lost,"
                " ? || {table_id gatewaypy_journal} FROM gatewaypy_journal WHERE id = 1",
                (self.store.home,),
            ),
            *count,
        )
        ((key, home, restored, opening, before, opening_intents, lost, here),) = kept
        intents = counted[0][0][0] if counted else 0
        self.key = bytes.fromhex(key)
        memory = Memory(
            home=home,
            opening=opening,
            opening_before=before,
            opening_intents=int(opening_intents),
            intents=int(intents) + int(lost),
        )
        if self.is_looking:
            # Names of openings may differ here: another process may be opening the journal.
            self._seen = sign_of_loss(
                memory, here, None if tally is None else evolve(tally, opening=opening)
            )
            self.is_restored = bool(restored or self._seen)
            return
        sign = sign_of_loss(memory, here, tally)
        self.is_restored = bool(restored or sign)
        await self._open(memory, here, sign)

    async def _open(self, memory: Memory, here: str, sign: str) -> None:
        statements = _mark("found", sign, "") if sign else []
        statements.append(("UPDATE gatewaypy_journal SET home = ? WHERE id = 1", (here,)))
        if self.file is None:
            await self.store.run(*statements)
            return
        tally, name = self.file.tally, secrets.token_hex(16)
        # Lost intents are counted, so that the next loss is noticed too.
        missing = max(0, tally.intents - memory.intents)
        statements.append(
            (
                "UPDATE gatewaypy_journal SET opening = ?, opening_before = ?, opening_intents = ?,"
                " lost = lost + ? WHERE id = 1",
                (name, tally.opening, memory.intents + missing, missing),
            )
        )
        await self.store.run(*statements)
        self.file.begin(name, memory.intents)

    async def restored_because(self) -> str:
        """Return why the journal counts as restored; empty if it does not."""
        (rows,) = await self.store.run(("SELECT restored FROM gatewaypy_journal WHERE id = 1", ()))
        return str(rows[0][0]) or self._seen

    async def trust(self, because: str, person: str) -> bool:
        """End the mark; return False if there was none."""
        reason = checked_reason(because)
        _, ended = await self.store.run(
            (
                "INSERT INTO gatewaypy_journal_history (event, reason, person)"
                " SELECT 'trusted', ?, ? FROM gatewaypy_journal WHERE id = 1 AND restored <> ''",
                (reason, person),
            ),
            (
                "UPDATE gatewaypy_journal SET restored = ''"
                " WHERE id = 1 AND restored <> '' RETURNING id",
                (),
            ),
        )
        self.is_restored = False
        return bool(ended)

    async def distrust(self, because: str, person: str) -> None:
        """Mark the journal as restored, on a person's decision."""
        await self.store.run(*_mark("distrusted", checked_reason(because), person))
        self.is_restored = True

    async def history(self) -> list[HistoryEntry]:
        """Return the events of the journal as a whole, ordered by time."""
        (rows,) = await self.store.run(
            (
                "SELECT happened_at, event, reason, person"
                " FROM gatewaypy_journal_history ORDER BY id",
                (),
            )
        )
        return [HistoryEntry(*row) for row in rows]


def _mark(event: str, reason: str, person: str) -> list[Statement]:
    statements: list[tuple[str, tuple[Any, ...]]] = [
        (MARK, (reason,)),
        (DOUBT, (OPEN_IN_RESTORED,)),
        (DOUBT_REVIEWED, (DECIDED_SINCE,)),
        (REMEMBER, (event, reason, person)),
    ]
    return [*statements]


def checked_reason(because: str) -> str:
    """Return a person's reason as it is stored.

    Raises:
        InvalidRequest: It is empty, or not one line of text.
    """
    if not because.strip() or not because.isprintable():
        raise InvalidRequest("because", "must be a reason on one line")
    if contains(because):
        raise InvalidRequest("because", "must not contain a card number; use its last four digits")
    return because.strip()
