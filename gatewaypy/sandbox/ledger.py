"""The sandbox's ledger: payments, executions, and the rules of protocol section 4 for them."""

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
    """One execution: an amount that was held, captured, refunded, released or paid out.

    Entries are only added.
    """

    kind: str
    payment_id: str
    merchant_transaction_id: str
    amount: Decimal
    currency: str


@define(eq=False)
class Record:
    """A payment or payout with its current state."""

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
        """Whether it waits for the payer's answer on a page."""
        return self.decision.page is not None and self.short in {"3D", "P"}

    @property
    def paid_out(self) -> Decimal:
        """The amount of a successful payout; zero otherwise."""
        return self.amount if self.status == "payoutsuccessful" else ZERO


class ImpossibleMoveError(Exception):
    """A change of status that protocol section 8 does not allow. It is an error of the sandbox."""


@frozen
class Refusal:
    """A refusal of a capture, reversal or refund: a code and its description."""

    code: str
    description: str


@define
class Balance:
    """The sums of one currency."""

    held: Decimal = ZERO
    captured: Decimal = ZERO
    refunded: Decimal = ZERO
    charged_back: Decimal = ZERO
    paid_out: Decimal = ZERO


class Ledger:
    """The ledger of one sandbox.

    Args:
        clock: A monotonic clock in seconds.
        wall_clock: A clock in seconds since the epoch. It dates the records of the transaction
            list.
    """

    def __init__(self, *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """Create an empty ledger."""
        self._clock = clock
        self._wall_clock = wall_clock
        self._ids = count(54279)
        self.records: dict[str, Record] = {}
        self.entries: list[Entry] = []
        self._by_merchant_id: dict[tuple[str, str], Record] = {}

    # Look-ups

    def by_payment_id(self, member_id: str, payment_id: str) -> Record | None:
        """Look up a merchant's payment by the gateway's id; ``None`` if there is none."""
        record = self.records.get(payment_id)
        return record if record is not None and record.member_id == member_id else None

    def by_merchant_id(self, member_id: str, merchant_transaction_id: str) -> Record | None:
        """Look up a merchant's payment by the merchant's id.

        Args:
            member_id: The merchant's member id.
            merchant_transaction_id: The merchant's id of the payment.

        Returns:
            The first payment with this id; ``None`` if there is none.
        """
        return self._by_merchant_id.get((member_id, merchant_transaction_id))

    def is_visible(self, record: Record) -> bool:
        """Return whether an inquiry finds a record already."""
        return self._clock() >= record.visible_at

    def executions(self, merchant_transaction_id: str) -> list[Entry]:
        """Return every execution of one merchant transaction id."""
        return [
            entry
            for entry in self.entries
            if entry.merchant_transaction_id == merchant_transaction_id
        ]

    def balances(self) -> dict[str, Balance]:
        """Return the sums of the entries per currency."""
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

    # Changes

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
        """Record a new debit, preauthorization or payout with its decided outcome.

        Args:
            member_id: The merchant's member id.
            payment_type: The payment type, such as ``DB``, ``PA`` or ``PO``.
            merchant_transaction_id: The merchant's id. Uniqueness is not checked.
            amount: The amount of the request.
            currency: The currency of the request.
            fields: The request's fields without card and account data.
            card: The masked card; empty if there is none.
            number: The card number for repeats, if there is a card.
            decision: The outcome.
            lag: Delay in seconds before an inquiry finds the record.

        Returns:
            The new record.
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
        """Execute a payment: hold, capture or pay out its amount."""
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
        """End a payment as failed. No money moves."""
        record.short, record.code, record.remark = "N", code, remark
        self._move(record, "payoutfailed" if record.payment_type == "PO" else "authfailed")

    def cancel(self, record: Record) -> None:
        """End a payment as cancelled by its payer. No money moves."""
        record.short, record.code, record.remark = "C", "10001", "Cancelled by the payer"
        self._move(record, "cancelled")

    def capture(self, record: Record, amount: Decimal) -> Refusal | None:
        """Capture at most the authorized amount once, and release the rest of the hold.

        Args:
            record: The preauthorization.
            amount: The amount to capture.

        Returns:
            The refusal; ``None`` after a success.
        """
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
        """Release the whole hold of a preauthorization that was not captured.

        Args:
            record: The preauthorization.

        Returns:
            The refusal; ``None`` after a success.
        """
        if record.payment_type != "PA" or record.status != "authsuccessful":
            return Refusal("10007", f"Cancel failed: the payment is {record.status}")
        self._book("release", record, record.amount)
        self._move(record, "authcancelled")
        record.short = "C"
        return None

    def refund(self, record: Record, amount: Decimal) -> Refusal | None:
        """Refund at most the captured amount once.

        Args:
            record: The captured payment.
            amount: The amount to refund.

        Returns:
            The refusal; ``None`` after a success.
        """
        if record.refunded or record.status not in {"capturesuccess", "settled"}:
            return Refusal("10006", f"Refund failed: the payment is {record.status}")
        if not ZERO < amount <= record.captured:
            return Refusal("10006", "Refund failed: more than was captured")
        self._book("refund", record, amount)
        self._move(record, "reversed")
        record.refunded = amount
        return None

    def settle(self, record: Record) -> None:
        """Let the bank pay a captured payment.

        Args:
            record: The captured payment.

        Raises:
            ImpossibleMoveError: It was not captured, or its status does not allow it.
        """
        if not record.captured:
            # `classify_transition` allows skipped steps, because a merchant can miss a status.
            raise ImpossibleMoveError(_move_of(record, "settled"))
        self._move(record, "settled")

    def charge_back(self, record: Record) -> None:
        """Let the issuer take back the rest of a captured payment.

        Args:
            record: The captured payment.

        Raises:
            ImpossibleMoveError: It was not captured, or its status does not allow it.
        """
        if not record.captured:
            raise ImpossibleMoveError(_move_of(record, "chargeback"))
        self._move(record, "chargeback")
        record.charged_back = record.captured - record.refunded
        self._book("chargeback", record, record.charged_back)

    @staticmethod
    def _move(record: Record, status: str) -> None:
        known, new = record.status.casefold(), status.casefold()
        if classify_transition(known, new) is not Transition.FORWARD:
            raise ImpossibleMoveError(_move_of(record, status))
        record.status = status

    def _book(self, kind: str, record: Record, amount: Decimal) -> None:
        self.entries.append(
            Entry(kind, record.payment_id, record.merchant_transaction_id, amount, record.currency)
        )

    def summary(self) -> dict[str, Any]:
        """Return the ledger as plain data: balances, entries and records, without card numbers."""
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
