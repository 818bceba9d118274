"""The journal: what a payout job means to do is in it before it is done, and what came of it afterwards."""

from __future__ import annotations

import json
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from attrs import frozen

from gatewaypy.errors import ConfigurationError, GatewayError
from gatewaypy.money import Money
from gatewaypy.payouts.findings import Finding, finding_of
from gatewaypy.payouts.orders import PayoutOrder, fingerprint
from gatewaypy.payouts.owner_file import OwnerFile
from gatewaypy.payouts.states import MOVES, State
from gatewaypy.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from gatewaypy.models import Transaction
    from gatewaypy.payouts.findings import Told
    from gatewaypy.storage import Statement, Store

# Said again in each query for open rows, as planners use an index of some rows only where it is.
_IS_OPEN: Final = "state IN ('planned', 'sending', 'unknown', 'pending', 'review')"
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_payouts (
        id {serial},
        member TEXT NOT NULL,
        mtid TEXT NOT NULL,
        batch TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        amount TEXT NOT NULL,
        currency TEXT NOT NULL,
        details TEXT NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL DEFAULT '',
        fence BIGINT NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL DEFAULT 0,
        absent_by TEXT NOT NULL DEFAULT '',
        absent_since DOUBLE PRECISION NOT NULL DEFAULT 0,
        payment_id TEXT,
        code TEXT,
        description TEXT,
        status TEXT,
        settled_by TEXT,
        seconds DOUBLE PRECISION,
        evidence TEXT,
        planned_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (mtid, member)
    )""",
    f"CREATE INDEX IF NOT EXISTS gatewaypy_payouts_open ON gatewaypy_payouts (state, id) WHERE {_IS_OPEN}",
    "CREATE TABLE IF NOT EXISTS gatewaypy_journal (id INTEGER PRIMARY KEY, key TEXT NOT NULL, home TEXT NOT NULL)",
)

_ROW: Final = "id, mtid, state, attempt, owner, fence, details, absent_by, absent_since, payment_id"
_LONGEST: Final = 2000
_ASKED_AT_ONCE: Final = 100


class Asks(Protocol):
    """What asking needs of a `Gateway`."""

    async def inquire(self, *, merchant_transaction_id: str) -> Transaction:
        """Ask what became of a payout."""
        ...


@frozen
class Row:
    """An order as it lies in the journal."""

    id: int
    order: PayoutOrder
    state: State
    attempt: int
    owner: str
    fence: int
    absent_by: str = ""
    absent_since: float = 0.0
    payment_id: str | None = None


@frozen
class Listed:
    """A row as a report shows it; nothing in it is secret. The times are the store's, in UTC, for people alone."""

    id: int
    merchant_transaction_id: str
    batch: str
    amount: Money
    state: State
    attempt: int
    payment_id: str | None
    code: str | None
    description: str | None
    status: str | None
    settled_by: str | None
    seconds: float | None
    evidence: str | None
    planned_at: object
    changed_at: object


_KNOWN_OTHERWISE: Final = "the journal knows this id with another amount or payee"
_UNSEALED: Final = "extra: no card number in a journal that is not sealed: give seal= and unseal=, or pay a stored card"


@frozen
class Conflict:
    """An order that the journal does not take, and why."""

    order: PayoutOrder
    evidence: str = _KNOWN_OTHERWISE


