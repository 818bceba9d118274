"""Invoices that the gateway sends to customers by e-mail, each with a link to pay by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatewaypy.models import Customer, Invoice, InvoiceConfiguration, Product
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class Invoices:
    """``gateway.invoices`` (protocol section 4); invoices have tokens of their own (our choice)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

    async def generate(
        self,
        amount: Money,
        *,
        merchant_invoice_id: str,
        customer: Customer,
        redirect_url: str,
        products: Sequence[Product] = (),
        expires_after: int | None = None,
        description: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> Invoice:
        """Make an invoice and have it sent to the customer (documented).

        It is never sent twice by the library: where no usable answer comes, the invoice's status is asked for, and the result
        then has ``outcome_source=OutcomeSource.INQUIRY``.

        :param merchant_invoice_id: your own id: 1 to 100 of letters, digits, space, ``.`` and ``-`` (our choice of format).
        :param customer: ``email`` is needed; the name and the phone number go along.
        :param redirect_url: where the payer's browser comes back to once it has paid.
        :param products: what is billed, in the invoice's currency. More than one is written ``product[0]``, ``product[1]`` (our
            choice).
        :param expires_after: how long the link pays, in the gateway's own unit.
        :raises UnreadableReply: where neither the answer nor the invoice's status could tell; it may have been sent.
        """
        extra = wrap_extra(extra)
        request = requests.generate_invoice(
            amount=amount,
            merchant_invoice_id=merchant_invoice_id,
            customer=customer,
            redirect_url=redirect_url,
            products=products,
            expires_after=expires_after,
            description=description,
            extra=extra,
        )
        invoice: Invoice = await self._pipeline().run(request)
        return invoice

    async def regenerate(self, invoice_id: str, *, redirect_url: str) -> Invoice:
        """Make an invoice anew, with a new link, and have it sent (documented).

        :param invoice_id: the gateway's id, ``invoice.invoice_id``.
        :raises UnreadableReply: where no usable answer came; it may have been sent.
        """
        invoice: Invoice = await self._pipeline().run(
            requests.regenerate_invoice(invoice_id, redirect_url)
        )
        return invoice

    async def status(self, merchant_invoice_id: str) -> Invoice:
        """Ask for an invoice by your own id (documented). Its ``outcome`` tells of the lookup, ``status`` of the invoice.

        :raises UnreadableReply: where no usable answer came, after three tries.
        """
        invoice: Invoice = await self._pipeline().run(requests.invoice_status(merchant_invoice_id))
        return invoice

    async def remind(self, invoice_id: str, *, redirect_url: str | None = None) -> Invoice:
        """Have the customer reminded by e-mail (documented, without a checksum).

        :raises UnreadableReply: where no usable answer came; the customer may have been reminded.
        """
        invoice: Invoice = await self._pipeline().run(requests.remind(invoice_id, redirect_url))
        return invoice

    async def cancel(self, invoice_id: str, *, redirect_url: str | None = None) -> Invoice:
        """Take an invoice back: its link no longer pays (documented; no checksum is, and the code of success is our choice).

        :raises UnreadableReply: where no usable answer came; the invoice may be cancelled.
        """
        invoice: Invoice = await self._pipeline().run(
            requests.cancel_invoice(invoice_id, redirect_url)
        )
        return invoice

    async def configuration(self) -> InvoiceConfiguration:
        """Ask how invoices are set up for this merchant (documented); what is told is in ``extra``.

        :raises UnreadableReply: where no usable answer came, after three tries.
        """
        configuration: InvoiceConfiguration = await self._pipeline().run(
            requests.invoice_configuration()
        )
        return configuration
