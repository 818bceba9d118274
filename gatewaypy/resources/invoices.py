"""Invoices that the gateway sends to customers by e-mail, each with a payment link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatewaypy.models import Customer, Invoice, InvoiceConfiguration, Product
    from gatewaypy.money import Money
    from gatewaypy.secret import Secret


class Invoices(Resource):
    """``gateway.invoices`` (protocol section 4).

    The invoice service has its own tokens (our choice).
    """

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
        """Generate an invoice, which the gateway sends to the customer.

        The library never sends it twice. If no usable answer arrives, it requests the invoice's
        status, and the result has ``outcome_source=OutcomeSource.INQUIRY``.

        Args:
            amount: What the customer pays.
            merchant_invoice_id: Your own id, 1 to 100 characters: letters, digits, spaces, ``.``
                and ``-`` (our choice of format).
            customer: Must have ``email``. The name and the phone number are sent too.
            redirect_url: Where the payer's browser returns to after the payment.
            products: What is billed, in the invoice's currency. Several are written as
                ``product[0]``, ``product[1]`` (our choice).
            expires_after: Lifetime of the link, in the gateway's own unit.
            description: Text of the invoice.
            extra: Further fields by their wire names.

        Returns:
            The invoice.

        Raises:
            InvalidRequest: A field is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: Neither the answer nor the status was usable. The gateway may have
                sent the invoice.

        Protocol section 4. Documented.
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
        invoice: Invoice = await self._run(request)
        return invoice

    async def regenerate(self, invoice_id: str, *, redirect_url: str) -> Invoice:
        """Generate an invoice again, with a new link, which the gateway sends to the customer.

        Args:
            invoice_id: The gateway's id, ``invoice.invoice_id``.
            redirect_url: Where the payer's browser returns to after the payment.

        Returns:
            The invoice.

        Raises:
            UnreadableReply: No usable answer. The gateway may have sent the invoice.

        Protocol section 4. Documented.
        """
        invoice: Invoice = await self._run(requests.regenerate_invoice(invoice_id, redirect_url))
        return invoice

    async def status(self, merchant_invoice_id: str) -> Invoice:
        """Look up an invoice by your own id.

        Args:
            merchant_invoice_id: The id that `generate` was called with.

        Returns:
            The invoice. Its ``outcome`` is that of the look-up, its ``status`` the invoice's.

        Raises:
            UnreadableReply: No usable answer after three attempts.

        Protocol section 4. Documented.
        """
        invoice: Invoice = await self._run(requests.invoice_status(merchant_invoice_id))
        return invoice

    async def remind(self, invoice_id: str, *, redirect_url: str | None = None) -> Invoice:
        """Remind the customer by e-mail.

        Args:
            invoice_id: The gateway's id, ``invoice.invoice_id``.
            redirect_url: Where the payer's browser returns to after the payment.

        Returns:
            The invoice.

        Raises:
            UnreadableReply: No usable answer. The gateway may have reminded the customer.

        Protocol section 4. Documented, without a checksum.
        """
        invoice: Invoice = await self._run(requests.remind(invoice_id, redirect_url))
        return invoice

    async def cancel(self, invoice_id: str, *, redirect_url: str | None = None) -> Invoice:
        """Cancel an invoice, so that its link cannot be paid any longer.

        Args:
            invoice_id: The gateway's id, ``invoice.invoice_id``.
            redirect_url: Where the payer's browser returns to after the payment.

        Returns:
            The invoice.

        Raises:
            UnreadableReply: No usable answer. The invoice may be cancelled.

        Protocol section 4. Documented, without a checksum; the code of success is our choice.
        """
        invoice: Invoice = await self._run(requests.cancel_invoice(invoice_id, redirect_url))
        return invoice

    async def configuration(self) -> InvoiceConfiguration:
        """Read the invoice settings of this merchant.

        Returns:
            The settings, in ``extra``.

        Raises:
            UnreadableReply: No usable answer after three attempts.

        Protocol section 4. Documented.
        """
        configuration: InvoiceConfiguration = await self._run(requests.invoice_configuration())
        return configuration
