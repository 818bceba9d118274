"""How fast payouts begin: at most so many a second, and not at all for a while after a run of failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from gatewaypy.config import check_number
from gatewaypy.errors import ConfigurationError

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_SHARES: Final = 10
_SHORTEST_HOLD: Final = 0.1

logger: Final = logging.getLogger("gatewaypy.payouts")


class Pace:
    """Gives payouts their turn.

    :param per_second: how many turns a second has; ``None`` for no limit.
    :param pause_after: failures in a row after which nobody gets a turn for a while, twice as long each time until one succeeds.
    """

    def __init__(self, *, per_second: float | None, pause_after: int) -> None:
        """Begin without a pause."""
        self._limiter: Any = None if per_second is None else _limiter(per_second)
        self._pause_after = pause_after
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._until = 0.0
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

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures >= self._pause_after:
            self._failures = 0
            self._until = asyncio.get_running_loop().time() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def hold(self, seconds: float) -> None:
        """Give no turn for as long as the gateway asked, and wait for that."""
        until = asyncio.get_running_loop().time() + max(seconds, _SHORTEST_HOLD)
        if until > self._until + _SHORTEST_HOLD:
            logger.warning("no payout begins for %.1f s: the gateway asked to wait (Retry-After)", seconds)
        self._until = max(self._until, until)
        await self._sleep(max(seconds, _SHORTEST_HOLD))

    def succeeded(self) -> None:
        """Forget the failures before."""
        self._failures, self._pause = 0, _FIRST_PAUSE

    async def rest(self, attempt: int) -> None:
        """Wait before the same payout is begun once more."""
        await self._sleep(min(0.1 * 2**attempt, 5.0))

    def stop(self) -> None:
        """Give no turn any more."""
        self._stopped.set()

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()


def _limiter(per_second: float) -> Any:  # noqa: ANN401 - an extra
    check_number("per_second", per_second, above=0)
    try:
        import aiolimiter  # noqa: PLC0415 - an extra
    except ImportError:
        msg = "a rate per second needs the extra: pip install 'gatewaypy[payouts]'"
        raise ConfigurationError(msg) from None
    # A tenth of a second's turns may come at once: a whole second's would be a burst that no gateway asked for.
    return aiolimiter.AsyncLimiter(max(per_second / _SHARES, 1.0), max(1.0 / _SHARES, 1.0 / per_second))
