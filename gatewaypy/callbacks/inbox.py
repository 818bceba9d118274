"""The durable inbox: it stores a callback before 200 is answered, until its handlers succeed."""

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

#: The states of an event. ``open``: its handlers have not succeeded yet. ``done``: they have.
#: ``ignored``: it was already known. ``parked``: they failed too often. ``review``: it contradicts
#: the stored state or the application's order. ``refused``: it is unsigned and not confirmed.
STATES: Final = ("open", "done", "ignored", "parked", "review", "refused")

_KEPT: Final = frozenset({"parked", "review"})
# Seconds until an event is claimed again if another one of its payment is first, or is handled.
_BEHIND_PAUSE: Final = 1.0
_BEFORE_PAUSE: Final = 0.2
# A watched payment can be due in the past, at most so many seconds ago.
_LONGEST_AGO: Final = 1e9

#: The separator in a note before the evidence, which is not logged.
EVIDENCE: Final = "; known by "

#: A row of `PUT`, without its place.
_Row: TypeAlias = "tuple[str, str, str | None, str | None, str | None, int, str]"


@frozen
class ClaimedEntry:
    """An event that this process has claimed."""

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
    #: The records of its payment at the time of the claim, under each of its names.
    known: tuple[Progress, ...] = ()


@frozen
class InboxEntry:
    """An event as `Inbox.list_entries` returns it, with its state and the reason."""

    id: int
    key: str
    state: str
    attempts: int
    note: str | None
    fields: dict[str, Any]
    #: The merchant's id. Equal payment ids of two merchants are two payments.
    member: str | None = None

    @property
    def reason(self) -> str | None:
        """The note without its evidence, for a log or a terminal."""
        return None if self.note is None else self.note.partition(EVIDENCE)[0]


@frozen
class _Ending:
    """The end of an event of this process, and the progress of its payment."""

    id: int
    payment: str
    state: str
    note: str | None
    progress: Progress | None


