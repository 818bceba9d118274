"""Results: one frozen class per operation, with the outcome and the whole reply."""

from __future__ import annotations

from typing import Self

from attrs import field, frozen

from gatewaypy.errors import Declined, OutcomeUnknown, UnreadableReply
from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.mandate import Mandate
from gatewaypy.models.outcome import Outcome, OutcomeSource
from gatewaypy.models.redirect import Redirect  # noqa: TC001 - cattrs reads the annotations
from gatewaypy.money import Money  # noqa: TC001 - cattrs reads the annotations


@frozen
class ResultCode:
    """The gateway's code, such as ``"00001"``, and its text; both empty if it sent none."""

    code: str = ""
    description: str = ""


@frozen
class MaskedCard:
    """The parts of a card that may be shown."""

    bin: str | None = None
    last_four: str | None = None
    holder: str | None = None
    expiry_month: str | None = None
    expiry_year: str | None = None


@frozen(kw_only=True)
class OperationResult:
    """The attributes of every result.

    Attributes:
        outcome: The outcome, from the gateway's statuses and code.
        result: The operation's own code and text. Empty if only an inquiry gave the outcome,
            because an inquiry's code is about the look-up.
        status: The gateway's long status; may be one that the library does not know.
        transaction_status: The gateway's short status; as ``status``.
        payment_id: The gateway's id.
        merchant_transaction_id: Your own id.
        amount: Amount and currency.
        remark: The bank's text.
        timestamp: As sent, without a time zone; do not compute with it.
        outcome_source: Whether the outcome is from the operation's own reply, or from an inquiry
            because that reply was missing or unreadable.
        extra: The fields of the reply without an attribute.
        raw: All fields of the reply.
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
        """Whether the money has moved, or for a preauthorization is held."""
        return self.outcome is Outcome.SUCCEEDED

    def raise_for_outcome(self) -> Self:
        """Return the result itself, or raise if the operation failed.

        Returns:
            This result.

        Raises:
            Declined: The outcome is ``FAILED`` or ``CANCELLED``.
            OutcomeUnknown: The outcome is ``UNKNOWN``.
            UnreadableReply: The outcome is ``UNKNOWN``, and the result is not of a payment.
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
            reason = f"its code {self.result.code or '(none)'} means neither success nor failure"
            raise UnreadableReply(reason, operation=type(self).__name__.lower())
        if self.outcome is Outcome.UNKNOWN:
            reason = "the gateway's answer means neither success nor failure"
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

    Attributes:
        redirect: Where to send the payer's browser, if the outcome is ``REDIRECT``.
        card: The masked card.
        payment_brand: As sent by the gateway.
        payment_mode: As sent by the gateway.
        registration_id: The stored card's id, if the payment stored it.
        descriptor: Text on the payer's statement.
        eci: Electronic commerce indicator of 3-D Secure.
        bank_reference_id: The bank's id.
        terminal_id: The terminal.
        duplicate: True if the gateway reported that this merchant transaction id was used
            before. The result is then that of the earlier payment; no second one was made.
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
        """Return the mandate for recurring payments; see `Mandate.of`."""
        return Mandate.of(self)


# These four classes add no field, so they use the methods that attrs generated for their base. A
# class that gets a field must become @frozen(kw_only=True).


class FollowUp(OperationResult):
    """An operation on an earlier payment.

    ``amount`` is the requested amount. If an inquiry gave the outcome, it is the inquiry's amount.
    """

    __slots__ = ()


class Capture(FollowUp):
    """The capture of a preauthorization (protocol sections 4 and 7)."""

    __slots__ = ()


class Reversal(FollowUp):
    """The cancellation of a whole preauthorization (protocol sections 4 and 7)."""

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
    """The record of a payment or payout, from an inquiry or the transaction list.

    Attributes:
        found: False if the gateway has no record. ``outcome`` is then ``UNKNOWN``, because a
            record may appear late.
        lookup: The inquiry's own code, such as ``00026``, "record found". It is not about the
            payment, so ``result`` is empty.
        card: The masked card.
        payment_brand: As sent by the gateway.
        payment_mode: As sent by the gateway.
        registration_id: The stored card's id.
        descriptor: Text on the payer's statement.
        eci: Electronic commerce indicator of 3-D Secure.
        bank_reference_id: The bank's id.
        terminal_id: The terminal.
        captured: Captured amount.
        refunded: Refunded amount.
        charged_back: Charged back amount; only in the list.
        paid_out: Paid out amount; only in the list.
        transaction_date: Without a time zone; only in the list.
        customer: The customer's fields; only in the list.

    Protocol section 7.
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
        """Return the mandate for recurring payments; see `Mandate.of`."""
        return Mandate.of(self)
