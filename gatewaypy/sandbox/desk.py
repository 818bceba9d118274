"""What the gateway does with a request that got through to it: checks it, books it, and answers."""

from __future__ import annotations

import contextlib
import hmac
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from attrs import define, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol import checksum as signing
from gatewaypy.protocol import operations
from gatewaypy.protocol.fields import check
from gatewaypy.sandbox import replies, rules
from gatewaypy.sandbox.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.protocol.operations import Operation
    from gatewaypy.sandbox.faults import Fault
    from gatewaypy.sandbox.ledger import Ledger, Record, Refusal
    from gatewaypy.sandbox.tokens import TokenDesk
    from gatewaypy.secret import Secret

#: Which operation a ``paymentType`` names, on each path that serves several.
BY_TYPE: Final[Mapping[str, Operation]] = {
    "DB": operations.DEBIT,
    "PA": operations.PREAUTH,
    "CP": operations.CAPTURE,
    "RV": operations.REVERSAL,
    "RF": operations.REFUND,
    "PO": operations.PAYOUT,
}


class RejectedError(Exception):
    """A request that is refused before anything is booked."""

    def __init__(self, code: str, description: str) -> None:
        """Keep the code and its words."""
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description


@frozen
class Asked:
    """A request that got through: which operation, by whom, about which earlier payment, with which fields."""

    operation: Operation
    merchant: Credentials
    subject: str | None
    fields: Mapping[str, str]


def operation_of(path: str, fields: Mapping[str, str]) -> Operation:
    """Find the operation that a request is for.

    :raises RejectedError: for a ``paymentType`` that does not belong on this path.
    """
    payment_type = fields.get("paymentType", "")
    if payment_type == "IN":
        by_own_id = fields.get("idType") == "MID"
        return operations.INQUIRE_BY_MERCHANT_ID if by_own_id else operations.INQUIRE_BY_PAYMENT_ID
    operation = BY_TYPE.get(payment_type)
    has_subject = path.startswith(("/payments/", "/refund/"))
    takes_subject = operation in {operations.CAPTURE, operations.REVERSAL, operations.REFUND}
    if operation is None or has_subject is not takes_subject or (operation is operations.PAYOUT) is not (path == "/payout"):
        raise RejectedError("20007", "paymentType is missing, unknown or not for this path")
    return operation


