"""The gateway's operations as one table (protocol sections 3 and 4).

A row states where an operation is sent, how it is signed, how its reply is read, when it may be
sent again, and by which id an inquiry finds its outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from gatewaypy.errors import ConfigurationError
from gatewaypy.platforms import is_path
from gatewaypy.protocol.checksum import RULES
from gatewaypy.protocol.codes import (
    CANCELLED,
    CAPTURED,
    CUSTOMER_REGISTERED,
    INVOICE_GENERATED,
    RECORD_FOUND,
    REFUNDED,
    REMINDER_SENT,
    SUCCEEDED,
    TOKEN_GRANTED,
)
from gatewaypy.protocol.grades import Grade
from gatewaypy.protocol.operation_types import (
    InquireBy,
    Login,
    Operation,
    ReplyKind,
    RetryPolicy,
    ServiceRoot,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.platforms import Platform


_PAYMENT_REQUIRED: Final = ("merchantTransactionId", "amount", "currency")
_PAYMENT_OPTIONAL: Final = (
    "authentication.terminalId",
    "authentication.accountId",
    "orderDescriptor",
    "merchantRedirectUrl",
    "notificationUrl",
    "tmpl_amount",
    "tmpl_currency",
    "attemptThreeD",
    "customer.*",
    "shipping.*",
    "deviceDetails.*",
)
_SOURCE: Final = ("paymentMode", "paymentBrand")
_CARD_OPTIONAL: Final = ("createRegistration", "card.*", "bankAccount.*")


# Tokens (section 3)
AUTH_TOKEN: Final = Operation(
    name="token",
    path="/authToken",
    rule=None,
    reply=ReplyKind.TOKEN,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(TOKEN_GRANTED,),
    grade=Grade.SEEN,
    required=("authentication.partnerId", "merchant.username", "authentication.sKey"),
)
PARTNER_TOKEN: Final = Operation(
    name="partner token",
    path="/partnerAuthToken",
    rule=None,
    reply=ReplyKind.TOKEN,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(TOKEN_GRANTED,),
    grade=Grade.DOCUMENTED,
    required=("authentication.partnerId", "partner.userName", "authentication.sKey"),
)
REGENERATE_TOKEN: Final = Operation(
    name="token regeneration",
    path="/regenerateToken",
    rule=None,
    reply=ReplyKind.TOKEN,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(TOKEN_GRANTED,),
    grade=Grade.DOCUMENTED,
    required=("authentication.partnerId", "authToken"),
)

# Payments
DEBIT: Final = Operation(
    name="debit",
    fixed={"paymentType": "DB"},
    path="/payments",
    rule="A",
    reply=ReplyKind.PAYMENT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.SEEN,
    required=(*_PAYMENT_REQUIRED, *_SOURCE),
    optional=(*_PAYMENT_OPTIONAL, *_CARD_OPTIONAL),
)
PREAUTH: Final = evolve(
    DEBIT,
    name="preauth",
    fixed={"paymentType": "PA"},
)
RECURRING_INITIAL: Final = evolve(
    DEBIT,
    name="recurring initial",
    fixed={"paymentType": "DB", "recurringType": "INITIAL"},
    grade=Grade.DOCUMENTED,
)
RECURRING_INITIAL_HOLD: Final = evolve(
    RECURRING_INITIAL,
    name="recurring initial preauth",
    fixed={"paymentType": "PA", "recurringType": "INITIAL"},
)
RECURRING_BY_STORED_CARD: Final = Operation(
    name="recurring by stored card",
    fixed={"paymentType": "DB", "recurringType": "REPEATED"},
    path="/paywithtoken/{id}",
    platform_path="stored_card_path",
    subject="registrationId",
    rule="G",
    reply=ReplyKind.PAYMENT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.ONE_SOURCE,
    required=_PAYMENT_REQUIRED,
    optional=_PAYMENT_OPTIONAL,
)
RECURRING_BY_STORED_CARD_HOLD: Final = evolve(
    RECURRING_BY_STORED_CARD,
    name="recurring by stored card preauth",
    fixed={"paymentType": "PA", "recurringType": "REPEATED"},
)
RECURRING_BY_PAYMENT: Final = Operation(
    name="recurring by payment",
    fixed={"paymentType": "DB", "recurringType": "REPEATED"},
    path="/payments/{id}",
    rule="B",
    reply=ReplyKind.PAYMENT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.OUR_CHOICE,
    required=_PAYMENT_REQUIRED,
    optional=_PAYMENT_OPTIONAL,
)
RECURRING_BY_PAYMENT_HOLD: Final = evolve(
    RECURRING_BY_PAYMENT,
    name="recurring by payment preauth",
    fixed={"paymentType": "PA", "recurringType": "REPEATED"},
)
STORED_CARD_DEBIT: Final = Operation(
    name="stored card debit",
    fixed={"paymentType": "DB"},
    path="/paywithtoken/{id}",
    platform_path="stored_card_path",
    subject="registrationId",
    rule="G",
    reply=ReplyKind.PAYMENT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.ONE_SOURCE,
    required=_PAYMENT_REQUIRED,
    optional=(*_PAYMENT_OPTIONAL, "card.cvv"),
)
STORED_CARD_HOLD: Final = evolve(
    STORED_CARD_DEBIT,
    name="stored card preauth",
    fixed={"paymentType": "PA"},
)

# Back office
CAPTURE: Final = Operation(
    name="capture",
    fixed={"paymentType": "CP"},
    path="/payments/{id}",
    rule="B",
    reply=ReplyKind.FOLLOW_UP,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.PAYMENT_ID,
    success=(CAPTURED,),
    grade=Grade.DOCUMENTED,
    required=("amount", "currency"),
)
REVERSAL: Final = Operation(
    name="reversal",
    fixed={"paymentType": "RV"},
    path="/payments/{id}",
    rule="C",
    reply=ReplyKind.FOLLOW_UP,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.PAYMENT_ID,
    success=(CANCELLED,),
    grade=Grade.DOCUMENTED,
)
REFUND: Final = Operation(
    name="refund",
    fixed={"paymentType": "RF"},
    path="/payments/{id}",
    platform_path="refund_path",
    rule="B",
    reply=ReplyKind.FOLLOW_UP,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.PAYMENT_ID,
    success=(REFUNDED,),
    grade=Grade.DOCUMENTED,
    required=("amount", "currency"),
)
PAYOUT: Final = Operation(
    name="payout",
    fixed={"paymentType": "PO"},
    path="/payout",
    rule="D",
    reply=ReplyKind.PAYOUT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.DOCUMENTED,
    required=_PAYMENT_REQUIRED,
    optional=(
        "paymentId",
        "customer.*",
        "registrationId",
        "authentication.terminalId",
        "merchant.email",
        "notificationUrl",
    ),
)
INQUIRE_BY_PAYMENT_ID: Final = Operation(
    name="inquiry by paymentId",
    fixed={"paymentType": "IN", "idType": "PID"},
    path="/payments/{id}",
    platform_path="inquiry_path",
    rule="C",
    reply=ReplyKind.INQUIRY,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(RECORD_FOUND, SUCCEEDED),
    grade=Grade.SEEN,
)
INQUIRE_BY_MERCHANT_ID: Final = evolve(
    INQUIRE_BY_PAYMENT_ID,
    name="inquiry by merchantTransactionId",
    fixed={"paymentType": "IN", "idType": "MID"},
    subject="merchantTransactionId",
    grade=Grade.ONE_SOURCE,
)
TRANSACTION_LIST: Final = Operation(
    name="transaction list",
    path="/getTransactionList",
    rule="E",
    reply=ReplyKind.LIST,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(RECORD_FOUND, SUCCEEDED),
    grade=Grade.SEEN,
    required=(
        "pagination.fromdate",
        "pagination.todate",
        "pagination.pageno",
        "pagination.records",
    ),
    optional=("status",),
)

# Stored cards and customers
STORE_CARD: Final = Operation(
    name="store card",
    path="/registrations",
    rule="F",
    reply=ReplyKind.STORED_CARD,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    grade=Grade.ONE_SOURCE,
    required=_SOURCE,
    optional=("card.*", "bankAccount.*", "customer.*", "shipping.*", "authentication.terminalId"),
)
DELETE_STORED_CARD: Final = Operation(
    name="delete stored card",
    fixed={"paymentType": "DL"},
    path="/paywithtoken/{id}",
    platform_path="stored_card_path",
    subject="registrationId",
    rule="H",
    reply=ReplyKind.STORED_CARD,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    grade=Grade.ONE_SOURCE,
)
LIST_STORED_CARDS: Final = Operation(
    name="list stored cards",
    path="/getCardsAndAccounts",
    rule="E",
    reply=ReplyKind.ACCOUNTS,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(RECORD_FOUND, SUCCEEDED),
    grade=Grade.ONE_SOURCE,
    required=("customer.customerId",),
)
CUSTOMER_SIGN_UP: Final = Operation(
    name="customer sign-up",
    root=ServiceRoot.MERCHANTS,
    path="/customerSignup",
    rule="I",
    reply=ReplyKind.CUSTOMER,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    success=(CUSTOMER_REGISTERED, SUCCEEDED),
    grade=Grade.ONE_SOURCE,
    required=("customer.givenName", "customer.surname", "customer.email"),
    optional=("customer.*", "shipping.*"),
)
MERCHANT_SIGN_UP: Final = Operation(
    name="merchant sign-up",
    root=ServiceRoot.MERCHANTS,
    path="/merchantSignup",
    rule=None,
    login=Login.PARTNER,
    reply=ReplyKind.MERCHANT,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    grade=Grade.OUR_CHOICE,
    required=(
        "authentication.partnerId",
        "merchant.username",
        "merchant.companyName",
        "merchant.email",
    ),
    optional=("merchant.*",),
)

# Links and invoices
PAY_BY_LINK: Final = Operation(
    name="pay by link",
    root=ServiceRoot.MERCHANTS,
    path="/generatePayByLink",
    rule="K",
    body="json",
    reply=ReplyKind.LINK,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    success=(RECORD_FOUND, SUCCEEDED),
    grade=Grade.DOCUMENTED,
    required=("merchant.orderID", "merchant.amount", "merchant.currency"),
    optional=("authentication.expirationTime", "merchant.*"),
)
INVOICE_GENERATE: Final = Operation(
    name="invoice generate",
    root=ServiceRoot.INVOICES,
    path="/generate",
    rule="L",
    reply=ReplyKind.INVOICE,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.MERCHANT_INVOICE_ID,
    success=(INVOICE_GENERATED,),
    grade=Grade.DOCUMENTED,
    required=("merchantInvoiceId", "amount", "currency", "customer.email", "merchantRedirectUrl"),
    optional=(
        "customer.*",
        "telnocc",
        "product.*",
        "invoiceExpirationPeriod",
        "merchantOrderDescription",
    ),
)
INVOICE_REGENERATE: Final = Operation(
    name="invoice regenerate",
    root=ServiceRoot.INVOICES,
    path="/regenerate",
    rule="M",
    reply=ReplyKind.INVOICE,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    success=(INVOICE_GENERATED, SUCCEEDED),
    grade=Grade.DOCUMENTED,
    required=("invoiceId", "merchantRedirectUrl"),
)
INVOICE_STATUS: Final = Operation(
    name="invoice status",
    root=ServiceRoot.INVOICES,
    path="/inquiry",
    rule="N",
    reply=ReplyKind.INVOICE,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(RECORD_FOUND, SUCCEEDED, INVOICE_GENERATED),
    grade=Grade.DOCUMENTED,
    required=("merchantInvoiceId",),
)
INVOICE_REMIND: Final = Operation(
    name="invoice remind",
    root=ServiceRoot.INVOICES,
    path="/remind",
    rule=None,
    reply=ReplyKind.INVOICE,
    retry=RetryPolicy.IF_NOT_SENT,
    inquire_by=InquireBy.NOT_POSSIBLE,
    success=(REMINDER_SENT,),
    grade=Grade.DOCUMENTED,
    required=("invoiceId",),
    optional=("merchantRedirectUrl",),
)
INVOICE_CANCEL: Final = evolve(
    INVOICE_REMIND,
    name="invoice cancel",
    path="/cancel",
    success=(CANCELLED, SUCCEEDED),
)
INVOICE_CONFIGURATION: Final = Operation(
    name="invoice configuration",
    root=ServiceRoot.INVOICES,
    path="/getinvoiceconfigdetails",
    rule="E",
    reply=ReplyKind.CONFIGURATION,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    success=(RECORD_FOUND, SUCCEEDED),
    grade=Grade.DOCUMENTED,
)

# Pages
HOSTED_CHECKOUT: Final = Operation(
    name="hosted checkout",
    root=ServiceRoot.PAGES,
    path="/Checkout",
    rule="J",
    body="form",
    reply=ReplyKind.PAGE,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    grade=Grade.SEEN,
    required=(
        "totype",
        "amount",
        "currency",
        "merchantTransactionId",
        "merchantRedirectUrl",
        "transactionType",
        "orderDescription",
    ),
    optional=(
        "notificationUrl",
        "TMPL_AMOUNT",
        "TMPL_CURRENCY",
        "terminalid",
        *_SOURCE,
        "customerId",
        "ip",
        "firstName",
        "lastName",
        "email",
        "phone",
        "telnocc",
        "country",
        "city",
        "state",
        "postcode",
        "street",
        "lang",
    ),
)
HOSTED_CARD_REGISTRATION: Final = Operation(
    name="hosted card registration",
    root=ServiceRoot.PAGES,
    path="/CardRegistration",
    rule="P",
    body="form",
    reply=ReplyKind.PAGE,
    retry=RetryPolicy.ALWAYS,
    inquire_by=InquireBy.NOT_NEEDED,
    grade=Grade.DOCUMENTED,
    required=("totype", "merchantRedirectUrl"),
    optional=("customerId", "terminalid", "notificationUrl", "lang"),
)


def by_name(*operations: Operation) -> Mapping[str, Operation]:
    """Return the operations by their names."""
    return {operation.name: operation for operation in operations}


#: Every operation, by name; tables of ``docs/wire-protocol.md`` are generated from it.
OPERATIONS: Final = by_name(
    AUTH_TOKEN,
    PARTNER_TOKEN,
    REGENERATE_TOKEN,
    DEBIT,
    PREAUTH,
    RECURRING_INITIAL,
    RECURRING_INITIAL_HOLD,
    RECURRING_BY_STORED_CARD,
    RECURRING_BY_STORED_CARD_HOLD,
    RECURRING_BY_PAYMENT,
    RECURRING_BY_PAYMENT_HOLD,
    STORED_CARD_DEBIT,
    STORED_CARD_HOLD,
    CAPTURE,
    REVERSAL,
    REFUND,
    PAYOUT,
    INQUIRE_BY_PAYMENT_ID,
    INQUIRE_BY_MERCHANT_ID,
    TRANSACTION_LIST,
    STORE_CARD,
    DELETE_STORED_CARD,
    LIST_STORED_CARDS,
    CUSTOMER_SIGN_UP,
    MERCHANT_SIGN_UP,
    PAY_BY_LINK,
    INVOICE_GENERATE,
    INVOICE_REGENERATE,
    INVOICE_STATUS,
    INVOICE_REMIND,
    INVOICE_CANCEL,
    INVOICE_CONFIGURATION,
    HOSTED_CHECKOUT,
    HOSTED_CARD_REGISTRATION,
)

_CHANGEABLE: Final = frozenset({"path", "rule", "success", "required"})


def check_platform(platform: Platform) -> None:
    """Check the operations that a platform changes.

    Raises:
        ConfigurationError: Names the operation or the attribute that does not exist.
    """
    for name, changes in platform.operations.items():
        if name not in OPERATIONS:
            msg = (
                f"platform.operations: {name!r} is not an operation; "
                "docs/wire-protocol.md lists their names"
            )
            raise ConfigurationError(msg)
        unknown = set(changes) - _CHANGEABLE
        if unknown:
            changeable = ", ".join(sorted(_CHANGEABLE))
            msg = f"platform.operations[{name!r}]: must change only {changeable}"
            raise ConfigurationError(msg)
        rule = changes.get("rule")
        if rule is not None and rule not in RULES:
            msg = f"platform.operations[{name!r}]: {rule!r} is not a checksum rule"
            raise ConfigurationError(msg)
        for attribute in ("success", "required"):
            value = changes.get(attribute, ())
            if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
                msg = f"platform.operations[{name!r}]: {attribute} must be a tuple of strings"
                raise ConfigurationError(msg)
        path = changes.get("path", "/")
        if not is_path(path):
            msg = (
                f"platform.operations[{name!r}]: path must start with '/'; {{id}} stands for an id"
            )
            raise ConfigurationError(msg)
