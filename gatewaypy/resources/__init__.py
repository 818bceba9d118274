"""Groups of operations of a `Gateway`, such as ``gateway.tokens``."""

from typing import TYPE_CHECKING

from gatewaypy.imports import lazy_exports
from gatewaypy.resources.payment import (
    ChargeOptions,
    PaymentOptions,
    pay,
    wrap_options,
    wrap_source,
)
from gatewaypy.resources.transactions import TransactionList

if TYPE_CHECKING:
    from gatewaypy.resources.checkout import Checkout
    from gatewaypy.resources.customers import Customers
    from gatewaypy.resources.invoices import Invoices
    from gatewaypy.resources.links import Links
    from gatewaypy.resources.merchants import Merchants
    from gatewaypy.resources.recurring import Recurring
    from gatewaypy.resources.stored_cards import StoredCards
    from gatewaypy.resources.tokens import Tokens
else:
    # Creating a Gateway loads them all.
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "Checkout": "gatewaypy.resources.checkout",
            "Customers": "gatewaypy.resources.customers",
            "Invoices": "gatewaypy.resources.invoices",
            "Links": "gatewaypy.resources.links",
            "Merchants": "gatewaypy.resources.merchants",
            "Recurring": "gatewaypy.resources.recurring",
            "StoredCards": "gatewaypy.resources.stored_cards",
            "Tokens": "gatewaypy.resources.tokens",
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
    "wrap_options",
    "wrap_source",
]
