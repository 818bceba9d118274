"""What an answer, an inquiry or a callback says of a payout, as a journal keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from gatewaypy.models import Outcome, SettledBy
from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import ResultCode
    from gatewaypy.money import Money

_STATES: Final[Mapping[Outcome, State]] = {
    Outcome.SUCCEEDED: State.SUCCEEDED,
    Outcome.FAILED: State.FAILED,
    Outcome.CANCELLED: State.FAILED,
    Outcome.PENDING: State.PENDING,
}


@frozen(kw_only=True)
class Finding:
    """What came of a row: its new state, and the evidence, nothing secret in it."""

    state: State
    payment_id: str | None = None
    code: str | None = None
    description: str | None = None
    status: str | None = None
    settled_by: str | None = None
    seconds: float | None = None
    evidence: str | None = None


class Told(Protocol):
    """A `Payout`, a `Transaction` or a `CallbackEvent`: who tells does not matter."""

    @property
    def outcome(self) -> Outcome:
        """The library's reading."""
        ...

    @property
    def payment_id(self) -> str | None:
        """The gateway's id."""
        ...

    @property
    def merchant_transaction_id(self) -> str | None:
        """The order's id."""
        ...

    @property
    def amount(self) -> Money | None:
        """How much, where it was told."""
        ...

    @property
    def status(self) -> str | None:
        """The long status."""
        ...

    @property
    def transaction_status(self) -> str | None:
        """The short status."""
        ...

    @property
    def result(self) -> ResultCode:
        """The code and its words."""
        ...

    @property
    def remark(self) -> str | None:
        """The bank's words."""
        ...


def finding_of(told: Told, *, seconds: float | None = None) -> Finding:
    """Turn what was told into a finding; what says neither yes nor no leaves the row unknown."""
    settled_by: object = getattr(told, "settled_by", None)
    # Only a payout's own reply has a code of its own: an inquiry's tells of the lookup, a callback's is not signed.
    is_reply = settled_by is SettledBy.REPLY and not hasattr(told, "found")
    source = settled_by.value if isinstance(settled_by, SettledBy) else "callback"
    return Finding(
        state=_STATES.get(told.outcome, State.UNKNOWN),
        payment_id=told.payment_id,
        code=(told.result.code or None) if is_reply else None,
        description=(told.result.description or None) if is_reply else told.remark,
        status=told.status or told.transaction_status,
        settled_by="inquiry" if hasattr(told, "found") else source,
        seconds=seconds,
    )
