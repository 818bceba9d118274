"""Fields that several requests share: payer, source, shipping, browser (protocol section 6)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from gatewaypy.cards import Card
from gatewaypy.errors import InvalidRequest
from gatewaypy.models import AchAccount, NetBanking, OtherSource, SepaAccount, Upi, Voucher, Wallet
from gatewaypy.protocol.requests.request import prefixed
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from gatewaypy.models import Address, BrowserInfo, Customer, PaymentSource
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests.request import Fields


def source_fields(source: PaymentSource, operation: Operation) -> Fields:
    """Return the fields of a payment source. The names of accounts' fields are our choice."""
    if not isinstance(
        source, Card | Wallet | NetBanking | Voucher | SepaAccount | AchAccount | Upi | OtherSource
    ):
        raise InvalidRequest(
            "source",
            "must be a Card or another payment source of this library",
            shape_of(source),
            operation=operation.name,
        )
    fields: Fields = {"paymentMode": source.mode}
    if source.brand is not None:
        fields["paymentBrand"] = source.brand
    match source:
        case Card():
            return fields | card_fields(source)
        case SepaAccount():
            return fields | prefixed("bankAccount", {"iban": source.iban, "bic": source.bic})
        case AchAccount():
            account = {
                "accountNumber": source.account_number,
                "routingNumber": source.routing_number,
                "accountType": source.account_type,
            }
            return fields | prefixed("bankAccount", account)
        case Upi():
            return fields | prefixed("customer", {"vpa": source.address})
        case _:
            # The fields of an OtherSource are the caller's own and are added last.
            return fields


def card_fields(card: Card) -> Fields:
    """Return a card's fields; a missing CVV is left out."""
    return prefixed(
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
    """Return a customer's fields without those that are ``None``."""
    return prefixed(
        "customer",
        {
            "givenName": customer.given_name,
            "surname": customer.surname,
            "email": customer.email,
            "phone": customer.phone,
            "telnocc": customer.phone_country_code,
            "ip": customer.ip,
            "birthDate": f"{customer.birth_date:%Y%m%d}"
            if isinstance(customer.birth_date, date)
            else customer.birth_date,
            "sex": customer.sex,
            "customerId": customer.customer_id,
        },
    )


def shipping_fields(address: Address) -> Fields:
    """Return an address's fields without those that are ``None``."""
    return prefixed(
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
    return prefixed(
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
