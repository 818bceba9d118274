"""Recurring payments: an initial one with the payer, and later ones without."""

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
from gatewaypy.resources.resource import Resource

if TYPE_CHECKING:
    from gatewaypy.models import Payment, PaymentSource
    from gatewaypy.money import Money


class Recurring(Resource):
    """``gateway.recurring``: an initial payment, and repeats of it (protocol section 4)."""

    async def initial(
        self,
        amount: Money,
        source: PaymentSource,
        *,
        merchant_transaction_id: str,
        preauth: bool = False,
        **options: Unpack[PaymentOptions],
    ) -> Payment:
        """Take the first payment of a series, with the payer present.

        ``store_card=True`` also requests a registration, through which repeats are documented.
        When the payment has succeeded, store ``payment.mandate()``. After 3-D Secure, take the
        mandate from the result of ``gateway.inquire``.

        Args:
            amount: As in ``gateway.debit``.
            source: As in ``gateway.debit``.
            merchant_transaction_id: As in ``gateway.debit``.
            preauth: Hold the money instead of taking it.
            **options: See `PaymentOptions`.

        Returns:
            The payment, as in ``gateway.debit``. The errors are the same too.

        Protocol section 4, ``recurringType=INITIAL``. Documented.
        """
        options, source = wrap_options(options), wrap_source(source)
        operation = operations.RECURRING_INITIAL_HOLD if preauth else operations.RECURRING_INITIAL
        return await pay(
            self._get_pipeline(), operation, amount, source, merchant_transaction_id, options
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
        """Take a later payment, without the payer and without a CVV.

        Args:
            mandate: The mandate of the initial payment, or ``Mandate.from_json(text)``.
            amount: In the currency of the initial payment.
            merchant_transaction_id: A new id for this payment, as in ``gateway.debit``.
            by: ``"stored card"`` (documented, path and rule from one source) or ``"initial
                payment"`` (our choice). The default is the stored card if the mandate has one.
            preauth: Hold the money instead of taking it.
            **options: See `ChargeOptions`.

        Returns:
            The payment, as in ``gateway.debit``. The other errors are the same too.

        Raises:
            InvalidRequest: As in ``gateway.debit``, or the currency differs from the initial
                payment's, or the mandate has no stored card for ``by="stored card"``.

        Protocol section 4, ``recurringType=REPEATED``.
        """
        options = wrap_options(options)
        pipeline = self._get_pipeline()
        call = {"operation": "recurring repeat", "merchant_transaction_id": merchant_transaction_id}
        if not isinstance(mandate, Mandate):
            raise InvalidRequest(
                "mandate",
                "must be a Mandate, such as payment.mandate()",
                f"a value of type {type(mandate).__name__}",
                **call,
            )
        currency = getattr(amount, "currency", mandate.currency)
        if mandate.currency is not None and currency != mandate.currency:
            rule = f"must be {mandate.currency}, the currency of the initial payment"
            raise InvalidRequest("currency", rule, **call)
        if by not in {None, "stored card", "initial payment"}:
            raise InvalidRequest("by", "must be 'stored card' or 'initial payment'", **call)
        if by == "stored card" and mandate.registration_id is None:
            rule = "must be 'initial payment', because the mandate has no registration_id"
            raise InvalidRequest("by", rule, **call)
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
