"""The sandbox's service for operations without a payment: cards, customers, invoices, links."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define

from gatewaypy.config import Credentials
from gatewaypy.sandbox import replies
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from gatewaypy.sandbox.bills import Bills
    from gatewaypy.sandbox.ledger import Record
    from gatewaypy.sandbox.validation import ValidRequest
    from gatewaypy.sandbox.vault import Registration, Vault


@define(eq=False, kw_only=True)
class Invoices:
    """The service for stored cards, customers, invoices and payment links.

    Args:
        vault: The stored cards and customers.
        invoices: The invoices.
        links: The payment links.
        random: Generates the keys of new merchants.
        wall_clock: A clock in seconds since the epoch.
        base_url: Returns the sandbox's base URL.
    """

    vault: Vault
    invoices: Bills
    links: Bills
    random: Random
    wall_clock: Callable[[], float]
    base_url: Callable[[], str]

    def serve(self, asked: ValidRequest) -> dict[str, Any]:
        """Execute a valid request, and return the reply's fields."""
        answer = {
            "store card": self._store,
            "delete stored card": self._delete,
            "list stored cards": self._accounts,
            "customer sign-up": self._sign_up,
            "pay by link": self._link,
            "invoice generate": self._generate,
            "invoice regenerate": self._regenerate,
            "invoice status": self._status,
            "invoice remind": self._remind,
            "invoice cancel": self._cancel,
            "invoice configuration": self._configuration,
        }
        return answer[asked.operation.name](asked)

    # Stored cards and customers

    def _store(self, asked: ValidRequest) -> dict[str, Any]:
        if (
            not asked["card.number"]
            and not asked["bankAccount.bic"]
            and not asked["bankAccount.routingNumber"]
        ):
            return asked.rejected("10003", "Registration failed: no card and no account")
        return replies.registration(self.store(asked))

    def store(self, asked: ValidRequest, *, came_with: Record | None = None) -> Registration:
        """Store the card or account of a request, without its CVV.

        Args:
            asked: The request.
            came_with: The payment of the card, if the card was stored with a payment.

        Returns:
            The stored card or account.
        """
        account = {
            name: asked[f"bankAccount.{name}"]
            for name in ("iban", "bic", "accountNumber", "routingNumber")
            if asked[f"bankAccount.{name}"]
        }
        return self.vault.store(
            member_id=asked.member_id,
            customer_id=asked["customer.customerId"] or asked["customerId"] or None,
            mode=asked["paymentMode"] or "CC",
            brand=asked["paymentBrand"] or "VISA",
            number=Secret(asked["card.number"]) if asked["card.number"] else None,
            card=masked(asked.fields),
            account=account,
            came_with=came_with,
        )

    def _delete(self, asked: ValidRequest) -> dict[str, Any]:
        stored = self.vault.find(asked.member_id, asked.subject or "")
        if stored is None:
            return asked.rejected("10008", "Registration deletion failed: there is none")
        stored.deleted = True
        return replies.registration(stored)

    def _accounts(self, asked: ValidRequest) -> dict[str, Any]:
        customer_id = asked["customer.customerId"]
        stored = self.vault.of_customer(asked.member_id, customer_id)
        known = self.vault.customers.get(customer_id)
        if not stored and (known is None or known.member_id != asked.member_id):
            return asked.rejected("10026", "Record not found")
        return replies.accounts(asked.merchant.partner_id, customer_id, asked.member_id, stored)

    def _sign_up(self, asked: ValidRequest) -> dict[str, Any]:
        customer = self.vault.sign_up(asked.member_id, asked["customer.email"])
        if customer is None:
            return asked.rejected("10024", "Email already verified")
        return {
            "memberId": asked.member_id,
            "customerId": customer.customer_id,
            "result": replies.result("00007"),
            "timestamp": replies.now(),
        }

    def new_merchant(self, partner: Credentials, member_id: str, username: str) -> Credentials:
        """Create a merchant's account under a partner, with a new key.

        Args:
            partner: An account of the partner.
            member_id: The new merchant's member id.
            username: The new merchant's username.

        Returns:
            The account.
        """
        return Credentials(
            member_id=member_id,
            partner_id=partner.partner_id,
            username=username,
            secret_key=f"{self.random.getrandbits(128):032x}",
            partner_name=partner.partner_name,
        )

    # Invoices and links

    def _now(self) -> tuple[str, str]:
        now = datetime.fromtimestamp(self.wall_clock(), UTC)
        return now.strftime("%Y-%m-%d"), now.strftime("%H:%M:%S")

    def _link(self, asked: ValidRequest) -> dict[str, Any]:
        bill = self.links.make(
            member_id=asked.member_id,
            own_id=asked["merchant.orderID"],
            amount=Decimal(asked["merchant.amount"]),
            currency=asked["merchant.currency"],
            email=asked["merchant.email"],
            fields=dict(asked.fields),
            created=self._now(),
        )
        return replies.link(bill, self.base_url())

    def _generate(self, asked: ValidRequest) -> dict[str, Any]:
        if self.invoices.find_own(asked.member_id, asked["merchantInvoiceId"]) is not None:
            return _refused(
                asked, "10011", "Invoice not generated: the merchantInvoiceId was used before"
            )
        bill = self.invoices.make(
            member_id=asked.member_id,
            own_id=asked["merchantInvoiceId"],
            amount=Decimal(asked["amount"]),
            currency=asked["currency"],
            email=asked["customer.email"],
            fields=dict(asked.fields),
            created=self._now(),
        )
        return replies.invoice(bill, "00010", self.base_url())

    def _regenerate(self, asked: ValidRequest) -> dict[str, Any]:
        bill = self.invoices.find(asked.member_id, asked["invoiceId"])
        if bill is None or not bill.is_open:
            return _refused(
                asked, "10014", "Invoice regeneration failed: there is nothing left to pay"
            )
        bill.status = "replaced"
        renewed = self.invoices.make(
            member_id=bill.member_id,
            own_id=bill.own_id,
            amount=bill.amount,
            currency=bill.currency,
            email=bill.email,
            fields={**bill.fields, "merchantRedirectUrl": asked["merchantRedirectUrl"]},
            created=self._now(),
        )
        return replies.invoice(renewed, "00010", self.base_url())

    def _status(self, asked: ValidRequest) -> dict[str, Any]:
        bill = self.invoices.find_own(asked.member_id, asked["merchantInvoiceId"])
        if bill is None:
            return _refused(asked, "10026", "Record not found")
        return replies.invoice(bill, "00026", self.base_url())

    def _remind(self, asked: ValidRequest) -> dict[str, Any]:
        bill = self.invoices.find(asked.member_id, asked["invoiceId"])
        if bill is None or not bill.is_open:
            return _refused(asked, "10013", "Reminder not sent: there is nothing left to pay")
        self.invoices.send(bill)
        return replies.invoice(bill, "00012", self.base_url())

    def _cancel(self, asked: ValidRequest) -> dict[str, Any]:
        bill = self.invoices.find(asked.member_id, asked["invoiceId"])
        if bill is None or not bill.is_open:
            return _refused(asked, "10012", "Invoice cancel failed: there is nothing left to pay")
        bill.status = "cancelled"
        return replies.invoice(bill, "00006", self.base_url())

    @staticmethod
    def _configuration(asked: ValidRequest) -> dict[str, Any]:
        return {
            "memberId": asked.member_id,
            "statusInvoiceResult": replies.result("00026"),
            "invoiceConfiguration": {
                "expirationPeriod": "10",
                "currency": "EUR",
                "reminderPeriod": "3",
            },
        }


def _refused(asked: ValidRequest, code: str, description: str) -> dict[str, Any]:
    return {
        "memberId": asked.member_id,
        "statusInvoiceResult": {"code": code, "description": description},
    }


def masked(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the card fields that can be stored: BIN, last four digits, holder and expiry."""
    number = fields.get("card.number")
    if not number:
        return {}
    return {
        "bin": number[:6],
        "last4Digits": number[-4:],
        "holder": fields.get("card.holder", ""),
        "expiryMonth": fields.get("card.expiryMonth", ""),
        "expiryYear": fields.get("card.expiryYear", ""),
    }
