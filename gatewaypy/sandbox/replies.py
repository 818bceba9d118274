"""The replies of protocol section 7, made from the ledger's records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.callbacks.signature import sign_callback
from gatewaypy.protocol.codes import meaning_of
from gatewaypy.sandbox.rules import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.sandbox.ledger import Record

_WORDS: Final[Mapping[str, str]] = {
    "200": "Token generated successfully",
    SUCCESS: "Transaction succeeded",
    "00004": "Transaction captured successfully",
    "00005": "Transaction refunded successfully",
    "00006": "Transaction cancelled successfully",
    "00026": "Your record found successfully",
    "90026": "ThreeD Authentication Pending",
    "10026": "Record not found",
}


def result(code: str, description: str | None = None) -> dict[str, str]:
    """Return a result: a code and its words."""
    return {"code": code, "description": description or _WORDS.get(code) or (meaning_of(code) or "").capitalize()}


def now() -> str:
    """Return the time as the gateway writes it: without a zone."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def rejected(code: str, description: str, merchant_transaction_id: str | None) -> dict[str, Any]:
    """Reply to a request that was refused before a payment existed: its paymentId is ``-``."""
    fields = {"paymentId": "-", "transactionStatus": "N", "result": result(code, description), "timestamp": now()}
    return fields | ({"merchantTransactionId": merchant_transaction_id} if merchant_transaction_id else {})


def duplicate(record: Record) -> dict[str, Any]:
    """Refuse an id that was used before, with the earlier payment's paymentId."""
    return {
        "paymentId": record.payment_id,
        "result": result("20015", "Duplicate transaction"),
        "transactionStatus": "N",
        "merchantTransactionId": record.merchant_transaction_id,
    }


def payment(record: Record, redirect: dict[str, Any] | None) -> dict[str, Any]:
    """Reply to a debit or preauthorization as decided, be it the truth or not; there is no long status."""
    decision = record.decision
    fields = _common(record) | {
        "paymentType": record.payment_type,
        "transactionStatus": record.short,
        "result": result(record.code if decision.three_d else decision.code),
    }
    return fields | ({"redirect": redirect} if redirect is not None else {})


def payout(record: Record) -> dict[str, Any]:
    """Reply to a payout, with both statuses."""
    return _common(record) | {
        "status": record.status,
        "transactionStatus": record.short,
        "result": result(record.decision.code),
    }


def follow_up(payment_id: str, code: str, description: str | None = None) -> dict[str, Any]:
    """Reply to a capture, reversal or refund: no status, the code alone."""
    return {"paymentId": payment_id, "result": result(code, description), "timestamp": now()}


def inquiry(record: Record) -> dict[str, Any]:
    """Reply to an inquiry: the code tells of the lookup, the two statuses of the payment."""
    return _common(record) | {"status": record.status, "transactionStatus": record.short, "result": result("00026")}


def callback(record: Record) -> dict[str, Any]:
    """Make a callback: an inquiry's fields, not yet signed."""
    fields = _common(record) | {
        "status": record.status,
        "transactionStatus": record.short,
        "result": result(record.code),
    }
    if "card" in fields:
        fields["card"] = fields["card"] | {"lastFourDigits": fields["card"]["last4Digits"]}
    return fields


def browser_return(record: Record, credentials: Credentials) -> dict[str, str]:
    """Make the form that the payer's browser posts back to ``merchantRedirectUrl`` (protocol section 11)."""
    code = result(record.code)
    fields = {
        "paymentId": record.payment_id,
        "trackingid": record.payment_id,
        "merchantTransactionId": record.merchant_transaction_id,
        "desc": record.merchant_transaction_id,
        "amount": f"{record.amount:.2f}",
        "currency": record.currency,
        "status": record.short,
        "resultCode": code["code"],
        "resultDescription": code["description"],
        "cardBin": record.card.get("bin", ""),
        "cardLast4Digits": record.card.get("last4Digits", ""),
        "timestamp": now(),
    }
    return fields | {"checksum": sign_callback(fields, credentials)}


def _common(record: Record) -> dict[str, Any]:
    sent = record.fields
    fields: dict[str, Any] = {
        "paymentId": record.payment_id,
        "merchantTransactionId": record.merchant_transaction_id,
        "amount": f"{record.amount:.2f}",
        "currency": record.currency,
        "paymentMode": sent.get("paymentMode", "CC"),
        "paymentBrand": sent.get("paymentBrand", "VISA"),
        "descriptor": "Sandbox Shop",
        "remark": record.remark,
        "timestamp": now(),
        "tmpl_amount": sent.get("tmpl_amount", f"{record.amount:.2f}"),
        "tmpl_currency": sent.get("tmpl_currency", record.currency),
        "eci": "05",
    }
    if record.card:
        fields["card"] = dict(record.card)
    if "authentication.terminalId" in sent:
        fields["terminalId"] = sent["authentication.terminalId"]
    return fields
