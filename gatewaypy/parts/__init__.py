"""The groups of operations that hang off a `Gateway`: ``gateway.tokens`` and its like."""

from gatewaypy.parts.checkout import Checkout
from gatewaypy.parts.customers import Customers
from gatewaypy.parts.invoices import Invoices
from gatewaypy.parts.links import Links
from gatewaypy.parts.merchants import Merchants
from gatewaypy.parts.payment import ChargeOptions, PaymentOptions, pay, sealed, sealed_source
from gatewaypy.parts.recurring import Recurring
from gatewaypy.parts.stored_cards import StoredCards
from gatewaypy.parts.tokens import Tokens
from gatewaypy.parts.transactions import TransactionList

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
