"""The gateway's operations as one table (protocol sections 3 and 4): where each goes, how it is signed, read, and settled."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.protocol.codes import CANCELLED, CAPTURED, REFUNDED, SUCCEEDED
from gatewaypy.protocol.grades import Grade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.platforms import Platform


class Root(enum.Enum):
    """The service roots under a host (protocol section 1, documented). A token serves the root that gave it (our choice)."""

    TRANSACTIONS = "/transactionServices/REST/v1"
    INVOICES = "/invoiceServices/REST/v1"
    MERCHANTS = "/merchantServices/api/v1"


class ReplyKind(enum.Enum):
    """Which of protocol section 7's shapes answers."""

    TOKEN = "token"  # noqa: S105 - a kind of reply
    PAYMENT = "payment"
    FOLLOW_UP = "capture, refund, reversal"
    PAYOUT = "payout"
    INQUIRY = "inquiry"


class Repeat(enum.Enum):
    """When a request may be sent again."""

    ONLY_UNSENT = "only if no byte of it left"
    FREELY = "freely: it moves no money and changes nothing"


class InquireBy(enum.Enum):
    """How to find out what became of it."""

    MERCHANT_TRANSACTION_ID = "its own merchantTransactionId"
    PAYMENT_ID = "the paymentId that it acts on"
    NOTHING = "no need to"


@frozen(kw_only=True)
class Operation:
    """One row: everything that tells this operation from the others.

    ``path`` follows the root; ``{id}`` is filled with the id that the operation acts on. ``platform_path`` names the platform's
    attribute that replaces the path where platforms differ. ``success`` is the one code that means that it was done.
    """

    name: str
    path: str
    rule: str | None
    reply: ReplyKind
    repeat: Repeat
    inquire_by: InquireBy
    grade: Grade
    payment_type: str | None = None
    root: Root = Root.TRANSACTIONS
    platform_path: str | None = None
    success: str = SUCCEEDED
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def path_on(self, platform: Platform) -> str:
        """Return the path after the root, as this platform has it."""
        return str(getattr(platform, self.platform_path)) if self.platform_path else self.path


_PAYMENT_REQUIRED: Final = ("merchantTransactionId", "amount", "currency", "paymentMode", "paymentBrand")
_PAYMENT_OPTIONAL: Final = (
    "authentication.terminalId",
    "authentication.accountId",
    "orderDescriptor",
    "merchantRedirectUrl",
    "notificationUrl",
    "tmpl_amount",
    "tmpl_currency",
    "attemptThreeD",
    "createRegistration",
    "card.*",
    "customer.*",
    "shipping.*",
    "deviceDetails.*",
)


def _payment(name: str, payment_type: str) -> Operation:
    return Operation(
        name=name,
        payment_type=payment_type,
        path="/payments",
        rule="A",
        reply=ReplyKind.PAYMENT,
        repeat=Repeat.ONLY_UNSENT,
        inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
        grade=Grade.SEEN,
        required=_PAYMENT_REQUIRED,
        optional=_PAYMENT_OPTIONAL,
    )


def _token(name: str, path: str, required: tuple[str, ...], grade: Grade) -> Operation:
    return Operation(
        name=name,
        path=path,
        rule=None,
        reply=ReplyKind.TOKEN,
        repeat=Repeat.FREELY,
        inquire_by=InquireBy.NOTHING,
        grade=grade,
        success="200",
        required=required,
    )


def _inquiry(name: str, required: tuple[str, ...], grade: Grade) -> Operation:
    return Operation(
        name=name,
        payment_type="IN",
        path="/payments/{id}",
        platform_path="inquiry_path",
        rule="C",
        reply=ReplyKind.INQUIRY,
        repeat=Repeat.FREELY,
        inquire_by=InquireBy.NOTHING,
        grade=grade,
        required=required,
    )


DEBIT: Final = _payment("debit", "DB")
PREAUTH: Final = _payment("preauth", "PA")
CAPTURE: Final = Operation(
    name="capture",
    payment_type="CP",
    path="/payments/{id}",
    rule="B",
    reply=ReplyKind.FOLLOW_UP,
    repeat=Repeat.ONLY_UNSENT,
    inquire_by=InquireBy.PAYMENT_ID,
    grade=Grade.DOCUMENTED,
    success=CAPTURED,
    required=("amount", "currency"),
)
REVERSAL: Final = Operation(
    name="reversal",
    payment_type="RV",
    path="/payments/{id}",
    rule="C",
    reply=ReplyKind.FOLLOW_UP,
    repeat=Repeat.ONLY_UNSENT,
    inquire_by=InquireBy.PAYMENT_ID,
    grade=Grade.DOCUMENTED,
    success=CANCELLED,
)
REFUND: Final = Operation(
    name="refund",
    payment_type="RF",
    path="/payments/{id}",
    platform_path="refund_path",
    rule="B",
    reply=ReplyKind.FOLLOW_UP,
    repeat=Repeat.ONLY_UNSENT,
    inquire_by=InquireBy.PAYMENT_ID,
    grade=Grade.DOCUMENTED,
    success=REFUNDED,
    required=("amount", "currency"),
)
PAYOUT: Final = Operation(
    name="payout",
    payment_type="PO",
    path="/payout",
    rule="D",
    reply=ReplyKind.PAYOUT,
    repeat=Repeat.ONLY_UNSENT,
    inquire_by=InquireBy.MERCHANT_TRANSACTION_ID,
    grade=Grade.DOCUMENTED,
    required=("merchantTransactionId", "amount", "currency"),
    optional=("paymentId", "customer.*", "authentication.terminalId", "merchant.email", "notificationUrl"),
)
INQUIRE_BY_PAYMENT_ID: Final = _inquiry("inquiry by paymentId", ("idType",), Grade.SEEN)
INQUIRE_BY_MERCHANT_ID: Final = _inquiry(
    "inquiry by merchantTransactionId", ("idType", "merchantTransactionId"), Grade.ONE_SOURCE
)
AUTH_TOKEN: Final = _token(
    "token", "/authToken", ("authentication.partnerId", "merchant.username", "authentication.sKey"), Grade.SEEN
)
PARTNER_TOKEN: Final = _token(
    "partner token",
    "/partnerAuthToken",
    ("authentication.partnerId", "partner.userName", "authentication.sKey"),
    Grade.DOCUMENTED,
)
REGENERATE_TOKEN: Final = _token(
    "token regeneration", "/regenerateToken", ("authentication.partnerId", "authToken"), Grade.DOCUMENTED
)

#: Every operation, by name; ``docs/protocol.md`` is made from it.
OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for operation in (
        AUTH_TOKEN,
        PARTNER_TOKEN,
        REGENERATE_TOKEN,
        DEBIT,
        PREAUTH,
        CAPTURE,
        REVERSAL,
        REFUND,
        PAYOUT,
        INQUIRE_BY_PAYMENT_ID,
        INQUIRE_BY_MERCHANT_ID,
    )
}
