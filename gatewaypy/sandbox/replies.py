"""Builders of the replies of protocol section 7 from the ledger's records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from gatewaypy.callbacks.signature import sign_callback
from gatewaypy.protocol.checksum import KEY, RULES, checksum
from gatewaypy.protocol.codes import meaning_of
from gatewaypy.sandbox.scenarios import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.sandbox.bills import Bill
    from gatewaypy.sandbox.ledger import Record
    from gatewaypy.sandbox.vault import Registration
    from gatewaypy.secret import Secret

_WORDS: Final[Mapping[str, str]] = {
    "200": "Token generated successfully",
    SUCCESS: "Transaction succeeded",
    "00004": "Transaction captured successfully",
    "00005": "Transaction refunded successfully",
    "00006": "Transaction cancelled successfully",
    "00026": "Your record found successfully",
    "90026": "ThreeD Authentication Pending",
    "00007": "Cardholder successfully registered",
    "00010": "Invoice generated successfully",
    "00012": "Reminder sent successfully",
    "10026": "Record not found",
}


def result(code: str, description: str | None = None) -> dict[str, str]:
    """Build a result: a code and its description."""
    return {
        "code": code,
        "description": description or _WORDS.get(code) or (meaning_of(code) or "").capitalize(),
    }


def now() -> str:
    """Return the current UTC time in the gateway's format, without a zone."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def rejected(code: str, description: str, merchant_transaction_id: str | None) -> dict[str, Any]:
    """Build the reply to a request that was rejected without a payment; ``paymentId`` is ``-``.

    Args:
        code: The code of the result.
        description: The description of the result.
        merchant_transaction_id: The merchant's id, if the request has one.

    Returns:
        The reply's fields.
    """
    fields = {
        "paymentId": "-",
        "transactionStatus": "N",
        "result": result(code, description),
        "timestamp": now(),
    }
    return fields | (
        {"merchantTransactionId": merchant_transaction_id} if merchant_transaction_id else {}
    )


def duplicate(record: Record) -> dict[str, Any]:
    """Build the refusal of a used id, with the ``paymentId`` of the earlier payment."""
    return {
        "paymentId": record.payment_id,
        "result": result("20015", "Duplicate transaction"),
        "transactionStatus": "N",
        "merchantTransactionId": record.merchant_transaction_id,
    }


def payment(record: Record, redirect: dict[str, Any] | None) -> dict[str, Any]:
    """Build the reply to a debit or preauthorization; it has no long status.

    The reply follows the decision, even if the decision contradicts the ledger.

    Args:
        record: The payment.
        redirect: The ``redirect`` fields, if the payer must be redirected.

    Returns:
        The reply's fields.
    """
    decision = record.decision
    fields = _common(record) | {
        "paymentType": record.payment_type,
        "transactionStatus": record.short,
        "result": result(decision.code),
    }
    return fields | ({"redirect": redirect} if redirect is not None else {})


def payout(record: Record) -> dict[str, Any]:
    """Build the reply to a payout, with both statuses."""
    return _common(record) | {
        "status": record.status,
        "transactionStatus": record.short,
        "result": result(record.decision.code),
    }


def follow_up(payment_id: str, code: str, description: str | None = None) -> dict[str, Any]:
    """Build the reply to a capture, reversal or refund: a code without a status.

    Args:
        payment_id: The payment id of the request.
        code: The code of the result.
        description: The description of the result. ``None`` selects the code's own.

    Returns:
        The reply's fields.
    """
    return {"paymentId": payment_id, "result": result(code, description), "timestamp": now()}


def inquiry(record: Record) -> dict[str, Any]:
    """Build the reply to an inquiry.

    The code is the result of the lookup. The two statuses are those of the payment.
    """
    return _common(record) | {
        "status": record.status,
        "transactionStatus": record.short,
        "result": result("00026"),
    }


def callback(record: Record) -> dict[str, Any]:
    """Build a callback without its signature: the fields of an inquiry, with the payment's code."""
    fields = _common(record) | {
        "status": record.status,
        "transactionStatus": record.short,
        "result": result(record.code),
    }
    if "card" in fields:
        fields["card"] = fields["card"] | {"lastFourDigits": fields["card"]["last4Digits"]}
    return fields


def browser_return(record: Record, credentials: Credentials) -> dict[str, str]:
    """Build the form that the payer's browser posts to ``merchantRedirectUrl``.

    Protocol section 11.
    """
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
    if "paymentMode" in record.fields:
        fields |= {
            name: record.fields[name]
            for name in ("paymentMode", "paymentBrand")
            if name in record.fields
        }
    if record.registration_id is not None and record.short == "Y":
        fields |= {"registrationId": record.registration_id, "token": record.registration_id}
    return fields | {"checksum": sign_callback(fields, credentials)}


