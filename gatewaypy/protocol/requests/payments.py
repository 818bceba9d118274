"""Requests that open a payment by a source, a stored card or an earlier payment.

Protocol sections 4 and 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import OtherSource
from gatewaypy.money import Money
from gatewaypy.protocol.requests.parties import (
    browser_fields,
    customer_fields,
    shipping_fields,
    source_fields,
)
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
    from gatewaypy.models import Address, BrowserInfo, Customer, PaymentSource
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests.request import Fields
    from gatewaypy.secret import Secret

#: The caller's words for ``attemptThreeD``, in the order of ``Platform.three_d_spelling``.
THREE_D: Final = ("direct", "3D", "only3D")


@frozen
class Stored:
    """Reference of a repeated payment: the id of a stored card or of the initial payment."""

    id: str
    mode: str | None = None
    brand: str | None = None
    cvv: Secret | None = None


def _stored_fields(stored: Stored) -> Fields:
    return present(
        {"paymentMode": stored.mode, "paymentBrand": stored.brand, "card.cvv": stored.cvv}
    )


def payment(
    operation: Operation,
    *,
    platform: Platform,
    credentials: Credentials,
    amount: Money,
    source: PaymentSource | Stored,
    merchant_transaction_id: str,
    customer: Customer | None = None,
    shipping: Address | None = None,
    redirect_url: str | None = None,
    notification_url: str | None = None,
    three_d: str | None = None,
    browser: BrowserInfo | None = None,
    descriptor: str | None = None,
    shown_amount: Money | None = None,
    store_card: bool = False,
    terminal_id: str | None = None,
    extra: Mapping[str, str | Secret] | None = None,
) -> Request:
    """Build a debit or a preauthorization. Its source is new, stored or an earlier payment's."""
    check_amount(amount, operation)
    if shown_amount is not None:
        check_type("tmpl_amount", shown_amount, Money, "must be Money", operation)
    if three_d is not None and three_d not in THREE_D:
        raise InvalidRequest(
            "attemptThreeD",
            f"must be one of {', '.join(THREE_D)}",
            shape_of(three_d),
            operation=operation.name,
        )
    fields: Fields = {
        "merchantTransactionId": merchant_transaction_id,
        "amount": amount.wire(),
        "currency": amount.currency,
    }
    fields |= present(
        {
            "authentication.terminalId": terminal_id or credentials.terminal_id,
            "merchantRedirectUrl": redirect_url,
            "notificationUrl": notification_url,
            "orderDescriptor": descriptor,
            "attemptThreeD": None
            if three_d is None
            else platform.three_d_spelling[THREE_D.index(three_d)],
            "tmpl_amount": shown_amount.wire() if shown_amount else None,
            "tmpl_currency": shown_amount.currency if shown_amount else None,
            "createRegistration": "true" if store_card else None,
        }
    )
    fields |= (
        _stored_fields(source) if isinstance(source, Stored) else source_fields(source, operation)
    )
    fields |= customer_fields(customer) if customer else {}
    fields |= shipping_fields(shipping) if shipping else {}
    fields |= browser_fields(browser) if browser else {}
    if isinstance(source, OtherSource):
        fields = with_extra(fields, source.fields, operation)
    return Request(
        operation=operation,
        fields=with_extra(fields, extra, operation),
        subject=source.id if isinstance(source, Stored) else None,
        merchant_transaction_id=merchant_transaction_id,
        amount=amount,
    )
