"""The sandbox's books: every payment, what was done to it, and the rules of protocol section 4 on what may be."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from gatewaypy.protocol.transitions import Transition, classify_transition
from gatewaypy.sandbox.scenarios import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.sandbox.scenarios import Decision
    from gatewaypy.secret import Secret

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
    charged_back: Decimal = ZERO
    card: Mapping[str, str] = field(factory=dict)
    number: Secret | None = None
    registration_id: str | None = None
    created: float = 0.0

    @property
    def awaits_payer(self) -> bool:
        """Whether the payer's answer on a page is what it waits for."""
        return self.decision.page is not None and self.short in {"3D", "P"}

    @property
    def paid_out(self) -> Decimal:
        """What went out, for a payout that is done."""
        return self.amount if self.status == "payoutsuccessful" else ZERO


class ImpossibleMoveError(Exception):
    """The books were asked for a move that protocol section 8 does not have: a fault of the sandbox's own."""


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
    charged_back: Decimal = ZERO
    paid_out: Decimal = ZERO


class Ledger:
    """The books of one sandbox."""

    def __init__(self, *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """Open empty books.

        :param clock: a monotonic clock, in seconds.
        :param wall_clock: tells the days that the transaction list goes by, in seconds since the epoch.
        """
        self._clock = clock
        self._wall_clock = wall_clock
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
        return [
            entry
            for entry in self.entries
            if entry.merchant_transaction_id == merchant_transaction_id
        ]

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
                case "chargeback":
                    balance.charged_back += entry.amount
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
        number: Secret | None,
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
            number=number,
            created=self._wall_clock(),
        )
        self.records[record.payment_id] = record
        self._by_merchant_id.setdefault((member_id, merchant_transaction_id), record)
        if decision.page is not None:
            record.short, record.code = decision.short, decision.code
            self._move(record, "3D Authstarted" if decision.short == "3D" else "authstarted")
        elif decision.short == "P":
            self._move(record, "payoutstarted" if payment_type == "PO" else "authstarted")
        elif decision.booked:
            self.approve(record)
        else:
            self.decline(record, decision.code, decision.remark)
        return record

    def approve(self, record: Record) -> None:
        """Do what the payment is for."""
        record.short, record.code, record.remark = (
            "Y",
            SUCCESS,
            record.decision.remark or "Approved",
        )
        if record.payment_type == "PA":
            self._move(record, "authsuccessful")
            self._book("hold", record, record.amount)
        elif record.payment_type == "PO":
            self._move(record, "payoutsuccessful")
            self._book("payout", record, record.amount)
        else:
            self._move(record, "capturesuccess")
            record.captured = record.amount
            self._book("capture", record, record.amount)

    def decline(self, record: Record, code: str, remark: str) -> None:
        """End the payment without moving money."""
        record.short, record.code, record.remark = "N", code, remark
        self._move(record, "payoutfailed" if record.payment_type == "PO" else "authfailed")

    def cancel(self, record: Record) -> None:
        """End the payment as its payer wishes, without moving money."""
        record.short, record.code, record.remark = "C", "10001", "Cancelled by the payer"
        self._move(record, "cancelled")

    def capture(self, record: Record, amount: Decimal) -> Refusal | None:
        """Take at most the authorised amount, once; the rest of the hold is released."""
        if record.payment_type != "PA" or record.status != "authsuccessful":
            return Refusal("10005", f"Capture failed: the payment is {record.status}")
        if not ZERO < amount <= record.amount:
            return Refusal("10005", "Capture failed: more than was authorised")
        self._book("release", record, record.amount)
        self._book("capture", record, amount)
        self._move(record, "capturesuccess")
        record.captured = amount
        return None

    def reverse(self, record: Record) -> Refusal | None:
        """Release the whole hold of a preauthorization that was not captured."""
        if record.payment_type != "PA" or record.status != "authsuccessful":
            return Refusal("10007", f"Cancel failed: the payment is {record.status}")
        self._book("release", record, record.amount)
        self._move(record, "authcancelled")
        record.short = "C"
        return None

    def refund(self, record: Record, amount: Decimal) -> Refusal | None:
        """Give back at most what was captured, once."""
        if record.refunded or record.status not in {"capturesuccess", "settled"}:
            return Refusal("10006", f"Refund failed: the payment is {record.status}")
        if not ZERO < amount <= record.captured:
            return Refusal("10006", "Refund failed: more than was captured")
        self._book("refund", record, amount)
        self._move(record, "reversed")
        record.refunded = amount
        return None

    def settle(self, record: Record) -> None:
        """Have the bank pay a captured payment.

        :raises ImpossibleMoveError: for one that is not captured.
        """
        if not record.captured:
            # A status may skip steps on its way to a merchant; the books may not.
            raise ImpossibleMoveError(_move_of(record, "settled"))
        self._move(record, "settled")

    def charge_back(self, record: Record) -> None:
        """Have the issuer take what is left of a captured payment back.

        :raises ImpossibleMoveError: for one that was never captured.
        """
        if not record.captured:
            raise ImpossibleMoveError(_move_of(record, "chargeback"))
        self._move(record, "chargeback")
        record.charged_back = record.captured - record.refunded
        self._book("chargeback", record, record.charged_back)

    @staticmethod
    def _move(record: Record, status: str) -> None:
        known, heard = record.status.casefold(), status.casefold()
        if classify_transition(known, heard) is not Transition.FORWARD:
            raise ImpossibleMoveError(_move_of(record, status))
        record.status = status

    def _book(self, kind: str, record: Record, amount: Decimal) -> None:
        self.entries.append(
            Entry(kind, record.payment_id, record.merchant_transaction_id, amount, record.currency)
        )

    def summary(self) -> dict[str, Any]:
        """Return the books as plain data: balances, entries and records, cards masked."""
        return {
            "balances": {
                currency: {
                    name: f"{getattr(b, name):.2f}"
                    for name in ("held", "captured", "refunded", "charged_back", "paid_out")
                }
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


def _move_of(record: Record, status: str) -> str:
    return f"payment {record.payment_id}: from {record.status} to {status}"
