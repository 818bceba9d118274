"""The groups of operations that hang off a `Gateway`: ``gateway.tokens`` and its like."""

from typing import TYPE_CHECKING

from gatewaypy.late import late
from gatewaypy.parts.payment import ChargeOptions, PaymentOptions, pay, sealed, sealed_source
from gatewaypy.parts.transactions import TransactionList

if TYPE_CHECKING:
    from gatewaypy.parts.checkout import Checkout
    from gatewaypy.parts.customers import Customers
    from gatewaypy.parts.invoices import Invoices
    from gatewaypy.parts.links import Links
    from gatewaypy.parts.merchants import Merchants
    from gatewaypy.parts.recurring import Recurring
    from gatewaypy.parts.stored_cards import StoredCards
    from gatewaypy.parts.tokens import Tokens
else:
    # Whoever makes a Gateway has them all from then on.
    __getattr__, __dir__ = late(
        __name__,
        {
            "Checkout": "gatewaypy.parts.checkout",
            "Customers": "gatewaypy.parts.customers",
            "Invoices": "gatewaypy.parts.invoices",
            "Links": "gatewaypy.parts.links",
            "Merchants": "gatewaypy.parts.merchants",
            "Recurring": "gatewaypy.parts.recurring",
            "StoredCards": "gatewaypy.parts.stored_cards",
            "Tokens": "gatewaypy.parts.tokens",
        },
    )

__all__ = [
    "ChargeOptions",
    "Checkout",
    "Customers",
    "Invoices",
    "Links",
    "Merchants",
    "PaymentOptions",
    "Recurring",
    "StoredCards",
    "Tokens",
    "TransactionList",
    "pay",
    "sealed",
    "sealed_source",
]
