"""The sandbox's payment service: it executes valid requests and builds their replies."""

from __future__ import annotations

import contextlib
import hmac
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from attrs import define, frozen

from gatewaypy.protocol.operation_types import ReplyKind
from gatewaypy.sandbox import replies, scenarios
from gatewaypy.sandbox.faults import FaultKind
from gatewaypy.sandbox.invoices import Invoices, masked
from gatewaypy.sandbox.validation import RejectedError, ValidRequest
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.platforms import Platform
    from gatewaypy.sandbox.faults import Fault
    from gatewaypy.sandbox.ledger import Ledger, Record, Refusal
    from gatewaypy.sandbox.tokens import TokenIssuer

_MOST_RECORDS: Final = 100


# An initial payment must have one of these statuses before it can be repeated.
_CONSENTED: Final = ("authsuccessful", "capturesuccess", "settled")


@frozen
class PaidFrom:
    """The source of a payment's money, with the fields that the ledger and the rules need."""

    mode: str = "CC"
    brand: str = "VISA"
    number: Secret | None = None
    card: Mapping[str, str] = {}
    payer_is_there: bool = True
    is_elsewhere: bool = False


@define(eq=False, kw_only=True)
class Payments:
    """The payment service of a sandbox.

    Args:
        ledger: Records every payment.
        tokens: Issues the tokens.
        invoices: The service for stored cards, customers, invoices and links.
        merchants: The accounts that may call.
        platform: The platform whose date format is valid.
        refuse_duplicates: Whether a used ``merchantTransactionId`` is refused with 20015. If
            False, it is executed again.
        inquiry_delay: Delay in seconds before an inquiry finds a new record.
        approval_delay: Delay in seconds before an asynchronous payment is approved.
        on_change: Called with each new or changed record.
        on_pending: Called with a record and the delay in seconds until its approval.
    """

    ledger: Ledger
    tokens: TokenIssuer
    invoices: Invoices
    merchants: tuple[Credentials, ...]
    platform: Platform
    refuse_duplicates: bool = True
    inquiry_delay: float = 0.0
    approval_delay: float = 0.2
    on_change: Callable[[Record], None]
    on_pending: Callable[[Record, float], None]

    @contextlib.contextmanager
    def bent_by(self, fault: Fault | None) -> Iterator[None]:
        """Change the service's settings as a fault requires, while the block runs.

        Args:
            fault: The fault of a request, if it has one.
        """
        before = (self.refuse_duplicates, self.inquiry_delay)
        if fault is not None and fault.kind in {
            FaultKind.ACCEPT_DUPLICATE,
            FaultKind.REFUSE_DUPLICATE,
        }:
            self.refuse_duplicates = fault.kind is FaultKind.REFUSE_DUPLICATE
        if fault is not None and fault.kind is FaultKind.LATE_RECORD:
            self.inquiry_delay = fault.seconds
        try:
            yield
        finally:
            self.refuse_duplicates, self.inquiry_delay = before

    # Tokens

    def grant(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``authToken``: issue a merchant's token for a service root.

        Args:
            root: The service root.
            fields: The request's fields.

        Returns:
            The reply's fields; a reply with code 10002 if no merchant matches.
        """
        for merchant in self.merchants:
            if _same(
                fields,
                merchant.partner_id,
                merchant.username,
                merchant.secret_key.reveal(),
                "merchant.username",
            ):
                return self._granted(root, merchant, merchant.username, "merchant") | {
                    "memberId": merchant.member_id
                }
        return {
            "result": replies.result("10002", "Authentication failed"),
            "timestamp": replies.now(),
        }

    def grant_partner(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``partnerAuthToken``: issue a partner's token for a service root.

        Args:
            root: The service root.
            fields: The request's fields.

        Returns:
            The reply's fields; a reply with code 10002 if no partner matches.
        """
        for merchant in self.merchants:
            login, key = merchant.partner_username, merchant.partner_secret_key
            if (
                login is not None
                and key is not None
                and _same(fields, merchant.partner_id, login, key.reveal(), "partner.userName")
            ):
                return self._granted(root, merchant, login, "partner")
        return {
            "result": replies.result("10002", "Authentication failed"),
            "timestamp": replies.now(),
        }

    def regenerate(self, root: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``regenerateToken``: issue a new token to the holder of a valid token.

        Args:
            root: The service root.
            fields: The request's fields.

        Returns:
            The reply's fields; a reply with code 10010 if the token or the partner is invalid.
        """
        partner = fields.get("authentication.partnerId")
        holder = self.tokens.holder(root, fields.get("authToken"))
        merchant = next(
            (
                m
                for m in self.merchants
                if holder is not None and holder.login in {m.username, m.partner_username}
            ),
            None,
        )
        if merchant is None or holder is None or merchant.partner_id != partner:
            return {
                "result": replies.result("10010", "Token regeneration failed"),
                "timestamp": replies.now(),
            }
        whose = {} if holder.role == "partner" else {"memberId": merchant.member_id}
        return self._granted(root, merchant, holder.login, holder.role) | whose

    def _granted(self, root: str, merchant: Credentials, login: str, role: str) -> dict[str, Any]:
        return {
            "partnerId": merchant.partner_id,
            "result": replies.result("200"),
            "timestamp": replies.now(),
            "LoginName": login,
            "AuthToken": self.tokens.grant(root, login, role),
        }

    # Payments, inquiries and lists

    def serve(
        self, asked: ValidRequest, redirect: Callable[[Record], dict[str, Any]]
    ) -> dict[str, Any]:
        """Execute a valid request.

        Args:
            asked: The request.
            redirect: Returns the ``redirect`` fields for a record that waits for its payer.

        Returns:
            The reply's fields.

        Raises:
            RejectedError: The request's fields contradict the stored data.
        """
        match asked.operation.reply:
            case ReplyKind.INQUIRY:
                return self._inquire(asked)
            case ReplyKind.PAYMENT | ReplyKind.PAYOUT:
                return self._open(asked, redirect)
            case ReplyKind.FOLLOW_UP:
                return self._follow_up(asked)
            case ReplyKind.LIST:
                return self._list(asked)
            case ReplyKind.MERCHANT:
                return self._sign_up_merchant(asked)
            case _:
                return self.invoices.serve(asked)

    def _sign_up_merchant(self, asked: ValidRequest) -> dict[str, Any]:
        username, email = asked["merchant.username"], asked["merchant.email"]
        if any(merchant.username == username for merchant in self.merchants):
            return {
                "result": replies.result("10016", "Merchant signup failed: the username is taken")
            }
        member_id = str(max(int(merchant.member_id) for merchant in self.merchants) + 1)
        self.merchants += (self.invoices.new_merchant(asked.merchant, member_id, username),)
        return {
            "memberId": member_id,
            "email": email,
            "result": replies.result(scenarios.SUCCESS),
            "timestamp": replies.now(),
        }

    def _list(self, asked: ValidRequest) -> dict[str, Any]:
        try:
            first, last = (
                datetime.strptime(asked[name], self.platform.list_date_format).date()  # noqa: DTZ007 - a date has no zone
                for name in ("pagination.fromdate", "pagination.todate")
            )
            page, size = (
                int(asked["pagination.pageno"]),
                min(int(asked["pagination.records"]), _MOST_RECORDS),
            )
        except ValueError:
            raise RejectedError("20007", "not in its format: pagination") from None
        found = [
            record
            for record in self.ledger.records.values()
            if record.member_id == asked.member_id
            and first <= datetime.fromtimestamp(record.created, UTC).date() <= last
            and asked["status"].casefold() in {"", record.status.casefold()}
        ]
        rows = (
            [replies.row(record) for record in found[(page - 1) * size : page * size]]
            if page >= 1
            else []
        )
        if not rows:
            return {"result": replies.result("10026")}
        return {"result": replies.result("00026"), "transaction": rows}

    def _inquire(self, asked: ValidRequest) -> dict[str, Any]:
        member, subject = asked.merchant.member_id, asked.subject or ""
        if asked.operation.subject == "merchantTransactionId":
            record = self.ledger.by_merchant_id(member, subject)
        else:
            record = self.ledger.by_payment_id(member, subject)
        if record is None or not self.ledger.is_visible(record):
            return {"result": replies.result("10026"), "timestamp": replies.now()}
        return replies.inquiry(record)

    def _open(
        self, asked: ValidRequest, redirect: Callable[[Record], dict[str, Any]]
    ) -> dict[str, Any]:
        merchant_id = asked["merchantTransactionId"]
        earlier = self.ledger.by_merchant_id(asked.member_id, merchant_id)
        if earlier is not None and self.refuse_duplicates:
            return replies.duplicate(earlier)
        if asked.operation.reply is ReplyKind.PAYOUT:
            self._check_payee(asked)
        record = self.book(asked)
        if asked.operation.reply is ReplyKind.PAYOUT:
            return replies.payout(record)
        return replies.payment(record, redirect(record) if record.awaits_payer else None)

    def book(self, asked: ValidRequest) -> Record:
        """Record a payment or payout with the outcome that the rules decide.

        The merchant is notified. If the payment is asynchronous, its approval is scheduled.

        Args:
            asked: The request.

        Returns:
            The new record.

        Raises:
            RejectedError: The card is missing, or the stored card or initial payment is invalid.
        """
        paid_from = self._paid_from(asked)
        fields = {
            name: value
            for name, value in asked.fields.items()
            if not name.startswith(("card.", "bankAccount."))
        }
        amount, number = (
            Decimal(asked["amount"]),
            paid_from.number.reveal() if paid_from.number is not None else None,
        )
        decision = (
            scenarios.decide_elsewhere(amount)
            if paid_from.is_elsewhere
            else scenarios.decide(
                amount, number, asked["attemptThreeD"], payer_is_there=paid_from.payer_is_there
            )
        )
        record = self.ledger.open(
            member_id=asked.member_id,
            payment_type=asked.operation.payment_type or asked["transactionType"],
            merchant_transaction_id=asked["merchantTransactionId"],
            amount=amount,
            currency=asked["currency"],
            fields={"paymentMode": paid_from.mode, "paymentBrand": paid_from.brand} | fields,
            card=paid_from.card,
            number=paid_from.number,
            decision=decision,
            lag=self.inquiry_delay,
        )
        if asked["createRegistration"] == "true" and record.card:
            record.registration_id = self.invoices.store(asked, came_with=record).registration_id
        self.on_change(record)
        if record.decision.later:
            self.on_pending(record, self.approval_delay)
        return record

    def cancelled(self, asked: ValidRequest) -> Record:
        """Record a payment that its payer cancelled on the page.

        Args:
            asked: The request that opened the page.

        Returns:
            The new record.
        """
        record = self.ledger.open(
            member_id=asked.member_id,
            payment_type=asked["transactionType"],
            merchant_transaction_id=asked["merchantTransactionId"],
            amount=Decimal(asked["amount"]),
            currency=asked["currency"],
            fields=asked.fields,
            card={},
            number=None,
            decision=scenarios.ELSEWHERE,
            lag=self.inquiry_delay,
        )
        self.ledger.cancel(record)
        self.on_change(record)
        return record

    def _paid_from(self, asked: ValidRequest) -> PaidFrom:
        """Return the source: the request's card, a stored card or an initial payment's card."""
        operation, subject = asked.operation, asked.subject or ""
        is_repeat = operation.fixed.get("recurringType") == "REPEATED"
        if is_repeat and asked["card.cvv"]:
            raise RejectedError(
                "20007", "a repeat carries no card.cvv: the payer is not there to give it"
            )
        if operation.subject == "registrationId":
            stored = self.invoices.vault.find(asked.member_id, subject)
            if stored is None:
                raise RejectedError("10002", "registrationId is of no stored card")
            return PaidFrom(
                stored.mode, stored.brand, stored.number, stored.card, payer_is_there=not is_repeat
            )
        if is_repeat:
            initial = self.ledger.by_payment_id(asked.member_id, subject)
            is_initial = initial is not None and initial.fields.get("recurringType") == "INITIAL"
            if initial is None or not is_initial or initial.status not in _CONSENTED:
                raise RejectedError("10002", "the payment is not an initial payment that succeeded")
            mode, brand = initial.fields["paymentMode"], initial.fields["paymentBrand"]
            return PaidFrom(mode, brand, initial.number, initial.card, payer_is_there=False)
        if operation.reply is ReplyKind.PAYOUT or asked["paymentMode"] not in {"CC", "DC", ""}:
            return PaidFrom(
                asked["paymentMode"],
                asked["paymentBrand"],
                is_elsewhere=operation.reply is not ReplyKind.PAYOUT,
            )
        if (
            not asked["card.number"]
            or not asked["card.expiryMonth"]
            or not asked["card.expiryYear"]
        ):
            raise RejectedError(
                "20007", "missing: card.number, card.expiryMonth or card.expiryYear"
            )
        number = Secret(asked["card.number"])
        return PaidFrom(asked["paymentMode"], asked["paymentBrand"], number, masked(asked.fields))

    def _check_payee(self, asked: ValidRequest) -> None:
        payment_id, registration_id = asked["paymentId"] or None, asked["registrationId"] or None
        has_customer = any(name.startswith("customer.") for name in asked.fields)
        if [payment_id is not None, registration_id is not None, has_customer].count(True) != 1:
            raise RejectedError(
                "20007", "one of paymentId, registrationId and customer account details"
            )
        if (
            registration_id is not None
            and self.invoices.vault.find(asked.member_id, registration_id) is None
        ):
            raise RejectedError("10002", "registrationId is of no stored card")
        if payment_id is not None:
            paid = self.ledger.by_payment_id(asked.merchant.member_id, payment_id)
            if paid is None or paid.status not in {"capturesuccess", "settled"}:
                raise RejectedError("10002", "paymentId is of no captured or settled sale")

    def _follow_up(self, asked: ValidRequest) -> dict[str, Any]:
        operation, subject = asked.operation, asked.subject or ""
        failed = {"CP": "10005", "RV": "10007", "RF": "10006"}[operation.payment_type or ""]
        record = self.ledger.by_payment_id(asked.merchant.member_id, subject)
        if record is None:
            return replies.follow_up(subject, failed, "No such payment")
        refusal: Refusal | None
        if operation.payment_type == "RV":
            refusal = self.ledger.reverse(record)
        elif asked.fields["currency"] != record.currency:
            return replies.follow_up(subject, failed, "Not in the payment's currency")
        elif operation.payment_type == "CP":
            refusal = self.ledger.capture(record, Decimal(asked.fields["amount"]))
        else:
            refusal = self.ledger.refund(record, Decimal(asked.fields["amount"]))
        if refusal is not None:
            return replies.follow_up(subject, refusal.code, refusal.description)
        self.on_change(record)
        return replies.follow_up(subject, operation.success[0])

    def merchant_of(self, record: Record) -> Credentials:
        """Return the merchant of a record."""
        return next(m for m in self.merchants if m.member_id == record.member_id)


def _same(
    fields: Mapping[str, str], partner_id: str, login: str, key: str, login_field: str
) -> bool:
    given = (
        fields.get("authentication.partnerId", ""),
        fields.get(login_field, ""),
        fields.get("authentication.sKey", ""),
    )
    return hmac.compare_digest("\0".join(given).encode(), f"{partner_id}\0{login}\0{key}".encode())
