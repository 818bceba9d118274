"""Updates of a row, from a reply, an inquiry or a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from gatewaypy.models import Outcome, OutcomeSource
from gatewaypy.payouts.states import State
from gatewaypy.protocol.evidence import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import ResultCode

_STATES: Final[Mapping[Outcome, State]] = {
    Outcome.SUCCEEDED: State.SUCCEEDED,
    Outcome.FAILED: State.FAILED,
    Outcome.CANCELLED: State.FAILED,
    Outcome.PENDING: State.PENDING,
}


@frozen(kw_only=True)
class PayoutUpdate:
    """The new state of a row, with the evidence for it. Nothing in it is secret."""

    state: State
    payment_id: str | None = None
    code: str | None = None
    description: str | None = None
    status: str | None = None
    outcome_source: str | None = None
    seconds: float | None = None
    evidence: str | None = None

    @classmethod
    def from_status(
        cls, status: PayoutStatus, *, outcome: Outcome | None = None, seconds: float | None = None
    ) -> PayoutUpdate:
        """Build an update from a record. Without an outcome the row becomes unknown.

        Args:
            status: The reply, inquiry or callback.
            outcome: The classified outcome; by default the record's own.
            seconds: How long the answer took, in seconds.
        """
        # A callback's code is not signed, so it proves nothing. An inquiry has no code of its own.
        code = status.result if hasattr(status, "outcome_source") else None
        return cls(
            state=_STATES.get(status.outcome if outcome is None else outcome, State.UNKNOWN),
            payment_id=status.payment_id,
            code=(code.code or None) if code else None,
            description=(code.description if code else None) or status.remark,
            status=status.status or status.transaction_status,
            outcome_source=source_of(status),
            seconds=seconds,
        )


class PayoutStatus(Record, Protocol):
    """The attributes that `Payout`, `Transaction` and `CallbackEvent` share."""

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        ...

    @property
    def result(self) -> ResultCode:
        """The result code and its description."""
        ...

    @property
    def remark(self) -> str | None:
        """The bank's remark."""
        ...


def source_of(status: object) -> str:
    """Return the source of a record: ``reply``, ``inquiry`` or ``callback``."""
    outcome_source: object = getattr(status, "outcome_source", None)
    if hasattr(status, "found"):
        return "inquiry"
    return outcome_source.value if isinstance(outcome_source, OutcomeSource) else "callback"
