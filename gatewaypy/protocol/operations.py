"""The gateway's operations as one table (protocol sections 3 and 4): where each goes, how it is signed, read, and settled."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.platforms import Platform


#: The fields that tell operations on one path apart; ``Operation.fixed`` sets them, and a caller never does.
DISCRIMINATORS: Final = ("paymentType", "recurringType", "idType")


class ServiceRoot(enum.Enum):
    """The service roots under a host (protocol section 1, documented). A token serves the root that gave it (our choice)."""

    TRANSACTIONS = "/transactionServices/REST/v1"
    INVOICES = "/invoiceServices/REST/v1"
    MERCHANTS = "/merchantServices/api/v1"
    PAGES = "/transaction"


class ReplyKind(enum.Enum):
    """Which of protocol section 7's shapes answers."""

    TOKEN = "token"  # noqa: S105 - a kind of reply
    PAYMENT = "payment"
    FOLLOW_UP = "capture, refund, reversal"
    PAYOUT = "payout"
    INQUIRY = "inquiry"
    LIST = "transaction list"
    STORED_CARD = "stored card"
    ACCOUNTS = "cards of a customer"
    CUSTOMER = "customer"
    MERCHANT = "merchant"
    LINK = "pay by link"
    INVOICE = "invoice"
    CONFIGURATION = "invoice configuration"
    PAGE = "a page in the payer's browser"


class RetryPolicy(enum.Enum):
    """When a request may be sent again."""

    IF_NOT_SENT = "only if no byte of it left, or its token was refused"
    ALWAYS = "freely: it moves no money and changes nothing"


class InquireBy(enum.Enum):
    """How to find out what became of it."""

    MERCHANT_TRANSACTION_ID = "its own merchantTransactionId"
    PAYMENT_ID = "the paymentId that it acts on"
    MERCHANT_INVOICE_ID = "its merchantInvoiceId"
    NOT_NEEDED = "no need to"
    NOT_POSSIBLE = "nothing: the caller has to look"


class Login(enum.Enum):
    """Whose token goes with it."""

    MERCHANT = "merchant"
    PARTNER = "partner"


@frozen(kw_only=True)
class Operation:
    """One row: everything that tells this operation from the others.

    ``path`` follows the root; ``{id}`` is filled with the id that the operation acts on, and ``subject`` is that id's wire name.
    ``fixed`` fields are the same in every request of it. ``platform_path`` names the platform's attribute that replaces
    the path where platforms differ. ``success`` are the codes that mean that it was done. ``body`` is how it is always written,
    whatever the client was told; ``None`` where it is as the client was told.
    """

    name: str
    path: str
    rule: str | None
    reply: ReplyKind
    retry: RetryPolicy
    inquire_by: InquireBy
    grade: Grade
    fixed: Mapping[str, str] = {}
    root: ServiceRoot = ServiceRoot.TRANSACTIONS
    platform_path: str | None = None
    subject: str = "paymentId"
    success: tuple[str, ...] = (SUCCEEDED,)
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    login: Login = Login.MERCHANT
    body: str | None = None

    @property
    def payment_type(self) -> str | None:
        """The wire's ``paymentType``, where it has one."""
        return self.fixed.get("paymentType")

    @property
    def moves_money(self) -> bool:
        """Whether a doubt about it is a doubt about money."""
        return (
            self.inquire_by is InquireBy.MERCHANT_TRANSACTION_ID
            or self.inquire_by is InquireBy.PAYMENT_ID
        )

    def for_platform(self, platform: Platform) -> Operation:
        """Return the operation as this platform has it."""
        if not self.platform_path and self.name not in platform.operations:
            return self
        path = getattr(platform, self.platform_path) if self.platform_path else self.path
        return evolve(self, **{"path": path, **platform.operations.get(self.name, {})})


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
_SALE, _HOLD = "DB", "PA"


def _payment(
    name: str,
    payment_type: str,
    path: str = "/payments",
    rule: str = "A",
    **facts: Any,  # noqa: ANN401
) -> Operation:
    return Operation(
        name=name,
        path=path,
        rule=rule,
        reply=ReplyKind.PAYMENT,
        retry=RetryPolicy.IF_NOT_SENT,
        inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
        **{
            "fixed": {"paymentType": payment_type} | facts.pop("fixed", {}),
            "required": (*_PAYMENT_REQUIRED, *facts.pop("required", _SOURCE)),
            "optional": (*_PAYMENT_OPTIONAL, *facts.pop("optional", ())),
            **facts,
        },
    )


