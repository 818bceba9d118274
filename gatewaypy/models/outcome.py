"""The outcome of an operation, and its source."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """The outcome of an operation."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    REDIRECT = "redirect"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged back"
    UNKNOWN = "unknown"


class OutcomeSource(enum.Enum):
    """Where an outcome is from: the request's own reply, or a later inquiry."""

    REPLY = "reply"
    INQUIRY = "inquiry"
