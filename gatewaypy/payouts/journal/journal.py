"""The journal of a payout job: an order is stored before it is sent, and its outcome afterwards."""

from __future__ import annotations

import copy
import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Self

from gatewaypy.errors import AuthenticationFailed, ConfigurationError, GatewayError
from gatewaypy.pan import mask
from gatewaypy.payouts.journal.claims import RowClaims
from gatewaypy.payouts.journal.gateway_address import JournalGateway
from gatewaypy.payouts.journal.lock import JournalLock
from gatewaypy.payouts.journal.order_codec import OrderCodec
from gatewaypy.payouts.journal.outcomes import OutcomeRecorder
from gatewaypy.payouts.journal.planning import OrderPlanner
from gatewaypy.payouts.journal.rows import LAST_ID, Conflict, JournalEntry, Row, Scope
from gatewaypy.payouts.journal.sql import (
    ENTRY_COLUMNS,
    RESOLVE,
    SCHEMA,
    SHARED_SCHEMA,
    SUMS,
    select_merged_page,
    select_page,
)
from gatewaypy.payouts.journal.trust import JournalTrust, checked_reason
from gatewaypy.payouts.states import State
from gatewaypy.printable import printable
from gatewaypy.storage import open_store
from gatewaypy.storage.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from gatewaypy.interfaces import InquiryClient
    from gatewaypy.payouts.journal.trust import HistoryEntry
    from gatewaypy.payouts.journal.updates import PayoutStatus, PayoutUpdate
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.storage import Store

_INQUIRIES_PER_PAGE: Final = 100
_WHOLE: Final = Scope()


