"""Requests about stored cards, customers, and a partner's merchants (protocol sections 4, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.cards import Card
from gatewaypy.models import AchAccount, Customer, SepaAccount
from gatewaypy.protocol import operations
from gatewaypy.protocol.requests.parties import customer_fields, shipping_fields, source_fields
from gatewaypy.protocol.requests.request import Request, check_type, prefixed, present, with_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.models import Address
    from gatewaypy.protocol.requests.request import Fields
    from gatewaypy.secret import Secret


def store_card(
    *,
    credentials: Credentials,
    source: Card | SepaAccount | AchAccount,
    customer: Customer | None,
    shipping: Address | None,
    terminal_id: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the request that stores a card or bank account.

    Its ``shipping`` fields have other names (one source).
    """
    operation = operations.STORE_CARD
    check_type(
        "source",
        source,
        (Card, SepaAccount, AchAccount),
        "must be a Card, SepaAccount or AchAccount",
        operation,
    )
    fields: Fields = present({"authentication.terminalId": terminal_id or credentials.terminal_id})
    fields |= source_fields(source, operation)
    fields |= customer_fields(customer) if customer else {}
    if shipping is not None:
        fields |= {n: v for n, v in shipping_fields(shipping).items() if n != "shipping.street1"}
        fields |= prefixed("shipping", {"street": shipping.street})
        if customer is not None:
            fields |= prefixed(
                "shipping", {"givenName": customer.given_name, "surname": customer.surname}
            )
    return Request(operation=operation, fields=with_extra(fields, extra, operation))


def delete_stored_card(registration_id: str) -> Request:
    """Build the request that deletes a stored card or account."""
    operation = operations.DELETE_STORED_CARD
    check_type(
        "registrationId",
        registration_id,
        str,
        "must be the gateway's id of the stored card, a string",
        operation,
    )
    return Request(operation=operation, fields={}, subject=registration_id)


def list_stored_cards(customer_id: str) -> Request:
    """Build the request for a customer's stored cards and accounts."""
    return Request(
        operation=operations.LIST_STORED_CARDS, fields={"customer.customerId": customer_id}
    )


def sign_up_customer(
    *, customer: Customer, address: Address | None, extra: Mapping[str, str | Secret] | None
) -> Request:
    """Build the request that registers a customer. The gateway returns the customer's id."""
    operation = operations.CUSTOMER_SIGN_UP
    check_type("customer", customer, Customer, "must be a Customer", operation)
    fields = customer_fields(customer) | (shipping_fields(address) if address else {})
    return Request(operation=operation, fields=with_extra(fields, extra, operation))


def sign_up_merchant(
    *,
    partner_id: str,
    username: str,
    company_name: str,
    email: str,
    contact_name: str | None,
    phone: str | None,
    country: str | None,
    website: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the request that registers a merchant for a partner; every name is our choice."""
    operation = operations.MERCHANT_SIGN_UP
    fields: Fields = {"authentication.partnerId": partner_id}
    fields |= prefixed(
        "merchant",
        {
            "username": username,
            "companyName": company_name,
            "email": email,
            "contactName": contact_name,
            "phone": phone,
            "country": country,
            "website": website,
        },
    )
    return Request(operation=operation, fields=with_extra(fields, extra, operation))
