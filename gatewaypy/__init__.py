"""The asyncio client for the card-payment gateway behind TransactWorld, PaymentZ, Xoala and other white labels."""

from gatewaypy import errors, platforms
from gatewaypy.cards import Card
from gatewaypy.client import Gateway, PaymentOptions
from gatewaypy.config import Credentials, Limits, Timeouts
from gatewaypy.models import (
    Address,
    BrowserInfo,
    Capture,
    Customer,
    Outcome,
    Payment,
    Payout,
    Redirect,
    Refund,
    Reversal,
    SettledBy,
    Transaction,
)
from gatewaypy.money import Money
from gatewaypy.observe import CallEnded, LateResult, TokenRenewalFailed
from gatewaypy.platforms import Platform
from gatewaypy.secret import Secret
from gatewaypy.transport import HttpxTransport

__version__ = "0.1.0"

__all__ = [
    "Address",
    "BrowserInfo",
    "CallEnded",
    "Capture",
    "Card",
    "Credentials",
    "Customer",
    "Gateway",
    "HttpxTransport",
    "LateResult",
    "Limits",
    "Money",
    "Outcome",
    "Payment",
    "PaymentOptions",
    "Payout",
    "Platform",
    "Redirect",
    "Refund",
    "Reversal",
    "Secret",
    "SettledBy",
    "Timeouts",
    "TokenRenewalFailed",
    "Transaction",
    "__version__",
    "errors",
    "platforms",
]
