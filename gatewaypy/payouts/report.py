"""Counts and sums of a journal."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.payouts.journal.journal import Journal


@define
class CurrencyReport:
    """The number and the sum of one currency's orders in each state."""

    counts: dict[State, int] = field(factory=dict)
    amounts: dict[State, Decimal] = field(factory=dict)

    @property
    def paid(self) -> Decimal:
        """The sum of the succeeded payouts."""
        return self.amounts.get(State.SUCCEEDED, Decimal(0))


@frozen
class Report:
    """A journal's orders by state, currency and result code.

    Args:
        by_state: Number of orders in each state.
        by_currency: Numbers and sums in each currency.
        by_code: Number of orders with each result code.
        restored: Whether the journal counts as restored from a backup; `Journal.trust` ends that.
        restored_because: Why it counts as restored.
    """

    by_state: Mapping[State, int]
    by_currency: Mapping[str, CurrencyReport]
    by_code: Mapping[str, int]
    restored: bool = False
    restored_because: str = ""

    def _count(self, state: State) -> int:
        return self.by_state.get(state, 0)

    @property
    def total(self) -> int:
        """Number of orders."""
        return sum(self.by_state.values())

    @property
    def planned(self) -> int:
        """Number of orders that are not sent yet."""
        return self._count(State.PLANNED)

    @property
    def sending(self) -> int:
        """Number of orders in flight, or in flight when their process was killed."""
        return self._count(State.SENDING)

    @property
    def unknown(self) -> int:
        """Number of orders that need an inquiry."""
        return self._count(State.UNKNOWN)

    @property
    def succeeded(self) -> int:
        """Number of paid orders."""
        return self._count(State.SUCCEEDED)

    @property
    def failed(self) -> int:
        """Number of refused or declined orders."""
        return self._count(State.FAILED)

    @property
    def pending(self) -> int:
        """Number of orders that the gateway has not decided yet."""
        return self._count(State.PENDING)

    @property
    def review(self) -> int:
        """Number of orders on the review list."""
        return self._count(State.REVIEW)


async def make_report(journal: Journal) -> Report:
    """Sum up a journal, with two queries."""
    by_state: dict[State, int] = {}
    by_currency: dict[str, CurrencyReport] = {}
    by_code: dict[str, int] = {}
    for state_text, currency, code, count, amount in await journal.sums():
        state = State(state_text)
        by_state[state] = by_state.get(state, 0) + count
        of_currency = by_currency.setdefault(currency, CurrencyReport())
        of_currency.counts[state] = of_currency.counts.get(state, 0) + count
        of_currency.amounts[state] = of_currency.amounts.get(state, Decimal(0)) + amount
        if code is not None:
            by_code[code] = by_code.get(code, 0) + count
    because = await journal.restored_because()
    return Report(by_state, by_currency, by_code, restored=bool(because), restored_because=because)
