"""A limit for log lines that any sender can cause."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

logger: Final = logging.getLogger("gatewaypy.callbacks")

_MAX_REASONS: Final = 64
_OTHER: Final = "other"


@define(eq=False)
class RepeatedLog:
    """A log with at most one warning for each reason in ``period`` seconds.

    The next warning has the count of those that were left out.

    Args:
        clock: A monotonic clock, in seconds.
        period: Seconds between two lines of one reason.
    """

    clock: Callable[[], float]
    period: float = 10.0
    _reasons: dict[str, tuple[float, int]] = field(factory=dict, init=False)

    def warn(self, reason: str, message: str) -> None:
        """Log a message, unless one with the same reason was logged just now."""
        if reason not in self._reasons and len(self._reasons) >= _MAX_REASONS:
            reason = _OTHER
        now = self.clock()
        next_at, left_out = self._reasons.get(reason, (now, 0))
        if now < next_at:
            self._reasons[reason] = (next_at, left_out + 1)
            return
        self._reasons[reason] = (now + self.period, 0)
        logger.warning(
            "%s%s", message, f" ({left_out} more like it since the last line)" if left_out else ""
        )

    def flush(self) -> None:
        """Log the counts that are left."""
        for reason, (_, left_out) in self._reasons.items():
            if left_out:
                logger.warning("%s: %d more", reason, left_out)
        self._reasons.clear()
