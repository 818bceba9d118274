"""The forms that take a payer's browser to the gateway's own pages (protocol section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.money import Money
from gatewaypy.protocol import operations
from gatewaypy.protocol.requests.request import (
    Request,
    check_amount,
    check_type,
    present,
    with_extra,
)
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.models import Address, Customer
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests.request import Fields
    from gatewaypy.secret import Secret

_LONGEST_URL: Final = 100
_LONGEST_DESCRIPTION: Final = 255


def hosted_checkout(
    *,
    credentials: Credentials,
    amount: Money,
    merchant_transaction_id: str,
    redirect_url: str,
    notification_url: str | None,
    preauth: bool,
    description: str | None,
    shown_amount: Money | None,
    mode: str | None,
    brand: str | None,
    customer: Customer | None,
    address: Address | None,
    language: str | None,
    terminal_id: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the form of the hosted payment page (documented, seen)."""
    operation = operations.HOSTED_CHECKOUT
    check_amount(amount, operation)
    check_type("merchantTransactionId", merchant_transaction_id, str, "must be a string", operation)
    if shown_amount is not None:
        check_type("TMPL_AMOUNT", shown_amount, Money, "must be Money", operation)
    fields: Fields = {
        "totype": _partner_name(credentials, operation),
        "amount": amount.wire(),
        "currency": amount.currency,
        "merchantTransactionId": merchant_transaction_id,
        "merchantRedirectUrl": _within(
            redirect_url, "merchantRedirectUrl", _LONGEST_URL, operation
        ),
        "transactionType": "PA" if preauth else "DB",
        "orderDescription": _within(
            description or merchant_transaction_id,
            "orderDescription",
            _LONGEST_DESCRIPTION,
            operation,
        ),
    }
    if notification_url is not None:
        fields["notificationUrl"] = _within(
            notification_url, "notificationUrl", _LONGEST_URL, operation
        )
    fields |= present(
        {
            "TMPL_AMOUNT": shown_amount.wire() if shown_amount else None,
            "TMPL_CURRENCY": shown_amount.currency if shown_amount else None,
            "terminalid": terminal_id or credentials.terminal_id,
            "paymentMode": mode,
            "paymentBrand": brand,
            "lang": language,
        }
    )
    if customer is not None:
        fields |= present(
            {
                "customerId": customer.customer_id,
                "ip": customer.ip,
                "firstName": customer.given_name,
                "lastName": customer.surname,
                "email": customer.email,
                "phone": customer.phone,
                "telnocc": customer.phone_country_code,
            }
        )
    if address is not None:
        fields |= present(
            {
                "country": address.country,
                "city": address.city,
                "state": address.state,
                "postcode": address.postcode,
                "street": address.street,
            }
        )
    return Request(
        operation=operation,
        fields=with_extra(fields, extra, operation),
        merchant_transaction_id=merchant_transaction_id,
        amount=amount,
    )


def hosted_card_registration(
    *,
    credentials: Credentials,
    redirect_url: str,
    customer_id: str | None,
    language: str | None,
    terminal_id: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the form of the hosted card registration (documented; unsigned fields: our choice)."""
    operation = operations.HOSTED_CARD_REGISTRATION
    fields: Fields = {
        "totype": _partner_name(credentials, operation),
        "merchantRedirectUrl": _within(
            redirect_url, "merchantRedirectUrl", _LONGEST_URL, operation
        ),
    }
    fields |= present(
        {
            "customerId": customer_id,
            "terminalid": terminal_id or credentials.terminal_id,
            "lang": language,
        }
    )
    return Request(operation=operation, fields=with_extra(fields, extra, operation))


def _partner_name(credentials: Credentials, operation: Operation) -> str:
    if credentials.partner_name is None:
        name = operation.name
        msg = f"{name}: the credentials must have partner_name, the field totype of the page"
        raise ConfigurationError(msg, operation=operation.name)
    return credentials.partner_name


def _within(text: str, name: str, longest: int, operation: Operation) -> str:
    if not isinstance(text, str) or len(text) > longest:
        raise InvalidRequest(
            name,
            f"must have at most {longest} characters on the hosted page",
            shape_of(text),
            operation=operation.name,
        )
    return text