class Journal(RowClaims):
    """A payout journal in SQLite or PostgreSQL.

    Args:
        url_or_store: ``sqlite:///payouts.db`` or ``postgresql://user@host/database``, or a `Store`.
        member_id: The merchant. Several merchants may share a journal.
        scope: The rows that this object claims and counts. Needs PostgreSQL.
        encrypt: Encrypts an order's bytes. Needed if orders contain card numbers.
        decrypt: Reverses `encrypt`.
        read_only: Open without the lock of the process that sends, to read while it runs.

    Raises:
        ConfigurationError: Only one of the hooks, or a scope for a journal in a file.

    Example:
        ``async with Journal("sqlite:///payouts.db", "11344", read_only=True) as journal: ...``
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
        codec = OrderCodec(encrypt, decrypt)
        store = open_store(url_or_store) if isinstance(url_or_store, str) else url_or_store
        path = sqlite_path(url_or_store) if isinstance(url_or_store, str) else None
        file = None if path is None else JournalLock(path)
        super().__init__(store, member_id, codec, lock=None if read_only else file)
        self._is_shareable = path is None
        self.scope = self._check_scope(scope)
        self._schema = SCHEMA if path is not None else SHARED_SCHEMA
        self._trust = JournalTrust(store, file, is_looking=read_only)
        self._gateway = JournalGateway(store, member_id, is_exclusive=self._lock is not None)
        self._planner = OrderPlanner(store, member_id, codec, self._trust)
        self._outcomes = OutcomeRecorder(store, member_id)

    async def __aenter__(self) -> Self:
        """Open the store, and mark the journal if it was restored from a backup.

        Raises:
            ConfigurationError: The store is not durable, or another process runs this journal.
        """
        if self._lock is not None:
            self._lock.acquire()
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

    async def aclose(self) -> None:
        """Finish the writes in progress, close the store and release the lock."""
        await self._store.aclose()
        if self._lock is not None:
            self._lock.release()

    @property
    def member_id(self) -> str:
        """The merchant."""
        return self._member

    def with_scope(self, scope: Scope) -> Journal:
        """Return a view of this journal that claims and counts only the rows of a scope.

        The view shares the open store and the group commits. It is another owner, so that two
        runs over one scope distinguish their rows.

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

    # The gateway

    def check_merchant(self, gateway: object) -> None:
        """Refuse a gateway of another merchant, where the same ids mean other orders.

        Raises:
            ConfigurationError: It names both merchants.
        """
        theirs = getattr(getattr(gateway, "credentials", None), "member_id", self._member)
        if theirs != self._member:
            msg = (
                f"the journal belongs to merchant {self._member} and the gateway to merchant"
                f" {theirs}; use one journal for each merchant"
            )
            raise ConfigurationError(msg)

    async def check_gateway(self, gateway: object) -> None:
        """Refuse a gateway at another base URL than this journal's; the first one is stored.

        A job, a worker and :meth:`reconcile` call this before they inquire or send.

        Args:
            gateway: A `Gateway`, or a client of another kind. Once an address is stored, a client
                without a ``platform`` is refused.

        Raises:
            ConfigurationError: It names both addresses. Nothing was sent.
        """
        await self._gateway.check(gateway)

    async def change_gateway(self, base_url: str, because: str, *, person: str = "") -> None:
        """Set another base URL of the gateway, on a person's decision.

        Args:
            base_url: The new base URL. It must be the same gateway, with the same payments in it.
            because: How the person knows; stored in the journal's history.
            person: Who decided.

        Raises:
            InvalidRequest: There is no reason, or the URL is not a base URL.
        """
        await self._gateway.change(base_url, checked_reason(because), person)

    # Restored journals

    @property
    def restored(self) -> bool:
        """Whether the journal counted as restored when it was opened."""
        return self._trust.is_restored

    async def restored_because(self) -> str:
        """Return why the journal counts as restored from a backup; empty if it does not.

        Until a person ends that, an order that is new to the journal starts as ``UNKNOWN``: the
        job inquires about it and does not send it.
        """
        return await self._trust.restored_because()

    async def trust(self, because: str, *, person: str = "") -> bool:
        """End the mark of a restored journal, on a person's decision.

        New orders are planned and sent from then on. Unknown rows stay unknown until an inquiry.

        Args:
            because: How the person knows that no sent order is missing, or that no missing order
                will be submitted again; stored in the journal's history.
            person: Who decided.

        Returns:
            False if the journal does not count as restored. Nothing is changed then.

        Raises:
            InvalidRequest: There is no reason.
        """
        return await self._trust.trust(because, person)

    async def distrust(self, because: str, *, person: str = "") -> None:
        """Mark the journal as restored from a backup, which it may not notice by itself.

        Every open order becomes ``UNKNOWN``, and so does each new order, until :meth:`trust`.

        Args:
            because: What was done; stored in the journal's history.
            person: Who decided.

        Raises:
            InvalidRequest: There is no reason.
        """
        await self._trust.distrust(because, person)

    async def history(self) -> list[HistoryEntry]:
        """Return when the journal was found restored, distrusted and trusted, why and by whom."""
        return await self._trust.history()

    # Planning

    async def plan(
        self, orders: Sequence[PayoutOrder], *, batch: str = ""
    ) -> list[Row | Conflict | None]:
        """Store orders; they are on disk when this returns.

        While the journal counts as restored, a new row is ``UNKNOWN`` and must not be sent.

        Args:
            orders: The orders.
            batch: A name for them. It is stored and shown.

        Returns:
            For each order its row if it is new, and None if the journal has it already. A
            `Conflict` if the journal has its id with another amount or payee, or if it contains a
            card number and the journal is not encrypted.

        Raises:
            InvalidRequest: The batch's name is a card number.
        """
        return await self._planner.plan(orders, batch, self.owner)

    # Outcomes

    async def record(
        self, merchant_transaction_id: str, update: PayoutUpdate, *, attempt: int | None = None
    ) -> State | None:
        """Apply the update of a reply, an inquiry or a callback, forward only.

        A late update is true all the same, so that any owner may record it. An outcome that
        contradicts a known outcome puts the row on the review list, with both pieces of evidence.

        Args:
            merchant_transaction_id: The order's id.
            update: The new state and its evidence.
            attempt: The attempt that it belongs to, if known. The failure of an earlier attempt
                does not change a later one.

        Returns:
            The row's state afterwards; None if the journal has no such row.
        """
        return await self._outcomes.record(merchant_transaction_id, update, attempt)

    async def handle_event(self, status: PayoutStatus) -> State | None:
        """Apply a callback, or another record of a payout.

        It moves a row forward only, and never causes a send. The record is classified like a reply
        (`protocol.evidence`). A record with another amount, or of a second payment under the same
        id, puts the row on the review list. So does a record of an order that was never sent,
        because another program has used its id.

        Args:
            status: A `CallbackEvent`, `Transaction` or `Payout`.

        Returns:
            The row's state afterwards. None if the journal has no such row, or if the record is
            ignored: it is of another merchant, is not a payout, has no amount (inquiry), has no
            outcome, or is neither signed nor confirmed.

        Example:
            ``router.on(PayoutSucceeded)(journal.handle_event)``
        """
        found = await self._outcomes.read_update(status)
        return None if found is None else await self.record(*found)

    async def reconcile(self, gateway: InquiryClient) -> int:
        """Inquire once about every pending row, and record the answers.

        A `gatewaypy.callbacks.Reconciler` does so on a schedule.

        Returns:
            How many rows are no longer pending.

        Raises:
            AuthenticationFailed: The gateway rejected the credentials.
            ConfigurationError: The gateway is not open, or is another merchant's or at another
                address.

        Example:
            ``Reconciler(gateway, inbox, journals=[journal])``
        """
        self.check_merchant(gateway)
        await self.check_gateway(gateway)
        moved, after = 0, 0
        while page := await self.list_entries(
            state=State.PENDING, after=after, limit=_INQUIRIES_PER_PAGE
        ):
            after = page[-1].id
            for entry in page:
                try:
                    transaction = await gateway.inquire(
                        merchant_transaction_id=entry.merchant_transaction_id
                    )
                except (AuthenticationFailed, ConfigurationError):
                    # Every other inquiry would fail too.
                    raise
                except GatewayError as error:
                    # The next round inquires again. A gateway that asks to wait ends this one.
                    if error.retry_after is not None:
                        return moved
                    continue
                if transaction.found:
                    moved += await self.handle_event(transaction) is not State.PENDING
        return moved

    async def resolve(self, merchant_transaction_id: str, state: State, evidence: str) -> bool:
        """Record a person's decision on a row of the review list.

        Args:
            merchant_transaction_id: The order's id.
            state: ``SUCCEEDED``, ``FAILED``, or ``PLANNED`` to send it again.
            evidence: How the person knows. Card numbers in it are masked.

        Returns:
            False if no such row is on the review list.
        """
        reason = printable(mask(evidence))
        key = (self._member, merchant_transaction_id)
        (rows,) = await self._store.run((RESOLVE, (state.value, state.value, reason, *key)))
        return bool(rows)

    # Listing

    async def list_entries(
        self, *, after: int = 0, limit: int = 1000, state: State | None = None
    ) -> list[JournalEntry]:
        """Return a page of rows, ordered by id.

        Args:
            after: Return only rows with a greater id.
            limit: Maximum number of rows.
            state: Return only rows in this state.
        """
        page = (self._member, after, limit, LAST_ID)
        if state is not None:
            (rows,) = await self._store.run((select_page(ENTRY_COLUMNS, "member", state), page))
        else:
            (rows,) = await self._store.run(
                (select_merged_page(ENTRY_COLUMNS, "member", State), (*page * len(State), limit))
            )
        return [JournalEntry.from_columns(row) for row in rows]

    async def sums(self) -> list[tuple[str, str, str | None, int, Decimal]]:
        """Count and add up by state, currency and result code; amounts are added as whole cents."""
        (rows,) = await self._store.run((SUMS, (self._member,)))
        return [
            (state, currency, code, count, Decimal(int(cents)) / 100)
            for state, currency, code, count, cents in rows
        ]
