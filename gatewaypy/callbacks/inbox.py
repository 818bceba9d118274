"""The inbox: a callback is in it before the gateway hears 200, and stays until its handlers have succeeded."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import frozen

from gatewaypy.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.storage import Store

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_inbox (
        id {serial},
        key TEXT NOT NULL UNIQUE,
        payment TEXT NOT NULL,
        member TEXT,
        signed INTEGER NOT NULL,
        fields TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due DOUBLE PRECISION NOT NULL,
        owner TEXT,
        lease DOUBLE PRECISION NOT NULL DEFAULT 0,
        note TEXT,
        received_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_open ON gatewaypy_inbox (payment, id) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_next ON gatewaypy_inbox (id) WHERE state = 'open'",
    """CREATE TABLE IF NOT EXISTS gatewaypy_progress (
        payment TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        evidence TEXT NOT NULL,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    """CREATE TABLE IF NOT EXISTS gatewaypy_watched (
        payment TEXT PRIMARY KEY,
        payment_id TEXT,
        merchant_transaction_id TEXT,
        due DOUBLE PRECISION NOT NULL,
        asked INTEGER NOT NULL DEFAULT 0
    )""",
)

#: What becomes of an event: open until its handlers have succeeded, then done; swallowed where it was no news; parked after too
#: many failures; review where it contradicts what is known, or the shop's own order; refused where it was unsigned and the
#: gateway does not know it.
STATES: Final = ("open", "done", "swallowed", "parked", "review", "refused")

# A machine that was restarted counts its clock from the start: a time further ahead than any that is ever set is in the past.
_HORIZON: Final = 4 * 3600.0

_NUMBERS: Final = frozenset({"number", "cvv", "card.number", "card.cvv"})


@frozen
class Entry:
    """An event as it lies in the inbox."""

    id: int
    key: str
    payment: str
    member: str | None
    signed: bool
    fields: dict[str, Any]
    attempts: int
    known: str | None
    known_by: str | None


@frozen
class Kept:
    """An event that waits for a person: its state, and why."""

    id: int
    key: str
    state: str
    attempts: int
    note: str | None
    fields: dict[str, Any]


def payment_of(member_id: str | None, merchant_transaction_id: str | None, payment_id: str | None) -> str:
    """Name a payment: events of one are handled in order, of several at once."""
    return json.dumps([member_id, merchant_transaction_id, payment_id], ensure_ascii=True)


