"""The inbox: a callback is in it before the gateway hears 200, and stays until its handlers have succeeded."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from attrs import evolve, frozen

from gatewaypy.callbacks.inbox_sql import (
    AHEAD,
    END,
    HAS_KEPT,
    IS_ANY_DUE,
    IS_KEPT,
    KNOWN,
    MOVE,
    PUT,
    RELEASE,
    RENAME,
    RENEW,
    REPEATED,
    SCHEMA,
    TAKE,
    WAKE,
    WATCH,
    WATCHED,
)
from gatewaypy.callbacks.payment_progress import (
    PaymentNames,
    Progress,
    check_ids,
    check_owner,
    matching,
    names_of,
    other_queues,
    queue_of,
)
from gatewaypy.config import check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.printable import printable
from gatewaypy.storage import open_store
from gatewaypy.storage.base import StoreUnavailableError
from gatewaypy.storage.batching import Batcher
from gatewaypy.storage.table_parameter import table_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.money import Money
    from gatewaypy.storage import Store
    from gatewaypy.storage.base import Rows

#: What becomes of an event: open until its handlers have succeeded, then done; ignored if it was no news; parked after too
#: many failures; review where it contradicts what is known, or the shop's own order; refused where it was unsigned and the
#: gateway does not know it.
STATES: Final = ("open", "done", "ignored", "parked", "review", "refused")

_KEPT: Final = frozenset({"parked", "review"})
# Until an event is taken again that another one of its payment was ahead of, and one that another was handled before.
_BEHIND_PAUSE: Final = 1.0
_BEFORE_PAUSE: Final = 0.2
# What is watched may have been due before, so many seconds ago at most.
_LONGEST_AGO: Final = 1e9

#: What stands in a note before the evidence, which is not a part of a message.
EVIDENCE: Final = "; known by "

#: A row as `PUT` is given it, but for its place.
_Row: TypeAlias = "tuple[str, str, str | None, str | None, str | None, int, str]"


@frozen
class ClaimedEntry:
    """An event as it lies in the inbox."""

    id: int
    key: str
    queue: str
    member: str | None
    names: PaymentNames
    signed: bool
    fields: dict[str, Any]
    attempts: int
    inquiries: int
    forced: bool
    #: What was known of its payment when it was taken, under each of its names.
    known: tuple[Progress, ...] = ()


@frozen
class InboxEntry:
    """An event that waits for a person: its state, and why."""

    id: int
    key: str
    state: str
    attempts: int
    note: str | None
    fields: dict[str, Any]
    #: The merchant's id: equal ids of two merchants are two payments.
    member: str | None = None

    @property
    def reason(self) -> str | None:
        """The note without its evidence: what a log or a terminal shows."""
        return None if self.note is None else self.note.partition(EVIDENCE)[0]


@frozen
class _Ending:
    """How an event in this process's hands ended, and the payments that it moved forward."""

    id: int
    payment: str
    state: str
    note: str | None
    progress: Progress | None