class Journal:
    """A payout journal in SQLite or PostgreSQL.

    :param url: ``sqlite:///payouts.db`` or ``postgresql://user@host/database``.
    :param member_id: whose payouts these are; several merchants may share a journal.
    :param seal: encrypts what is kept of an order, and
    :param unseal: decrypts it: hooks of your own, needed where orders hold card numbers.
    """

    def __init__(
        self,
        url: str | Store,
        member_id: str,
        *,
        seal: Callable[[bytes], bytes] | None = None,
        unseal: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Choose the store; nothing is opened yet."""
        if (seal is None) is not (unseal is None):
            msg = "a journal that seals its orders must be able to unseal them: give both hooks, or neither"
            raise ConfigurationError(msg)
        self._store: Store = open_store(url) if isinstance(url, str) else url
        self._member = member_id
        self._seal = seal
        self._unseal = unseal
        self._key = b""
        is_file = isinstance(url, str) and url.startswith("sqlite:///")
        self._file = OwnerFile(f"{str(url).removeprefix('sqlite:///')}.owner") if is_file else None
        self.owner = secrets.token_hex(8)
        #: Whether it was found, when it was opened, to be older than what was sent from it.
        self.restored = False

    async def __aenter__(self) -> Self:
        """Open the store, and notice where it was restored from a backup.

        :raises ConfigurationError: where the store cannot keep what is promised, or another process runs this journal.
        """
        if self._file is not None:
            self._file.acquire()
        try:
            await self._store.open(_SCHEMA)
            await self._begin()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.aclose()

    async def aclose(self) -> None:
        """Let what is under way be written, and let another process in."""
        await self._store.aclose()
        if self._file is not None:
            self._file.release()

    async def _begin(self) -> None:
        *_, rows, counted = await self._store.run(
            (
                "INSERT INTO gatewaypy_journal (id, key, home) VALUES (1, ?, ?) ON CONFLICT (id) DO NOTHING",
                (secrets.token_hex(32), self._store.home),
            ),
            ("SELECT key, home FROM gatewaypy_journal WHERE id = 1", ()),
            ("SELECT COALESCE(SUM(attempt), 0) FROM gatewaypy_payouts", ()),
        )
        ((key, home),), ((intents,),) = rows, counted
        self._key = bytes.fromhex(key)
        is_older = self._file is not None and self._file.intents > int(intents)
        if not is_older and home == self._store.home:
            if self._file is not None:
                self._file.count(int(intents))
            return
        # A copy from before some intents: what it calls planned may have been sent, so nothing open is believed.
        self.restored = True
        await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'unknown', evidence = ?, owner = '', fence = fence + 1"
                " WHERE state IN ('planned', 'sending')",
                ("the journal was restored from a backup: an intent may be missing",),
            ),
            ("UPDATE gatewaypy_journal SET home = ? WHERE id = 1", (self._store.home,)),
        )
        if self._file is not None:
            self._file.count(int(intents))

    # Planning

    async def plan(self, orders: Sequence[PayoutOrder], *, batch: str = "") -> list[Row | Conflict | None]:
        """Write orders down; when this returns they are on disk.

        :returns: for each order its row where it is new, ``None`` where the journal has it already, or a `Conflict` where it has
            the id with another amount or payee, or the order has a card number and the journal no ``seal``.
        """
        refused = [self._seal is None and order.has_card_number for order in orders]
        taken = [order for order, is_refused in zip(orders, refused, strict=True) if not is_refused]
        planned = iter(await self._insert(taken, batch) if taken else ())
        return [
            Conflict(order, _UNSEALED) if is_refused else next(planned) for order, is_refused in zip(orders, refused, strict=True)
        ]

    async def _insert(self, orders: Sequence[PayoutOrder], batch: str) -> list[Row | Conflict | None]:
        inserts: list[Statement] = []
        prints = []
        for order in orders:
            fields = order.to_fields()
            prints.append(fingerprint(fields, self._key))
            own = (self._member, order.merchant_transaction_id, batch, prints[-1])
            inserts.append(
                (
                    "INSERT INTO gatewaypy_payouts (member, mtid, batch, fingerprint, amount, currency, details, state, owner)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, 'planned', ?) ON CONFLICT (member, mtid) DO NOTHING RETURNING id",
                    (*own, order.amount.wire(), order.amount.currency, self._sealed(fields), self.owner),
                )
            )
        inserted = await self._store.run(*inserts)
        known = [order for order, rows in zip(orders, inserted, strict=True) if not rows]
        marks = await self._fingerprints(known) if known else {}
        return [
            Row(rows[0][0], order, State.PLANNED, 0, self.owner, 0)
            if rows
            else (None if marks[order.merchant_transaction_id] == mark else Conflict(order))
            for order, mark, rows in zip(orders, prints, inserted, strict=True)
        ]

    async def _fingerprints(self, orders: Sequence[PayoutOrder]) -> dict[str, str]:
        found = await self._store.run(
            *(
                (
                    "SELECT mtid, fingerprint FROM gatewaypy_payouts WHERE member = ? AND mtid = ?",
                    (self._member, order.merchant_transaction_id),
                )
                for order in orders
            )
        )
        return dict(rows[0] for rows in found)

    def _sealed(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields)
        return text if self._seal is None else "sealed:" + self._seal(text.encode()).hex()

    def _order(self, details: str) -> PayoutOrder:
        if not details.startswith("sealed:"):
            return PayoutOrder.from_json(details.encode())
        if self._unseal is None:
            msg = "this journal's orders are sealed: give the hook unseal= that opens them"
            raise ConfigurationError(msg)
        return PayoutOrder.from_json(self._unseal(bytes.fromhex(details.removeprefix("sealed:"))))

    # Taking rows

    async def take(
        self, state: State, *, after: int = 0, most: int = 256, batch: str | None = None, last: int | None = None
    ) -> list[Row]:
        """Make rows of a state one's own, in order of their ids; whoever had them can do nothing with them any more.

        A row that was being sent is unknown from then on: its sender may be gone, or just slow.

        :param after: only rows with a greater id.
        :param last: no row with a greater id than this.
        """
        now = State.UNKNOWN if state is State.SENDING else state
        limit, among = ("", ()) if batch is None else (" AND batch = ?", (batch,))
        limit, among = (limit, among) if last is None else (f"{limit} AND id <= ?", (*among, last))
        wanted = f"FROM gatewaypy_payouts WHERE member = ? AND state = ? AND {_IS_OPEN} AND id > ?{limit} ORDER BY id LIMIT ?"
        which = (self._member, state.value, after, *among)
        while True:
            # The state is looked at twice: PostgreSQL waits for whoever has a row, and looks again at the outer condition alone.
            # Without it, what was sent meanwhile would be planned again.
            rows, there = await self._store.run(
                (
                    "UPDATE gatewaypy_payouts SET owner = ?, fence = fence + 1, state = ? WHERE state = ? AND id IN"  # noqa: S608
                    f" (SELECT id {wanted}) RETURNING {_ROW}",
                    (self.owner, now.value, state.value, *which, most),
                ),
                (f"SELECT id {wanted}", (*which, 1)),
            )
            # A page of which every row has just moved on is no end of the rows.
            if rows or not there:
                return sorted((self._row(row) for row in rows), key=lambda row: row.id)

    async def mine(self, state: State, *, after: int = 0, most: int = 256) -> list[Row]:
        """Return rows of a state that are this owner's already, in order of their ids."""
        (rows,) = await self._store.run(
            (
                f"SELECT {_ROW} FROM gatewaypy_payouts WHERE member = ? AND state = ? AND {_IS_OPEN} AND owner = ? AND id > ?"  # noqa: S608
                " ORDER BY id LIMIT ?",
                (self._member, state.value, self.owner, after, most),
            )
        )
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> Row:
        number, _, state, attempt, owner, fence, details, absent_by, absent_since, payment_id = row
        return Row(number, self._order(details), State(state), attempt, owner, fence, absent_by, float(absent_since), payment_id)

    # Sending

    async def intend(self, row: Row) -> bool:
        """Write down that a row is about to be sent. False where it is no longer this owner's, or no longer planned: do not send.

        When this returns the intent is on disk, and counted beside it.
        """
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'sending', attempt = attempt + 1 WHERE id = ? AND state = 'planned'"
                " AND owner = ? AND fence = ? RETURNING id",
                (row.id, row.owner, row.fence),
            )
        )
        if rows and self._file is not None:
            self._file.count(self._file.intents + 1)
        return bool(rows)

    async def give_back(self, row: Row, evidence: str) -> bool:
        """Write down that no byte of a row left, so that it may be sent. False where it is no longer this owner's."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ? WHERE id = ? AND state = 'sending' AND owner = ?"
                " AND fence = ? RETURNING id",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return bool(rows)

    async def refuse(self, row: Row, evidence: str) -> bool:
        """Write down that the library itself refused a planned row: nothing was sent, and nothing will be."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'failed', evidence = ?, settled_by = 'refused' WHERE id = ?"
                " AND state IN ('planned', 'sending') AND owner = ? AND fence = ? RETURNING id",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return bool(rows)

    # Learning

    async def learn(self, merchant_transaction_id: str, finding: Finding) -> State | None:
        """Take what an answer, an inquiry or a callback tells of a row, forward only; return its state afterwards.

        What was learnt late is true all the same, so this asks for no owner. An end that contradicts another end is on the review
        list from then on, with both pieces of evidence. ``None`` where the journal has no such row.
        """
        allowed = [state.value for state, following in MOVES.items() if finding.state in following]
        if finding.state is State.UNKNOWN:
            # What is planned has not been sent, whatever became of an earlier attempt.
            allowed = [State.SENDING.value]
        marks = ", ".join("?" for _ in allowed)
        own = (self._member, merchant_transaction_id)
        (moved,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = ?, payment_id = COALESCE(?, payment_id), code = ?, description = ?,"  # noqa: S608
                " status = ?, settled_by = ?, seconds = COALESCE(?, seconds), evidence = ?, changed_at = CURRENT_TIMESTAMP"
                f" WHERE member = ? AND mtid = ? AND state IN ({marks}) RETURNING id",
                (*_values(finding), *own, *allowed),
            )
        )
        return finding.state if moved else await self._contradict(finding, own)

    async def hear(self, told: Told) -> State | None:
        """Take a callback, or anything else that tells of a payout; return the row's state afterwards.

        It moves a row forward alone, and never causes a send: ``router.on(PayoutSucceeded)(journal.hear)`` hangs it on a router.
        ``None`` where the journal has no such row, or was told neither yes nor no. What is told of another amount goes on the
        review list, where the row was still open.
        """
        finding, mtid = finding_of(told), told.merchant_transaction_id
        if mtid is None or finding.state is State.UNKNOWN:
            return None
        (rows,) = await self._store.run(
            ("SELECT amount, currency FROM gatewaypy_payouts WHERE member = ? AND mtid = ?", (self._member, mtid))
        )
        if not rows:
            return None
        if told.amount is not None and told.amount != Money(*rows[0]):
            finding = Finding(
                state=State.REVIEW, evidence=f"{finding.settled_by} tells of {told.amount}, payment {told.payment_id}"
            )
        return await self.learn(mtid, finding)

    async def reconcile(self, gateway: Asks) -> int:
        """Ask about every pending row once, and take what is told; return how many are no longer pending.

        A `gatewaypy.callbacks.Reconciler` does so on a schedule: ``Reconciler(gateway, inbox, journals=[journal])``.
        """
        moved, after = 0, 0
        while page := await self.listed(state=State.PENDING, after=after, most=_ASKED_AT_ONCE):
            after = page[-1].id
            for row in page:
                try:
                    found = await gateway.inquire(merchant_transaction_id=row.merchant_transaction_id)
                except GatewayError:
                    # No answer tells nothing; the next round asks again.
                    continue
                if found.found:
                    moved += await self.hear(found) is not State.PENDING
        return moved

    async def _contradict(self, finding: Finding, own: tuple[str, str]) -> State | None:
        """Compare what was learnt with an end that is known already."""
        contradicted = {State.SUCCEEDED: State.FAILED, State.FAILED: State.SUCCEEDED}.get(finding.state)
        *_, rows = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'review', evidence = COALESCE(evidence, '') || ' / but: ' || ?,"
                " changed_at = CURRENT_TIMESTAMP WHERE member = ? AND mtid = ? AND state = ?",
                (_told(finding), *own, contradicted.value if contradicted is not None else ""),
            ),
            ("SELECT state FROM gatewaypy_payouts WHERE member = ? AND mtid = ?", own),
        )
        return State(rows[0][0]) if rows else None

    async def absent(self, row: Row, now: float) -> float:
        """Write down that the gateway does not know a row; return since when this owner has found it so, by its own clock."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET absent_since = CASE WHEN absent_by = ? THEN absent_since ELSE ? END, absent_by = ?"
                " WHERE id = ? RETURNING absent_since",
                (self.owner, now, self.owner, row.id),
            )
        )
        return float(rows[0][0])

    async def seen(self, row: Row) -> None:
        """Write down that the gateway answered something else than that it does not know a row: absence begins anew."""
        await self._store.run(("UPDATE gatewaypy_payouts SET absent_by = '' WHERE id = ? AND absent_by <> ''", (row.id,)))

    async def plan_again(self, row: Row, evidence: str) -> Row | None:
        """Have an unknown row sent again under its own id: only where the platform is known to refuse a used one."""
        (rows,) = await self._store.run(
            (
                # The fence is raised: whoever still works on an earlier attempt must not take this one's for its own.
                "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ?, absent_by = '', fence = fence + 1 WHERE id = ?"  # noqa: S608
                f" AND state = 'unknown' AND owner = ? AND fence = ? RETURNING {_ROW}",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return self._row(rows[0]) if rows else None

    async def decide(self, merchant_transaction_id: str, state: State, evidence: str) -> bool:
        """Take a person's decision on a row of the review list: paid, not paid, or to be sent again."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = ?, settled_by = 'person', absent_by = '', fence = fence + 1,"
                " evidence = COALESCE(evidence, '') || ' / decided: ' || ?, changed_at = CURRENT_TIMESTAMP"
                " WHERE member = ? AND mtid = ? AND state = 'review' RETURNING id",
                (state.value, _text(evidence), self._member, merchant_transaction_id),
            )
        )
        return bool(rows)

    # Looking

    async def listed(self, *, after: int = 0, most: int = 1000, state: State | None = None) -> list[Listed]:
        """Return rows in the order in which they were planned, a page at a time: those with a greater number than ``after``."""
        limit, among = ("", ()) if state is None else (" AND state = ?", (state.value,))
        if state is not None and state not in {State.SUCCEEDED, State.FAILED}:
            limit = f"{limit} AND {_IS_OPEN}"
        (rows,) = await self._store.run(
            (
                "SELECT id, mtid, batch, amount, currency, state, attempt, payment_id, code, description, status, settled_by,"  # noqa: S608
                " seconds, evidence, planned_at, changed_at FROM gatewaypy_payouts WHERE member = ? AND id > ?"
                f"{limit} ORDER BY id LIMIT ?",
                (self._member, after, *among, most),
            )
        )
        return [_listed(row) for row in rows]

    async def sums(self) -> list[tuple[str, str, str | None, int, Decimal]]:
        """Count and add up by state, currency and result code. Amounts are added as whole cents: no sum is rounded."""
        (rows,) = await self._store.run(
            (
                "SELECT state, currency, code, COUNT(*), SUM(CAST(REPLACE(amount, '.', '') AS BIGINT)) FROM gatewaypy_payouts"
                " WHERE member = ? GROUP BY state, currency, code",
                (self._member,),
            )
        )
        return [(state, currency, code, count, Decimal(int(cents)) / 100) for state, currency, code, count, cents in rows]


def _listed(row: tuple[Any, ...]) -> Listed:
    number, mtid, batch, amount, currency, state, *rest = row
    return Listed(number, mtid, batch, Money(amount, currency), State(state), *rest)


def _values(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.state.value,
        _text(finding.payment_id),
        _text(finding.code),
        _text(finding.description),
        _text(finding.status),
        finding.settled_by,
        finding.seconds,
        _text(finding.evidence),
    )


def _text(said: str | None) -> str | None:
    """Make a text that every store takes: half a character (a gateway cut an emoji in two) and NUL are replaced."""
    if said is None:
        return None
    return said[:_LONGEST].encode("utf-8", "replace").decode().replace("\0", "?")


def _told(finding: Finding) -> str:
    said = f"{finding.settled_by or 'something'} says {finding.state.value}"
    return _text(f"{said} ({finding.code or finding.status or 'no code'}, payment {finding.payment_id or 'without id'})") or said
