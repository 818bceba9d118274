"""Orders as they lie in a journal, and as a report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from gatewaypy.money import Money
from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewaypy.payouts.orders import PayoutOrder


#: The highest id that a row can have.
LAST_ID: Final = 2**63 - 1


@frozen
class Row:
    """An order as it lies in the journal.

    ``is_resent`` is whether it was planned again after an attempt whose outcome was unknown: the gateway may know its id.
    """

    id: int
    order: PayoutOrder
    state: State
    attempt: int
    owner: str
    fence: int
    not_found_by: str = ""
    not_found_since: float = 0.0
    payment_id: str | None = None
    is_resent: bool = False


@frozen
class Scope:
    """The rows that a journal object claims and counts.

    Args:
        batch: Only orders of this batch; None for every batch.
        first_id: The lowest row id.
        last_id: The highest row id.
    """

    batch: str | None = None
    first_id: int = 0
    last_id: int = LAST_ID

    def __str__(self) -> str:
        """Return the scope as log messages show it."""
        return f"batch {self.batch!r}, ids {self.first_id} to {self.last_id}"


@frozen
class Remaining:
    """Counts of a scope's rows.

    Args:
        total: All rows.
        open: Rows that are planned, being sent or unknown.
        own: Open rows of the journal object that counts them.
    """

    total: int
    open: int
    own: int


@frozen
class JournalEntry:
    """A row as a report shows it; nothing in it is secret. The times are the store's, in UTC, for people alone."""

    id: int
    merchant_transaction_id: str
    batch: str
    amount: Money
    state: State
    attempt: int
    payment_id: str | None
    code: str | None
    description: str | None
    status: str | None
    outcome_source: str | None
    seconds: float | None
    evidence: str | None
    planned_at: object
    changed_at: object

    @classmethod
    def from_columns(cls, values: Sequence[Any]) -> JournalEntry:
        """Read an entry from the columns of `sql.ENTRY_COLUMNS`."""
        row_id, merchant_transaction_id, batch, amount, currency, state, *rest = values
        return cls(
            row_id, merchant_transaction_id, batch, Money(amount, currency), State(state), *rest
        )


_KNOWN_OTHERWISE: Final = "the journal knows this id with another amount or payee"
NOT_ENCRYPTED: Final = (
    "must not contain a card number, because this journal is not encrypted; "
    "give encrypt= and decrypt=, or pay to a stored card"
)


@frozen
class Conflict:
    """An order that the journal does not take, and why."""

    order: PayoutOrder
    evidence: str = _KNOWN_OTHERWISE
