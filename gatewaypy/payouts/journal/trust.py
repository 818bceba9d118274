"""A journal's own row: its key, and the mark of a journal that was restored, which only a person ends."""

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
    """What happened to a journal as a whole: what, why, and by whom. The time is the store's, in UTC, for people alone."""

    happened_at: object
    event: str
    reason: str
    person: str


@define(eq=False)
class JournalTrust:
    """Knows whether a journal is trusted about the orders that it does not hold.

    Args:
        store: The journal's store.
        file: The file next to it; ``None`` where there is none.
        is_looking: Only looks: no lock is held, and no mark is written.
    """

    store: Store
    file: JournalLock | None
    is_looking: bool = False
    #: The key of the orders' fingerprints, once it is open.
    key: bytes = b""
    #: Whether the journal counts as restored, as far as this object knows.
    is_restored: bool = False
    _seen: str = ""

    async def begin(self) -> None:
        """Read what the journal keeps of itself; mark it where it is found to have lost rows."""
        # Whoever sends writes the file last: a count that is read first is never ahead of the store.
        tally = (
            None if self.file is None else self.file.look() if self.is_looking else self.file.tally
        )
        # Only the file counts intents, and without one there is nothing to compare a read of all rows with.
        count = (
            ()
            if self.file is None
            else (("SELECT COALESCE(SUM(attempt), 0) FROM gatewaypy_payouts", ()),)
        )
        _, kept, *counted = await self.store.run(
            (
                "INSERT INTO gatewaypy_journal (id, key, home) VALUES (1, ?, ? || {table_id gatewaypy_journal})"
                " ON CONFLICT (id) DO NOTHING",
                (secrets.token_hex(32), self.store.home),
            ),
            (
                "SELECT key, home, restored, opening, opening_before, opening_intents, lost, ? || {table_id gatewaypy_journal}"
                " FROM gatewaypy_journal WHERE id = 1",
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
            # The names of openings are no sign here: another process may be opening it at this moment.
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
        # What is lost is accounted for, so that the next loss is seen as well; that there was one is what the mark says.
        missing = max(0, tally.intents - memory.intents)
        statements.append(
            (
                "UPDATE gatewaypy_journal SET opening = ?, opening_before = ?, opening_intents = ?, lost = lost + ? WHERE id = 1",
                (name, tally.opening, memory.intents + missing, missing),
            )
        )
        await self.store.run(*statements)
        self.file.begin(name, memory.intents)

    async def restored_because(self) -> str:
        """Return why the journal counts as restored; empty where it does not."""
        (rows,) = await self.store.run(("SELECT restored FROM gatewaypy_journal WHERE id = 1", ()))
        return str(rows[0][0]) or self._seen

    async def trust(self, because: str, person: str) -> bool:
        """End the mark; false where there was none."""
        reason = checked_reason(because)
        _, ended = await self.store.run(
            (
                "INSERT INTO gatewaypy_journal_history (event, reason, person) SELECT 'trusted', ?, ? FROM gatewaypy_journal"
                " WHERE id = 1 AND restored <> ''",
                (reason, person),
            ),
            (
                "UPDATE gatewaypy_journal SET restored = '' WHERE id = 1 AND restored <> '' RETURNING id",
                (),
            ),
        )
        self.is_restored = False
        return bool(ended)

    async def distrust(self, because: str, person: str) -> None:
        """Mark the journal as restored, by what a person knows."""
        await self.store.run(*_mark("distrusted", checked_reason(because), person))
        self.is_restored = True

    async def history(self) -> list[HistoryEntry]:
        """Return what happened to the journal as a whole, the first first."""
        (rows,) = await self.store.run(
            (
                "SELECT happened_at, event, reason, person FROM gatewaypy_journal_history ORDER BY id",
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
    """Return a person's reason as it is kept.

    Raises:
        InvalidRequest: It is empty, or not one line of text.
    """
    if not because.strip() or not because.isprintable():
        raise InvalidRequest("because", "the reason, in words on one line")
    if contains(because):
        raise InvalidRequest(
            "because", "must not contain a card number; its last four digits will do"
        )
    return because.strip()