class Inbox:
    """A durable inbox in SQLite or PostgreSQL.

    :param url: ``sqlite:///callbacks.db`` or ``postgresql://user@host/database``.
    :param lease: how many seconds an event belongs to the process that took it, unless renewed.
    """

    def __init__(self, url: str, *, lease: float = 60.0) -> None:
        """Choose the store; nothing is opened yet."""
        self._store: Store = open_store(url)
        self._owner = secrets.token_hex(8)
        self.lease = lease

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self._store.open(_SCHEMA)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        await self._store.aclose()

    async def put(self, event: CallbackEvent) -> bool:
        """Store an event; false where it was there already. When this returns the event is on disk."""
        (rows,) = await self._store.run(
            (
                "INSERT INTO gatewaypy_inbox (key, payment, member, signed, fields, state, due)"
                " VALUES (?, ?, ?, ?, ?, 'open', {now}) ON CONFLICT (key) DO NOTHING RETURNING id",
                (
                    event.key.hex(),
                    payment_of(event.member_id, event.merchant_transaction_id, event.payment_id),
                    event.member_id,
                    int(event.signed),
                    json.dumps(without_numbers(event.raw)),
                ),
            )
        )
        return bool(rows)

    async def take(self, most: int) -> list[Entry]:
        """Take events that are due: the oldest open one of each payment, in no other process's hands."""
        free = "(lease <= {now} OR lease > {now} + ?)"
        due = "(due <= {now} OR due > {now} + ?)"
        taken, progress = await self._store.run(
            (
                f"UPDATE gatewaypy_inbox SET owner = ?, lease = {{now}} + ? WHERE state = 'open' AND {free} AND id IN"  # noqa: S608 - no value
                f" (SELECT id FROM gatewaypy_inbox AS mine WHERE state = 'open' AND {due} AND {free} AND NOT EXISTS"
                " (SELECT 1 FROM gatewaypy_inbox AS earlier WHERE earlier.payment = mine.payment AND earlier.state = 'open'"
                " AND earlier.id < mine.id) ORDER BY id LIMIT ?)"
                " RETURNING id, key, payment, member, signed, fields, attempts",
                (self._owner, self.lease, _HORIZON, _HORIZON, _HORIZON, most),
            ),
            (
                "SELECT payment, state, evidence FROM gatewaypy_progress WHERE payment IN"
                " (SELECT payment FROM gatewaypy_inbox WHERE owner = ? AND state = 'open')",
                (self._owner,),
            ),
        )
        known = {payment: (state, evidence) for payment, state, evidence in progress}
        entries = [
            Entry(identifier, key, payment, member, bool(signed), json.loads(fields), attempts, *known.get(payment, (None, None)))
            for identifier, key, payment, member, signed, fields, attempts in taken
        ]
        return sorted(entries, key=lambda entry: entry.id)

    async def renew(self, identifiers: Iterable[int]) -> None:
        """Keep events in this process's hands for another lease."""
        statements = [
            ("UPDATE gatewaypy_inbox SET lease = {now} + ? WHERE id = ? AND owner = ?", (self.lease, identifier, self._owner))
            for identifier in identifiers
        ]
        if statements:
            await self._store.run(*statements)

    async def finish(self, entry: Entry, state: str, *, note: str | None = None, progress: str | None = None) -> None:
        """End an event, and in the same commit move its payment forward where ``progress`` says to."""
        statements: list[Any] = [
            (
                "UPDATE gatewaypy_inbox SET state = ?, note = ?, owner = NULL, lease = 0 WHERE id = ? AND owner = ?",
                (state, note, entry.id, self._owner),
            )
        ]
        if progress is not None:
            statements.append(
                (
                    "INSERT INTO gatewaypy_progress (payment, state, evidence) VALUES (?, ?, ?) ON CONFLICT (payment) DO UPDATE"
                    " SET state = excluded.state, evidence = excluded.evidence, changed_at = CURRENT_TIMESTAMP",
                    (entry.payment, progress, json.dumps(entry.fields)),
                )
            )
        await self._store.run(*statements)

    async def postpone(self, entry: Entry, seconds: float, *, note: str, counted: bool = True) -> None:
        """Try an event again after a while; ``counted`` where the try was the handlers'."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET attempts = attempts + ?, due = {now} + ?, note = ?, owner = NULL, lease = 0"
                " WHERE id = ? AND owner = ?",
                (int(counted), seconds, note, entry.id, self._owner),
            )
        )

    async def kept(self, *states: str) -> list[Kept]:
        """List events in these states, the oldest first: ``parked`` and ``review`` where none is named."""
        wanted = states or ("parked", "review")
        places = ", ".join("?" * len(wanted))
        (rows,) = await self._store.run(
            (f"SELECT id, key, state, attempts, note, fields FROM gatewaypy_inbox WHERE state IN ({places}) ORDER BY id", wanted)  # noqa: S608
        )
        return [
            Kept(identifier, key, state, attempts, note, json.loads(fields))
            for identifier, key, state, attempts, note, fields in rows
        ]

    async def replay(self, *identifiers: int) -> int:
        """Put parked events back, all of them where none is named; return how many."""
        chosen = f" AND id IN ({', '.join('?' * len(identifiers))})" if identifiers else ""
        put_back = "UPDATE gatewaypy_inbox SET state = 'open', attempts = 0, due = {now}, note = NULL WHERE state = 'parked'"
        (rows,) = await self._store.run((f"{put_back}{chosen} RETURNING id", identifiers))
        return len(rows)

    async def prune(self, days: float) -> int:
        """Forget events that ended well and are older than that; return how many. Payments' last states stay."""
        cutoff = _before(days)
        (rows,) = await self._store.run(
            (
                "DELETE FROM gatewaypy_inbox WHERE state IN ('done', 'swallowed', 'refused') AND CAST(received_at AS TEXT) < ?"
                " RETURNING id",
                (cutoff,),
            )
        )
        return len(rows)

    async def counts(self) -> dict[str, int]:
        """Count the events in each state."""
        (rows,) = await self._store.run(("SELECT state, COUNT(*) FROM gatewaypy_inbox GROUP BY state", ()))
        return dict.fromkeys(STATES, 0) | {state: int(number) for state, number in rows}

    async def progress_of(self, payment: str) -> str | None:
        """Return the last state that moved a payment forward."""
        (rows,) = await self._store.run(("SELECT state FROM gatewaypy_progress WHERE payment = ?", (payment,)))
        return str(rows[0][0]) if rows else None

    # Payments that are watched because no callback may ever come

    async def watch(self, *, payment_id: str | None, merchant_transaction_id: str | None, seconds: float) -> None:
        """Remember to ask about a payment after that many seconds."""
        name = payment_of(None, merchant_transaction_id, None if merchant_transaction_id else payment_id)
        await self._store.run(
            (
                "INSERT INTO gatewaypy_watched (payment, payment_id, merchant_transaction_id, due) VALUES (?, ?, ?, {now} + ?)"
                " ON CONFLICT (payment) DO NOTHING",
                (name, payment_id, merchant_transaction_id, seconds),
            )
        )

    async def watched(self, most: int, pause: float) -> list[tuple[str, str | None, str | None, int]]:
        """Take watched payments that are due, and put each off by ``pause`` times two to the power of its askings."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_watched SET due = {now} + ? * (1 << CASE WHEN asked > 6 THEN 6 ELSE asked END),"
                " asked = asked + 1 WHERE payment IN (SELECT payment FROM gatewaypy_watched"
                " WHERE due <= {now} OR due > {now} + ? ORDER BY due LIMIT ?)"
                " RETURNING payment, payment_id, merchant_transaction_id, asked",
                (pause, _HORIZON * 64, most),
            )
        )
        return [(payment, payment_id, own_id, asked) for payment, payment_id, own_id, asked in rows]

    async def unwatch(self, payment: str) -> None:
        """Stop asking about a payment."""
        await self._store.run(("DELETE FROM gatewaypy_watched WHERE payment = ?", (payment,)))


def without_numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Take out what must never be stored, should a gateway send it: a whole card number, a CVV."""
    kept: dict[str, Any] = {name: value for name, value in fields.items() if name not in _NUMBERS}
    card = kept.get("card")
    if isinstance(card, dict):
        kept["card"] = {name: value for name, value in card.items() if name not in _NUMBERS}
    return kept


def _before(days: float) -> str:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - pruning alone needs it

    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
