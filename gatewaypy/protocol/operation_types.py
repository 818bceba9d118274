"""What a row of the table of operations states (protocol sections 3 and 4)."""

from __future__ import annotations

import enum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from gatewaypy.protocol.codes import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.grades import Grade

#: The fields that distinguish operations on one path. Only ``Operation.fixed`` sets them.
DISCRIMINATORS: Final = ("paymentType", "recurringType", "idType")


class ServiceRoot(enum.Enum):
    """Service roots under a host (protocol section 1, documented).

    A token is used for the root that granted it (our choice).
    """

    TRANSACTIONS = "/transactionServices/REST/v1"
    INVOICES = "/invoiceServices/REST/v1"
    MERCHANTS = "/merchantServices/api/v1"
    PAGES = "/transaction"


class ReplyKind(enum.Enum):
    """Kind of reply (protocol section 7)."""

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
    """The id by which an inquiry finds the outcome."""

    MERCHANT_TRANSACTION_ID = "its own merchantTransactionId"
    PAYMENT_ID = "the paymentId that it acts on"
    MERCHANT_INVOICE_ID = "its merchantInvoiceId"
    NOT_NEEDED = "no need to"
    NOT_POSSIBLE = "nothing: the caller has to look"


class Login(enum.Enum):
    """Whose token a request carries."""

    MERCHANT = "merchant"
    PARTNER = "partner"


@frozen(kw_only=True)
class Operation:
    """One row of the table of operations.

    Args:
        name: Name in results, errors and ``Platform.operations``.
        path: Path after the root. ``{id}`` stands for the id that the operation acts on.
        rule: Name of the checksum rule; ``None`` if the request is not signed.
        reply: Kind of reply.
        retry: When the request may be sent again.
        inquire_by: Id by which an inquiry finds the outcome.
        grade: How well the row is known.
        fixed: Fields that are the same in every request.
        root: Service root that the path follows.
        platform_path: Attribute of the platform that replaces the path.
        subject: Wire name of the id in the path.
        success: Codes that mean that the operation was executed.
        required: Required fields in addition to the member id and the checksum.
        optional: Optional fields; ``customer.*`` stands for a group.
        login: Whose token the request carries.
        body: ``form`` or ``json``; ``None`` if the client's setting decides.
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

    @cached_property
    def payment_type(self) -> str | None:
        """The wire's ``paymentType``, if the operation has one."""
        return self.fixed.get("paymentType")

    @cached_property
    def moves_money(self) -> bool:
        """Whether a doubt about the operation is a doubt about money."""
        return (
            self.inquire_by is InquireBy.MERCHANT_TRANSACTION_ID
            or self.inquire_by is InquireBy.PAYMENT_ID
        )

    def for_platform(self, platform: Platform) -> Operation:
        """Return the operation with this platform's path, rule, codes and fields."""
        if not self.platform_path and self.name not in platform.operations:
            return self
        path = getattr(platform, self.platform_path) if self.platform_path else self.path
        return evolve(self, **{"path": path, **platform.operations.get(self.name, {})})
