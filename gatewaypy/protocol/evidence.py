"""Decide what a record proves about the payment or payout in question.

A record is a reply, an inquiry's answer or a callback. One function judges all of them with the
same checks in this order: merchant, kind of operation, ids, amount, currency. A value is compared
if both sides state it. A record that fails a check proves nothing. A record that passes proves what
its two statuses state (protocol section 8), read for the operation in question.
"""

from __future__ import annotations

import enum
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import frozen

from gatewaypy.models import Outcome
from gatewaypy.protocol.statuses import outcome_of
from gatewaypy.protocol.transitions import Kind, may_be_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.money import Money

_AMOUNT: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,2})?", re.ASCII)
_NAMES: Final = (
    "paymentId",
    "merchantTransactionId",
    "amount",
    "currency",
    "status",
    "transactionStatus",
)
_NO_ID: Final = frozenset({"", "-"})


class Check(enum.Enum):
    """The check that a record failed."""

    MERCHANT = "another merchant"
    KIND = "another kind of operation"
    PAYMENT_ID = "another payment id"
    MERCHANT_TRANSACTION_ID = "another merchant transaction id"
    AMOUNT = "another amount"
    CURRENCY = "another currency"


@frozen
class Mismatch:
    """Why a record is not about the payment; ``reason`` has amounts, currencies and statuses."""

    check: Check
    reason: str


@frozen(kw_only=True)
class Subject:
    """What is known of the payment or payout in question; ``None`` is not compared.

    Args:
        payment_type: The wire's ``paymentType``: ``DB``, ``PA``, ``CP``, ``RF``, ``RV`` or ``PO``.
        member_id: The merchant's id.
        payment_id: The gateway's id.
        merchant_transaction_id: The merchant's own id.
        amount: Amount as sent: ``50.00``. Not set for a capture, refund or reversal, whose record
            has the amount of the whole payment.
        currency: ISO 4217 code.
    """

    payment_type: str | None = None
    member_id: str | None = None
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    amount: str | None = None
    currency: str | None = None

    @property
    def kind(self) -> Kind | None:
        """The kind of record that this operation leaves; ``None`` if the operation is not known."""
        if self.payment_type is None:
            return None
        return Kind.PAYOUT if self.payment_type == "PO" else Kind.PAYMENT


class Record(Protocol):
    """A result, a transaction or a callback event."""

    @property
    def payment_id(self) -> str | None:
        """The gateway's id."""
        ...

    @property
    def merchant_transaction_id(self) -> str | None:
        """The merchant's own id."""
        ...

    @property
    def status(self) -> str | None:
        """The long status."""
        ...

    @property
    def transaction_status(self) -> str | None:
        """The short status."""
        ...

    @property
    def amount(self) -> Money | None:
        """The amount, if its text and its currency are readable."""
        ...

    @property
    def raw(self) -> Mapping[str, Any]:
        """The fields as received."""
        ...


@frozen(kw_only=True)
class Evidence:
    """What a record states, as text. ``None`` means that it does not state it."""

    member_id: str | None = None
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    amount: str | None = None
    currency: str | None = None
    status: str | None = None
    transaction_status: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], *, member_id: str | None = None) -> Evidence:
        """Read the fields of a payment's record; a value that is not a string counts as empty.

        Args:
            fields: A reply's, an inquiry's or a callback's fields.
            member_id: The merchant whose key signed the record, or who requested it.
        """
        identifier, own, amount, currency, long, short = [
            value if value is None or value.__class__ is str else ""
            for value in map(fields.get, _NAMES)
        ]
        return cls(
            member_id=member_id,
            payment_id=None
            if identifier is None or identifier.strip() in _NO_ID
            else identifier.strip(),
            merchant_transaction_id=own or None,
            amount=amount,
            currency=currency or None,
            status=long,
            transaction_status=short,
        )

    @classmethod
    def of(cls, record: Record) -> Evidence:
        """Read a result, a transaction or a callback event; amount and currency as received."""
        amount, currency = _text(record.raw, "amount"), _text(record.raw, "currency") or None
        if amount is None and record.amount is not None:
            amount, currency = record.amount.wire(), record.amount.currency
        return cls(
            member_id=getattr(record, "member_id", None),
            payment_id=record.payment_id,
            merchant_transaction_id=record.merchant_transaction_id,
            amount=amount,
            currency=currency,
            status=record.status,
            transaction_status=record.transaction_status,
        )


