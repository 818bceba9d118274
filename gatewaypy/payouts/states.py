"""The states of a payout order in its journal, and which may follow which."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(enum.Enum):
    """Where a payout order stands."""

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVIEW = "review"

    @property
    def is_end(self) -> bool:
        """Whether the order has reached its end: paid, refused, or in a person's hands."""
        return self in {State.SUCCEEDED, State.FAILED, State.REVIEW}


#: Every move, with what causes it. Nothing but an intent leads to ``SENDING``, and nothing leads back to ``PLANNED`` but the
#: knowledge that nothing was sent, a platform that refuses used ids, or a person.
PAYOUT_TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = {
    State.PLANNED: {
        State.SENDING: "intent, durable before the first byte",
        State.FAILED: "refused by the library before anything was sent; or a callback, if it was sent before",
        State.SUCCEEDED: "a callback, if it was sent before",
        State.PENDING: "a callback, if it was sent before",
        State.UNKNOWN: "the journal was restored from a backup: an intent may be missing",
        State.REVIEW: "a callback, though it was never sent: somebody else has used its id",
    },
    State.SENDING: {
        State.SUCCEEDED: "the gateway's answer",
        State.FAILED: "the gateway's answer",
        State.PENDING: "the gateway's answer",
        State.UNKNOWN: "no plain answer, or its owner is gone",
        State.PLANNED: "no byte left this machine",
        State.REVIEW: "the gateway answers that the id was used before the first attempt",
    },
    State.UNKNOWN: {
        State.SUCCEEDED: "inquiry or callback",
        State.FAILED: "inquiry or callback",
        State.PENDING: "inquiry or callback",
        State.PLANNED: "not found for the whole quiet period, by a platform that refuses used ids",
        State.REVIEW: "not found for the whole quiet period, or evidence that contradicts itself",
    },
    State.PENDING: {
        State.SUCCEEDED: "inquiry or callback",
        State.FAILED: "inquiry or callback",
        State.REVIEW: "evidence that contradicts itself",
    },
    State.REVIEW: {
        State.SUCCEEDED: "a person; or an inquiry or a callback, where it was only not found",
        State.FAILED: "a person; or an inquiry or a callback, where it was only not found",
        State.PENDING: "an inquiry or a callback, where it was only not found",
        State.PLANNED: "a person: send it again",
    },
    State.SUCCEEDED: {State.REVIEW: "evidence that contradicts it"},
    State.FAILED: {State.REVIEW: "evidence that contradicts it"},
}
