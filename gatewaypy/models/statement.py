"""Sums of transactions, per currency."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatewaypy.models.results import Transaction

_ZERO = Decimal(0)
_EXACT = Context(prec=60)


@define
class Totals:
    """The sums of one currency, and their number of transactions."""

    captured: Decimal = _ZERO
    refunded: Decimal = _ZERO
    charged_back: Decimal = _ZERO
    paid_out: Decimal = _ZERO
    count: int = 0

    @property
    def net(self) -> Decimal:
        """Captured less refunded, charged back and paid out."""
        taken = _EXACT.add(_EXACT.add(self.refunded, self.charged_back), self.paid_out)
        return _EXACT.subtract(self.captured, taken)


@define
class Statement:
    """Captured, refunded, charged back and paid out amounts, per currency.

    Attributes:
        by_currency: The sums.
        unreadable: Ids of the transactions with invalid amounts, which are not in the sums:
            payment ids, or else your own ids.
    """

    by_currency: dict[str, Totals] = field(factory=dict)
    unreadable: list[str] = field(factory=list)

    @classmethod
    def of(cls, transactions: Iterable[Transaction]) -> Statement:
        """Add up transactions."""
        statement = cls()
        for transaction in transactions:
            statement.add(transaction)
        return statement

    @property
    def complete(self) -> bool:
        """Whether every transaction is in the sums."""
        return not self.unreadable

    def add(self, transaction: Transaction) -> None:
        """Add a transaction. A missing amount counts as zero."""
        names = ("captureamount", "refundamount", "chargebackamount", "payoutamount")
        sums = (
            transaction.captured,
            transaction.refunded,
            transaction.charged_back,
            transaction.paid_out,
        )
        if transaction.amount is None or any(
            money is None and transaction.raw.get(name) not in (None, "")
            for name, money in zip(names, sums, strict=True)
        ):
            self.unreadable.append(
                transaction.payment_id or transaction.merchant_transaction_id or "(no id)"
            )
            return
        totals = self.by_currency.setdefault(transaction.amount.currency, Totals())
        captured, refunded, charged_back, paid_out = (
            _ZERO if money is None else money.amount for money in sums
        )
        totals.captured = _EXACT.add(totals.captured, captured)
        totals.refunded = _EXACT.add(totals.refunded, refunded)
        totals.charged_back = _EXACT.add(totals.charged_back, charged_back)
        totals.paid_out = _EXACT.add(totals.paid_out, paid_out)
        totals.count += 1
