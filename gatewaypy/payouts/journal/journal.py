"""The journal: what a payout job means to do is in it before it is done, and what came of it afterwards."""

from __future__ import annotations

import copy
import json
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

from gatewaypy.callables import check_plain_function
from gatewaypy.errors import AuthenticationFailed, ConfigurationError, GatewayError, InvalidRequest
from gatewaypy.models import OperationResult, Payout, Transaction
from gatewaypy.money import Money
from gatewaypy.pan import contains, mask
from gatewaypy.payouts.journal.gateway_address import JournalGateway
from gatewaypy.payouts.journal.lock import JournalLock
from gatewaypy.payouts.journal.rows import (
    LAST_ID,
    UNSEALED,
    Conflict,
    JournalEntry,
    Remaining,
    Row,
    Scope,
)
from gatewaypy.payouts.journal.sql import (
    COLUMNS,
    COUNT_REMAINING,
    COUNT_UNSETTLED,
    ENDED,
    ENTRY_COLUMNS,
    FINGERPRINTS,
    PLAN,
    RECORD_INTENT,
    RECORD_UPDATES,
    SCHEMA,
    SHARED_SCHEMA,
    claim_page,
    select_merged_page,
    select_page,
)
from gatewaypy.payouts.journal.trust import JournalTrust, checked_reason
from gatewaypy.payouts.journal.updates import PayoutUpdate, source_of
from gatewaypy.payouts.orders import PayoutOrder, fingerprint
from gatewaypy.payouts.states import State
from gatewaypy.printable import printable
from gatewaypy.protocol.evidence import Check, Evidence, Subject, judge
from gatewaypy.protocol.operations import PAYOUT
from gatewaypy.secret import shape_of
from gatewaypy.storage import open_store
from gatewaypy.storage.batching import Batcher
from gatewaypy.storage.table_parameter import table_parameter
from gatewaypy.storage.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from types import TracebackType

    from gatewaypy.payouts.journal.trust import HistoryEntry
    from gatewaypy.payouts.journal.updates import PayoutStatus
    from gatewaypy.storage import Statement, Store

_ASKED_AT_ONCE: Final = 100
_WHOLE: Final = Scope()
_STATE: Final = (
    "SELECT state FROM gatewaypy_payouts WHERE member = ? AND merchant_transaction_id = ?"
)


class InquiryClient(Protocol):
    """What asking needs of a `Gateway`."""

    async def inquire(self, *, merchant_transaction_id: str) -> Transaction:
        """Ask what became of a payout."""
        ...


#: Of which order, by which attempt where that is known, and what.
_Learnt: TypeAlias = "tuple[str, int | None, PayoutUpdate]"


