"""Which state may follow which (protocol section 8): one function for callbacks, inquiries and payout jobs alike.

A payment only moves forward. An older or lower status never overwrites a newer one; a refund or chargeback overrides a success,
nothing else does; a success after a failure, or a failure after a success, is a contradiction that a person must look at.
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
    """What a status means to a payment whose last one is known."""

    FORWARD = "it is news"
    REPEAT = "it was known"
    STALE = "it is older than what is known"
    CONTRADICTION = "both cannot be true"


#: Every move that a payment or payout makes, by long status in lower case. The statuses are documented; the moves follow from
#: their meanings and from section 8's rules (our choice). A step may be skipped: nobody promises to tell of each.
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

# Where only a short status is told, it stands for what it proves (our choice). A bare Y may be a hold or a
# capture, so whatever follows a hold may follow it: a capture, a cancellation, or the end of either.
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
# A bare Y after a bare C may be the hold that C ended, or a success after the payer's cancellation: a person must look.
_AMBIGUOUS: Final = ("c", "y")
# The ends without money. One after another is no news either, be it a decline after a cancellation.
_ENDS: Final = frozenset(
    {"n", "c", "failed", "authfailed", "payoutfailed", "cancelled", "authcancelled"}
)


def _reachable() -> dict[str, frozenset[str]]:
    """Return what may follow each state, in however many moves; a short status is where a way begins or ends, never a station."""
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


# What cannot be a status of a record of each kind. Short statuses are shared, except a payment's 3D.
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
    """Return the one word that a payment's state is kept by: the long status, else the short; ``None`` where neither is known."""
    status = long_status(long)
    if status is not None:
        return status.name.casefold()
    if long and long.strip():
        return None
    return short.strip().casefold() if short and short_outcome(short) is not None else None


def classify_transition(known: str | None, heard: str) -> Transition:
    """Tell what a state that was heard of means, given the last one.

    :param known: the last state that moved the payment forward; ``None`` where none is known.
    :param heard: a state as :func:`state_of` gives it.
    """
    if known is None:
        return Transition.FORWARD
    if known == heard or any(known in same and heard in same for same in _SAME):
        return Transition.REPEAT
    if heard in _FOLLOWING[known]:
        return Transition.FORWARD
    if known in _FOLLOWING[heard] and (known, heard) != _AMBIGUOUS:
        return Transition.STALE
    return Transition.REPEAT if known in _ENDS and heard in _ENDS else Transition.CONTRADICTION


def may_be_of(kind: Kind, long: str | None, short: str | None) -> bool:
    """Return whether a record with these statuses can be of a kind, by the table of moves.

    A status belongs to a kind if the kind's own first status can follow it, or it can follow that one. An unknown
    status, and a short one that both kinds share, says nothing against either.
    """
    leading = long or short
    return leading is None or leading.strip().casefold() not in _FOREIGN[kind]
