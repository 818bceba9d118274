"""The inbox: a callback is in it before the gateway hears 200, and stays until its handlers have succeeded."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from attrs import frozen

from gatewaypy.callbacks.schema import END, IS_ANY_DUE, IS_KEPT, MOVE, PUT, RENEW, REPEATED, SCHEMA, TAKE, WAKE, WATCHED
from gatewaypy.config import check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.printable import printable
from gatewaypy.storage import open_store
from gatewaypy.storage.base import StoreUnavailableError
from gatewaypy.storage.given import values
from gatewaypy.storage.together import Together

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.storage import Store

#: What becomes of an event: open until its handlers have succeeded, then done; swallowed where it was no news; parked after too
#: many failures; review where it contradicts what is known, or the shop's own order; refused where it was unsigned and the
#: gateway does not know it.
STATES: Final = ("open", "done", "swallowed", "parked", "review", "refused")

_KEPT: Final = frozenset({"parked", "review"})

#: A row as `PUT` is given it, but for its place.
_Row: TypeAlias = "tuple[str, str, str | None, int, str]"


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


@frozen
class _Ending:
    """How an event in this process's hands ended, and the payments that it moved forward."""

    id: int
    payment: str
    state: str
    note: str | None
    progress: str | None
    names: frozenset[str]


def names_of(member_id: str | None, merchant_transaction_id: str | None, payment_id: str | None) -> list[str]:
    """Name a payment: events of one are handled in order, of several at once.

    Both ids name it. Progress is written under the merchant's own as well, so that a callback without the gateway's id is known
    for the same payment's.
    """
    names = [_name(member_id, merchant_transaction_id, payment_id)]
    if payment_id is not None and merchant_transaction_id is not None:
        names.append(_name(member_id, merchant_transaction_id, None))
    return names


def _name(member_id: str | None, merchant_transaction_id: str | None, payment_id: str | None) -> str:
    return json.dumps([member_id, merchant_transaction_id, payment_id])


