"""Which state may follow which, for callbacks, inquiries and payout jobs (protocol section 8).

A payment only moves forward. An older or lower status never overwrites a newer one. Only a refund
or a chargeback overrides a success. A success after a failure, or a failure after a success, is a
contradiction that a person must check.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from gatewaypy.protocol.statuses import long_status, short_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(enum.Enum):
    """What a record may be of: a payment (a debit or a preauthorization, whole) or a payout.

    The value is the status that only this kind passes through.
    """

    PAYMENT = "authstarted"
    PAYOUT = "payoutstarted"


class Transition(enum.Enum):
    """How a new status compares with the last known one."""

    FORWARD = "it is new"
    REPEAT = "it was known"
    STALE = "it is older than what is known"
    CONTRADICTION = "both cannot be true"


#: Every transition of a payment or payout, by long status in lower case. The statuses are
#: documented; the transitions follow from their meanings and from section 8's rules (our choice).
#: The gateway may skip steps.
PAYMENT_TRANSITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "begun": ("authstarted", "payoutstarted", "failed", "cancelled"),
    "authstarted": ("3d authstarted", "authsuccessful", "authfailed", "failed", "cancelled"),
    "3d authstarted": ("authsuccessful", "authfailed", "failed", "cancelled"),
    "authsuccessful": ("capturestarted", "cancelstarted"),
    "cancelstarted": ("authcancelled", "capturestarted"),
    "capturestarted": ("capturesuccess", "capturefailed"),
    "capturefailed": ("capturestarted", "cancelstarted"),
    "capturesuccess": ("settled", "markedforreversal", "chargeback"),
    "settled": ("markedforreversal", "chargeback"),
    "markedforreversal": ("reversed", "chargeback"),
    "reversed": ("chargeback",),
    "payoutstarted": ("payoutsuccessful", "payoutfailed", "failed"),
    "failed": (),
    "authfailed": (),
    "authcancelled": (),
    "cancelled": (),
    "chargeback": (),
    "payoutsuccessful": (),
    "payoutfailed": (),
}

# A short status alone stands for what it proves (our choice). A bare Y may be a hold or a
# capture, so every follower of a hold may follow it: a capture, a cancellation, or their ends.
_SHORT_MOVES: Final[Mapping[str, tuple[str, ...]]] = {
    "begun": ("p",),
    "p": ("authstarted", "payoutstarted", "n", "c"),
    "authstarted": ("3d", "n", "c"),
    "3d": (*PAYMENT_TRANSITIONS["3d authstarted"], "n", "c"),
    "3d authstarted": ("n", "c"),
    "payoutstarted": ("y", "n"),
    "authsuccessful": ("y", "c"),
    "cancelstarted": ("y", "c"),
    "capturestarted": ("y", "c"),
    "y": ("capturestarted", "capturesuccess", "cancelstarted", "c", "payoutsuccessful"),
    "n": (),
    "c": (),
}

# Two words for one state: the second adds nothing.
_SAME: Final = (
    frozenset({"3d", "3d authstarted"}),
    frozenset({"n", "failed", "authfailed", "payoutfailed"}),
)
# A bare Y after a bare C may be the hold that C ended, or a success after the payer's
# cancellation: a person must check.
_AMBIGUOUS: Final = ("c", "y")
# The ends without money. One after another changes nothing, such as a decline after a cancellation.
_ENDS: Final = frozenset(
    {"n", "c", "failed", "authfailed", "payoutfailed", "cancelled", "authcancelled"}
)


def _reachable() -> dict[str, frozenset[str]]:
    """Return what may follow each state in any number of steps.

    A short status is the first or the last state of such a path, never one in between.
    """
    moves = {
        state: {*PAYMENT_TRANSITIONS.get(state, ()), *_SHORT_MOVES.get(state, ())}
        for state in {*PAYMENT_TRANSITIONS, *_SHORT_MOVES}
    }
    following: dict[str, frozenset[str]] = {}
    for state, ahead in moves.items():
        found: set[str] = set()
        new = set(ahead)
        while new:
            found |= new
            new = {
                after
                for station in new
                if station in PAYMENT_TRANSITIONS
                for after in moves[station]
            } - found
        following[state] = frozenset(found)
    return following


_FOLLOWING: Final = _reachable()


# Statuses that a record of each kind cannot have. Both kinds share the short ones, except 3D.
_FOREIGN: Final[Mapping[Kind, frozenset[str]]] = {
    kind: frozenset(
        state
        for state in (*PAYMENT_TRANSITIONS, "3d")
        if state != kind.value
        and state not in _FOLLOWING[kind.value]
        and kind.value not in _FOLLOWING[state]
    )
    for kind in Kind
}


def state_of(long: str | None, short: str | None) -> str | None:
    """Return a payment's state: the long status, else the short; ``None`` if neither is known."""
    status = long_status(long)
    if status is not None:
        return status.name.casefold()
    if long and long.strip():
        return None
    return short.strip().casefold() if short and short_outcome(short) is not None else None


def classify_transition(known: str | None, state: str) -> Transition:
    """Return what a new state means, compared with the last one.

    Args:
        known: The last state that moved the payment forward; ``None`` if none is known.
        state: The new state, as `state_of` returns it.
    """
    if known is None:
        return Transition.FORWARD
    if known == state or any(known in same and state in same for same in _SAME):
        return Transition.REPEAT
    if state in _FOLLOWING[known]:
        return Transition.FORWARD
    if known in _FOLLOWING[state] and (known, state) != _AMBIGUOUS:
        return Transition.STALE
    return Transition.REPEAT if known in _ENDS and state in _ENDS else Transition.CONTRADICTION


def may_be_of(kind: Kind, long: str | None, short: str | None) -> bool:
    """Return whether a record with these statuses can be of a kind, by the table of moves.

    A status belongs to a kind if it can follow, or be followed by, the kind's own first status. An
    unknown status, and a short one that both kinds share, excludes neither.
    """
    leading = long or short
    return leading is None or leading.strip().casefold() not in _FOREIGN[kind]
