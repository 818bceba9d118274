"""Asyncio client of the payment gateway behind TransactWorld, PaymentZ, Xoala and others."""

from typing import TYPE_CHECKING

from gatewaypy import errors, platforms
from gatewaypy.cards import Card
from gatewaypy.client import Gateway
from gatewaypy.config import Credentials, Limits, Timeouts
from gatewaypy.imports import lazy_exports
from gatewaypy.models import (
    BROWSER_SCRIPT,
    AchAccount,
    Address,
    BrowserInfo,
    Capture,
    Customer,
    Fields,
    HostedForm,
    Mandate,
    MaskedCard,
    NetBanking,
    OperationResult,
    OtherSource,
    Outcome,
    OutcomeSource,
    Payment,
    PaymentSource,
    Payout,
    Product,
    Redirect,
    Refund,
    ResultCode,
    Reversal,
    SepaAccount,
    Statement,
    Totals,
    Transaction,
    Upi,
    Voucher,
    Wallet,
)
from gatewaypy.money import Money
from gatewaypy.observe import (
    CallEnded,
    LateResult,
    Observer,
    ObserverEvent,
    TokenRenewalFailed,
    TokenStoreUnavailable,
)
from gatewaypy.platforms import Platform
from gatewaypy.resources import ChargeOptions, PaymentOptions, TransactionList
from gatewaypy.secret import Secret
from gatewaypy.transport import HttpxTransport, Transport

if TYPE_CHECKING:
    from gatewaypy.models import (
        AccountOnFile,
        CardOnFile,
        CustomerAccounts,
        Invoice,
        InvoiceConfiguration,
        PaymentLink,
        SignedUpCustomer,
        SignedUpMerchant,
        StoredCard,
    )
    from gatewaypy.pipeline.redis_tokens import RedisTokens
    from gatewaypy.pipeline.token_source import TokenStore
    from gatewaypy.protocol.auth_token import AuthToken
    from gatewaypy.transport import (
        AiohttpTransport,
        HttptoolsTransport,
        PyreqwestTransport,
        fastest_transport,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AccountOnFile": "gatewaypy.models",
            "AiohttpTransport": "gatewaypy.transport",
            "AuthToken": "gatewaypy.protocol.auth_token",
            "CardOnFile": "gatewaypy.models",
            "CustomerAccounts": "gatewaypy.models",
            "HttptoolsTransport": "gatewaypy.transport",
            "Invoice": "gatewaypy.models",
            "InvoiceConfiguration": "gatewaypy.models",
            "PaymentLink": "gatewaypy.models",
            "PyreqwestTransport": "gatewaypy.transport",
            "RedisTokens": "gatewaypy.pipeline.redis_tokens",
            "SignedUpCustomer": "gatewaypy.models",
            "SignedUpMerchant": "gatewaypy.models",
            "StoredCard": "gatewaypy.models",
            "TokenStore": "gatewaypy.pipeline.token_source",
            "fastest_transport": "gatewaypy.transport",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "BROWSER_SCRIPT",
    "AccountOnFile",
    "AchAccount",
    "Address",
    "AiohttpTransport",
    "AuthToken",
    "BrowserInfo",
    "CallEnded",
    "Capture",
    "Card",
    "CardOnFile",
    "ChargeOptions",
    "Credentials",
    "Customer",
    "CustomerAccounts",
    "Fields",
    "Gateway",
    "HostedForm",
    "HttptoolsTransport",
    "HttpxTransport",
    "Invoice",
    "InvoiceConfiguration",
    "LateResult",
    "Limits",
    "Mandate",
    "MaskedCard",
    "Money",
    "NetBanking",
    "Observer",
    "ObserverEvent",
    "OperationResult",
    "OtherSource",
    "Outcome",
    "OutcomeSource",
    "Payment",
    "PaymentLink",
    "PaymentOptions",
    "PaymentSource",
    "Payout",
    "Platform",
    "Product",
    "PyreqwestTransport",
    "Redirect",
    "RedisTokens",
    "Refund",
    "ResultCode",
    "Reversal",
    "Secret",
    "SepaAccount",
    "SignedUpCustomer",
    "SignedUpMerchant",
    "Statement",
    "StoredCard",
    "Timeouts",
    "TokenRenewalFailed",
    "TokenStore",
    "TokenStoreUnavailable",
    "Totals",
    "Transaction",
    "TransactionList",
    "Transport",
    "Upi",
    "Voucher",
    "Wallet",
    "__version__",
    "errors",
    "fastest_transport",
    "platforms",
]