def _with_stored_card(name: str, payment_type: str, **facts: Any) -> Operation:  # noqa: ANN401
    return _payment(
        name,
        payment_type,
        "/paywithtoken/{id}",
        "G",
        platform_path="stored_card_path",
        subject="registrationId",
        grade=Grade.ONE_SOURCE,
        required=(),
        **facts,
    )


def _token(name: str, path: str, required: tuple[str, ...], grade: Grade) -> Operation:
    return Operation(
        name=name,
        path=path,
        rule=None,
        reply=ReplyKind.TOKEN,
        retry=RetryPolicy.ALWAYS,
        inquire_by=InquireBy.NOT_NEEDED,
        grade=grade,
        success=(TOKEN_GRANTED,),
        required=required,
    )


def _inquiry(name: str, id_type: str, subject: str, grade: Grade) -> Operation:
    return Operation(
        name=name,
        fixed={"paymentType": "IN", "idType": id_type},
        path="/payments/{id}",
        platform_path="inquiry_path",
        subject=subject,
        rule="C",
        reply=ReplyKind.INQUIRY,
        retry=RetryPolicy.ALWAYS,
        inquire_by=InquireBy.NOT_NEEDED,
        grade=grade,
        success=(RECORD_FOUND, SUCCEEDED),
    )


def _follow_up(name: str, payment_type: str, rule: str, success: str, **facts: Any) -> Operation:  # noqa: ANN401
    return Operation(
        name=name,
        fixed={"paymentType": payment_type},
        path="/payments/{id}",
        rule=rule,
        reply=ReplyKind.FOLLOW_UP,
        retry=RetryPolicy.IF_NOT_SENT,
        inquire_by=InquireBy.PAYMENT_ID,
        grade=Grade.DOCUMENTED,
        success=(success,),
        **facts,
    )


def _change(name: str, path: str, rule: str | None, reply: ReplyKind, **facts: Any) -> Operation:  # noqa: ANN401
    """Make a row of an operation that moves no money, yet must not be done twice unawares."""
    return Operation(
        name=name,
        path=path,
        rule=rule,
        reply=reply,
        retry=RetryPolicy.IF_NOT_SENT,
        **{"inquire_by": InquireBy.NOT_POSSIBLE, "grade": Grade.DOCUMENTED, **facts},
    )


def _look(name: str, path: str, rule: str, reply: ReplyKind, **facts: Any) -> Operation:  # noqa: ANN401
    return Operation(
        name=name,
        path=path,
        rule=rule,
        reply=reply,
        retry=RetryPolicy.ALWAYS,
        inquire_by=InquireBy.NOT_NEEDED,
        **{"success": (RECORD_FOUND, SUCCEEDED), **facts},
    )


# Tokens (section 3)
AUTH_TOKEN: Final = _token(
    "token",
    "/authToken",
    ("authentication.partnerId", "merchant.username", "authentication.sKey"),
    Grade.SEEN,
)
PARTNER_TOKEN: Final = _token(
    "partner token",
    "/partnerAuthToken",
    ("authentication.partnerId", "partner.userName", "authentication.sKey"),
    Grade.DOCUMENTED,
)
REGENERATE_TOKEN: Final = _token(
    "token regeneration",
    "/regenerateToken",
    ("authentication.partnerId", "authToken"),
    Grade.DOCUMENTED,
)

