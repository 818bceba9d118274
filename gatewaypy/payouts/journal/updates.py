"""What an answer, an inquiry or a callback says of a payout, as a journal keeps it."""

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
        """Turn a record into an update. A record that is neither a success nor a failure leaves the row unknown.

        Args:
            status: The reply, inquiry or callback.
            outcome: The judged outcome; the record's own outcome if it was not judged.
            seconds: How long the answer took.
        """
        # A callback's code is not signed, so it is no evidence. An inquiry has none of its own.
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
    """A `Payout`, a `Transaction` or a `CallbackEvent`: which of them does not matter."""

    @property
    def outcome(self) -> Outcome:
        """The library's reading."""
        ...

    @property
    def result(self) -> ResultCode:
        """The code and its words."""
        ...

    @property
    def remark(self) -> str | None:
        """The bank's words."""
        ...


def source_of(told: object) -> str:
    """Return what told of a payout: ``reply``, ``inquiry`` or ``callback``."""
    outcome_source: object = getattr(told, "outcome_source", None)
    if hasattr(told, "found"):
        return "inquiry"
    return outcome_source.value if isinstance(outcome_source, OutcomeSource) else "callback"
