"""Stored cards and accounts: kept by the gateway, named by a registration id, so that a merchant needs not keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from gatewaypy.cards import parse_cvv
from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol import operations, requests
from gatewaypy.resources.payment import ChargeOptions, pay, wrap_options, wrap_source
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.cards import Card
    from gatewaypy.models import (
        AchAccount,
        Address,
        Customer,
        CustomerAccounts,
        Payment,
        SepaAccount,
        StoredCard,
    )
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class StoredCards:
    """``gateway.stored_cards``: tokenization (protocol section 4). A payment can store its card too: ``store_card=True``."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

    async def store(
        self,
        source: Card | SepaAccount | AchAccount,
        *,
        customer: Customer | None = None,
        address: Address | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> StoredCard:
        """Store a card or a bank account by itself, without a payment (documented, rule from one source).

        :param customer: whose it is; with ``customer_id`` it is listed under that customer.
        :param address: the holder's address.
        :returns: the stored card, whose ``registration_id`` is what to pay with; outcome ``FAILED`` where it was refused.
        :raises UnreadableReply: where no usable answer came. The card may be stored all the same: :meth:`list` tells for a
            customer, and storing it again makes a second registration of it, no payment.
        :raises InvalidRequest: refused before anything was sent.
        :raises NotSent: no byte of it left.
        """
        extra, source = wrap_extra(extra), wrap_source(source)
        pipeline = self._pipeline()
        request = requests.store_card(
            credentials=pipeline.credentials,
            source=source,
            customer=customer,
            shipping=address,
            terminal_id=terminal_id,
            extra=extra,
        )
        stored: StoredCard = await pipeline.run(request)
        return stored

    async def pay(
        self,
        registration_id: str,
        amount: Money,
        *,
        merchant_transaction_id: str,
        cvv: str | Secret | None = None,
        preauth: bool = False,
        **options: Unpack[ChargeOptions],
    ) -> Payment:
        """Take or hold money from a stored card with the payer present (documented, path and rule from one source).

        :param cvv: three or four digits, where the payer was asked for them; it is sent once and stored nowhere.
        :param preauth: hold the money in place of taking it.

        Other parameters, result (it may be a redirect to 3-D Secure) and errors as in ``gateway.debit``.
        """
        digits = parse_cvv(cvv)
        # A frame that raises stays in the traceback, with whatever its names still hold.
        del cvv
        options = wrap_options(options)
        if isinstance(digits, InvalidRequest):
            raise digits
        operation = operations.STORED_CARD_HOLD if preauth else operations.STORED_CARD_DEBIT
        source = requests.Stored(registration_id, cvv=digits)
        return await pay(
            self._pipeline(), operation, amount, source, merchant_transaction_id, options
        )

    async def delete(self, registration_id: str) -> StoredCard:
        """Delete a stored card or account (one source).

        :returns: outcome ``SUCCEEDED``, or ``FAILED`` with the gateway's code. Deleting again does no harm.
        :raises UnreadableReply: where no usable answer came.
        """
        deleted: StoredCard = await self._pipeline().run(
            requests.delete_stored_card(registration_id)
        )
        return deleted

    async def list(self, customer_id: str) -> CustomerAccounts:
        """List a customer's stored cards and bank accounts (one source).

        :param customer_id: the id that ``gateway.customers.sign_up`` gave.
        :returns: both lists, empty with outcome ``FAILED`` and code ``10026`` where the gateway has no such record.
        :raises UnreadableReply: where no usable answer came, after three tries.
        """
        accounts: CustomerAccounts = await self._pipeline().run(
            requests.list_stored_cards(customer_id)
        )
        return accounts