# Payments
_CARD_OPTIONAL: Final = ("createRegistration", "card.*", "bankAccount.*")
DEBIT: Final = _payment("debit", _SALE, grade=Grade.SEEN, optional=_CARD_OPTIONAL)
PREAUTH: Final = _payment("preauth", _HOLD, grade=Grade.SEEN, optional=_CARD_OPTIONAL)
_INITIAL: Final = {"recurringType": "INITIAL"}
_REPEATED: Final = {"recurringType": "REPEATED"}
RECURRING_INITIAL: Final = _payment(
    "recurring initial", _SALE, fixed=_INITIAL, grade=Grade.DOCUMENTED, optional=_CARD_OPTIONAL
)
RECURRING_INITIAL_HOLD: Final = _payment(
    "recurring initial preauth",
    _HOLD,
    fixed=_INITIAL,
    grade=Grade.DOCUMENTED,
    optional=_CARD_OPTIONAL,
)
RECURRING_BY_STORED_CARD: Final = _with_stored_card(
    "recurring by stored card", _SALE, fixed=_REPEATED
)
RECURRING_BY_STORED_CARD_HOLD: Final = _with_stored_card(
    "recurring by stored card preauth", _HOLD, fixed=_REPEATED
)
RECURRING_BY_PAYMENT: Final = _payment(
    "recurring by payment",
    _SALE,
    "/payments/{id}",
    "B",
    fixed=_REPEATED,
    grade=Grade.OUR_CHOICE,
    required=(),
)
RECURRING_BY_PAYMENT_HOLD: Final = _payment(
    "recurring by payment preauth",
    _HOLD,
    "/payments/{id}",
    "B",
    fixed=_REPEATED,
    grade=Grade.OUR_CHOICE,
    required=(),
)
STORED_CARD_DEBIT: Final = _with_stored_card("stored card debit", _SALE, optional=("card.cvv",))
STORED_CARD_HOLD: Final = _with_stored_card("stored card preauth", _HOLD, optional=("card.cvv",))