class Journal:
    """A payout journal in SQLite or PostgreSQL.

    :param url_or_store: ``sqlite:///payouts.db`` or ``postgresql://user@host/database``, or a `Store`.
    :param member_id: whose payouts these are; several merchants may share a journal.
    :param scope: the rows that it claims and counts; needs a journal in PostgreSQL.
    :param encrypt: encrypts what is kept of an order, and
    :param decrypt: decrypts it: hooks of your own, needed where orders hold card numbers.
    :param read_only: only look at it: without the lock of the process that sends, so that it can be open meanwhile.
    """

    def __init__(
        self,
        url_or_store: str | Store,
        member_id: str,
        *,
        scope: Scope = _WHOLE,
        encrypt: Callable[[bytes], bytes] | None = None,
        decrypt: Callable[[bytes], bytes] | None = None,
        read_only: bool = False,
    ) -> None:
        """Choose the store; nothing is opened yet."""
        if (encrypt is None) is not (decrypt is None):
            msg = "a journal that seals its orders must be able to decrypt them: give both hooks, or neither"
            raise ConfigurationError(msg)
        for name, hook in (("encrypt", encrypt), ("decrypt", decrypt)):
            if hook is not None:
                check_plain_function(name, hook)
        self._store: Store = (
            open_store(url_or_store) if isinstance(url_or_store, str) else url_or_store
        )
        self._member = member_id
        self._encrypt = encrypt
        self._decrypt = decrypt
        path = sqlite_path(url_or_store) if isinstance(url_or_store, str) else None
        beside = None if path is None else JournalLock(path)
        self._is_shareable = path is None
        self._file = None if read_only else beside
        self._schema = SHARED_SCHEMA if beside is None else SCHEMA
        self._trust = JournalTrust(self._store, beside, is_looking=read_only)
        self._gateway = JournalGateway(self._store, member_id, is_exclusive=self._file is not None)
        self.owner = secrets.token_hex(8)
        self.scope = self._check_scope(scope)
        self._intents: Batcher[Row, int] = Batcher(self._record_intent, lambda row: row.id)
        self._findings: Batcher[_Learnt, bool] = Batcher(self._record, lambda learnt: learnt[0])

    async def __aenter__(self) -> Self:
        """Open the store, and mark the journal where it was restored from a backup.

        :raises ConfigurationError: where the store cannot keep what is promised, or another process runs this journal.
        """
        if self._file is not None:
            self._file.acquire()
        try:
            await self._store.open(self._schema)
            await self._trust.begin()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.aclose()

    def check_merchant(self, gateway: object) -> None:
        """Refuse a gateway of another merchant, which would pay, or be asked about, other orders under the same ids.

        :raises ConfigurationError: naming both merchants.
        """
        theirs = getattr(getattr(gateway, "credentials", None), "member_id", self._member)
        if theirs != self._member:
            msg = f"the journal is of merchant {self._member} and the gateway of merchant {theirs}: give each its own"
            raise ConfigurationError(msg)

    @property
    def member_id(self) -> str:
        """Whose payouts these are."""
        return self._member

    async def aclose(self) -> None:
        """Let what is under way be written, and let another process in."""
        await self._store.aclose()
        if self._file is not None:
            self._file.release()

    def with_scope(self, scope: Scope) -> Journal:
        """Return a view of this journal that claims and counts the rows of a scope alone.

        The view shares the open store, and group commits with every other view. It has an owner of
        its own, so that two runs over one scope tell their rows apart.

        Raises:
            ConfigurationError: The journal is in a file, which belongs to one process.
        """
        view = copy.copy(self)
        view.scope = self._check_scope(scope)
        view.owner = secrets.token_hex(8)
        return view

    def _check_scope(self, scope: Scope) -> Scope:
        if scope != _WHOLE and not self._is_shareable:
            msg = "journal: must be in PostgreSQL to be shared; a SQLite file is for one process"
            raise ConfigurationError(msg)
        return scope

    # Whether it is trusted

    @property
    def restored(self) -> bool:
        """Whether it counted as restored when it was opened; :meth:`restored_because` asks the store."""
        return self._trust.is_restored

    async def restored_because(self) -> str:
        """Return why the journal counts as restored from a backup; empty where it does not.

        Until a person ends that, an order that is new to the journal starts as ``UNKNOWN``: it is asked about, and not sent.
        """
        return await self._trust.restored_because()

    async def trust(self, because: str, *, person: str = "") -> bool:
        """Take a person's word that the journal lacks no order that was sent, or that none such will be given to it again.

        Orders that are new to it are planned and sent from then on. What is unknown stays so until it was asked about.

        Args:
            because: How the person knows; kept in the journal's history.
            person: Who says so.

        Returns:
            False where the journal does not count as restored; nothing is changed then.

        Raises:
            InvalidRequest: There is no reason.
        """
        return await self._trust.trust(because, person)

    async def distrust(self, because: str, *, person: str = "") -> None:
        """Take a person's word that the journal was restored from a backup, which it may not notice by itself.

        Every open order is ``UNKNOWN`` from then on, and so is every order that is new to it, until :meth:`trust` ends that.

        Args:
            because: What was done; kept in the journal's history.
            person: Who says so.

        Raises:
            InvalidRequest: There is no reason.
        """
        await self._trust.distrust(because, person)

    async def check_gateway(self, gateway: object) -> None:
        """Refuse a gateway at another base URL than the one that this journal pays at; the first one is kept.

        A job, a worker and :meth:`reconcile` do this before they ask or send anything.

        Args:
            gateway: A `Gateway`, or a client of another kind; without a ``platform`` it is refused once an address is kept.

        Raises:
            ConfigurationError: It names both addresses. Nothing was sent.
        """
        await self._gateway.check(gateway)

    async def change_gateway(self, base_url: str, because: str, *, person: str = "") -> None:
        """Take a person's word that the gateway at which this journal pays has another address now.

        Args:
            base_url: The new base URL. It must be the same gateway, with the same payments in it.
            because: How the person knows; kept in the journal's history.
            person: Who says so.

        Raises:
            InvalidRequest: There is no reason, or the URL is not a base URL.
        """
        await self._gateway.change(base_url, checked_reason(because), person)

    async def history(self) -> list[HistoryEntry]:
        """Return when the journal was found to be restored, distrusted and trusted, why and by whom."""
        return await self._trust.history()

    # Planning

    async def plan(
        self, orders: Sequence[PayoutOrder], *, batch: str = ""
    ) -> list[Row | Conflict | None]:
        """Write orders down; when this returns they are on disk.

        While the journal counts as restored, a new order's row is ``UNKNOWN`` and must not be sent: the journal may have lost it.

        :returns: for each order its row where it is new, ``None`` where the journal has it already, or a `Conflict` where it has
            the id with another amount or payee, or the order has a card number and the journal no ``encrypt``.
        :raises InvalidRequest: the batch's name is a card number.
        """
        malformed = refusal_of_batch(batch)
        if malformed is not None:
            # A frame that raises stays in the traceback, with whatever its names still hold.
            del batch
            raise malformed
        refused = [order.card_number_field if self._encrypt is None else None for order in orders]
        taken = [order for order, field in zip(orders, refused, strict=True) if field is None]
        planned = iter(await self._insert(taken, batch) if taken else ())
        return [
            next(planned) if field is None else Conflict(order, f"{field}: {UNSEALED}")
            for order, field in zip(orders, refused, strict=True)
        ]

    async def _insert(
        self, orders: Sequence[PayoutOrder], batch: str
    ) -> list[Row | Conflict | None]:
        prints, given = [], []
        for order in orders:
            fields = order.to_fields()
            prints.append(fingerprint(fields, self._trust.key))
            sum_, unit = order.amount.wire(), order.amount.currency
            given.append(
                (order.merchant_transaction_id, prints[-1], sum_, unit, self._sealed(fields))
            )
        (inserted,) = await self._store.run(
            (PLAN, (self._member, batch, self.owner, table_parameter(given)))
        )
        new = {
            merchant_transaction_id: (int(number), State(state))
            for merchant_transaction_id, number, state in inserted
        }
        planned: list[Row | Conflict | None] = []
        known: list[int] = []
        for order in orders:
            # An order that stands twice among these is new once.
            found = new.pop(order.merchant_transaction_id, None)
            if found is None:
                known.append(len(planned))
            planned.append(
                None if found is None else Row(found[0], order, found[1], 0, self.owner, 0)
            )
        marks = await self._fingerprints([orders[index] for index in known]) if known else {}
        for index in known:
            if marks[orders[index].merchant_transaction_id] != prints[index]:
                planned[index] = Conflict(orders[index])
        return planned

    async def _fingerprints(self, orders: Sequence[PayoutOrder]) -> dict[str, str]:
        given = table_parameter((order.merchant_transaction_id,) for order in orders)
        (found,) = await self._store.run((FINGERPRINTS, (given, self._member)))
        return dict(found)

    def _sealed(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields)
        return text if self._encrypt is None else "sealed:" + self._encrypt(text.encode()).hex()

    def _order(self, details: str) -> PayoutOrder:
        if not details.startswith("sealed:"):
            return PayoutOrder.from_json(details.encode())
        if self._decrypt is None:
            msg = "this journal's orders are sealed: give the hook decrypt= that opens them"
            raise ConfigurationError(msg)
        return PayoutOrder.from_json(self._decrypt(bytes.fromhex(details.removeprefix("sealed:"))))

    # Taking rows

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
                return sorted((self._row(row) for row in claimed), key=lambda row: row.id)

    async def owned_rows(self, state: State, *, after: int = 0, limit: int = 256) -> list[Row]:
        """Return the unknown or pending rows that this object has claimed, ordered by id.

        Args:
            state: ``UNKNOWN`` or ``PENDING``.
            after: Return only rows with a greater id.
            limit: Maximum number of rows.
        """
        page = (self.owner, self._first_after(after), limit, self.scope.last_id)
        (rows,) = await self._store.run((select_page(COLUMNS, "owner", state), page))
        return [self._row(row) for row in rows]

    def _first_after(self, row_id: int) -> int:
        return max(row_id, self.scope.first_id - 1)

    async def count_remaining(self) -> Remaining:
        """Count the rows of the scope's batch, and those of them that are not settled.

        A pending order is settled by a callback or a later inquiry, so that it does not count.
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

    async def ended(self, numbers: Iterable[int]) -> list[tuple[Row, str | None]]:
        """Return those of some rows, by their ids, that have reached their end, whoever has them, with their evidence."""
        (rows,) = await self._store.run(
            (ENDED, (table_parameter((number,) for number in numbers), self._member))
        )
        return [(self._row(tuple(row)), evidence) for *row, evidence in rows]

    def _row(self, row: tuple[Any, ...]) -> Row:
        (
            number,
            _,
            state,
            attempt,
            owner,
            fence,
            details,
            not_found_by,
            not_found_since,
            payment_id,
            resent,
        ) = row
        return Row(
            number,
            self._order(details),
            State(state),
            attempt,
            owner,
            fence,
            not_found_by,
            float(not_found_since),
            payment_id,
            bool(resent),
        )

    # Sending

    async def record_intent(self, row: Row) -> int:
        """Write down that a row is about to be sent; return the number of this attempt.

        0 where the row is no longer this owner's, or no longer planned: it must not be sent. When this returns the intent is on
        disk, and counted beside it.
        """
        return await self._intents(row)

    async def _record_intent(self, rows: list[Row]) -> list[int]:
        (moved,) = await self._store.run(
            (RECORD_INTENT, (table_parameter((row.id, row.owner, row.fence) for row in rows),))
        )
        if moved and self._file is not None:
            self._file.count(len(moved))
        attempts: dict[int, int] = dict(moved)
        return [attempts.get(row.id, 0) for row in rows]

    async def mark_unsent(self, row: Row, evidence: str) -> bool:
        """Write down that no byte of a row left, so that it may be sent. False where it is no longer this owner's."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ? WHERE id = ? AND state = 'sending' AND owner = ?"
                " AND fence = ? RETURNING id",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return bool(rows)

    async def mark_refused(self, row: Row, evidence: str) -> bool:
        """Write down that the library itself refused a planned row: nothing was sent, and nothing will be."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'failed', evidence = ?, outcome_source = 'refused' WHERE id = ?"
                " AND state IN ('planned', 'sending') AND owner = ? AND fence = ? RETURNING id",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return bool(rows)

    # Learning

    async def record(
        self, merchant_transaction_id: str, finding: PayoutUpdate, *, attempt: int | None = None
    ) -> State | None:
        """Take what an answer, an inquiry or a callback tells of a row, forward only; return its state afterwards.

        What was learnt late is true all the same, so this asks for no owner. An end that contradicts another end is on the review
        list from then on, with both pieces of evidence, and only a person takes it off. ``None`` where the journal has no such
        row.

        :param attempt: which sending this is the answer to, where that is known: what an earlier one did not achieve says
            nothing of a later one.
        """
        if await self._findings((merchant_transaction_id, attempt, finding)):
            return finding.state
        return await self._contradict(merchant_transaction_id, attempt, finding)

    async def _record(self, learnt: list[_Learnt]) -> list[bool]:
        given = table_parameter(
            (merchant_transaction_id, attempt, *_values(finding))
            for merchant_transaction_id, attempt, finding in learnt
        )
        (rows,) = await self._store.run((RECORD_UPDATES, (given, self._member)))
        moved = {merchant_transaction_id for (merchant_transaction_id,) in rows}
        return [merchant_transaction_id in moved for merchant_transaction_id, *_ in learnt]

    async def move_to_review(self, row: Row, evidence: str, *, is_absent: bool) -> bool:
        """Put a row of one's own on the review list. False where it is no longer this owner's, or has moved on.

        :param is_absent: it is there since the gateway does not know it: what an inquiry or a callback tells later takes it off.
        """
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'review', outcome_source = ?, evidence = ?, changed_at = CURRENT_TIMESTAMP"
                " WHERE id = ? AND state IN ('unknown', 'pending') AND owner = ? AND fence = ? RETURNING id",
                ("absence" if is_absent else None, _text(evidence), row.id, row.owner, row.fence),
            )
        )
        return bool(rows)

    async def handle_event(self, told: PayoutStatus) -> State | None:
        """Take a callback, or another record of a payout, and return the row's state afterwards.

        It moves a row forward alone, and never causes a send: ``router.on(PayoutSucceeded)(journal.handle_event)`` hangs it on a router.
        The record is judged like a reply (`protocol.evidence`). One of another amount, or of a second payment under the same
        id, puts the row on the review list; so does one of an order that was never sent, since its id was used by another.

        Returns:
            ``None`` if the journal has no such row, the record is of another merchant or of a payment rather than a payout,
            no key signed it and no inquiry confirmed it, it is an inquiry's and has no amount, or it says neither yes nor no.
        """
        evidence = Evidence.of(told)
        merchant_transaction_id = evidence.merchant_transaction_id
        if merchant_transaction_id is None or not _may_tell(told, evidence):
            return None
        (rows,) = await self._store.run(
            (
                "SELECT amount, currency, state, resent FROM gatewaypy_payouts WHERE member = ? AND merchant_transaction_id = ?",
                (self._member, merchant_transaction_id),
            )
        )
        if not rows:
            return None
        amount, currency, state, is_resent = rows[0]
        subject = Subject(
            payment_type=PAYOUT.payment_type,
            member_id=self._member,
            merchant_transaction_id=merchant_transaction_id,
            amount=amount,
            currency=currency,
        )
        judgement = judge(subject, evidence)
        finding = PayoutUpdate.from_status(told, outcome=judgement.outcome)
        if (mismatch := judgement.mismatch) is not None:
            was_asked_for = source_of(told) == "inquiry"
            if mismatch.check in {Check.MERCHANT, Check.KIND} and not was_asked_for:
                return None
            reason = f"{source_of(told)}: {mismatch.reason}, payment {evidence.payment_id or 'without an id'}"
            finding = PayoutUpdate(state=State.REVIEW, evidence=reason)
        elif finding.state is State.UNKNOWN:
            return None
        elif State(state) is State.PLANNED and not is_resent:
            finding = PayoutUpdate(
                state=State.REVIEW, evidence=f"{_told(finding)}, but this journal never sent it"
            )
        return await self.record(merchant_transaction_id, finding)

    async def reconcile(self, gateway: InquiryClient) -> int:
        """Ask about every pending row once, and take what is told; return how many are no longer pending.

        A `gatewaypy.callbacks.Reconciler` does so on a schedule: ``Reconciler(gateway, inbox, journals=[journal])``.

        Raises:
            AuthenticationFailed: The gateway refuses the credentials.
            ConfigurationError: The gateway object is not open, or is another merchant's or of another address.
        """
        self.check_merchant(gateway)
        await self.check_gateway(gateway)
        moved, after = 0, 0
        while page := await self.list_entries(
            state=State.PENDING, after=after, limit=_ASKED_AT_ONCE
        ):
            after = page[-1].id
            for row in page:
                try:
                    found = await gateway.inquire(
                        merchant_transaction_id=row.merchant_transaction_id
                    )
                except (AuthenticationFailed, ConfigurationError):
                    # No question will fare better.
                    raise
                except GatewayError as error:
                    # No answer tells nothing; the next round asks again, and this one ends where the gateway asks to wait.
                    if error.retry_after is not None:
                        return moved
                    continue
                if found.found:
                    moved += await self.handle_event(found) is not State.PENDING
        return moved

    async def _contradict(
        self, merchant_transaction_id: str, attempt: int | None, finding: PayoutUpdate
    ) -> State | None:
        """Compare what was learnt with an end that is known already."""
        own, told = (
            (self._member, merchant_transaction_id),
            f" / but: {_text(finding.evidence) or _told(finding)}",
        )
        if finding.state is State.UNKNOWN:
            (rows,) = await self._store.run((_STATE, own))
            return State(rows[0][0]) if rows else None
        if finding.payment_id is not None:
            # A second payment under the same id: the money may have moved twice. That one failed says nothing of the other; only
            # an order that was sent again may have a failed payment of an earlier attempt.
            told_of = f" / but: {_told(finding)}"
            (doubled,) = await self._store.run(
                (
                    "UPDATE gatewaypy_payouts SET state = 'review', evidence = COALESCE(evidence, '') || ? || payment_id || ?,"
                    " outcome_source = NULL, changed_at = CURRENT_TIMESTAMP WHERE member = ? AND"
                    " merchant_transaction_id = ? AND payment_id <> ?"
                    " AND (state IN ('unknown', 'pending') AND (? <> 'failed' OR resent = 0)"
                    " OR state IN ('succeeded', 'failed') AND ? <> 'failed') RETURNING id",
                    (
                        " / payment ",
                        told_of,
                        *own,
                        finding.payment_id,
                        finding.state.value,
                        finding.state.value,
                    ),
                )
            )
            if doubled:
                return State.REVIEW
        statements: list[Statement] = []
        contradicted = {State.SUCCEEDED: State.FAILED, State.FAILED: State.SUCCEEDED}.get(
            finding.state
        )
        if contradicted is not None:
            # That an earlier attempt failed does not contradict the success of a later one.
            failed_before = attempt if finding.state is State.FAILED else None
            statements.append(
                (
                    "UPDATE gatewaypy_payouts SET state = 'review', evidence = COALESCE(evidence, '') || ?,"
                    " outcome_source = NULL, changed_at = CURRENT_TIMESTAMP"
                    " WHERE member = ? AND merchant_transaction_id = ? AND state = ? AND attempt = COALESCE(?, attempt)",
                    (told, *own, contradicted.value, failed_before),
                )
            )
        # What moves nothing is kept once, for whoever looks at the row: while a person decides, and of what calls for a person
        # while it is on its way.
        keeps = "'planned', 'sending', 'review'" if finding.state is State.REVIEW else "'review'"
        statements.append(
            (
                "UPDATE gatewaypy_payouts SET evidence = COALESCE(evidence, '') || ? WHERE member = ? AND"  # noqa: S608
                " merchant_transaction_id = ?"
                f" AND state IN ({keeps}) AND REPLACE(COALESCE(evidence, ''), ?, '') = COALESCE(evidence, '')",
                (told, *own, told),
            )
        )
        *_, rows = await self._store.run(*statements, (_STATE, own))
        return State(rows[0][0]) if rows else None

    async def record_not_found(self, row: Row, now: float) -> float:
        """Write down that the gateway does not know a row; return since when this owner has found it so, by its own clock."""
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET not_found_since = CASE WHEN not_found_by = ? THEN"
                " not_found_since ELSE ? END, not_found_by = ?"
                " WHERE id = ? RETURNING not_found_since",
                (self.owner, now, self.owner, row.id),
            )
        )
        return float(rows[0][0])

    async def clear_not_found(self, row: Row) -> None:
        """Write down that the gateway answered something else than that it does not know a row: absence begins anew."""
        await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET not_found_by = '' WHERE id = ? AND not_found_by <> ''",
                (row.id,),
            )
        )

    async def replan(self, row: Row, evidence: str) -> Row | None:
        """Have an unknown row sent again under its own id: only where the platform is known to refuse a used one."""
        (rows,) = await self._store.run(
            (
                # The fence is raised: whoever still works on an earlier attempt must not take this one's for its own.
                "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ?, not_found_by = '', fence = fence + 1,"  # noqa: S608
                " payment_id = NULL, resent = 1 WHERE id = ?"
                f" AND state = 'unknown' AND owner = ? AND fence = ? RETURNING {COLUMNS}",
                (_text(evidence), row.id, row.owner, row.fence),
            )
        )
        return self._row(rows[0]) if rows else None

    async def resolve(self, merchant_transaction_id: str, state: State, evidence: str) -> bool:
        """Take a person's decision on a row of the review list: paid, not paid, or to be sent again.

        Card numbers in the ``evidence`` are masked.
        """
        (rows,) = await self._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = ?, outcome_source = 'person', not_found_by = '', fence = fence + 1,"
                " payment_id = CASE ? WHEN 'planned' THEN NULL ELSE payment_id END, resent = 1,"
                " evidence = COALESCE(evidence, '') || ' / decided: ' || ?, changed_at = CURRENT_TIMESTAMP"
                " WHERE member = ? AND merchant_transaction_id = ? AND state = 'review' RETURNING id",
                (
                    state.value,
                    state.value,
                    _text(mask(evidence)),
                    self._member,
                    merchant_transaction_id,
                ),
            )
        )
        return bool(rows)

    # Looking

    async def list_entries(
        self, *, after: int = 0, limit: int = 1000, state: State | None = None
    ) -> list[JournalEntry]:
        """Return rows in the order in which they were planned, a page at a time: those with a greater number than ``after``."""
        page = (self._member, after, limit, LAST_ID)
        if state is not None:
            (rows,) = await self._store.run((select_page(ENTRY_COLUMNS, "member", state), page))
        else:
            (rows,) = await self._store.run(
                (select_merged_page(ENTRY_COLUMNS, "member", State), (*page * len(State), limit))
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
        return [
            (state, currency, code, count, Decimal(int(cents)) / 100)
            for state, currency, code, count, cents in rows
        ]


def refusal_of_batch(batch: str) -> InvalidRequest | None:
    """Return why a batch must not have this name: it is stored and shown."""
    return (
        InvalidRequest("batch", "must not be a card number", shape_of(batch))
        if contains(batch, known_issuer=True)
        else None
    )


def _listed(row: tuple[Any, ...]) -> JournalEntry:
    number, merchant_transaction_id, batch, amount, currency, state, *rest = row
    return JournalEntry(
        number, merchant_transaction_id, batch, Money(amount, currency), State(state), *rest
    )


def _values(finding: PayoutUpdate) -> tuple[Any, ...]:
    return (
        finding.state.value,
        _text(finding.payment_id),
        _text(finding.code),
        _text(finding.description),
        _text(finding.status),
        finding.outcome_source,
        finding.seconds,
        _text(finding.evidence),
    )


def _text(said: str | None) -> str | None:
    return None if said is None else printable(said)


def _may_tell(told: PayoutStatus, evidence: Evidence) -> bool:
    """Return whether a record can tell of a payout: it was found, and is a payout's own, a record with an amount, or a verified
    event.
    """  # noqa: D205 - one sentence
    if not isinstance(told, OperationResult):
        # Other types than events have no mark of that kind.
        return getattr(told, "signed", True) or getattr(told, "confirmed", None) is not None
    if isinstance(told, Transaction):
        return told.found and evidence.amount is not None
    return isinstance(told, Payout)


def _told(finding: PayoutUpdate) -> str:
    said = f"{finding.outcome_source or 'something'} says {finding.state.value}"
    return (
        _text(
            f"{said} ({finding.code or finding.status or 'no code'}, payment {finding.payment_id or 'without id'})"
        )
        or said
    )
