"""Recurring payments: one with the payer, and later ones without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Mandate
from gatewaypy.protocol import operations
from gatewaypy.protocol.requests import Stored
from gatewaypy.resources.payment import (
    ChargeOptions,
    PaymentOptions,
    pay,
    wrap_options,
    wrap_source,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.models import Payment, PaymentSource
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline


class Recurring:
    """``gateway.recurring``: an initial payment, and repeats of it (protocol section 4)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

    async def initial(
        self,
        amount: Money,
        source: PaymentSource,
        *,
        merchant_transaction_id: str,
        preauth: bool = False,
        **options: Unpack[PaymentOptions],
    ) -> Payment:
        """Take the first of a series, with the payer present (``recurringType=INITIAL``, documented).

        ``store_card=True`` asks for a registration as well, by which repeats are documented. Once the payment has succeeded,
        after 3-D Secure by what ``gateway.inquire`` finds, keep ``payment.mandate()``.

        :param preauth: hold the money in place of taking it.

        Other parameters, result and errors as in ``gateway.debit``.
        """
        options, source = wrap_options(options), wrap_source(source)
        operation = operations.RECURRING_INITIAL_HOLD if preauth else operations.RECURRING_INITIAL
        return await pay(
            self._pipeline(), operation, amount, source, merchant_transaction_id, options
        )

    async def repeat(
        self,
        mandate: Mandate,
        amount: Money,
        *,
        merchant_transaction_id: str,
        by: Literal["stored card", "initial payment"] | None = None,
        preauth: bool = False,
        **options: Unpack[ChargeOptions],
    ) -> Payment:
        """Take a later payment without the payer, and without a CVV (``recurringType=REPEATED``).

        :param mandate: what the initial payment left; ``Mandate.from_json`` reads it back.
        :param by: through the stored card (documented, path and rule from one source), which is taken where the mandate has
            one, or through the initial payment (our choice).
        :param merchant_transaction_id: a new id of your own for this payment, as in ``gateway.debit``.
        :raises InvalidRequest: also for another currency than the initial payment's, or for ``by="stored card"`` where the
            mandate has none.

        Other parameters, result and errors as in ``gateway.debit``.
        """
        options = wrap_options(options)
        pipeline = self._pipeline()
        facts = {
            "operation": "recurring repeat",
            "merchant_transaction_id": merchant_transaction_id,
        }
        if not isinstance(mandate, Mandate):
            raise InvalidRequest(
                "mandate",
                "a Mandate, such as payment.mandate()",
                f"{type(mandate).__name__}",
                **facts,
            )
        if (
            mandate.currency is not None
            and getattr(amount, "currency", mandate.currency) != mandate.currency
        ):
            raise InvalidRequest(
                "currency", f"{mandate.currency}, in which the payer agreed", **facts
            )
        if by not in {None, "stored card", "initial payment"}:
            raise InvalidRequest("by", "'stored card' or 'initial payment'", **facts)
        if by == "stored card" and mandate.registration_id is None:
            raise InvalidRequest(
                "by", "'initial payment': the mandate has no registration_id", **facts
            )
        if options.get("terminal_id") is None:
            options["terminal_id"] = mandate.terminal_id
        if mandate.registration_id is not None and by != "initial payment":
            card = Stored(mandate.registration_id, mandate.payment_mode, mandate.payment_brand)
            operation = (
                operations.RECURRING_BY_STORED_CARD_HOLD
                if preauth
                else operations.RECURRING_BY_STORED_CARD
            )
            return await pay(pipeline, operation, amount, card, merchant_transaction_id, options)
        initial = Stored(mandate.payment_id, mandate.payment_mode, mandate.payment_brand)
        operation = (
            operations.RECURRING_BY_PAYMENT_HOLD if preauth else operations.RECURRING_BY_PAYMENT
        )
        return await pay(pipeline, operation, amount, initial, merchant_transaction_id, options)
