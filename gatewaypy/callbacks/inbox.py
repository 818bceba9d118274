"""The inbox: a callback is in it before the gateway hears 200, and stays until its handlers have succeeded."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import frozen

from gatewaypy.cards import luhn_valid
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
        asked INTEGER NOT NULL DEFAULT 0,
        forced INTEGER NOT NULL DEFAULT 0,
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
    "CREATE TABLE IF NOT EXISTS gatewaypy_boot (id INTEGER PRIMARY KEY, boot TEXT NOT NULL)",
)

#: What becomes of an event: open until its handlers have succeeded, then done; swallowed where it was no news; parked after too
#: many failures; review where it contradicts what is known, or the shop's own order; refused where it was unsigned and the
#: gateway does not know it.
STATES: Final = ("open", "done", "swallowed", "parked", "review", "refused")

_NUMBERS: Final = frozenset({"number", "cvv", "pan", "cardnumber", "card.number", "card.cvv", "card.pan"})
# Fields whose digits are ids or digests, however much they look like a card number.
_IDS: Final = frozenset(
    {"paymentId", "merchantTransactionId", "trackingid", "trackingId", "desc", "bankReferenceId", "checksum", "timestamp"}
)
_DIGITS: Final = re.compile(r"[0-9]{13,19}", re.ASCII)
_LONGEST_NOTE: Final = 2000


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
    asked: int
    forced: bool
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


def names_of(member_id: str | None, merchant_transaction_id: str | None, payment_id: str | None) -> list[str]:
    """Name a payment: events of one are handled in order, of several at once.

    Both ids name it. Progress is written under the merchant's own as well, so that a callback without the gateway's id is known
    for the same payment's.
    """
    names = [json.dumps([member_id, merchant_transaction_id, payment_id])]
    if payment_id is not None and merchant_transaction_id is not None:
        names.append(json.dumps([member_id, merchant_transaction_id, None]))
    return names


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
        await self._forget_old_times()
        return self

    async def _forget_old_times(self) -> None:
        """After a restart of the machine its clock has begun anew: what was due or leased by the old one is due and free."""
        boot = self._store.boot
        (rows,) = await self._store.run(("SELECT boot FROM gatewaypy_boot WHERE id = 1", ()))
        if rows != [(boot,)]:
            await self._store.run(
                ("UPDATE gatewaypy_inbox SET due = 0, lease = 0 WHERE state = 'open'", ()),
                ("UPDATE gatewaypy_watched SET due = 0", ()),
                (
                    "INSERT INTO gatewaypy_boot (id, boot) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET boot = excluded.boot",
                    (boot,),
                ),
            )

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
                    names_of(event.member_id, event.merchant_transaction_id, event.payment_id)[0],
                    event.member_id,
                    int(event.signed),
                    json.dumps(without_numbers(event.raw)),
                ),
            )
        )
        return bool(rows)

    async def take(self, most: int) -> list[Entry]:
        """Take events that are due: the oldest open one of each payment, in no other process's hands."""
        taken, progress = await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET owner = ?, lease = {now} + ? WHERE state = 'open' AND lease <= {now} AND id IN"
                " (SELECT id FROM gatewaypy_inbox AS mine WHERE state = 'open' AND due <= {now} AND lease <= {now} AND NOT EXISTS"
                " (SELECT 1 FROM gatewaypy_inbox AS earlier WHERE earlier.payment = mine.payment AND earlier.state = 'open'"
                " AND earlier.id < mine.id) ORDER BY id LIMIT ?)"
                " RETURNING id, key, payment, member, signed, fields, attempts, asked, forced",
                (self._owner, self.lease, most),
            ),
            (
                "SELECT payment, state, evidence FROM gatewaypy_progress WHERE payment IN"
                " (SELECT payment FROM gatewaypy_inbox WHERE owner = ? AND state = 'open')",
                (self._owner,),
            ),
        )
        known = {payment: (state, evidence) for payment, state, evidence in progress}
        entries = [
            Entry(
                i,
                key,
                payment,
                member,
                bool(signed),
                json.loads(fields),
                attempts,
                asked,
                bool(forced),
                *known.get(payment, (None, None)),
            )
            for i, key, payment, member, signed, fields, attempts, asked, forced in taken
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

    async def finish(
        self, entry: Entry, state: str, *, note: str | None = None, progress: str | None = None, names: Iterable[str] = ()
    ) -> None:
        """End an event, and in the same commit move its payment forward where ``progress`` says to.

        Nothing is changed where the event is no longer in this process's hands: whoever has it now knows better.
        """
        moves: list[Any] = [
            (
                "INSERT INTO gatewaypy_progress (payment, state, evidence)"
                " SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT) WHERE EXISTS"
                " (SELECT 1 FROM gatewaypy_inbox WHERE id = ? AND owner = ?) ON CONFLICT (payment) DO UPDATE"
                " SET state = excluded.state, evidence = excluded.evidence, changed_at = CURRENT_TIMESTAMP",
                (name, progress, json.dumps(entry.fields), entry.id, self._owner),
            )
            for name in {entry.payment, *names}
            if progress is not None
        ]
        await self._store.run(
            *moves,
            (
                "UPDATE gatewaypy_inbox SET state = ?, note = ?, owner = NULL, lease = 0 WHERE id = ? AND owner = ?",
                (state, None if note is None else printable(note), entry.id, self._owner),
            ),
        )

    async def postpone(self, entry: Entry, seconds: float, *, note: str, asked: bool = False) -> None:
        """Try an event again after a while; ``asked`` where the gateway could not tell, and not a handler failed."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET attempts = attempts + ?, asked = asked + ?, due = {now} + ?, note = ?, owner = NULL,"
                " lease = 0 WHERE id = ? AND owner = ?",
                (int(not asked), int(asked), seconds, printable(note), entry.id, self._owner),
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
        """Put events back: all that are parked, or those that are named, out of review too; return how many.

        Handlers hear of them even where the payment has moved on since: somebody wants them to.
        """
        chosen = (
            f"id IN ({', '.join('?' * len(identifiers))}) AND state IN ('parked', 'review')"
            if identifiers
            else "state = 'parked'"
        )
        put_back = "UPDATE gatewaypy_inbox SET state = 'open', attempts = 0, asked = 0, forced = 1, due = 0, note = NULL"
        (rows,) = await self._store.run((f"{put_back} WHERE {chosen} RETURNING id", identifiers))
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
        name = names_of(None, merchant_transaction_id, payment_id)[0]
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
                " WHERE due <= {now} ORDER BY due LIMIT ?) AND due <= {now}"
                " RETURNING payment, payment_id, merchant_transaction_id, asked",
                (pause, most),
            )
        )
        return [(payment, payment_id, own_id, asked) for payment, payment_id, own_id, asked in rows]

    async def unwatch(self, payment: str) -> None:
        """Stop asking about a payment."""
        await self._store.run(("DELETE FROM gatewaypy_watched WHERE payment = ?", (payment,)))


def without_numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Take out what must never be stored, should a gateway send it: a whole card number, a CVV; by name and by looks."""
    return {name: _without_numbers(name, value) for name, value in fields.items() if name.lower() not in _NUMBERS}


def _without_numbers(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return without_numbers(value)
    if isinstance(value, list):
        return [_without_numbers(name, inner) for inner in value]
    looks = isinstance(value, str) and name not in _IDS and _DIGITS.fullmatch(value) and luhn_valid(value)
    return f"{value[:6]}******{value[-4:]}" if looks else value


def printable(note: str) -> str:
    """Make a note fit for every database and log: no half characters, no NUL, not too long."""
    return note.encode(errors="backslashreplace").decode().replace("\0", "\\0")[:_LONGEST_NOTE]


def _before(days: float) -> str:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - pruning alone needs it

    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
