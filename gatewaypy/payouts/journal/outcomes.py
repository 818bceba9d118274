"""Outcomes: what a reply, an inquiry or a callback changes in a journal.

An update moves a row forward only, by `PAYOUT_TRANSITIONS`; `sql.RECORD_UPDATES` applies the table.
An update that contradicts a known outcome puts the row on the review list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from gatewaypy.models import OperationResult, Payout, Transaction
from gatewaypy.payouts.journal.sql import (
    RECORD_UPDATES,
    REVIEW_CONTRADICTION,
    REVIEW_SECOND_PAYMENT,
    STATE_OF,
    SUBJECT_OF,
    append_evidence,
)
from gatewaypy.payouts.journal.updates import PayoutUpdate, source_of
from gatewaypy.payouts.states import State
from gatewaypy.printable import printable
from gatewaypy.protocol.evidence import Check, Evidence, Subject, judge
from gatewaypy.protocol.operations import PAYOUT
from gatewaypy.storage.batching import Batcher
from gatewaypy.storage.table_parameter import table_parameter

if TYPE_CHECKING:
    from gatewaypy.payouts.journal.updates import PayoutStatus
    from gatewaypy.storage import Statement, Store

#: The order's id, the attempt if it is known, and the update.
_Record: TypeAlias = "tuple[str, int | None, PayoutUpdate]"
_CONTRADICTED = {State.SUCCEEDED: State.FAILED, State.FAILED: State.SUCCEEDED}


class OutcomeRecorder:
    """Records updates of one merchant's rows.

    Args:
        store: The journal's store.
        member_id: The merchant.
    """

    def __init__(self, store: Store, member_id: str) -> None:
        """Create a recorder."""
        self._store = store
        self._member = member_id
        self._updates: Batcher[_Record, bool] = Batcher(self._record_all, lambda record: record[0])

    async def record(
        self, merchant_transaction_id: str, update: PayoutUpdate, attempt: int | None
    ) -> State | None:
        """Apply an update; see `Journal.record`."""
        if await self._updates((merchant_transaction_id, attempt, update)):
            return update.state
        return await self._contradict(merchant_transaction_id, attempt, update)

    async def _record_all(self, records: list[_Record]) -> list[bool]:
        rows = table_parameter(
            (merchant_transaction_id, attempt, *_columns(update))
            for merchant_transaction_id, attempt, update in records
        )
        (changed,) = await self._store.run((RECORD_UPDATES, (rows, self._member)))
        ids = {merchant_transaction_id for (merchant_transaction_id,) in changed}
        return [merchant_transaction_id in ids for merchant_transaction_id, *_ in records]

    async def _contradict(
        self, merchant_transaction_id: str, attempt: int | None, update: PayoutUpdate
    ) -> State | None:
        """Compare an update that moved no row with what the row has already."""
        key = (self._member, merchant_transaction_id)
        if update.state is State.UNKNOWN:
            (rows,) = await self._store.run((STATE_OF, key))
            return State(rows[0][0]) if rows else None
        if update.payment_id is not None and await self._review_second_payment(key, update):
            return State.REVIEW
        evidence = printable(update.evidence) if update.evidence else _summary(update)
        reason = f" / but: {evidence}"
        statements: list[Statement] = []
        contradicted = _CONTRADICTED.get(update.state)
        if contradicted is not None:
            # The failure of an earlier attempt does not contradict the success of a later one.
            failed_attempt = attempt if update.state is State.FAILED else None
            statements.append(
                (REVIEW_CONTRADICTION, (reason, *key, contradicted.value, failed_attempt))
            )
        # A person who decides sees each piece of evidence once; so does the next inquiry, if the
        # evidence needs a person while the row is open.
        states = [State.REVIEW]
        if update.state is State.REVIEW:
            states = [State.PLANNED, State.SENDING, State.REVIEW]
        statements.append((append_evidence(states), (reason, *key, reason)))
        *_, rows = await self._store.run(*statements, (STATE_OF, key))
        return State(rows[0][0]) if rows else None

    async def _review_second_payment(self, key: tuple[str, str], update: PayoutUpdate) -> bool:
        """Put a row with another payment id on the review list: the money may have moved twice.

        A second payment that failed changes nothing, unless the first outcome is open and the
        order was not sent again, since an earlier attempt may have a failed payment.
        """
        state = update.state.value
        (doubled,) = await self._store.run(
            (
                REVIEW_SECOND_PAYMENT,
                (
                    " / payment ",
                    f" / but: {_summary(update)}",
                    *key,
                    update.payment_id,
                    state,
                    state,
                ),
            )
        )
        return bool(doubled)

    async def read_update(self, status: PayoutStatus) -> tuple[str, PayoutUpdate] | None:
        """Classify a callback or another record of a payout; see `Journal.handle_event`.

        Returns:
            The order's id and its update; None if the record changes nothing.
        """
        evidence = Evidence.of(status)
        merchant_transaction_id = evidence.merchant_transaction_id
        if merchant_transaction_id is None or not _is_trustworthy(status, evidence):
            return None
        (rows,) = await self._store.run((SUBJECT_OF, (self._member, merchant_transaction_id)))
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
        update = PayoutUpdate.from_status(status, outcome=judgement.outcome)
        if (mismatch := judgement.mismatch) is not None:
            is_inquiry = source_of(status) == "inquiry"
            if mismatch.check in {Check.MERCHANT, Check.KIND} and not is_inquiry:
                return None
            payment = evidence.payment_id or "without an id"
            reason = f"{source_of(status)}: {mismatch.reason}, payment {payment}"
            update = PayoutUpdate(state=State.REVIEW, evidence=reason)
        elif update.state is State.UNKNOWN:
            return None
        elif State(state) is State.PLANNED and not is_resent:
            reason = f"{_summary(update)}, but this journal never sent it"
            update = PayoutUpdate(state=State.REVIEW, evidence=reason)
        return merchant_transaction_id, update


def _columns(update: PayoutUpdate) -> tuple[Any, ...]:
    texts = (
        update.payment_id,
        update.code,
        update.description,
        update.status,
        update.evidence,
    )
    payment_id, code, description, status, evidence = [
        text if text is None else printable(text) for text in texts
    ]
    source, seconds = update.outcome_source, update.seconds
    return update.state.value, payment_id, code, description, status, source, seconds, evidence


def _is_trustworthy(status: PayoutStatus, evidence: Evidence) -> bool:
    """Return whether a record counts: a payout's reply, a found record with an amount, or an event
    that is signed or confirmed.
    """  # noqa: D205 - one sentence
    if not isinstance(status, OperationResult):
        # Other types than events have neither attribute.
        return getattr(status, "signed", True) or getattr(status, "confirmed", None) is not None
    if isinstance(status, Transaction):
        return status.found and evidence.amount is not None
    return isinstance(status, Payout)


def _summary(update: PayoutUpdate) -> str:
    code = update.code or update.status or "no code"
    payment = update.payment_id or "without id"
    source = update.outcome_source or "something"
    return printable(f"{source} says {update.state.value} ({code}, payment {payment})")
