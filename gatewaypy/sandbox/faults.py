"""The faults that the sandbox simulates, for single requests or by a schedule."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from attrs import define, field

from gatewaypy.config import check_number

if TYPE_CHECKING:
    from random import Random


class FaultKind(enum.Enum):
    """A kind of failure. "Before" and "after" refer to the execution of the request."""

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
    REJECT_TOKEN = "reject token"  # noqa: S105 - not a password
    EXPIRE_TOKENS = "expire tokens"
    REFUSE = "refuse"
    LATE_RECORD = "late record"
    ACCEPT_DUPLICATE = "accept duplicate"
    REFUSE_DUPLICATE = "refuse duplicate"

    @property
    def executes(self) -> bool:
        """Whether the request is executed before its reply fails."""
        return self not in {FaultKind.RESET, FaultKind.CUT_BEFORE, FaultKind.REJECT_TOKEN}

    @property
    def spoils_reply(self) -> bool:
        """Whether the reply itself fails, and not only the execution or its time."""
        return self not in {
            FaultKind.EXPIRE_TOKENS,
            FaultKind.REFUSE,
            FaultKind.LATE_RECORD,
            FaultKind.ACCEPT_DUPLICATE,
            FaultKind.REFUSE_DUPLICATE,
        }


@define
class Fault:
    """One active fault.

    Args:
        kind: The kind of failure.
        operation: The operation that it applies to (``"debit"``, ``"refund"``, ``"inquiry"``,
            ``"token"`` …). ``None`` means all operations.
        times: How many requests it is applied to. ``None`` means no limit.
        probability: The probability that it is applied to a matching request, from 0 to 1.
        after: How many matching requests pass first.
        seconds: For ``refuse``: how long connections are refused after the reply. For
            ``late record``: how long inquiries do not find the record of this request.
    """

    kind: FaultKind
    operation: str | None = None
    times: int | None = 1
    probability: float = 1.0
    after: int = 0
    seconds: float = 1.0
    seen: int = field(default=0, init=False)
    applied: int = field(default=0, init=False)


class Faults:
    """The active faults in the order of their addition. The first match applies to a request.

    Args:
        random: Decides on faults with a probability. With a seed, a run can be repeated.
    """

    def __init__(self, random: Random) -> None:
        """Start without faults."""
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
        """Add a fault.

        Args:
            kind: The kind of failure, or its value, such as ``"cut after"``.
            operation: The operation that it applies to. ``None`` means all operations.
            times: How many requests it is applied to, at least 1. ``None`` means no limit.
            probability: The probability that it is applied to a matching request, from 0 to 1.
            after: How many matching requests pass first.
            seconds: Duration for ``refuse`` and ``late record``. See `Fault`.

        Returns:
            The fault. Its ``applied`` counts the requests that it was applied to.

        Raises:
            ConfigurationError: A number is out of its range.
            ValueError: The kind is unknown.
        """
        if times is not None:
            check_number("times", times, least=1, is_whole=True)
        check_number("probability", probability, least=0, most=1)
        check_number("after", after, least=0, is_whole=True)
        check_number("seconds", seconds, least=0)
        fault = Fault(FaultKind(kind), operation, times, probability, after, seconds)
        self.switches.append(fault)
        return fault

    def clear(self) -> None:
        """Remove every fault."""
        self.switches.clear()

    def next_fault(self, operation: str) -> Fault | None:
        """Select the fault that applies to a request, and count it.

        Args:
            operation: The name of the request's operation.

        Returns:
            The fault; ``None`` if no fault applies.
        """
        for fault in self.switches:
            if fault.operation not in {None, operation} or (
                fault.times is not None and fault.applied >= fault.times
            ):
                continue
            fault.seen += 1
            if fault.seen > fault.after and self._random.random() < fault.probability:
                fault.applied += 1
                return fault
        return None