# Back office
CAPTURE: Final = _follow_up("capture", "CP", "B", CAPTURED, required=("amount", "currency"))
REVERSAL: Final = _follow_up("reversal", "RV", "C", CANCELLED)
REFUND: Final = _follow_up(
    "refund", "RF", "B", REFUNDED, required=("amount", "currency"), platform_path="refund_path"
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
    required=("merchantTransactionId", "amount", "currency"),
    optional=(
        "paymentId",
        "customer.*",
        "registrationId",
        "authentication.terminalId",
        "merchant.email",
        "notificationUrl",
    ),
)
INQUIRE_BY_PAYMENT_ID: Final = _inquiry("inquiry by paymentId", "PID", "paymentId", Grade.SEEN)
INQUIRE_BY_MERCHANT_ID: Final = _inquiry(
    "inquiry by merchantTransactionId", "MID", "merchantTransactionId", Grade.ONE_SOURCE
)
TRANSACTION_LIST: Final = _look(
    "transaction list",
    "/getTransactionList",
    "E",
    ReplyKind.LIST,
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
STORE_CARD: Final = _change(
    "store card",
    "/registrations",
    "F",
    ReplyKind.STORED_CARD,
    grade=Grade.ONE_SOURCE,
    required=_SOURCE,
    optional=("card.*", "bankAccount.*", "customer.*", "shipping.*", "authentication.terminalId"),
)
DELETE_STORED_CARD: Final = _change(
    "delete stored card",
    "/paywithtoken/{id}",
    "H",
    ReplyKind.STORED_CARD,
    grade=Grade.ONE_SOURCE,
    fixed={"paymentType": "DL"},
    platform_path="stored_card_path",
    subject="registrationId",
)
LIST_STORED_CARDS: Final = _look(
    "list stored cards",
    "/getCardsAndAccounts",
    "E",
    ReplyKind.ACCOUNTS,
    grade=Grade.ONE_SOURCE,
    required=("customer.customerId",),
)
CUSTOMER_SIGN_UP: Final = _change(
    "customer sign-up",
    "/customerSignup",
    "I",
    ReplyKind.CUSTOMER,
    root=ServiceRoot.MERCHANTS,
    grade=Grade.ONE_SOURCE,
    success=(CUSTOMER_REGISTERED, SUCCEEDED),
    required=("customer.givenName", "customer.surname", "customer.email"),
    optional=("customer.*", "shipping.*"),
)
MERCHANT_SIGN_UP: Final = _change(
    "merchant sign-up",
    "/merchantSignup",
    None,
    ReplyKind.MERCHANT,
    root=ServiceRoot.MERCHANTS,
    grade=Grade.OUR_CHOICE,
    login=Login.PARTNER,
    required=(
        "authentication.partnerId",
        "merchant.username",
        "merchant.companyName",
        "merchant.email",
    ),
    optional=("merchant.*",),
)

# Links and invoices
PAY_BY_LINK: Final = _change(
    "pay by link",
    "/generatePayByLink",
    "K",
    ReplyKind.LINK,
    root=ServiceRoot.MERCHANTS,
    body="json",
    success=(RECORD_FOUND, SUCCEEDED),
    required=("merchant.orderID", "merchant.amount", "merchant.currency"),
    optional=("authentication.expirationTime", "merchant.*"),
)


def _invoice(name: str, path: str, rule: str | None, **facts: Any) -> Operation:  # noqa: ANN401
    return _change(name, path, rule, ReplyKind.INVOICE, root=ServiceRoot.INVOICES, **facts)


INVOICE_GENERATE: Final = _invoice(
    "invoice generate",
    "/generate",
    "L",
    success=(INVOICE_GENERATED,),
    inquire_by=InquireBy.MERCHANT_INVOICE_ID,
    required=("merchantInvoiceId", "amount", "currency", "customer.email", "merchantRedirectUrl"),
    optional=(
        "customer.*",
        "telnocc",
        "product.*",
        "invoiceExpirationPeriod",
        "merchantOrderDescription",
    ),
)
INVOICE_REGENERATE: Final = _invoice(
    "invoice regenerate",
    "/regenerate",
    "M",
    success=(INVOICE_GENERATED, SUCCEEDED),
    required=("invoiceId", "merchantRedirectUrl"),
)
INVOICE_STATUS: Final = _look(
    "invoice status",
    "/inquiry",
    "N",
    ReplyKind.INVOICE,
    root=ServiceRoot.INVOICES,
    grade=Grade.DOCUMENTED,
    success=(RECORD_FOUND, SUCCEEDED, INVOICE_GENERATED),
    required=("merchantInvoiceId",),
)
INVOICE_REMIND: Final = _invoice(
    "invoice remind",
    "/remind",
    None,
    success=(REMINDER_SENT,),
    required=("invoiceId",),
    optional=("merchantRedirectUrl",),
)
INVOICE_CANCEL: Final = _invoice(
    "invoice cancel",
    "/cancel",
    None,
    success=(CANCELLED, SUCCEEDED),
    required=("invoiceId",),
    optional=("merchantRedirectUrl",),
)
INVOICE_CONFIGURATION: Final = _look(
    "invoice configuration",
    "/getinvoiceconfigdetails",
    "E",
    ReplyKind.CONFIGURATION,
    root=ServiceRoot.INVOICES,
    grade=Grade.DOCUMENTED,
)


def _page(name: str, path: str, rule: str, **facts: Any) -> Operation:  # noqa: ANN401
    return Operation(
        name=name,
        path=path,
        rule=rule,
        root=ServiceRoot.PAGES,
        reply=ReplyKind.PAGE,
        retry=RetryPolicy.ALWAYS,
        inquire_by=InquireBy.NOT_NEEDED,
        body="form",
        **facts,
    )


# Pages
HOSTED_CHECKOUT: Final = _page(
    "hosted checkout",
    "/Checkout",
    "J",
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
HOSTED_CARD_REGISTRATION: Final = _page(
    "hosted card registration",
    "/CardRegistration",
    "P",
    grade=Grade.DOCUMENTED,
    required=("totype", "merchantRedirectUrl"),
    optional=("customerId", "terminalid", "notificationUrl", "lang"),
)

#: Every operation, by name; ``docs/wire-protocol.md`` is made from it.
OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for operation in list(globals().values())
    if isinstance(operation, Operation)
}

_CHANGEABLE: Final = frozenset({"path", "rule", "success", "required"})


def check_platform(platform: Platform) -> None:
    """Check what a platform says of its operations.

    :raises ConfigurationError: naming the operation or the attribute that does not exist.
    """
    for name, changes in platform.operations.items():
        if name not in OPERATIONS:
            msg = f"platform.operations: there is no operation {name!r}; docs/wire-protocol.md has their names"
            raise ConfigurationError(msg)
        unknown = set(changes) - _CHANGEABLE
        if unknown:
            msg = f"platform.operations[{name!r}]: only {', '.join(sorted(_CHANGEABLE))} can be changed"
            raise ConfigurationError(msg)
        rule = changes.get("rule")
        if rule is not None and rule not in RULES:
            msg = f"platform.operations[{name!r}]: there is no checksum rule {rule!r}"
            raise ConfigurationError(msg)
        for attribute in ("success", "required"):
            value = changes.get(attribute, ())
            if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
                msg = f"platform.operations[{name!r}]: {attribute} is a tuple of texts"
                raise ConfigurationError(msg)
        path = changes.get("path", "/")
        if not is_path(path):
            msg = f"platform.operations[{name!r}]: path must start with '/', and have {{id}} where an id belongs"
            raise ConfigurationError(msg)
