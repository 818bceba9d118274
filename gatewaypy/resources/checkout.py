"""The gateway's hosted pages, so that no card data reaches the merchant's service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.encode import hosted_form
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Address, Customer, HostedForm
    from gatewaypy.money import Money
    from gatewaypy.secret import Secret


class Checkout(Resource):
    """``gateway.checkout``: forms that send the payer's browser to the hosted pages.

    The library sends nothing: answer the payer's browser with ``form.html()``. The callback, the
    browser return (`gatewaypy.callbacks.read_return`) and
    ``gateway.inquire(merchant_transaction_id=...)`` report whether the payer paid.

    Example:
        ``form = await gateway.checkout.form(Money("50.00", "EUR"), merchant_transaction_id="O-1",
        redirect_url="https://shop.example/back")``

    Protocol section 4.
    """

    async def form(
        self,
        amount: Money,
        *,
        merchant_transaction_id: str,
        redirect_url: str,
        notification_url: str | None = None,
        preauth: bool = False,
        description: str | None = None,
        shown_amount: Money | None = None,
        mode: str | None = None,
        brand: str | None = None,
        customer: Customer | None = None,
        address: Address | None = None,
        language: str | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> HostedForm:
        """Build the form for the hosted payment page.

        Args:
            amount: What the payer pays.
            merchant_transaction_id: Your own id of this attempt, as in ``gateway.debit``.
            redirect_url: Where the payer's browser returns to; at most 100 characters.
            notification_url: Where callbacks are sent; at most 100 characters.
            preauth: Hold the money instead of taking it.
            description: Text on the page, at most 255 characters. Without it the page shows the
                merchant transaction id.
            shown_amount: Amount and currency shown to the payer, if they differ.
            mode: With ``brand``, the only way to pay, in the gateway's words. Without it the
                payer chooses.
            brand: See ``mode``.
            customer: Fills the customer's fields of the page.
            address: Fills the address of the page.
            language: Language of the page.
            terminal_id: Overrides the terminal of the credentials.
            extra: Further fields by their wire names.

        Returns:
            The form. Nothing was sent.

        Raises:
            ConfigurationError: The credentials lack ``partner_name``, the page's ``totype``.
            InvalidRequest: A field is malformed.

        Protocol section 4. Documented, seen.
        """
        extra = wrap_extra(extra)
        pipeline = self._get_pipeline()
        request = requests.hosted_checkout(
            credentials=pipeline.credentials,
            amount=amount,
            merchant_transaction_id=merchant_transaction_id,
            redirect_url=redirect_url,
            notification_url=notification_url,
            preauth=preauth,
            description=description,
            shown_amount=shown_amount,
            mode=mode,
            brand=brand,
            customer=customer,
            address=address,
            language=language,
            terminal_id=terminal_id,
            extra=extra,
        )
        return hosted_form(request, platform=pipeline.platform, credentials=pipeline.credentials)

    async def card_registration_form(
        self,
        *,
        redirect_url: str,
        customer_id: str | None = None,
        language: str | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> HostedForm:
        """Build the form for the hosted card registration page.

        Read the return with `gatewaypy.callbacks.read_registration_return`.

        Args:
            redirect_url: Where the payer's browser returns to; at most 100 characters.
            customer_id: The gateway's id of the customer who gets the card.
            language: Language of the page.
            terminal_id: Overrides the terminal of the credentials.
            extra: Further fields by their wire names.

        Returns:
            The form. Nothing was sent.

        Raises:
            ConfigurationError: The credentials lack ``partner_name``, the page's ``totype``.
            InvalidRequest: A field is malformed.

        Protocol section 4. Documented; its unsigned fields are our choice.
        """
        extra = wrap_extra(extra)
        pipeline = self._get_pipeline()
        request = requests.hosted_card_registration(
            credentials=pipeline.credentials,
            redirect_url=redirect_url,
            customer_id=customer_id,
            language=language,
            terminal_id=terminal_id,
            extra=extra,
        )
        return hosted_form(request, platform=pipeline.platform, credentials=pipeline.credentials)