class Inbox:
    """A durable inbox in SQLite or PostgreSQL.

    :param url: ``sqlite:///callbacks.db`` or ``postgresql://user@host/database``.
    :param lease: how many seconds an event belongs to the process that took it, unless renewed.
    """

    def __init__(self, url: str, *, lease: float = 60.0) -> None:
        """Choose the store; nothing is opened yet."""
        check_number("lease", lease, above=0)
        self._store: Store = open_store(url)
        # A name for whoever has it open: processes that were forked with the same object are different owners.
        self._owner: str | None = None
        self._puts: Together[_Row, bool] = Together(self._put, id)
        self._endings: Together[_Ending, None] = Together(self._end, lambda ending: ending.id)
        self.lease = lease

    async def __aenter__(self) -> Self:
        """Open the store.

        :raises ConfigurationError: where the store cannot be used, or this object is open already.
        """
        if self._owner is not None:
            msg = "this Inbox is open already: give each receiver one of its own, which it opens itself"
            raise ConfigurationError(msg)
        self._owner = secrets.token_hex(8)
        try:
            await self._store.open(SCHEMA)
            await self._forget_old_times()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _forget_old_times(self) -> None:
        """After a restart of the machine its clock has begun anew: what was due or leased by the old one is due and free."""
        boot = self._store.boot
        (rows,) = await self._store.run(("SELECT boot FROM gatewaypy_boot WHERE id = 1", ()))
        if rows != [(boot,)]:
            await self._store.run(
                ("UPDATE gatewaypy_inbox SET due = 0 WHERE state = 'open'", ()),
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
        try:
            await self._store.aclose()
        finally:
            self._owner = None

    async def put(self, event: CallbackEvent) -> bool:
        """Store an event; false where it was there already. When this returns the event is on disk."""
        row = (
            event.key.hex(),
            _name(event.member_id, event.merchant_transaction_id, event.payment_id),
            event.member_id,
            int(event.signed),
            json.dumps(dict(event.raw)),
        )
        try:
            return await self._puts(row)
        except StoreUnavailableError:
            # Not of this event's making: a second try would only make the gateway wait longer for its answer.
            raise
        except Exception:  # noqa: BLE001 - one that a database refuses takes no other along: each has its own try
            (is_new,) = await self._put([row])
            return is_new

    async def _put(self, rows: list[_Row]) -> list[bool]:
        given = values((place, *row) for place, row in enumerate(rows))
        found, _ = await self._store.run((REPEATED, (values((key,) for key, *_ in rows),)), (PUT, (given,)))
        known = {key for (key,) in found}
        answers = []
        for key, *_ in rows:
            answers.append(key not in known)
            known.add(key)
        return answers

    async def take(self, most: int) -> list[Entry]:
        """Take events that are due: the oldest open one of each payment, in no other process's hands."""
        while True:
            looked_at, due = await self._store.run((TAKE, (most, self._owner, self.lease)), (IS_ANY_DUE, ()))
            entries = [
                Entry(i, key, payment, member, bool(signed), json.loads(fields), attempts, asked, bool(forced), known, known_by)
                for i, key, payment, member, signed, fields, attempts, asked, forced, known, known_by, owner in looked_at
                if owner is not None
            ]
            # All that were read may have been put off, or taken by another process; further ones may be due behind them.
            if entries or not due:
                return sorted(entries, key=lambda entry: entry.id)

    async def renew(self, identifiers: Iterable[int]) -> None:
        """Keep events in this process's hands for another lease."""
        given = [(identifier,) for identifier in identifiers]
        if given:
            await self._store.run((RENEW, (self.lease, values(given), self._owner)))

    async def finish(
        self, entry: Entry, state: str, *, note: str | None = None, progress: str | None = None, names: Iterable[str] = ()
    ) -> None:
        """End an event, and in the same commit move its payment forward where ``progress`` says to.

        Nothing is changed where the event is no longer in this process's hands: whoever has it now knows better.
        """
        moved = frozenset() if progress is None else frozenset({entry.payment, *names})
        ending = _Ending(entry.id, entry.payment, state, None if note is None else printable(note), progress, moved)
        try:
            await self._endings(ending)
        except StoreUnavailableError:
            raise
        except Exception:  # noqa: BLE001 - as in put
            await self._end([ending])

    async def _end(self, endings: list[_Ending]) -> list[None]:
        moves = [(ending.id, name, ending.progress) for ending in endings for name in ending.names]
        ends = [(ending.id, ending.state, ending.note) for ending in endings]
        payments = dict.fromkeys(ending.payment for ending in endings)
        await self._store.run(
            (MOVE, (values(moves), self._owner)),
            (END, (values(ends), self._owner)),
            (WAKE, (values((payment,) for payment in payments),)),
        )
        return [None] * len(endings)

    async def postpone(self, entry: Entry, seconds: float, *, note: str, asked: bool = False) -> None:
        """Try an event again after a while; ``asked`` where the gateway could not tell, and not a handler failed."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET attempts = attempts + ?, asked = asked + ?, due = {now} + ?, note = ?, owner = NULL"
                " WHERE id = ? AND owner = ?",
                (int(not asked), int(asked), seconds, printable(note), entry.id, self._owner),
            )
        )

    async def kept(self, *states: str) -> list[Kept]:
        """List events in these states, the oldest first: ``parked`` and ``review`` where none is named."""
        chosen = IS_KEPT if _KEPT.issuperset(states) else "true"
        if states:
            chosen += f" AND state IN ({', '.join('?' * len(states))})"
        (rows,) = await self._store.run(
            (f"SELECT id, key, state, attempts, note, fields FROM gatewaypy_inbox WHERE {chosen} ORDER BY id", states)  # noqa: S608
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
            f"id IN ({', '.join('?' * len(identifiers))}) AND {IS_KEPT}" if identifiers else f"state = 'parked' AND {IS_KEPT}"
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

    async def waiting(self) -> int:
        """Count the open events alone, which an index knows: however many have ended, it reads none of them."""
        (rows,) = await self._store.run(("SELECT COUNT(*) FROM gatewaypy_inbox WHERE state = 'open'", ()))
        return int(rows[0][0])

    async def progress_of(self, payment: str) -> str | None:
        """Return the last state that moved a payment forward."""
        (rows,) = await self._store.run(("SELECT state FROM gatewaypy_progress WHERE payment = ?", (payment,)))
        return str(rows[0][0]) if rows else None

    # Payments that are watched because no callback may ever come

    async def watch(self, *, payment_id: str | None, merchant_transaction_id: str | None, seconds: float) -> None:
        """Remember to ask about a payment after that many seconds."""
        name = _name(None, merchant_transaction_id, payment_id)
        await self._store.run(
            (
                "INSERT INTO gatewaypy_watched (payment, payment_id, merchant_transaction_id, due) VALUES (?, ?, ?, {now} + ?)"
                " ON CONFLICT (payment) DO NOTHING",
                (name, payment_id, merchant_transaction_id, seconds),
            )
        )

    async def watched(self, most: int, pause: float) -> list[tuple[str, str | None, str | None, int]]:
        """Take watched payments that are due, and put each off by ``pause`` times two to the power of its askings."""
        (rows,) = await self._store.run((WATCHED, (most, pause)))
        return [(payment, payment_id, own_id, asked) for payment, payment_id, own_id, asked in rows]

    async def put_off(self, payment: str, seconds: float) -> None:
        """Ask about a watched payment after that many seconds, and do not count the question that was taken last."""
        await self._store.run(
            ("UPDATE gatewaypy_watched SET due = {now} + ?, asked = asked - 1 WHERE payment = ?", (seconds, payment))
        )

    async def unwatch(self, payment: str) -> None:
        """Stop asking about a payment."""
        await self._store.run(("DELETE FROM gatewaypy_watched WHERE payment = ?", (payment,)))


def _before(days: float) -> str:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - pruning alone needs it

    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
