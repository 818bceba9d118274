"""How fast payouts begin: at most so many a second, and not at all for a while after a run of failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from typing import Any, Final

from gatewaypy.config import check_number
from gatewaypy.errors import NotSent, OutcomeUnknown
from gatewaypy.imports import missing_extra

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_SHARES: Final = 10
_ERRNO: Final = re.compile(r"\[Errno (-?[0-9]+)\] ([^,;\]]*)")
_SHORTEST_HOLD: Final = 0.1

logger: Final = logging.getLogger("gatewaypy.payouts")


class Throttle:
    """Gives payouts their turn.

    :param per_second: how many turns a second has; ``None`` for no limit.
    :param failure_threshold: failures in a row after which nobody gets a turn for a while, twice as long each time until one succeeds.
    """

    def __init__(self, *, per_second: float | None, failure_threshold: int) -> None:
        """Begin without a pause."""
        self._limiter: Any = None if per_second is None else _limiter(per_second)
        self._pause_after = failure_threshold
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._until = 0.0
        self._is_failing = False
        self._stopped = asyncio.Event()

    async def turn(self) -> bool:
        """Wait for one's turn; false where there is none any more."""
        loop = asyncio.get_running_loop()
        while not self._stopped.is_set() and (rest := self._until - loop.time()) > 0:
            await self._sleep(rest)
        if self._limiter is not None and not self._stopped.is_set():
            # Whoever stops must not wait for the turns of all who wait: with one a second they may be many.
            turn = asyncio.ensure_future(self._limiter.acquire())
            stopped = asyncio.ensure_future(self._stopped.wait())
            await asyncio.wait({turn, stopped}, return_when=asyncio.FIRST_COMPLETED)
            turn.cancel()
            stopped.cancel()
        return not self._stopped.is_set()

    def failed(self, error: NotSent | OutcomeUnknown, tries: int = 0) -> None:
        """Count a failure; log the first since a success that nothing was sent for, and each pause.

        :param tries: how often this payout was tried before; what :meth:`rest` is given.
        """
        self._failures += 1
        wait, is_first = _rest_of(tries), isinstance(error, NotSent) and not self._is_failing
        self._is_failing = self._is_failing or is_first
        if self._failures >= self._pause_after:
            self._failures, wait, is_first = 0, self._pause, True
            self._until = asyncio.get_running_loop().time() + wait
            self._pause = min(wait * 2, _LONGEST_PAUSE)
        if is_first:
            logger.warning("%s; next try in %g s", failure_of(error), round(wait, 1))

    async def hold(self, seconds: float) -> None:
        """Give no turn for as long as the gateway asked, and wait for that."""
        until = asyncio.get_running_loop().time() + max(seconds, _SHORTEST_HOLD)
        if until > self._until + _SHORTEST_HOLD:
            logger.warning(
                "no payout begins for %.1f s: the gateway asked to wait (Retry-After)", seconds
            )
        self._until = max(self._until, until)
        await self._sleep(max(seconds, _SHORTEST_HOLD))

    def succeeded(self) -> None:
        """Forget the failures before."""
        self._failures, self._pause, self._is_failing = 0, _FIRST_PAUSE, False

    async def rest(self, attempt: int) -> None:
        """Wait before the same payout is begun once more."""
        await self._sleep(_rest_of(attempt))

    def stop(self) -> None:
        """Give no turn any more."""
        self._stopped.set()

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()


def _rest_of(attempt: int) -> float:
    return float(min(0.1 * 2**attempt, 5.0))


def failure_of(error: NotSent | OutcomeUnknown) -> str:
    """Describe why nothing moves, in an operator's words."""
    reason = error.reason.removeprefix("no token: ")
    if isinstance(error, OutcomeUnknown):
        return f"payouts get no plain answer: {reason}"
    if not reason.startswith("no connection"):
        return f"payouts are not sent: {reason}"
    found = _ERRNO.search(reason)
    if found is not None:
        # A resolver's errors are negative, and have no words of the system's.
        reason = (os.strerror(int(found[1])) if int(found[1]) > 0 else found[2]).lower()
    return f"gateway unreachable: {reason.removeprefix('no connection: ')}"


def _limiter(per_second: float) -> Any:  # noqa: ANN401 - an extra
    check_number("per_second", per_second, above=0)
    try:
        import aiolimiter  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("per_second", "payouts") from None
    # A tenth of a second's turns may come at once: a whole second's would be a burst that no gateway asked for.
    return aiolimiter.AsyncLimiter(
        max(per_second / _SHARES, 1.0), max(1.0 / _SHARES, 1.0 / per_second)
    )
