"""A journal's rows, as a run and a report read them."""

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
    """A row of the journal.

    Args:
        id: The row's id.
        order: The order.
        state: The state.
        attempt: Number of attempts.
        owner: The run that claimed it last.
        fence: Number of claims.
        not_found_by: The run that did not find it at the gateway.
        not_found_since: Since when, by that run's clock, in seconds.
        payment_id: The gateway's id, if it is known.
        is_resent: Whether it was planned again after an unknown outcome. The gateway may know its
            id then.
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
    """A row as a report shows it, without secrets. Times are the store's, in UTC."""

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


_OTHER_ORDER: Final = "the journal has this id with another amount or payee"
NOT_ENCRYPTED: Final = (
    "must not contain a card number, because this journal is not encrypted; "
    "give encrypt= and decrypt=, or pay to a stored card"
)


@frozen
class Conflict:
    """An order that the journal does not store, and why."""

    order: PayoutOrder
    evidence: str = _OTHER_ORDER
