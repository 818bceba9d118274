"""What a journal adds up to."""

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
    """One currency's orders: how many and how much in each state."""

    counts: dict[State, int] = field(factory=dict)
    amounts: dict[State, Decimal] = field(factory=dict)

    @property
    def paid(self) -> Decimal:
        """What went out."""
        return self.amounts.get(State.SUCCEEDED, Decimal(0))


@frozen
class Report:
    """A journal's orders by state, currency and result code.

    ``planned`` counts what is not begun, ``pending`` what the gateway has and has not decided; ``sending`` and ``unknown`` are
    what a run still has to ask about. ``restored`` says that the journal counts as restored from a backup, until a person ends
    that with `Journal.trust`; ``restored_because`` says why.
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
        """How many orders there are."""
        return sum(self.by_state.values())

    @property
    def planned(self) -> int:
        """How many are not begun."""
        return self._count(State.PLANNED)

    @property
    def sending(self) -> int:
        """How many are on their way, or were when their sender was killed."""
        return self._count(State.SENDING)

    @property
    def unknown(self) -> int:
        """How many have to be asked about."""
        return self._count(State.UNKNOWN)

    @property
    def succeeded(self) -> int:
        """How many are paid."""
        return self._count(State.SUCCEEDED)

    @property
    def failed(self) -> int:
        """How many were refused."""
        return self._count(State.FAILED)

    @property
    def pending(self) -> int:
        """How many the gateway has not decided yet."""
        return self._count(State.PENDING)

    @property
    def review(self) -> int:
        """How many wait for a person."""
        return self._count(State.REVIEW)


async def make_report(journal: Journal) -> Report:
    """Sum a journal up: two queries, whatever its size."""
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
