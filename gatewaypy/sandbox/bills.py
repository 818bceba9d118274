"""The sandbox's invoices and payment links, and the mails that a gateway would send for them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from random import Random

    from gatewaypy.sandbox.ledger import Record

_OPEN: Final = "unpaid"


@define(eq=False)
class Bill:
    """An invoice or a payment link. Any payer with the link can pay it once."""

    bill_id: str
    member_id: str
    own_id: str
    amount: Decimal
    currency: str
    email: str
    token: str
    fields: Mapping[str, str]
    created: tuple[str, str]
    status: str = _OPEN
    attempts: int = 0
    payment: Record | None = None

    @property
    def state(self) -> str:
        """The gateway's status of the bill after the last attempt to pay."""
        short = self.payment.short if self.payment is not None else ""
        return {"Y": "paid", "P": "being paid", "3D": "being paid"}.get(short, self.status)

    @property
    def is_open(self) -> bool:
        """Whether it can be paid by its link."""
        return self.state == _OPEN


@define(eq=False)
class Bills:
    """A list of invoices or of payment links.

    ``mails`` has the mails that a gateway would send: the recipient and the bill's id.

    Args:
        random: Generates the tokens of links.
    """

    random: Random
    by_id: dict[str, Bill] = field(factory=dict, init=False)
    mails: list[tuple[str, str]] = field(factory=list, init=False)
    _ids: count[int] = field(factory=lambda: count(1746), init=False)

    def make(
        self,
        *,
        member_id: str,
        own_id: str,
        amount: Decimal,
        currency: str,
        email: str,
        fields: Mapping[str, str],
        created: tuple[str, str],
    ) -> Bill:
        """Create a bill, and send its link.

        Args:
            member_id: The merchant's member id.
            own_id: The merchant's id of the invoice or order.
            amount: The amount to pay.
            currency: The currency of the amount.
            email: The recipient of the link.
            fields: The request's fields.
            created: The date and the time in UTC.

        Returns:
            The bill.
        """
        bill = Bill(
            bill_id=str(next(self._ids)),
            member_id=member_id,
            own_id=own_id,
            amount=amount,
            currency=currency,
            email=email,
            token=f"{self.random.getrandbits(64):016x}",
            fields=fields,
            created=created,
        )
        self.by_id[bill.bill_id] = bill
        self.send(bill)
        return bill

    def send(self, bill: Bill) -> None:
        """Send the link of a bill. Repeated calls send it again."""
        self.mails.append((bill.email, bill.bill_id))

    def find(self, member_id: str, bill_id: str) -> Bill | None:
        """Look up a merchant's bill by the gateway's id; ``None`` if there is none."""
        bill = self.by_id.get(bill_id)
        return bill if bill is not None and bill.member_id == member_id else None

    def find_own(self, member_id: str, own_id: str) -> Bill | None:
        """Look up a merchant's newest bill by the merchant's id; ``None`` if there is none."""
        found = [
            bill
            for bill in self.by_id.values()
            if bill.member_id == member_id and bill.own_id == own_id
        ]
        return found[-1] if found else None

    def by_token(self, own_or_gateway_id: str, token: str) -> Bill | None:
        """Look up the bill of a link by id and token; ``None`` if there is none."""
        return next(
            (
                bill
                for bill in self.by_id.values()
                if bill.token == token and own_or_gateway_id in {bill.bill_id, bill.own_id}
            ),
            None,
        )