@frozen
class Watched:
    """A payment, payout or follow-up that is watched, and how often it was asked about.

    ``operation`` is the name of what was asked for (``"debit"``, ``"refund"``), ``amount`` and ``currency`` its texts; each is
    ``None`` where it is not known.
    """

    name: str
    member_id: str
    payment_id: str | None
    merchant_transaction_id: str | None
    operation: str | None
    amount: str | None
    currency: str | None
    inquiries: int


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._puts: Batcher[_Row, bool] = Batcher(self._put, id)
        self._endings: Batcher[_Ending, None] = Batcher(self._end, lambda ending: ending.id)
        self.lease = lease

    async def __aenter__(self) -> Self:
        """Open the store.

        :raises ConfigurationError: where the store cannot be used, or this object is open already.
        """
        # A loop that ended without closing it has it open no longer.
        if self._owner is not None and self._loop is not None and not self._loop.is_closed():
            msg = "this Inbox is open already: give each receiver one of its own, which it opens itself"
            raise ConfigurationError(msg)
        self._owner, self._loop = secrets.token_hex(8), asyncio.get_running_loop()
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
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        try:
            await self._store.aclose()
        finally:
            self._owner = None

    async def put(self, event: CallbackEvent) -> bool:
        """Store an event; false where it was there already. When this returns the event is on disk."""
        names = names_of(event.member_id, event.merchant_transaction_id, event.payment_id)
        row = (
            event.key.hex(),
            queue_of(event.member_id, names, signed=event.signed),
            event.member_id,
            names.own,
            names.payment,
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
        given = table_parameter((place, *row) for place, row in enumerate(rows))
        found, _ = await self._store.run(
            (REPEATED, (table_parameter((key,) for key, *_ in rows),)), (PUT, (given,))
        )
        known = {key for (key,) in found}
        answers = []
        for key, *_ in rows:
            answers.append(key not in known)
            known.add(key)
        return answers

    async def claim(self, most: int, *, signed: bool = True) -> list[ClaimedEntry]:
        """Take signed or unsigned events that are due: the next one of each payment, in no other process's hands."""
        while True:
            looked_at, due = await self._store.run(
                (TAKE, (int(signed), most, self._owner, self.lease)), (IS_ANY_DUE, (int(signed),))
            )
            entries = [
                ClaimedEntry(
                    i,
                    key,
                    queue,
                    member,
                    PaymentNames(own, name),
                    bool(proven),
                    json.loads(fields),
                    tries,
                    inquiries,
                    bool(forced),
                )
                for i, key, queue, member, own, name, proven, fields, tries, inquiries, forced, owner in looked_at
                if owner is not None
            ]
            # All that were read may have been put off, or taken by another process; further ones may be due behind them.
            if entries or not due:
                return (
                    await self._next(sorted(entries, key=lambda entry: entry.id)) if entries else []
                )

    async def _next(self, entries: list[ClaimedEntry]) -> list[ClaimedEntry]:
        """Return those that no other event of their payment is ahead of, with what is known of it; give the others back."""
        probes = [
            (entry.id, queue, after, name)
            for entry in entries
            for queue, after, name in (
                # In its own queue: what is ahead of it, and what was taken before this one, stored late, could be seen.
                (entry.queue, 0, ""),
                (entry.queue, entry.id, ""),
                *other_queues(entry.member, entry.names, signed=entry.signed),
            )
        ]
        names = {name for entry in entries for name in entry.names.all}
        heads, rows = await self._store.run(
            (AHEAD, (table_parameter(probes),)),
            (KNOWN, (table_parameter((name,) for name in names),)),
        )
        signed = {entry.id: int(entry.signed) for entry in entries}
        behind: dict[int, float] = {}
        for number, head, is_signed, owner in heads:
            if (is_signed, -head) > (signed[number], -number):
                behind[number] = _BEHIND_PAUSE
            elif head != number and owner is not None and head not in signed:
                # It came late, or was taken just now by another process, which gives it back.
                behind.setdefault(number, _BEFORE_PAUSE)
        if behind:
            await self._store.run((RELEASE, (table_parameter(behind.items()), self._owner)))
        found = _read_progress(rows)
        return [
            evolve(entry, known=tuple(_of(entry.names, found)))
            for entry in entries
            if entry.id not in behind
        ]

    async def _known(self, names: Iterable[str]) -> dict[str, Progress]:
        (rows,) = await self._store.run((KNOWN, (table_parameter((name,) for name in names),)))
        return _read_progress(rows)

    async def rename(self, entry: ClaimedEntry, names: PaymentNames) -> ClaimedEntry | None:
        """Add a name to an event's payment that the gateway told.

        Returns:
            The event, with what is known under all of its names; ``None`` if another event of that payment comes first. The event
            is out of this process's hands then, and is taken again in its turn.
        """
        queue = queue_of(entry.member, names, signed=entry.signed)
        await self._store.run(
            (RENAME, (queue, names.own, names.payment, entry.id, self._owner)),
            (WAKE, (table_parameter([(entry.queue,)]),)),
        )
        return next(iter(await self._next([evolve(entry, queue=queue, names=names)])), None)

    async def renew(self, identifiers: Iterable[int]) -> None:
        """Keep events in this process's hands for another lease."""
        given = [(identifier,) for identifier in identifiers]
        if given:
            await self._store.run((RENEW, (self.lease, table_parameter(given), self._owner)))

    async def finish(
        self,
        entry: ClaimedEntry,
        state: str,
        *,
        note: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """End an event, and in the same commit record ``progress`` under every name of its payment.

        Nothing is changed where the event is no longer in this process's hands: whoever has it now knows better.
        """
        ending = _Ending(
            entry.id, entry.queue, state, None if note is None else printable(note), progress
        )
        try:
            await self._endings(ending)
        except StoreUnavailableError:
            raise
        except Exception:  # noqa: BLE001 - as in put
            await self._end([ending])

    async def _end(self, endings: list[_Ending]) -> list[None]:
        moves = [
            (ending.id, name, known.names.own, known.names.payment, known.state, known.amount, known.currency, known.event,
             known.evidence)
            for ending in endings
            if (known := ending.progress) is not None
            for name in known.names.all
        ]  # fmt: skip
        ends = [(ending.id, ending.state, ending.note) for ending in endings]
        payments = dict.fromkeys(ending.payment for ending in endings)
        await self._store.run(
            (MOVE, (table_parameter(moves), self._owner)),
            (END, (table_parameter(ends), self._owner)),
            (WAKE, (table_parameter((payment,) for payment in payments),)),
        )
        return [None] * len(endings)

    async def retry_later(
        self, entry: ClaimedEntry, seconds: float, *, note: str, asked: bool = False
    ) -> None:
        """Try an event again after a while; ``asked`` where the gateway could not tell, and not a handler failed."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET attempts = attempts + ?, inquiries = inquiries + ?, due = {now} + ?, note = ?, owner = NULL"
                " WHERE id = ? AND owner = ?",
                (int(not asked), int(asked), seconds, printable(note), entry.id, self._owner),
            )
        )

    async def put_back(self, entry: ClaimedEntry, seconds: float, *, note: str) -> None:
        """Try an event again after a while, and count neither a failure nor a question."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET due = {now} + ?, note = ?, owner = NULL WHERE id = ? AND owner = ?",
                (seconds, printable(note), entry.id, self._owner),
            )
        )

    async def list_entries(self, *states: str) -> list[InboxEntry]:
        """List events in these states, the oldest first: ``parked`` and ``review`` where none is named."""
        chosen = IS_KEPT if _KEPT.issuperset(states) else "true"
        if states:
            chosen += f" AND state IN ({', '.join('?' * len(states))})"
        (rows,) = await self._store.run(
            (
                f"SELECT id, key, state, attempts, note, fields, member FROM gatewaypy_inbox WHERE {chosen} ORDER BY id",  # noqa: S608
                states,
            )
        )
        return [
            InboxEntry(identifier, key, state, attempts, note, json.loads(fields), member)
            for identifier, key, state, attempts, note, fields, member in rows
        ]

    async def replay(self, *identifiers: int) -> int:
        """Put events back: all that are parked, or those that are named, out of review too; return how many.

        Handlers hear of them even where the payment has moved on since: somebody wants them to.
        """
        chosen = (
            f"id IN ({', '.join('?' * len(identifiers))}) AND {IS_KEPT}"
            if identifiers
            else f"state = 'parked' AND {IS_KEPT}"
        )
        put_back = "UPDATE gatewaypy_inbox SET state = 'open', attempts = 0, inquiries = 0, forced = 1, due = 0, note = NULL"
        (rows,) = await self._store.run((f"{put_back} WHERE {chosen} RETURNING id", identifiers))
        return len(rows)

    async def prune(self, days: float) -> int:
        """Forget events that ended well and are older than that; return how many. Payments' last states stay."""
        cutoff = _before(days)
        (rows,) = await self._store.run(
            (
                "DELETE FROM gatewaypy_inbox WHERE state IN ('done', 'ignored', 'refused') AND CAST(received_at AS TEXT) < ?"
                " RETURNING id",
                (cutoff,),
            )
        )
        return len(rows)

    async def forget_refused(self, minutes: float) -> int:
        """Forget refused events that are older than that, which strangers may have sent; return how many."""
        (rows,) = await self._store.run(
            (
                "DELETE FROM gatewaypy_inbox WHERE state = 'refused' AND CAST(received_at AS TEXT) < ? RETURNING id",
                (_before(minutes / (24 * 60)),),
            )
        )
        return len(rows)

    async def has_kept(self, names: PaymentNames) -> bool:
        """Tell whether an unsigned event of a payment waits for a person already."""
        (rows,) = await self._store.run((HAS_KEPT, (names.own, names.payment)))
        return bool(rows)

    async def counts(self) -> dict[str, int]:
        """Count the events in each state."""
        (rows,) = await self._store.run(
            ("SELECT state, COUNT(*) FROM gatewaypy_inbox GROUP BY state", ())
        )
        return dict.fromkeys(STATES, 0) | {state: int(number) for state, number in rows}

    async def waiting(self, *, unsigned_only: bool = False) -> int:
        """Count the open events alone, which an index knows: however many have ended, it reads none of them."""
        of = " AND signed = 0" if unsigned_only else ""
        (rows,) = await self._store.run(
            (f"SELECT COUNT(*) FROM gatewaypy_inbox WHERE state = 'open'{of}", ())  # noqa: S608
        )
        return int(rows[0][0])

    async def progress_of(self, names: PaymentNames) -> list[Progress]:
        """Return what moved a payment forward last, under each of its names."""
        return _of(names, await self._known(names.all))

    # Payments that are watched because no callback may ever come

    async def watch(
        self,
        *,
        member_id: str,
        payment_id: str | None,
        merchant_transaction_id: str | None,
        delay: float,
        operation: str | None = None,
        amount: Money | None = None,
    ) -> None:
        """Record that a payment has to be inquired about after ``delay`` seconds.

        Args:
            member_id: The merchant's id, as in its credentials.
            payment_id: The gateway's id; or
            merchant_transaction_id: your own id. At least one of the two.
            delay: Seconds until the first inquiry.
            operation: What was asked for: ``"debit"``, ``"preauth"``, ``"capture"``, ``"refund"``, ``"reversal"``, ``"payout"``.
                It decides which status ends the watch. ``None`` if it is not known.
            amount: The operation's amount, if it is known.

        Raises:
            InvalidRequest: Neither id, or an id or a merchant outside its format: no gateway could be asked about it.
            ConfigurationError: There is no such operation, or ``delay`` is not a finite number.
        """
        check_ids(payment_id=payment_id, merchant_transaction_id=merchant_transaction_id)
        check_owner(member_id, operation)
        check_number("delay", delay, least=-_LONGEST_AGO)
        name = json.dumps([member_id, operation, merchant_transaction_id, payment_id])
        text, currency = (None, None) if amount is None else (amount.wire(), amount.currency)
        row = (name, member_id, payment_id, merchant_transaction_id, operation, text, currency)
        await self._store.run((WATCH, (*row, delay)))

    async def watched(self, member_id: str, most: int, pause: float) -> list[Watched]:
        """Take one merchant's watched payments that are due; put each off by ``pause``, doubled with each inquiry."""
        (rows,) = await self._store.run((WATCHED, (member_id, most, pause)))
        return [Watched(*row) for row in rows]

    async def put_off(self, name: str, seconds: float) -> None:
        """Ask about a watched payment after that many seconds, and do not count the question that was taken last."""
        await self._store.run(
            (
                "UPDATE gatewaypy_watched SET due = {now} + ?, inquiries = inquiries - 1 WHERE name = ?",
                (seconds, name),
            )
        )

    async def unwatch(self, name: str) -> None:
        """Stop asking about a payment."""
        await self._store.run(("DELETE FROM gatewaypy_watched WHERE name = ?", (name,)))


def _read_progress(rows: Rows) -> dict[str, Progress]:
    return {
        name: Progress(PaymentNames(own, payment), state, amount, currency, event, evidence)
        for name, own, payment, state, amount, currency, event, evidence in rows
    }


def _of(names: PaymentNames, found: Mapping[str, Progress]) -> list[Progress]:
    return matching(names, [found[name] for name in names.all if name in found])


def _before(days: float) -> str:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - pruning alone needs it

    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
