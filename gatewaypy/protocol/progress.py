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


class Step(enum.Enum):
    """What a status means to a payment whose last one is known."""

    FORWARD = "it is news"
    REPEAT = "it was known"
    STALE = "it is older than what is known"
    CONTRADICTION = "both cannot be true"


#: The way of a payment and of a payout; the further, the higher. The short statuses stand for what they prove: a bare ``Y``
#: may be an authorisation or a capture, so either may still follow (our choice).
_WAY: Final[Mapping[str, int]] = {
    "begun": 0,
    "p": 1,
    "authstarted": 2,
    "payoutstarted": 2,
    "3d": 3,
    "3d authstarted": 3,
    "authsuccessful": 10,
    "cancelstarted": 11,
    "capturestarted": 12,
    "y": 15,
    "capturesuccess": 20,
    "payoutsuccessful": 20,
    "settled": 21,
    "markedforreversal": 30,
    "reversed": 31,
    "chargeback": 32,
}

#: Ends without money, and how far a payment may have come to meet each.
_ENDS: Final[Mapping[str, int]] = {
    "n": 9,
    "c": 12,
    "failed": 9,
    "authfailed": 9,
    "payoutfailed": 9,
    "cancelled": 9,
    "authcancelled": 12,
    "capturefailed": 12,
}

# From here on money has moved.
_MOVED: Final = 15


def state_of(long: str | None, short: str | None) -> str | None:
    """Return the one word that a payment's state is kept by: the long status, else the short; ``None`` where neither is known."""
    status = long_status(long)
    if status is not None:
        return status.name.casefold()
    if long and long.strip():
        return None
    return short.strip().casefold() if short and short_outcome(short) is not None else None


def step(known: str | None, heard: str) -> Step:
    """Tell what a state that was heard of means, given the last one.

    :param known: the last state that moved the payment forward; ``None`` where none is known.
    :param heard: a state as :func:`state_of` gives it.
    """
    if known is None:
        return Step.FORWARD
    if known == heard:
        return Step.REPEAT
    if known in _ENDS:
        return _after_end(known, heard)
    if heard in _ENDS:
        return Step.FORWARD if _WAY[known] <= _ENDS[heard] else Step.CONTRADICTION
    if _WAY[heard] == _WAY[known]:
        return Step.REPEAT
    return Step.FORWARD if _WAY[heard] > _WAY[known] else Step.STALE


def _after_end(known: str, heard: str) -> Step:
    if heard in _ENDS:
        # Two words for an end without money, such as N and authfailed: the second adds nothing.
        return Step.REPEAT
    if known == "capturefailed" and _WAY[heard] >= _WAY["capturestarted"]:
        # A capture may be tried again.
        return Step.FORWARD
    return Step.CONTRADICTION if _WAY[heard] >= _MOVED else Step.STALE
