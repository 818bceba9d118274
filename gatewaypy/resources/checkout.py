"""The gateway's own pages in the payer's browser: no card data comes near the merchant's service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.encode import hosted_form
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.models import Address, Customer, HostedForm
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class Checkout:
    """``gateway.checkout``: forms that take the payer's browser to the hosted pages (protocol section 4).

    Nothing is sent by the library: answer the payer's browser with ``form.html()``. Whether the payer paid, the callback, the
    browser return (`gatewaypy.callbacks.read_return`) and ``gateway.inquire(merchant_transaction_id=…)`` tell.
    """

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

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
        """Make the form for the hosted payment page (documented and seen).

        :param merchant_transaction_id: your own id of this attempt, as in ``gateway.debit``.
        :param redirect_url: where the payer's browser comes back to, at most 100 characters, as is ``notification_url``.
        :param description: what the page shows, at most 255 characters; the merchant transaction id where there is none.
        :param mode: with ``brand``, one way to pay, in the gateway's words; the payer chooses where there is none.
        :raises ConfigurationError: where the credentials lack ``partner_name``, the page's ``totype``.
        :raises InvalidRequest: for a field that breaks its rule.
        """
        extra = wrap_extra(extra)
        pipeline = self._pipeline()
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
        """Make the form for the hosted card registration page (documented; its unsigned fields are our choice).

        The return is read by `gatewaypy.callbacks.read_registration_return`.

        :param customer_id: whose card it will be.
        :raises ConfigurationError: where the credentials lack ``partner_name``, the page's ``totype``.
        :raises InvalidRequest: for a field that breaks its rule.
        """
        extra = wrap_extra(extra)
        pipeline = self._pipeline()
        request = requests.hosted_card_registration(
            credentials=pipeline.credentials,
            redirect_url=redirect_url,
            customer_id=customer_id,
            language=language,
            terminal_id=terminal_id,
            extra=extra,
        )
        return hosted_form(request, platform=pipeline.platform, credentials=pipeline.credentials)
