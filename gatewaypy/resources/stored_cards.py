"""Cards and accounts that the gateway stores, so that the merchant does not have to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from gatewaypy.cards import parse_cvv
from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol import operations, requests
from gatewaypy.resources.payment import ChargeOptions, pay, wrap_options, wrap_source
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    from gatewaypy.secret import Secret


class StoredCards(Resource):
    """``gateway.stored_cards``: tokenization (protocol section 4).

    A payment can store its card too: ``store_card=True``.
    """

    async def store(
        self,
        source: Card | SepaAccount | AchAccount,
        *,
        customer: Customer | None = None,
        address: Address | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> StoredCard:
        """Store a card or a bank account without a payment.

        Args:
            source: The card or account.
            customer: Its holder. With ``customer_id``, `list` returns it for that customer.
            address: The holder's address.
            terminal_id: Overrides the terminal of the credentials.
            extra: Further fields by their wire names.

        Returns:
            The stored card; pay with its ``registration_id``. If the gateway refused it, the
            outcome is ``FAILED``.

        Raises:
            InvalidRequest: A field is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: No usable answer. The card may be stored nevertheless; for a
                customer, `list` shows it. To store it again creates a second registration and
                moves no money.

        Protocol section 4. Documented; the checksum rule has one source.
        """
        extra, source = wrap_extra(extra), wrap_source(source)
        request = requests.store_card(
            credentials=self._get_pipeline().credentials,
            source=source,
            customer=customer,
            shipping=address,
            terminal_id=terminal_id,
            extra=extra,
        )
        stored: StoredCard = await self._run(request)
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
        """Take or hold money from a stored card, with the payer present.

        Args:
            registration_id: The stored card's ``registration_id``.
            amount: As in ``gateway.debit``.
            merchant_transaction_id: As in ``gateway.debit``.
            cvv: Three or four digits, if the payer entered them. It is sent once and not stored.
            preauth: Hold the money instead of taking it.
            **options: See `ChargeOptions`.

        Returns:
            The payment, as in ``gateway.debit``. It can be a redirect to 3-D Secure. The errors
            are the same too.

        Protocol section 4. Documented; path and checksum rule have one source.
        """
        parsed_cvv = parse_cvv(cvv)
        # The traceback of an error keeps this frame and its variables.
        del cvv
        options = wrap_options(options)
        if isinstance(parsed_cvv, InvalidRequest):
            raise parsed_cvv
        operation = operations.STORED_CARD_HOLD if preauth else operations.STORED_CARD_DEBIT
        source = requests.Stored(registration_id, cvv=parsed_cvv)
        return await pay(
            self._get_pipeline(), operation, amount, source, merchant_transaction_id, options
        )

    async def delete(self, registration_id: str) -> StoredCard:
        """Delete a stored card or account. It is safe to delete it again.

        Args:
            registration_id: The stored card's ``registration_id``.

        Returns:
            Outcome ``SUCCEEDED``, or ``FAILED`` with the gateway's code.

        Raises:
            UnreadableReply: No usable answer.

        Protocol section 4. One source.
        """
        deleted: StoredCard = await self._run(requests.delete_stored_card(registration_id))
        return deleted

    async def list(self, customer_id: str) -> CustomerAccounts:
        """List a customer's stored cards and bank accounts.

        Args:
            customer_id: The id that ``gateway.customers.sign_up`` returned.

        Returns:
            Both lists. If the gateway has no such record, they are empty, and the outcome is
            ``FAILED`` with code ``10026``.

        Raises:
            UnreadableReply: No usable answer after three attempts.

        Protocol section 4. One source.
        """
        accounts: CustomerAccounts = await self._run(requests.list_stored_cards(customer_id))
        return accounts