@define(eq=False, kw_only=True)
class Desk:
    """The gateway's counter.

    :param merchants: who may call.
    :param refuse_duplicates: whether a merchantTransactionId that was used is refused (20015) or carried out once more.
    :param inquiry_lag: seconds before an inquiry finds a new record.
    :param settle_after: seconds before an asynchronous payment is approved.
    """

    ledger: Ledger
    tokens: TokenDesk
    merchants: tuple[Credentials, ...]
    refuse_duplicates: bool = True
    inquiry_lag: float = 0.0
    settle_after: float = 0.2
    on_change: Callable[[Record], None]
    on_pending: Callable[[Record, float], None]

    @contextlib.contextmanager
    def bent_by(self, fault: Fault | None) -> Iterator[None]:
        """Behave for one request as its fault has it."""
        before = (self.refuse_duplicates, self.inquiry_lag)
        if fault is not None and fault.kind in {FaultKind.ACCEPT_DUPLICATE, FaultKind.REFUSE_DUPLICATE}:
            self.refuse_duplicates = fault.kind is FaultKind.REFUSE_DUPLICATE
        if fault is not None and fault.kind is FaultKind.LATE_RECORD:
            self.inquiry_lag = fault.seconds
        try:
            yield
        finally:
            self.refuse_duplicates, self.inquiry_lag = before

    # Tokens

    def grant(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``authToken``."""
        for merchant in self.merchants:
            if _same(fields, merchant.partner_id, merchant.username, merchant.secret_key.reveal(), "merchant.username"):
                return self._granted(root, merchant, merchant.username, "merchant") | {"memberId": merchant.member_id}
        return {"result": replies.result("10002", "Authentication failed"), "timestamp": replies.now()}

    def grant_partner(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``partnerAuthToken``."""
        for merchant in self.merchants:
            login, key = merchant.partner_username, merchant.partner_secret_key
            if (
                login is not None
                and key is not None
                and _same(fields, merchant.partner_id, login, key.reveal(), "partner.userName")
            ):
                return self._granted(root, merchant, login, "partner")
        return {"result": replies.result("10002", "Authentication failed"), "timestamp": replies.now()}

    def regenerate(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``regenerateToken``."""
        partner = fields.get("authentication.partnerId")
        merchant = next((m for m in self.merchants if m.partner_id == partner), None)
        if merchant is None or not self.tokens.is_valid(root, fields.get("authToken")):
            return {"result": replies.result("10010", "Token regeneration failed"), "timestamp": replies.now()}
        return self._granted(root, merchant, merchant.username, "merchant") | {"memberId": merchant.member_id}

    def _granted(self, root: str, merchant: Credentials, login: str, role: str) -> dict[str, Any]:
        return {
            "partnerId": merchant.partner_id,
            "result": replies.result("200"),
            "timestamp": replies.now(),
            "LoginName": login,
            "AuthToken": self.tokens.grant(root, login, role),
        }

    # Everything else

    def admit(self, operation: Operation, subject: str | None, fields: Mapping[str, str]) -> Asked:
        """Check who asks, every field's format, and the signature.

        :raises RejectedError: with the code and words of the reply.
        """
        member = fields.get("authentication.memberId")
        merchant = next((m for m in self.merchants if m.member_id == member), None)
        if merchant is None:
            raise RejectedError("20007", "authentication.memberId is unknown")
        missing = [name for name in operation.required if not fields.get(name)]
        if missing:
            raise RejectedError("20007", f"missing: {', '.join(missing)}")
        refused = None
        try:
            for name, value in fields.items():
                check(name, value)
        except InvalidRequest as refusal:
            refused = refusal.field
        if refused is not None:
            raise RejectedError("20007", f"not in its format: {refused}")
        if not self._is_signed(operation, merchant, subject, fields):
            raise RejectedError("20007", "authentication.checksum is wrong")
        return Asked(operation, merchant, subject, fields)

    @staticmethod
    def _is_signed(operation: Operation, merchant: Credentials, subject: str | None, fields: Mapping[str, str]) -> bool:
        rule = signing.RULES[operation.rule or ""]
        given: dict[str, str | Secret] = {**fields, "memberId": merchant.member_id, signing.KEY: merchant.secret_key}
        values = given | ({"id": subject, "paymentId": subject} if subject is not None else {})
        return signing.matches(signing.checksum(rule, values), fields.get("authentication.checksum", ""))

    def serve(self, asked: Asked, redirect: Callable[[Record], dict[str, Any]]) -> dict[str, Any]:
        """Carry a request out and return the reply's fields."""
        operation = asked.operation
        if operation in {operations.INQUIRE_BY_PAYMENT_ID, operations.INQUIRE_BY_MERCHANT_ID}:
            return self._inquire(asked)
        if operation in {operations.DEBIT, operations.PREAUTH, operations.PAYOUT}:
            return self._open(asked, redirect)
        return self._follow_up(asked)

    def _inquire(self, asked: Asked) -> dict[str, Any]:
        member, subject = asked.merchant.member_id, asked.subject or ""
        if asked.operation is operations.INQUIRE_BY_MERCHANT_ID:
            record = self.ledger.by_merchant_id(member, subject)
        else:
            record = self.ledger.by_payment_id(member, subject)
        if record is None or not self.ledger.is_visible(record):
            return {"result": replies.result("10026"), "timestamp": replies.now()}
        return replies.inquiry(record)

    def _open(self, asked: Asked, redirect: Callable[[Record], dict[str, Any]]) -> dict[str, Any]:
        fields, operation = asked.fields, asked.operation
        merchant_id = fields["merchantTransactionId"]
        earlier = self.ledger.by_merchant_id(asked.merchant.member_id, merchant_id)
        if earlier is not None and self.refuse_duplicates:
            return replies.duplicate(earlier)
        amount = Decimal(fields["amount"])
        if operation is operations.PAYOUT:
            self._check_payee(asked)
        elif not fields.get("card.number") or not fields.get("card.expiryMonth") or not fields.get("card.expiryYear"):
            raise RejectedError("20007", "missing: card.number, card.expiryMonth or card.expiryYear")
        record = self.ledger.open(
            member_id=asked.merchant.member_id,
            payment_type=operation.payment_type or "",
            merchant_transaction_id=merchant_id,
            amount=amount,
            currency=fields["currency"],
            fields={name: value for name, value in fields.items() if not name.startswith("card.")},
            card=_masked(fields),
            decision=rules.decide(amount, fields.get("card.number"), fields.get("attemptThreeD")),
            lag=self.inquiry_lag,
        )
        self.on_change(record)
        if record.decision.later:
            self.on_pending(record, self.settle_after)
        if operation is operations.PAYOUT:
            return replies.payout(record)
        return replies.payment(record, redirect(record) if record.short == "3D" else None)

    def _check_payee(self, asked: Asked) -> None:
        payment_id = asked.fields.get("paymentId")
        has_customer = any(name.startswith("customer.") for name in asked.fields)
        if (payment_id is None) is not has_customer:
            raise RejectedError("20007", "either paymentId or customer account details")
        if payment_id is not None:
            paid = self.ledger.by_payment_id(asked.merchant.member_id, payment_id)
            if paid is None or paid.status not in {"capturesuccess", "settled"}:
                raise RejectedError("10002", "paymentId is of no captured or settled sale")

    def _follow_up(self, asked: Asked) -> dict[str, Any]:
        operation, subject = asked.operation, asked.subject or ""
        failed = {"capture": "10005", "reversal": "10007", "refund": "10006"}[operation.name]
        record = self.ledger.by_payment_id(asked.merchant.member_id, subject)
        if record is None:
            return replies.follow_up(subject, failed, "No such payment")
        refusal: Refusal | None
        if operation is operations.REVERSAL:
            refusal = self.ledger.reverse(record)
        elif asked.fields["currency"] != record.currency:
            return replies.follow_up(subject, failed, "Not in the payment's currency")
        elif operation is operations.CAPTURE:
            refusal = self.ledger.capture(record, Decimal(asked.fields["amount"]))
        else:
            refusal = self.ledger.refund(record, Decimal(asked.fields["amount"]))
        if refusal is not None:
            return replies.follow_up(subject, refusal.code, refusal.description)
        self.on_change(record)
        return replies.follow_up(subject, operation.success)

    def merchant_of(self, record: Record) -> Credentials:
        """Return the merchant that a record belongs to."""
        return next(m for m in self.merchants if m.member_id == record.member_id)


def _same(fields: Mapping[str, str], partner_id: str, login: str, key: str, login_field: str) -> bool:
    given = (fields.get("authentication.partnerId", ""), fields.get(login_field, ""), fields.get("authentication.sKey", ""))
    return hmac.compare_digest("\0".join(given).encode(), f"{partner_id}\0{login}\0{key}".encode())


def _masked(fields: Mapping[str, str]) -> dict[str, str]:
    number = fields.get("card.number")
    if not number:
        return {}
    return {
        "bin": number[:6],
        "last4Digits": number[-4:],
        "holder": fields.get("card.holder", ""),
        "expiryMonth": fields.get("card.expiryMonth", ""),
        "expiryYear": fields.get("card.expiryYear", ""),
    }
