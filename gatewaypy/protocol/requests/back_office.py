"""Requests about earlier payments, payouts, inquiries and the transaction list.

Protocol sections 4 and 6.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol import operations
from gatewaypy.protocol.requests.parties import customer_fields
from gatewaypy.protocol.requests.request import (
    Request,
    check_amount,
    check_type,
    present,
    with_extra,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.models import Customer
    from gatewaypy.money import Money
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests.request import Fields
    from gatewaypy.secret import Secret


def follow_up(operation: Operation, payment_id: str, amount: Money | None) -> Request:
    """Build a capture or refund, with an amount, or a reversal without one (protocol section 4)."""
    if "amount" in operation.required:
        check_amount(amount, operation)
    check_type(
        "paymentId", payment_id, str, "must be the gateway's id of the payment, a string", operation
    )
    fields: Fields = (
        {} if amount is None else {"amount": amount.wire(), "currency": amount.currency}
    )
    return Request(operation=operation, fields=fields, subject=payment_id, amount=amount)


def payout(
    *,
    credentials: Credentials,
    amount: Money,
    merchant_transaction_id: str,
    payment_id: str | None,
    customer: Customer | None,
    stored_card: str | None = None,
    notification_url: str | None,
    terminal_id: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build a payout to an earlier payer, an account or a card (protocol section 6, documented)."""
    check_amount(amount, operations.PAYOUT)
    if (payment_id is None) + (customer is None) + (stored_card is None) != 2:  # noqa: PLR2004
        rule = "exactly one of payment_id, customer and stored_card must be set"
        raise InvalidRequest(
            "paymentId",
            rule,
            operation=operations.PAYOUT.name,
            merchant_transaction_id=merchant_transaction_id,
        )
    fields = present(
        {
            "merchantTransactionId": merchant_transaction_id,
            "amount": amount.wire(),
            "currency": amount.currency,
            "paymentId": payment_id,
            "registrationId": stored_card,
            "authentication.terminalId": terminal_id or credentials.terminal_id,
            "notificationUrl": notification_url,
        }
    )
    fields |= customer_fields(customer) if customer else {}
    return Request(
        operation=operations.PAYOUT,
        fields=with_extra(fields, extra, operations.PAYOUT),
        merchant_transaction_id=merchant_transaction_id,
        amount=amount,
    )


def inquiry(
    *, payment_id: str | None = None, merchant_transaction_id: str | None = None
) -> Request:
    """Build an inquiry by the gateway's id or by the merchant's own."""
    if payment_id is not None and merchant_transaction_id is None:
        return Request(operation=operations.INQUIRE_BY_PAYMENT_ID, fields={}, subject=payment_id)
    if merchant_transaction_id is not None and payment_id is None:
        return Request(
            operation=operations.INQUIRE_BY_MERCHANT_ID,
            fields={"merchantTransactionId": merchant_transaction_id},
            subject=merchant_transaction_id,
            merchant_transaction_id=merchant_transaction_id,
        )
    raise InvalidRequest(
        "paymentId",
        "exactly one of payment_id and merchant_transaction_id must be set",
        operation="inquiry",
    )


def transaction_list(
    *, platform: Platform, start: date, end: date, status: str | None, page: int, page_size: int
) -> Request:
    """Request a page of the transactions from one day to another, both included.

    Protocol section 6. Documented, seen.
    """
    operation = operations.TRANSACTION_LIST
    for name, day in (("pagination.fromdate", start), ("pagination.todate", end)):
        # A datetime is a date in Python too, but the gateway's days have no time zone.
        check_type(name, day, date, "must be a date without a time", operation)
        if isinstance(day, datetime):
            raise InvalidRequest(
                name,
                "must be a date without a time",
                "a value of type datetime",
                operation=operation.name,
            )
    if end < start:
        raise InvalidRequest(
            "pagination.todate", "must not be before the first day", operation=operation.name
        )
    fields: Fields = {
        "pagination.fromdate": start.strftime(platform.list_date_format),
        "pagination.todate": end.strftime(platform.list_date_format),
        "pagination.pageno": str(page),
        "pagination.records": str(page_size),
    }
    return Request(operation=operation, fields=fields | present({"status": status}))