@frozen
class Watched:
    """A payment, payout or follow-up that is watched, and the number of its inquiries.

    ``operation`` is the operation's name, such as ``"debit"``; ``amount`` and ``currency`` are its
    strings. Each is ``None`` if it is not known.
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

    Args:
        url: ``sqlite:///callbacks.db`` or ``postgresql://user@host/database``.
        lease: Seconds for which a claimed event belongs to its process, unless renewed.
    """

    def __init__(self, url: str, *, lease: float = 60.0) -> None:
        """Choose the store; nothing is opened yet."""
        check_number("lease", lease, above=0)
        self._store: Store = open_store(url)
        # Chosen when it is opened, so that forked processes are different owners.
        self._owner: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._puts: Batcher[_Row, bool] = Batcher(self._put, id)
        self._endings: Batcher[_Ending, None] = Batcher(self._end, lambda ending: ending.id)
        self.lease = lease

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            ConfigurationError: The store cannot be used, or this object is open already.
        """
        # If the loop was closed, this object is no longer open.
        if self._owner is not None and self._loop is not None and not self._loop.is_closed():
            msg = "this Inbox is open already; pass each receiver an Inbox of its own, not open"
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
        """Reset due times and leases after a restart of the machine, which resets its clock."""
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
        """Store an event; it is on disk when this returns.

        Returns:
            False if the event was stored before.
        """
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
            # The event is not the cause, and a retry would delay the answer to the gateway.
            raise
        except Exception:  # noqa: BLE001 - a row that fails must not fail the others
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
        """Claim signed or unsigned events that are due: the first open one of each payment."""
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
                    bool(is_signed),
                    json.loads(fields),
                    tries,
                    inquiries,
                    bool(forced),
                )
                for (
                    i,
                    key,
                    queue,
                    member,
                    own,
                    name,
                    is_signed,
                    fields,
                    tries,
                    inquiries,
                    forced,
                    owner,
                ) in looked_at
                if owner is not None
            ]
            # All rows that were read may be delayed, or owned by another process. Later ones may
            # be due.
            if entries or not due:
                return (
                    await self._next(sorted(entries, key=lambda entry: entry.id)) if entries else []
                )

    async def _next(self, entries: list[ClaimedEntry]) -> list[ClaimedEntry]:
        """Return the first events of their payments with its records; release the others."""
        probes = [
            (entry.id, queue, after, name)
            for entry in entries
            for queue, after, name in (
                # In its own queue: the first event, and the first one after this event.
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
                # Stored late, or claimed just now by another process, which releases it.
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
        """Add a name from the gateway's answer to an event.

        Returns:
            The event with the records under all of its names. ``None`` if another event of the
            payment is first; the event is then released, and claimed again later.
        """
        queue = queue_of(entry.member, names, signed=entry.signed)
        await self._store.run(
            (RENAME, (queue, names.own, names.payment, entry.id, self._owner)),
            (WAKE, (table_parameter([(entry.queue,)]),)),
        )
        return next(iter(await self._next([evolve(entry, queue=queue, names=names)])), None)

    async def renew(self, identifiers: Iterable[int]) -> None:
        """Renew the leases of events of this process."""
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

        If the event belongs to another process by now, nothing changes.
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
        """Schedule the next attempt and count a failure, or an inquiry if ``asked``."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET attempts = attempts + ?, inquiries = inquiries + ?, due = {now} + ?, note = ?, owner = NULL"
                " WHERE id = ? AND owner = ?",
                (int(not asked), int(asked), seconds, printable(note), entry.id, self._owner),
            )
        )

    async def put_back(self, entry: ClaimedEntry, seconds: float, *, note: str) -> None:
        """Schedule the next attempt, and count neither a failure nor an inquiry."""
        await self._store.run(
            (
                "UPDATE gatewaypy_inbox SET due = {now} + ?, note = ?, owner = NULL WHERE id = ? AND owner = ?",
                (seconds, printable(note), entry.id, self._owner),
            )
        )

    async def list_entries(self, *states: str) -> list[InboxEntry]:
        """List the events in these states, oldest first; by default ``parked`` and ``review``."""
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
        """Reopen parked events; handlers receive them even if the payment has moved on since.

        Args:
            *identifiers: The events to reopen, parked or in review; all parked ones by default.

        Returns:
            How many were reopened.
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
        """Delete ``done``, ``ignored`` and ``refused`` events older than ``days``; return how many.

        The last states of payments are not deleted.
        """
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
        """Delete refused events that are older than ``minutes``; return how many."""
        (rows,) = await self._store.run(
            (
                "DELETE FROM gatewaypy_inbox WHERE state = 'refused' AND CAST(received_at AS TEXT) < ? RETURNING id",
                (_before(minutes / (24 * 60)),),
            )
        )
        return len(rows)

    async def has_kept(self, names: PaymentNames) -> bool:
        """Return whether an unsigned event of a payment is in review already."""
        (rows,) = await self._store.run((HAS_KEPT, (names.own, names.payment)))
        return bool(rows)

    async def counts(self) -> dict[str, int]:
        """Count the events in each state."""
        (rows,) = await self._store.run(
            ("SELECT state, COUNT(*) FROM gatewaypy_inbox GROUP BY state", ())
        )
        return dict.fromkeys(STATES, 0) | {state: int(number) for state, number in rows}

    async def waiting(self, *, unsigned_only: bool = False) -> int:
        """Count the open events by an index, without reading those that have ended."""
        of = " AND signed = 0" if unsigned_only else ""
        (rows,) = await self._store.run(
            (f"SELECT COUNT(*) FROM gatewaypy_inbox WHERE state = 'open'{of}", ())  # noqa: S608
        )
        return int(rows[0][0])

    async def progress_of(self, names: PaymentNames) -> list[Progress]:
        """Return the last progress of a payment under each of its names."""
        return _of(names, await self._known(names.all))

    # Watched payments, whose callback may never arrive

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
        """Schedule the first inquiry for a payment.

        Args:
            member_id: The merchant's id, as in its credentials.
            payment_id: The gateway's id.
            merchant_transaction_id: Your own id. At least one of the two ids is needed.
            delay: Seconds until the first inquiry.
            operation: ``"debit"``, ``"preauth"``, ``"capture"``, ``"refund"``, ``"reversal"`` or
                ``"payout"``, which decides the status that ends the watch; ``None`` if unknown.
            amount: The operation's amount, if it is known.

        Raises:
            InvalidRequest: Both ids are missing, or an id (the merchant's too) is malformed.
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
        """Claim a merchant's due payments; delay each by ``pause``, doubled with each inquiry."""
        (rows,) = await self._store.run((WATCHED, (member_id, most, pause)))
        return [Watched(*row) for row in rows]

    async def put_off(self, name: str, seconds: float) -> None:
        """Delay a watched payment by ``seconds``, and do not count its last inquiry."""
        await self._store.run(
            (
                "UPDATE gatewaypy_watched SET due = {now} + ?, inquiries = inquiries - 1 WHERE name = ?",
                (seconds, name),
            )
        )

    async def unwatch(self, name: str) -> None:
        """Stop the inquiries for a payment."""
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
