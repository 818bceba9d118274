"""The statuses of protocol section 8 and what each means for a merchant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Status:
    """One long status: whether it is final, the vendor's description, and its outcome."""

    name: str
    final: bool
    meaning: str
    outcome: Outcome


#: Long statuses (documented), by their name in lower case.
LONG: Final[Mapping[str, Status]] = {
    status.name.casefold(): status
    for status in (
        Status("begun", False, "transaction initiated", Outcome.PENDING),
        Status("authstarted", False, "authorisation sent, bank's answer awaited", Outcome.PENDING),
        Status("3D Authstarted", False, "3-D authentication started", Outcome.PENDING),
        Status(
            "authsuccessful",
            True,
            "preauthorization approved (may still be captured or cancelled)",
            Outcome.SUCCEEDED,
        ),
        Status("authfailed", True, "declined", Outcome.FAILED),
        Status(
            "authcancelled", True, "preauthorization cancelled by the merchant", Outcome.CANCELLED
        ),
        Status("cancelstarted", False, "cancel initiated", Outcome.PENDING),
        Status("cancelled", True, "cancelled by the payer", Outcome.CANCELLED),
        Status("capturestarted", False, "capture started", Outcome.PENDING),
        Status("capturesuccess", True, "captured", Outcome.SUCCEEDED),
        Status("capturefailed", True, "capture failed", Outcome.FAILED),
        Status("settled", True, "the bank has paid", Outcome.SUCCEEDED),
        Status("markedforreversal", False, "refund or reversal requested", Outcome.PENDING),
        Status("reversed", True, "refunded", Outcome.REFUNDED),
        Status("chargeback", True, "charged back", Outcome.CHARGED_BACK),
        Status("failed", True, "validation failed", Outcome.FAILED),
        Status("payoutstarted", False, "payout initiated", Outcome.PENDING),
        Status("payoutsuccessful", True, "payout done", Outcome.SUCCEEDED),
        Status("payoutfailed", True, "payout failed", Outcome.FAILED),
    )
}

#: Short statuses (documented), by their text.
SHORT: Final[Mapping[str, Outcome]] = {
    "Y": Outcome.SUCCEEDED,
    "N": Outcome.FAILED,
    "P": Outcome.PENDING,
    "3D": Outcome.PENDING,
    "C": Outcome.CANCELLED,
}

# Short statuses that agree with an outcome. A refunded or charged back payment was seen with N and
# may keep its Y.
_AGREEING: Final[Mapping[Outcome, frozenset[Outcome]]] = {
    Outcome.SUCCEEDED: frozenset({Outcome.SUCCEEDED}),
    Outcome.PENDING: frozenset({Outcome.PENDING}),
    Outcome.FAILED: frozenset({Outcome.FAILED}),
    Outcome.CANCELLED: frozenset({Outcome.CANCELLED, Outcome.FAILED}),
    Outcome.REFUNDED: frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED}),
    Outcome.CHARGED_BACK: frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED}),
}


def long_status(text: str | None) -> Status | None:
    """Look up a long status, trimmed and without case; ``None`` for an unknown one."""
    return LONG.get(text.strip().casefold()) if text else None


def short_outcome(text: str | None) -> Outcome | None:
    """Return the outcome of a short status, ``None`` for an unknown or missing one."""
    return SHORT.get(text.strip().upper()) if text else None


def outcome_of(long: str | None, short: str | None) -> Outcome:
    """Read a payment's state from its two statuses.

    The long status decides. If only one is stated, it decides. If they contradict each other, or
    one is unknown and the other missing, the outcome is ``UNKNOWN``. A payment that waits for its
    capture or refund keeps ``Y`` on some hosts (our choice).
    """
    status, brief = long_status(long), short_outcome(short)
    if status is None:
        return brief if brief is not None and not (long and long.strip()) else Outcome.UNKNOWN
    if brief is None:
        return status.outcome if not (short and short.strip()) else Outcome.UNKNOWN
    if status.outcome is Outcome.PENDING and status.name in {
        "capturestarted",
        "markedforreversal",
        "cancelstarted",
    }:
        return Outcome.PENDING
    return status.outcome if brief in _AGREEING[status.outcome] else Outcome.UNKNOWN
