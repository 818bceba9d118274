"""Results: frozen, one class an operation, each with its outcome, the gateway's words and the whole reply."""

from __future__ import annotations

from typing import Self

from attrs import field, frozen

from gatewaypy.errors import Declined, OutcomeUnknown, UnreadableReply
from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.mandate import Mandate
from gatewaypy.models.outcome import Outcome, OutcomeSource
from gatewaypy.models.redirect import Redirect  # noqa: TC001 - a converter such as cattrs reads the annotations
from gatewaypy.money import Money  # noqa: TC001 - a converter such as cattrs reads the annotations


@frozen
class ResultCode:
    """The gateway's code (text: ``"00001"``) and its words for it; both empty where it sent none."""

    code: str = ""
    description: str = ""


@frozen
class MaskedCard:
    """As much of a card as may be shown."""

    bin: str | None = None
    last_four: str | None = None
    holder: str | None = None
    expiry_month: str | None = None
    expiry_year: str | None = None


@frozen(kw_only=True)
class OperationResult:
    """What every result has.

    ``outcome`` is the library's reading; ``status`` and ``transaction_status`` are the gateway's long and short words for it,
    carried as text even where the library doesn't know them. ``timestamp`` has no zone and must not be computed with.
    ``result`` is the operation's own code; it is empty if only an inquiry told the outcome, since an inquiry's code is about
    the look-up. ``raw`` is the whole reply, ``extra`` the part of it that has no attribute here. ``outcome_source`` tells whether
    the operation's own reply said so, or an inquiry made because that reply was missing or unreadable.
    """

    outcome: Outcome
    result: ResultCode = ResultCode()
    status: str | None = None
    transaction_status: str | None = None
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    amount: Money | None = None
    remark: str | None = None
    timestamp: str | None = None
    outcome_source: OutcomeSource = OutcomeSource.REPLY
    extra: Fields = field(default=NO_FIELDS, repr=False)
    raw: Fields = field(default=NO_FIELDS, repr=False, eq=False)

    @property
    def succeeded(self) -> bool:
        """Whether the operation is done and its money moved (or is held, for a preauthorization)."""
        return self.outcome is Outcome.SUCCEEDED

    def raise_for_outcome(self) -> Self:
        """Return the result itself, unless it is a no.

        :raises Declined: where it failed or was cancelled.
        :raises OutcomeUnknown: where nobody knows; `UnreadableReply` where it is no payment that nobody knows of.
        """
        if self.outcome in {Outcome.FAILED, Outcome.CANCELLED}:
            raise Declined(
                outcome=self.outcome.name,
                code=self.result.code,
                description=self.result.description,
                remark=self.remark,
                payment_id=self.payment_id,
                operation=type(self).__name__.lower(),
                merchant_transaction_id=self.merchant_transaction_id,
            )
        if (
            self.outcome is Outcome.UNKNOWN
            and self.payment_id is None
            and self.merchant_transaction_id is None
        ):
            reason = f"its code {self.result.code or '(none)'} says neither yes nor no"
            raise UnreadableReply(reason, operation=type(self).__name__.lower())
        if self.outcome is Outcome.UNKNOWN:
            reason = "the gateway's answer says neither yes nor no"
            raise OutcomeUnknown(
                reason,
                operation=type(self).__name__.lower(),
                merchant_transaction_id=self.merchant_transaction_id,
                payment_id=self.payment_id,
                status=self.status,
                code=self.result.code,
            )
        return self


@frozen(kw_only=True)
class Payment(OperationResult):
    """A debit or a preauthorization (protocol section 7).

    ``redirect`` is where the payer must go on, with outcome ``REDIRECT``. ``duplicate`` is true where the gateway said that
    this merchant transaction id had been used before: the result then tells of that earlier payment, and no second was made.
    """

    redirect: Redirect | None = None
    card: MaskedCard | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None
    registration_id: str | None = None
    descriptor: str | None = None
    eci: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    duplicate: bool = False

    def mandate(self) -> Mandate:
        """Return what later recurring payments need, once this initial payment has succeeded; see `Mandate.of`."""
        return Mandate.of(self)


# These four add no field, so that everything that attrs made for their base serves them too; one that gets a field of its own
# must become @frozen(kw_only=True) like the others.


class FollowUp(OperationResult):
    """An operation on an earlier payment.

    ``amount`` is what was asked for; where an inquiry settled it, only what that told.
    """

    __slots__ = ()


class Capture(FollowUp):
    """The capture of a preauthorization (protocol sections 4 and 7)."""

    __slots__ = ()


class Reversal(FollowUp):
    """The cancelling of a preauthorization, whole (protocol sections 4 and 7)."""

    __slots__ = ()


class Refund(FollowUp):
    """A refund of a captured payment, once per payment (protocol sections 4 and 7)."""

    __slots__ = ()


@frozen(kw_only=True)
class Payout(OperationResult):
    """Money sent to a customer (protocol section 7). ``duplicate`` as in `Payment`."""

    payment_brand: str | None = None
    payment_mode: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    duplicate: bool = False


@frozen(kw_only=True)
class Transaction(OperationResult):
    """What an inquiry, or a row of the transaction list, says of a payment or payout (protocol section 7).

    ``found`` is false where the gateway has no record; ``outcome`` is then ``UNKNOWN``: a record may appear late. ``lookup`` is
    the inquiry's own code, such as ``00026``, "record found". It says nothing about the payment, so ``result`` is empty.
    ``charged_back``, ``paid_out``, ``transaction_date`` (without a zone) and ``customer`` come with the list alone.
    """

    found: bool
    lookup: ResultCode = ResultCode()
    card: MaskedCard | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None
    registration_id: str | None = None
    descriptor: str | None = None
    eci: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    captured: Money | None = None
    refunded: Money | None = None
    charged_back: Money | None = None
    paid_out: Money | None = None
    transaction_date: str | None = None
    customer: Fields = field(default=NO_FIELDS, repr=False)

    def mandate(self) -> Mandate:
        """Return what later recurring payments need, where this is a successful initial payment; see `Mandate.of`."""
        return Mandate.of(self)
