"""Each operation's request, from the caller's types to the wire's names (protocol sections 4 and 6)."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from gatewaypy.cards import Card
from gatewaypy.errors import InvalidRequest
from gatewaypy.money import Money
from gatewaypy.protocol import operations
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.models import Address, BrowserInfo, Customer
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.operations import Operation

    Fields: TypeAlias = dict[str, str | Secret]

#: The caller's words for ``attemptThreeD``, in the order of ``Platform.three_d_spelling``.
THREE_D: Final = ("direct", "3D", "only3D")

_NAME: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)


@frozen(kw_only=True)
class Request:
    """An operation filled in: its fields by their wire names, and what is needed to recognise its result.

    ``subject`` is the id that the operation acts on and that goes into its path; ``None`` for a new payment or payout.
    """

    operation: Operation
    fields: Mapping[str, str | Secret]
    subject: str | None = None
    merchant_transaction_id: str | None = None
    amount: Money | None = None

    @property
    def payment_id(self) -> str | None:
        """The gateway's id, where the operation acts on an earlier payment."""
        return self.subject if self.operation.inquire_by is operations.InquireBy.PAYMENT_ID else None


def _present(**values: str | None) -> Fields:
    return {name: value for name, value in values.items() if value is not None}


def _prefixed(prefix: str, values: Mapping[str, str | Secret | None]) -> Fields:
    return {f"{prefix}.{name}": value for name, value in values.items() if value is not None}


def card_fields(card: Card) -> Fields:
    """Return the fields of a card payment; a CVV that the card lacks is left out."""
    fields: Fields = {"paymentMode": "CC"}
    if card.brand is not None:
        fields["paymentBrand"] = card.brand
    return fields | _prefixed(
        "card",
        {
            "number": card.number,
            "expiryMonth": f"{card.expiry_month:02}",
            "expiryYear": str(card.expiry_year),
            "cvv": card.cvv,
            "holder": card.holder,
        },
    )


def customer_fields(customer: Customer) -> Fields:
    """Return a customer's fields; what is ``None`` is left out."""
    return _prefixed(
        "customer",
        {
            "givenName": customer.given_name,
            "surname": customer.surname,
            "email": customer.email,
            "phone": customer.phone,
            "telnocc": customer.phone_country_code,
            "ip": customer.ip,
            "birthDate": f"{customer.birth_date:%Y%m%d}" if isinstance(customer.birth_date, date) else customer.birth_date,
            "sex": customer.sex,
            "customerId": customer.customer_id,
        },
    )


def shipping_fields(address: Address) -> Fields:
    """Return an address's fields; what is ``None`` is left out."""
    return _prefixed(
        "shipping",
        {
            "country": address.country,
            "city": address.city,
            "state": address.state,
            "postcode": address.postcode,
            "street1": address.street,
        },
    )


def browser_fields(browser: BrowserInfo) -> Fields:
    """Return the 3-D Secure 2 fields, spelled as the gateway spells them."""
    return _prefixed(
        "deviceDetails",
        {
            "user_Agent": browser.user_agent,
            "browserAcceptHeader": browser.accept_header,
            "browserLanguage": browser.language,
            "browserTimezoneOffset": str(browser.timezone_offset),
            "browserColorDepth": str(browser.color_depth),
            "browserScreenHeight": str(browser.screen_height),
            "browserScreenWidth": str(browser.screen_width),
            "browserJavaEnabled": "true" if browser.java_enabled else "false",
        },
    )


def _typed(name: str, value: object, kind: type[object] | tuple[type[object], ...], rule: str, operation: Operation) -> None:
    if not isinstance(value, kind):
        raise InvalidRequest(name, rule, shape_of(value) if isinstance(value, str) else f"a value of type {type(value).__name__}",
                             operation=operation.name)  # fmt: skip


def _check_amount(amount: object, operation: Operation) -> None:
    _typed("amount", amount, Money, "Money, such as Money('50.00', 'EUR')", operation)


def sealed(extra: Mapping[str, str | Secret] | None) -> dict[str, str | Secret] | None:
    """Seal the values of extra fields: account details go there too, and nobody knows which."""
    return (
        None if extra is None else {name: value if isinstance(value, Secret) else Secret(value) for name, value in extra.items()}
    )


def _with_extra(fields: Fields, extra: Mapping[str, str | Secret] | None, operation: Operation) -> Fields:
    for name, value in (extra or {}).items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest("extra", "names of letters, digits, '_' and '.'", shape_of(name), operation=operation.name)
        ours = name in fields or name == "paymentType" or name.startswith("authentication.")
        if ours or any(known.startswith(f"{name}.") or name.startswith(f"{known}.") for known in fields):
            rule = "extra carries only fields that the library does not set itself"
            raise InvalidRequest(name, rule, operation=operation.name)
        fields[name] = value
    return fields


