"""What callers give and get: customers and addresses on the way out, frozen results on the way back."""

from gatewaypy.models.browser import BROWSER_SCRIPT, BrowserInfo
from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.invoices import Invoice, InvoiceConfiguration, PaymentLink, Product
from gatewaypy.models.mandate import Mandate
from gatewaypy.models.outcome import Outcome, SettledBy
from gatewaypy.models.people import Address, Customer
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
from gatewaypy.models.sources import AchAccount, NetBanking, OtherSource, PaymentSource, SepaAccount, Upi, Voucher, Wallet
from gatewaypy.models.statement import Statement, Totals
from gatewaypy.models.stored import (
    AccountOnFile,
    CardOnFile,
    CustomerAccounts,
    SignedUpCustomer,
    SignedUpMerchant,
    StoredCard,
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
    "SettledBy",
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
