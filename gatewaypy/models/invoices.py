"""Results about invoices and payment links."""

from __future__ import annotations

from attrs import frozen

from gatewaypy.models.results import OperationResult


@frozen(kw_only=True)
class Invoice(OperationResult):
    """An invoice (protocol section 7).

    Attributes:
        invoice_id: The gateway's id.
        merchant_invoice_id: Your own id.
        payment_url: The link in the e-mail to the customer.
        customer_email: The customer's e-mail address.
        description: Text of the invoice.
        expiration_period: In the gateway's own unit.
        created_date: Without a time zone.
        created_time: Without a time zone.
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
    """The merchant's invoice settings, in ``extra`` (no reply is documented)."""


@frozen(kw_only=True)
class PaymentLink(OperationResult):
    """A payment link (protocol section 7): send ``url`` to the payer."""

    url: str | None = None