def registration_return(credentials: Credentials, registration_id: str | None) -> dict[str, str]:
    """Build the form that the hosted card registration returns.

    Rule P' signs only the member id and the status.

    Args:
        credentials: The merchant's account.
        registration_id: The id of the stored card; ``None`` if no card was stored.

    Returns:
        The signed form's fields.
    """
    status = "Y" if registration_id is not None else "N"
    values: dict[str, str | Secret] = {
        "memberId": credentials.member_id,
        "status": status,
        KEY: credentials.secret_key,
    }
    fields = {
        "memberId": credentials.member_id,
        "status": status,
        "checksum": checksum(RULES["P'"], values),
    }
    if registration_id is not None:
        fields |= {"registrationId": registration_id, "token": registration_id}
    return fields


def row(record: Record) -> dict[str, Any]:
    """Build a row of the transaction list.

    ``transactionStatus`` contains the long status. The payment id is in ``systemPaymentId``.
    """
    sent = record.fields
    fields: dict[str, Any] = {
        "amount": f"{record.amount:.2f}",
        "currency": record.currency,
        "systemPaymentId": record.payment_id,
        "merchantTransactionId": record.merchant_transaction_id,
        "transactionStatus": record.status,
        "captureamount": f"{record.captured:.2f}",
        "refundamount": f"{record.refunded:.2f}",
        "chargebackamount": f"{record.charged_back:.2f}",
        "payoutamount": f"{record.paid_out:.2f}",
        "date": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d"),
        "transactionDate": datetime.fromtimestamp(record.created, UTC).strftime(
            "%Y-%m-%d %H:%M:%S"
        ),
        "remark": record.remark,
        "terminalid": sent.get("authentication.terminalId", ""),
    }
    customer = {
        name.partition(".")[2]: value
        for name, value in sent.items()
        if name.startswith("customer.")
    }
    if customer:
        fields["customer"] = customer
    if record.card:
        fields["card"] = {"bin": record.card["bin"], "lastFourDigits": record.card["last4Digits"]}
    return fields


def registration(stored: Registration) -> dict[str, Any]:
    """Build the reply to the storage or deletion of a card."""
    return {
        "memberId": stored.member_id,
        "registrationId": stored.registration_id,
        "paymentBrand": stored.brand,
        "paymentMode": stored.mode,
        "timestamp": now(),
        "result": result(SUCCESS),
    }


def accounts(
    partner_id: str, customer_id: str, member_id: str, stored: list[Registration]
) -> dict[str, Any]:
    """Build the list of a customer's stored cards and bank accounts.

    Args:
        partner_id: The partner's id.
        customer_id: The customer's id.
        member_id: The merchant's member id.
        stored: The customer's registrations.

    Returns:
        The reply's fields.
    """
    cards = [
        {
            "registrationId": r.registration_id,
            "registrationStatus": "ACTIVE",
            "cardType": r.brand,
            **{name: r.card[name] for name in ("bin", "last4Digits", "expiryMonth", "expiryYear")},
        }
        for r in stored
        if r.card
    ]
    banks = [
        {"registrationId": r.registration_id, "registrationStatus": "ACTIVE", **r.account}
        for r in stored
        if not r.card
    ]
    return {
        "partnerId": partner_id,
        "memberId": member_id,
        "customerId": customer_id,
        "result": result("00026"),
        "cards": cards,
        "bankaccounts": banks,
    }


def invoice(bill: Bill, code: str, base_url: str) -> dict[str, Any]:
    """Build a reply with an invoice.

    Its time has a leading space and a trailing dot, as seen from the gateway.

    Args:
        bill: The invoice.
        code: The code of the result.
        base_url: The sandbox's base URL.

    Returns:
        The reply's fields.
    """
    sent = bill.fields
    date, time = bill.created
    return {
        "memberId": bill.member_id,
        "statusInvoiceResult": result(code),
        "invoiceDetails": {
            "amount": f"{bill.amount:.2f}",
            "currency": bill.currency,
            "expirationPeriod": sent.get("invoiceExpirationPeriod", "10"),
            "createdDate": date,
            "createdTime": f" {time}.",
            "merchantInvoiceId": bill.own_id,
            "customerEmail": bill.email,
            "merchantOrderDescription": sent.get("merchantOrderDescription", ""),
            "systemInvoiceId": bill.bill_id,
            "status": bill.state,
            "transactionUrl": f"{base_url}/transaction/PayInvoice?{urlencode({'inv': bill.bill_id, 'ct': bill.token})}",
        },
    }


def link(bill: Bill, base_url: str) -> dict[str, Any]:
    """Build the reply with a payment link; the link is a field of the result."""
    url = f"{base_url}/transaction/PayByLink?{urlencode({'orderId': bill.own_id, 'authToken': bill.token})}"
    return {"result": result("00026") | {"url": url}}


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
    if record.registration_id is not None and record.short == "Y":
        fields["registrationId"] = record.registration_id
    if "authentication.terminalId" in sent:
        fields["terminalId"] = sent["authentication.terminalId"]
    return fields
