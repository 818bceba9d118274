"""Requests for invoices and payment links (protocol section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Customer, Product
from gatewaypy.protocol import operations
from gatewaypy.protocol.requests.request import (
    Request,
    check_amount,
    check_type,
    prefixed,
    present,
    with_extra,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatewaypy.money import Money
    from gatewaypy.protocol.requests.request import Fields
    from gatewaypy.secret import Secret


def generate_invoice(
    *,
    amount: Money,
    merchant_invoice_id: str,
    customer: Customer,
    redirect_url: str,
    products: Sequence[Product],
    expires_after: int | None,
    description: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the request for an invoice that the gateway e-mails to the customer (documented)."""
    operation = operations.INVOICE_GENERATE
    check_amount(amount, operation)
    check_type("customer", customer, Customer, "must be a Customer", operation)
    fields: Fields = {
        "amount": amount.wire(),
        "currency": amount.currency,
        "merchantInvoiceId": merchant_invoice_id,
        "merchantRedirectUrl": redirect_url,
    }
    fields |= present(
        {
            "customer.email": customer.email,
            "customer.givenName": customer.given_name,
            "customer.mobile": customer.phone,
            "telnocc": customer.phone_country_code,
            "invoiceExpirationPeriod": None if expires_after is None else str(expires_after),
            "merchantOrderDescription": description,
        }
    )
    for position, product in enumerate(products):
        check_type("product", product, Product, "must be a Product", operation)
        if product.price.currency != amount.currency:
            raise InvalidRequest(
                "product.productAmount",
                f"must be in the invoice's currency, {amount.currency}",
                operation=operation.name,
            )
        # One product is documented; several are distinguished by their position (our choice).
        fields |= prefixed(
            "product" if len(products) == 1 else f"product[{position}]", _product(product)
        )
    return Request(operation=operation, fields=with_extra(fields, extra, operation), amount=amount)


def _product(product: Product) -> dict[str, str | Secret | None]:
    return {
        "productDescription": product.description,
        "productAmount": product.price.wire(),
        "quantity": str(product.quantity),
        "productTotal": product.total.wire(),
    }


def regenerate_invoice(invoice_id: str, redirect_url: str) -> Request:
    """Build the request that generates an invoice again."""
    fields: Fields = {"invoiceId": invoice_id, "merchantRedirectUrl": redirect_url}
    return Request(operation=operations.INVOICE_REGENERATE, fields=fields)


def invoice_status(merchant_invoice_id: str) -> Request:
    """Build the inquiry about an invoice, by the merchant's own id."""
    return Request(
        operation=operations.INVOICE_STATUS, fields={"merchantInvoiceId": merchant_invoice_id}
    )


def remind(invoice_id: str, redirect_url: str | None) -> Request:
    """Build the request that reminds the customer."""
    fields = present({"invoiceId": invoice_id, "merchantRedirectUrl": redirect_url})
    return Request(operation=operations.INVOICE_REMIND, fields=fields)


def cancel_invoice(invoice_id: str, redirect_url: str | None) -> Request:
    """Build the request that cancels an invoice."""
    fields = present({"invoiceId": invoice_id, "merchantRedirectUrl": redirect_url})
    return Request(operation=operations.INVOICE_CANCEL, fields=fields)


def invoice_configuration() -> Request:
    """Build the request for the configuration of invoices."""
    return Request(operation=operations.INVOICE_CONFIGURATION, fields={})


def pay_by_link(
    *,
    amount: Money,
    order_id: str,
    customer: Customer,
    description: str | None,
    expires: str | None,
    extra: Mapping[str, str | Secret] | None,
) -> Request:
    """Build the request for a payment link, with names grouped under ``merchant`` (documented)."""
    operation = operations.PAY_BY_LINK
    check_amount(amount, operation)
    check_type("customer", customer, Customer, "must be a Customer", operation)
    names = [name for name in (customer.given_name, customer.surname) if name]
    fields = present({"authentication.expirationTime": expires})
    fields |= prefixed(
        "merchant",
        {
            "orderID": order_id,
            "amount": amount.wire(),
            "currency": amount.currency,
            "contactName": " ".join(names) or None,
            "email": customer.email,
            "phone": customer.phone,
            "orderDescription": description,
        },
    )
    return Request(operation=operation, fields=with_extra(fields, extra, operation), amount=amount)
