"""The states of a payout order in its journal, and the transitions between them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(enum.Enum):
    """The state of a payout order."""

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVIEW = "review"

    @property
    def is_end(self) -> bool:
        """Whether the order has ended: paid, refused, or on the review list."""
        return self in {State.SUCCEEDED, State.FAILED, State.REVIEW}


#: Every transition, with its cause. Only an intent leads to ``SENDING``. A row returns to
#: ``PLANNED`` only if nothing was sent, if the platform refuses used ids, or by a person.
PAYOUT_TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = {
    State.PLANNED: {
        State.SENDING: "intent, durable before the first byte",
        State.FAILED: "refused by the library before sending; or a callback, if it was sent before",
        State.SUCCEEDED: "a callback, if it was sent before",
        State.PENDING: "a callback, if it was sent before",
        State.UNKNOWN: "the journal was restored from a backup: an intent may be missing",
        State.REVIEW: "a callback, though it was never sent: another program has used its id",
    },
    State.SENDING: {
        State.SUCCEEDED: "the gateway's answer",
        State.FAILED: "the gateway's answer",
        State.PENDING: "the gateway's answer",
        State.UNKNOWN: "no usable answer, or its owner has ended",
        State.PLANNED: "no byte left this machine",
        State.REVIEW: "the gateway answers that the id was used before the first attempt",
    },
    State.UNKNOWN: {
        State.SUCCEEDED: "inquiry or callback",
        State.FAILED: "inquiry or callback",
        State.PENDING: "inquiry or callback",
        State.PLANNED: "not found for the quiet period, on a platform that refuses used ids",
        State.REVIEW: "not found for the quiet period, or contradictory evidence",
    },
    State.PENDING: {
        State.SUCCEEDED: "inquiry or callback",
        State.FAILED: "inquiry or callback",
        State.REVIEW: "contradictory evidence",
    },
    State.REVIEW: {
        State.SUCCEEDED: "a person; or an inquiry or a callback, if it was not found before",
        State.FAILED: "a person; or an inquiry or a callback, if it was not found before",
        State.PENDING: "an inquiry or a callback, if it was not found before",
        State.PLANNED: "a person: send it again",
    },
    State.SUCCEEDED: {State.REVIEW: "evidence that contradicts it"},
    State.FAILED: {State.REVIEW: "evidence that contradicts it"},
}
