"""What became of an operation, and how that was learnt."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """What became of an operation, in the words that a merchant's code decides by."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    REDIRECT = "redirect"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged back"
    UNKNOWN = "unknown"


class OutcomeSource(enum.Enum):
    """How an outcome was learnt: from the request's own reply, or by asking afterwards."""

    REPLY = "reply"
    INQUIRY = "inquiry"
