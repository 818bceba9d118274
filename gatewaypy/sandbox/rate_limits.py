"""Rate limits: requests above the limit in one second get 429 with ``Retry-After``."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The name that limits all requests together.
ALL: Final = "*"
_WINDOW: Final = 1.0
_BODY: Final = b'{"result": {"code": "20007", "description": "Too many requests"}}'


class RateLimits:
    """Counts requests by operation.

    A request above a limit is not executed, and does not count.

    Args:
        limits: The largest number of requests in one second, by operation name as in
            faults (``"payout"``, ``"inquiry"``, ``"token"``); ``"*"`` for all together.
        clock: A monotonic clock in seconds.
    """

    def __init__(self, limits: Mapping[str, int], clock: Callable[[], float]) -> None:
        """Start with no request counted."""
        self.limits = dict(limits)
        #: The number of refused requests by operation.
        self.refused: dict[str, int] = {}
        self._clock = clock
        self._times: dict[str, deque[float]] = {name: deque() for name in self.limits}

    def check(self, operation: str) -> Response | None:
        """Count a request.

        Args:
            operation: The name of its operation.

        Returns:
            The reply to a request above a limit; ``None`` if the request is within all limits.
        """
        now, names = self._clock(), [name for name in (ALL, operation) if name in self.limits]
        for name in names:
            times = self._times[name]
            while times and times[0] <= now - _WINDOW:
                times.popleft()
        if any(len(self._times[name]) >= self.limits[name] for name in names):
            self.refused[operation] = self.refused.get(operation, 0) + 1
            return Response(_BODY, 429, {"Retry-After": "1"}, media_type="application/json")
        for name in names:
            self._times[name].append(now)
        return None
