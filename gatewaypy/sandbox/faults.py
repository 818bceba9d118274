"""What can go wrong on the way to a gateway, as switches: one request at a time, or by a schedule."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from attrs import define, field

from gatewaypy.config import check_number

if TYPE_CHECKING:
    from random import Random


class FaultKind(enum.Enum):
    """A way of failing. "Before" and "after" say whether the request had been carried out."""

    RESET = "reset"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    HALF_REPLY = "half reply"
    GARBAGE = "garbage"
    EMPTY = "empty"
    HTML = "html"
    HUGE = "huge"
    SERVER_ERROR = "server error"
    STALL = "stall"
    TRICKLE = "trickle"
    REJECT_TOKEN = "reject token"  # noqa: S105 - no password
    EXPIRE_TOKENS = "expire tokens"
    REFUSE = "refuse"
    LATE_RECORD = "late record"
    ACCEPT_DUPLICATE = "accept duplicate"
    REFUSE_DUPLICATE = "refuse duplicate"

    @property
    def executes(self) -> bool:
        """Whether the request is carried out before its reply goes wrong."""
        return self not in {FaultKind.RESET, FaultKind.CUT_BEFORE, FaultKind.REJECT_TOKEN}

    @property
    def spoils_reply(self) -> bool:
        """Whether the reply goes wrong, and not only what is done or when."""
        return self not in {
            FaultKind.EXPIRE_TOKENS,
            FaultKind.REFUSE,
            FaultKind.LATE_RECORD,
            FaultKind.ACCEPT_DUPLICATE,
            FaultKind.REFUSE_DUPLICATE,
        }


@define
class Fault:
    """One switch.

    :param operation: only for this one (``"debit"``, ``"refund"``, ``"inquiry"``, ``"token"`` …); for all without it.
    :param times: how often it strikes; ``None`` for ever.
    :param probability: how likely it strikes a request that it could, from 0 to 1.
    :param after: how many requests it lets pass first.
    :param seconds: for ``refuse``, how long connections are refused once this request was answered; for ``late record``, how long
        an inquiry doesn't find what this request books.
    """

    kind: FaultKind
    operation: str | None = None
    times: int | None = 1
    probability: float = 1.0
    after: int = 0
    seconds: float = 1.0
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)


class Faults:
    """The switches that are on, in the order they were put on; the first that fits a request strikes it."""

    def __init__(self, random: Random) -> None:
        """Start with none.

        :param random: decides for switches with a probability; seed it, and a run can be repeated.
        """
        self._random = random
        self.switches: list[Fault] = []

    def add(
        self,
        kind: FaultKind | str,
        *,
        operation: str | None = None,
        times: int | None = 1,
        probability: float = 1.0,
        after: int = 0,
        seconds: float = 1.0,
    ) -> Fault:
        """Put a switch on and return it: its ``struck`` counts how often it struck."""
        if times is not None:
            check_number("times", times, least=1, is_whole=True)
        check_number("probability", probability, least=0, most=1)
        check_number("after", after, least=0, is_whole=True)
        check_number("seconds", seconds, least=0)
        fault = Fault(FaultKind(kind), operation, times, probability, after, seconds)
        self.switches.append(fault)
        return fault

    def clear(self) -> None:
        """Put every switch off."""
        self.switches.clear()

    def strike(self, operation: str) -> Fault | None:
        """Return the switch that strikes this request, if any does."""
        for fault in self.switches:
            if fault.operation not in {None, operation} or (
                fault.times is not None and fault.struck >= fault.times
            ):
                continue
            fault.seen += 1
            if fault.seen > fault.after and self._random.random() < fault.probability:
                fault.struck += 1
                return fault
        return None
