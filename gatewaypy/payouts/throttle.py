"""How fast payouts begin: a rate limit, and pauses after several failures in a row."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from typing import Any, Final

from gatewaypy.backoff import Backoff, interruptible_sleep
from gatewaypy.config import check_number
from gatewaypy.errors import NotSent, OutcomeUnknown
from gatewaypy.imports import missing_extra

_PAUSE: Final = Backoff(0.5, 30.0)
_RETRY: Final = Backoff(0.1, 5.0)
_BURSTS_PER_SECOND: Final = 10
_ERRNO: Final = re.compile(r"\[Errno (-?[0-9]+)\] ([^,;\]]*)")
_MIN_HOLD: Final = 0.1

logger: Final = logging.getLogger("gatewaypy.payouts")


class Throttle:
    """Limits how fast payouts begin.

    Args:
        per_second: How many payouts may begin in a second; None for no limit.
        failure_threshold: Failures in a row after which no payout begins for a while. Each pause
            is twice as long as the previous one, until a payout succeeds.
    """

    def __init__(self, *, per_second: float | None, failure_threshold: int) -> None:
        """Start without a pause."""
        self._limiter: Any = None if per_second is None else _limiter(per_second)
        self._failure_threshold = failure_threshold
        self._failures = 0
        self._pauses = 0
        self._paused_until = 0.0
        self._is_failing = False
        self._stopped = asyncio.Event()

    async def acquire(self) -> bool:
        """Wait until one more payout may begin.

        Returns:
            False if the throttle was stopped.
        """
        loop = asyncio.get_running_loop()
        while not self._stopped.is_set() and (delay := self._paused_until - loop.time()) > 0:
            await interruptible_sleep(self._stopped, delay)
        if self._limiter is not None and not self._stopped.is_set():
            # A stop does not wait for the limiter: with one payout a second its queue may be long.
            turn = asyncio.ensure_future(self._limiter.acquire())
            stopped = asyncio.ensure_future(self._stopped.wait())
            await asyncio.wait({turn, stopped}, return_when=asyncio.FIRST_COMPLETED)
            turn.cancel()
            stopped.cancel()
        return not self._stopped.is_set()

    def failed(self, error: NotSent | OutcomeUnknown, attempt: int = 0) -> None:
        """Count a failure.

        The first failure since a success is logged if nothing was sent; so is each pause.

        Args:
            error: The failure.
            attempt: Number of the attempt, from 0; see :meth:`wait_before_retry`.
        """
        self._failures += 1
        delay = _RETRY.delay(attempt)
        is_logged = isinstance(error, NotSent) and not self._is_failing
        self._is_failing = self._is_failing or is_logged
        if self._failures >= self._failure_threshold:
            delay, is_logged = _PAUSE.delay(self._pauses), True
            self._failures, self._pauses = 0, self._pauses + 1
            self._paused_until = asyncio.get_running_loop().time() + delay
        if is_logged:
            logger.warning("%s; next try in %g s", failure_of(error), round(delay, 1))

    async def hold(self, delay: float) -> None:
        """Pause for as long as the gateway asks (Retry-After), in seconds, and wait for that."""
        delay_until = asyncio.get_running_loop().time() + max(delay, _MIN_HOLD)
        if delay_until > self._paused_until + _MIN_HOLD:
            logger.warning(
                "no payout begins for %.1f s: the gateway asked to wait (Retry-After)", delay
            )
        self._paused_until = max(self._paused_until, delay_until)
        await interruptible_sleep(self._stopped, max(delay, _MIN_HOLD))

    def succeeded(self) -> None:
        """Reset the failures and pauses."""
        self._failures, self._pauses, self._is_failing = 0, 0, False

    async def wait_before_retry(self, attempt: int) -> None:
        """Wait before the same payout is sent again.

        Args:
            attempt: Number of the attempt that failed, from 0.
        """
        await interruptible_sleep(self._stopped, _RETRY.delay(attempt))

    def stop(self) -> None:
        """Let no payout begin any more."""
        self._stopped.set()


def failure_of(error: NotSent | OutcomeUnknown) -> str:
    """Describe a failure for an operator."""
    reason = error.reason.removeprefix("no token: ")
    if isinstance(error, OutcomeUnknown):
        return f"payouts get no usable answer: {reason}"
    if not reason.startswith("no connection"):
        return f"payouts are not sent: {reason}"
    found = _ERRNO.search(reason)
    if found is not None:
        # A resolver's error numbers are negative, and the system has no text for them.
        reason = (os.strerror(int(found[1])) if int(found[1]) > 0 else found[2]).lower()
    return f"gateway unreachable: {reason.removeprefix('no connection: ')}"


def _limiter(per_second: float) -> Any:  # noqa: ANN401 - an extra
    check_number("per_second", per_second, above=0)
    try:
        import aiolimiter  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("per_second", "payouts") from None
    # At most a tenth of a second's payouts begin at once: a rate of 100 has no burst of 100.
    return aiolimiter.AsyncLimiter(
        max(per_second / _BURSTS_PER_SECOND, 1.0), max(1.0 / _BURSTS_PER_SECOND, 1.0 / per_second)
    )