def payment(
    operation: Operation,
    *,
    platform: Platform,
    credentials: Credentials,
    amount: Money,
    source: Card,
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
    """Build a debit or a preauthorization."""
    _check_amount(amount, operation)
    _typed("card", source, Card, "a Card", operation)
    if shown_amount is not None:
        _typed("tmpl_amount", shown_amount, Money, "Money", operation)
    if three_d is not None and three_d not in THREE_D:
        raise InvalidRequest("attemptThreeD", f"one of {', '.join(THREE_D)}", shape_of(three_d), operation=operation.name)
    fields: Fields = {
        "merchantTransactionId": merchant_transaction_id,
        "amount": amount.wire(),
        "currency": amount.currency,
    }
    fields |= _present(
        **{
            "authentication.terminalId": terminal_id or credentials.terminal_id,
            "merchantRedirectUrl": redirect_url,
            "notificationUrl": notification_url,
            "orderDescriptor": descriptor,
            "attemptThreeD": None if three_d is None else platform.three_d_spelling[THREE_D.index(three_d)],
            "tmpl_amount": shown_amount.wire() if shown_amount else None,
            "tmpl_currency": shown_amount.currency if shown_amount else None,
            "createRegistration": "true" if store_card else None,
        }
    )
    fields |= card_fields(source)
    fields |= customer_fields(customer) if customer else {}
    fields |= shipping_fields(shipping) if shipping else {}
    fields |= browser_fields(browser) if browser else {}
    return Request(
        operation=operation,
        fields=_with_extra(fields, extra, operation),
        merchant_transaction_id=merchant_transaction_id,
        amount=amount,
    )


def follow_up(operation: Operation, payment_id: str, amount: Money | None) -> Request:
    """Build a capture, a refund (both with an amount) or a reversal (without: it is of the whole, protocol section 4)."""
    if "amount" in operation.required:
        _check_amount(amount, operation)
    _typed("paymentId", payment_id, str, "the gateway's id of the payment, as text", operation)
    fields: Fields = {} if amount is None else {"amount": amount.wire(), "currency": amount.currency}
    return Request(operation=operation, fields=fields, subject=payment_id, amount=amount)


def payout(
    *,
    credentials: Credentials,
    amount: Money,
    merchant_transaction_id: str,
    payment_id: str | None,
    customer: Customer | None,
    notification_url: str | None,
    terminal_id: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build a payout, to the payer of an earlier payment or to a customer's account (protocol section 6, documented)."""
    _check_amount(amount, operations.PAYOUT)
    if (payment_id is None) == (customer is None):
        rule = "either the paymentId of a captured payment or a customer's account details, not both"
        raise InvalidRequest("paymentId", rule, operation=operations.PAYOUT.name, merchant_transaction_id=merchant_transaction_id)
    fields: Fields = {
        "merchantTransactionId": merchant_transaction_id,
        "amount": amount.wire(),
        "currency": amount.currency,
    }
    fields |= _present(
        **{
            "paymentId": payment_id,
            "authentication.terminalId": terminal_id or credentials.terminal_id,
            "notificationUrl": notification_url,
        }
    )
    fields |= customer_fields(customer) if customer else {}
    return Request(
        operation=operations.PAYOUT,
        fields=_with_extra(fields, extra, operations.PAYOUT),
        merchant_transaction_id=merchant_transaction_id,
        amount=amount,
    )


def inquiry(*, payment_id: str | None = None, merchant_transaction_id: str | None = None) -> Request:
    """Build an inquiry by the gateway's id or by the merchant's own."""
    if payment_id is not None and merchant_transaction_id is None:
        return Request(
            operation=operations.INQUIRE_BY_PAYMENT_ID, fields={"idType": "PID"}, subject=payment_id, merchant_transaction_id=None
        )
    if merchant_transaction_id is not None and payment_id is None:
        return Request(
            operation=operations.INQUIRE_BY_MERCHANT_ID,
            fields={"idType": "MID", "merchantTransactionId": merchant_transaction_id},
            subject=merchant_transaction_id,
            merchant_transaction_id=merchant_transaction_id,
        )
    raise InvalidRequest("paymentId", "either payment_id or merchant_transaction_id, and only one of them", operation="inquiry")


def merchant_token(credentials: Credentials) -> Request:
    """Ask for a merchant's token."""
    return Request(
        operation=operations.AUTH_TOKEN,
        fields={
            "authentication.partnerId": credentials.partner_id,
            "merchant.username": credentials.username,
            "authentication.sKey": credentials.secret_key,
        },
    )


def partner_token(partner_id: str, username: str, secret_key: Secret) -> Request:
    """Ask for a partner's token, with the partner's own login and key."""
    return Request(
        operation=operations.PARTNER_TOKEN,
        fields={"authentication.partnerId": partner_id, "partner.userName": username, "authentication.sKey": secret_key},
    )


def regenerated_token(credentials: Credentials, old: Secret) -> Request:
    """Ask for a new token in exchange for an old one."""
    return Request(
        operation=operations.REGENERATE_TOKEN,
        fields={"authentication.partnerId": credentials.partner_id, "authToken": old},
    )
