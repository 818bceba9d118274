"""Invoices and payment links, as the gateway tells of them: what a merchant sends so that a customer can pay later."""

from __future__ import annotations

from attrs import frozen

from gatewaypy.models.results import OperationResult


@frozen(kw_only=True)
class Invoice(OperationResult):
    """An invoice (protocol section 7).

    ``invoice_id`` is the gateway's id, ``merchant_invoice_id`` your own; ``payment_url`` is the link that the customer gets by
    e-mail. ``expiration_period`` is in the gateway's own unit; ``created_date`` and ``created_time`` have no zone.
    """

    invoice_id: str | None = None
    merchant_invoice_id: str | None = None
    payment_url: str | None = None
    customer_email: str | None = None
    description: str | None = None
    expiration_period: str | None = None
    created_date: str | None = None
    created_time: str | None = None


@frozen(kw_only=True)
class InvoiceConfiguration(OperationResult):
    """How invoices are set up for this merchant; what the gateway tells is in ``extra`` (no reply is documented)."""


@frozen(kw_only=True)
class PaymentLink(OperationResult):
    """A link to pay by (protocol section 7): send ``url`` to the customer."""

    url: str | None = None