@frozen
class Judgement:
    """What a record proves. With a ``mismatch`` it proves nothing: ``outcome`` is ``UNKNOWN``."""

    outcome: Outcome
    mismatch: Mismatch | None = None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if value is None or isinstance(value, str) else ""


def same_amount(mine: str, theirs: str) -> bool:
    """Return whether two texts are the same amount.

    ``50``, ``50.0`` and ``50.00`` are the same; ``50.000`` is not an amount.
    """
    mine, theirs = mine.strip(), theirs.strip()
    if mine == theirs:
        return True
    return bool(_AMOUNT.fullmatch(mine) and _AMOUNT.fullmatch(theirs)) and Decimal(mine) == Decimal(
        theirs
    )


def same_currency(mine: str, theirs: str) -> bool:
    """Return whether two currency codes are the same, in any case of letters."""
    return mine.strip().upper() == theirs.strip().upper()


def mismatch_of(subject: Subject, evidence: Evidence) -> Mismatch | None:
    """Return the first check that a record fails, ``None`` if it can be about the payment."""
    if subject.member_id is not None and evidence.member_id not in {None, subject.member_id}:
        return Mismatch(Check.MERCHANT, "the record is of another merchant")
    kind = subject.kind
    if kind is not None and not may_be_of(kind, evidence.status, evidence.transaction_status):
        state = (evidence.status or evidence.transaction_status or "").strip()
        return Mismatch(Check.KIND, f"the record is of another kind of operation: {state}")
    if subject.payment_id is not None and evidence.payment_id not in {None, subject.payment_id}:
        return Mismatch(Check.PAYMENT_ID, "the record is of another payment")
    own = subject.merchant_transaction_id
    if own is not None and evidence.merchant_transaction_id not in {None, own}:
        return Mismatch(
            Check.MERCHANT_TRANSACTION_ID, "the record is of another merchant transaction id"
        )
    return mismatch_of_amount(subject.amount, subject.currency, evidence.amount, evidence.currency)


def mismatch_of_amount(
    amount: str | None, currency: str | None, their_amount: str | None, their_currency: str | None
) -> Mismatch | None:
    """Compare amounts, and currencies if both are stated."""
    if (
        amount is not None
        and their_amount not in {None, amount}
        and not same_amount(amount, str(their_amount))
    ):
        shown = their_amount if _AMOUNT.fullmatch(str(their_amount)) else "an unreadable amount"
        return Mismatch(Check.AMOUNT, f"the record is of another amount: {shown}, not {amount}")
    if (
        currency is not None
        and their_currency not in {None, currency}
        and not same_currency(currency, str(their_currency))
    ):
        return Mismatch(Check.CURRENCY, f"the record is of another currency than {currency}")
    return None


def reading(payment_type: str | None, long: str | None, outcome: Outcome) -> Outcome:
    """Return the outcome of a record's statuses for an operation.

    A debit is authorized first and captured next. At ``authsuccessful`` its money is held and not
    yet captured, so it is pending.

    Args:
        payment_type: As in `Subject`.
        long: The long status.
        outcome: What the two statuses state together (`statuses.outcome_of`).
    """
    if (
        outcome is Outcome.SUCCEEDED
        and payment_type == "DB"
        and long
        and long.strip().casefold() == "authsuccessful"
    ):
        return Outcome.PENDING
    return outcome


def judge(subject: Subject, evidence: Evidence) -> Judgement:
    """Judge what a record proves about a new payment or a payout.

    A capture, refund or reversal has no record of its own, only a trace on the payment's; see
    `inquiry.resolve`.
    """
    mismatch = mismatch_of(subject, evidence)
    if mismatch is not None:
        return Judgement(Outcome.UNKNOWN, mismatch)
    outcome = outcome_of(evidence.status, evidence.transaction_status)
    return Judgement(reading(subject.payment_type, evidence.status, outcome))
