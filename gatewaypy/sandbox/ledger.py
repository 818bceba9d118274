"""The sandbox's books: every payment, what was done to it, and the rules of protocol section 4 on what may be."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from gatewaypy.sandbox.rules import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.sandbox.rules import Decision

ZERO = Decimal(0)


@frozen
class Entry:
    """One execution: money that was held, taken, given back, released or paid out. The ledger only grows."""

    kind: str
    payment_id: str
    merchant_transaction_id: str
    amount: Decimal
    currency: str


@define(eq=False)
class Record:
    """A payment or payout and its present state."""

    payment_id: str
    member_id: str
    payment_type: str
    merchant_transaction_id: str
    amount: Decimal
    currency: str
    fields: Mapping[str, str]
    decision: Decision
    visible_at: float
    status: str = "begun"
    short: str = "P"
    code: str = SUCCESS
    remark: str = ""
    captured: Decimal = ZERO
    refunded: Decimal = ZERO
    card: Mapping[str, str] = field(factory=dict)


@frozen
class Refusal:
    """A no: the code and its words."""

    code: str
    description: str


@define
class Balance:
    """What the books say of one currency."""

    held: Decimal = ZERO
    captured: Decimal = ZERO
    refunded: Decimal = ZERO
    paid_out: Decimal = ZERO


class Ledger:
    """The books of one sandbox."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """Open empty books.

        :param clock: a monotonic clock, in seconds.
        """
        self._clock = clock
        self._ids = count(54279)
        self.records: dict[str, Record] = {}
        self.entries: list[Entry] = []
        self._by_merchant_id: dict[tuple[str, str], Record] = {}

    # Looking things up

    def by_payment_id(self, member_id: str, payment_id: str) -> Record | None:
        """Find a merchant's payment by the gateway's id."""
        record = self.records.get(payment_id)
        return record if record is not None and record.member_id == member_id else None

    def by_merchant_id(self, member_id: str, merchant_transaction_id: str) -> Record | None:
        """Find a merchant's payment by the merchant's id: the first, where there are two."""
        return self._by_merchant_id.get((member_id, merchant_transaction_id))

    def is_visible(self, record: Record) -> bool:
        """Tell whether an inquiry finds a record yet."""
        return self._clock() >= record.visible_at

    def executions(self, merchant_transaction_id: str) -> list[Entry]:
        """Return every execution under one merchant transaction id."""
        return [entry for entry in self.entries if entry.merchant_transaction_id == merchant_transaction_id]

    def balances(self) -> dict[str, Balance]:
        """Sum the entries per currency."""
        sums: defaultdict[str, Balance] = defaultdict(Balance)
        for entry in self.entries:
            balance = sums[entry.currency]
            match entry.kind:
                case "hold":
                    balance.held += entry.amount
                case "release":
                    balance.held -= entry.amount
                case "capture":
                    balance.captured += entry.amount
                case "refund":
                    balance.refunded += entry.amount
                case "payout":
                    balance.paid_out += entry.amount
        return dict(sums)

    # Booking

    def open(
        self,
        *,
        member_id: str,
        payment_type: str,
        merchant_transaction_id: str,
        amount: Decimal,
        currency: str,
        fields: Mapping[str, str],
        card: Mapping[str, str],
        decision: Decision,
        lag: float,
    ) -> Record:
        """Book a new debit, preauthorization or payout as decided.

        :param lag: seconds before an inquiry finds it.
        """
        record = Record(
            payment_id=str(next(self._ids)),
            member_id=member_id,
            payment_type=payment_type,
            merchant_transaction_id=merchant_transaction_id,
            amount=amount,
            currency=currency,
            fields=fields,
            decision=decision,
            visible_at=self._clock() + lag,
            card=card,
        )
        self.records[record.payment_id] = record
        self._by_merchant_id.setdefault((member_id, merchant_transaction_id), record)
        if decision.three_d:
            record.status, record.short, record.code = "3D Authstarted", "3D", "90026"
        elif decision.short == "P":
            record.status = "payoutstarted" if payment_type == "PO" else "authstarted"
        elif decision.booked:
            self.approve(record)
        else:
            self.decline(record, decision.code, decision.remark)
        return record

    def approve(self, record: Record) -> None:
        """Do what the payment is for."""
        record.short, record.code, record.remark = "Y", SUCCESS, record.decision.remark or "Approved"
        if record.payment_type == "PA":
            record.status = "authsuccessful"
            self._book("hold", record, record.amount)
        elif record.payment_type == "PO":
            record.status = "payoutsuccessful"
            self._book("payout", record, record.amount)
        else:
            record.status, record.captured = "capturesuccess", record.amount
            self._book("capture", record, record.amount)

    def decline(self, record: Record, code: str, remark: str) -> None:
        """End the payment without moving money."""
        record.short, record.code, record.remark = "N", code, remark
        record.status = "payoutfailed" if record.payment_type == "PO" else "authfailed"

    def capture(self, record: Record, amount: Decimal) -> Refusal | None:
        """Take at most the authorised amount, once; the rest of the hold is released."""
        if record.payment_type != "PA" or record.status != "authsuccessful":
            return Refusal("10005", f"Capture failed: the payment is {record.status}")
        if not ZERO < amount <= record.amount:
            return Refusal("10005", "Capture failed: more than was authorised")
        self._book("release", record, record.amount)
        self._book("capture", record, amount)
        record.status, record.captured = "capturesuccess", amount
        return None

    def reverse(self, record: Record) -> Refusal | None:
        """Release the whole hold of a preauthorization that was not captured."""
        if record.payment_type != "PA" or record.status != "authsuccessful":
            return Refusal("10007", f"Cancel failed: the payment is {record.status}")
        self._book("release", record, record.amount)
        record.status, record.short = "authcancelled", "C"
        return None

    def refund(self, record: Record, amount: Decimal) -> Refusal | None:
        """Give back at most what was captured, once."""
        if record.refunded or record.status not in {"capturesuccess", "settled"}:
            return Refusal("10006", f"Refund failed: the payment is {record.status}")
        if not ZERO < amount <= record.captured:
            return Refusal("10006", "Refund failed: more than was captured")
        self._book("refund", record, amount)
        record.status, record.refunded = "reversed", amount
        return None

    def _book(self, kind: str, record: Record, amount: Decimal) -> None:
        self.entries.append(Entry(kind, record.payment_id, record.merchant_transaction_id, amount, record.currency))

    def summary(self) -> dict[str, Any]:
        """Return the books as plain data: balances, entries and records, cards masked."""
        return {
            "balances": {
                currency: {name: f"{getattr(b, name):.2f}" for name in ("held", "captured", "refunded", "paid_out")}
                for currency, b in self.balances().items()
            },
            "entries": [
                {
                    "kind": e.kind,
                    "paymentId": e.payment_id,
                    "merchantTransactionId": e.merchant_transaction_id,
                    "amount": f"{e.amount:.2f}",
                    "currency": e.currency,
                }
                for e in self.entries
            ],
            "records": [
                {
                    "paymentId": r.payment_id,
                    "merchantTransactionId": r.merchant_transaction_id,
                    "paymentType": r.payment_type,
                    "amount": f"{r.amount:.2f}",
                    "currency": r.currency,
                    "status": r.status,
                }
                for r in self.records.values()
            ],
        }
