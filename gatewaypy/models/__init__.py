"""The data classes that callers pass in, and the frozen results that they get."""

from typing import TYPE_CHECKING

from gatewaypy.imports import lazy_exports
from gatewaypy.models.browser import BROWSER_SCRIPT, BrowserInfo
from gatewaypy.models.customer import Address, Customer
from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.mandate import Mandate
from gatewaypy.models.outcome import Outcome, OutcomeSource
from gatewaypy.models.product import Product
from gatewaypy.models.redirect import HostedForm, Redirect
from gatewaypy.models.results import (
    Capture,
    FollowUp,
    MaskedCard,
    OperationResult,
    Payment,
    Payout,
    Refund,
    ResultCode,
    Reversal,
    Transaction,
)
from gatewaypy.models.sources import (
    AchAccount,
    NetBanking,
    OtherSource,
    PaymentSource,
    SepaAccount,
    Upi,
    Voucher,
    Wallet,
)
from gatewaypy.models.statement import Statement, Totals

if TYPE_CHECKING:
    from gatewaypy.models.invoices import Invoice, InvoiceConfiguration, PaymentLink
    from gatewaypy.models.stored_cards import (
        AccountOnFile,
        CardOnFile,
        CustomerAccounts,
        SignedUpCustomer,
        SignedUpMerchant,
        StoredCard,
    )
else:
    # Results of operations that are not payments; an open gateway imports them.
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AccountOnFile": "gatewaypy.models.stored_cards",
            "CardOnFile": "gatewaypy.models.stored_cards",
            "CustomerAccounts": "gatewaypy.models.stored_cards",
            "Invoice": "gatewaypy.models.invoices",
            "InvoiceConfiguration": "gatewaypy.models.invoices",
            "PaymentLink": "gatewaypy.models.invoices",
            "SignedUpCustomer": "gatewaypy.models.stored_cards",
            "SignedUpMerchant": "gatewaypy.models.stored_cards",
            "StoredCard": "gatewaypy.models.stored_cards",
        },
    )

__all__ = [
    "BROWSER_SCRIPT",
    "NO_FIELDS",
    "AccountOnFile",
    "AchAccount",
    "Address",
    "BrowserInfo",
    "Capture",
    "CardOnFile",
    "Customer",
    "CustomerAccounts",
    "Fields",
    "FollowUp",
    "HostedForm",
    "Invoice",
    "InvoiceConfiguration",
    "Mandate",
    "MaskedCard",
    "NetBanking",
    "OperationResult",
    "OtherSource",
    "Outcome",
    "OutcomeSource",
    "Payment",
    "PaymentLink",
    "PaymentSource",
    "Payout",
    "Product",
    "Redirect",
    "Refund",
    "ResultCode",
    "Reversal",
    "SepaAccount",
    "SignedUpCustomer",
    "SignedUpMerchant",
    "Statement",
    "StoredCard",
    "Totals",
    "Transaction",
    "Upi",
    "Voucher",
    "Wallet",
]
