"""Delays between attempts, and a sleep that an event ends early."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from random import Random


@frozen
class Backoff:
    """Exponential backoff with an upper limit.

    Args:
        initial_delay: Delay after the first attempt, in seconds.
        max_delay: Upper limit of every delay, in seconds.
        factor: Each delay is this many times the previous one.
        jitter: Part of each delay that is random, 0 to 1. With 0.5 a delay is shortened by up to
            a half.

    Example:
        ``await asyncio.sleep(Backoff(0.1, 5.0).delay(attempt))``
    """

    initial_delay: float
    max_delay: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay(self, attempt: int, random: Random | None = None) -> float:
        """Return the delay after an attempt.

        Args:
            attempt: Number of the attempt, from 0.
            random: Source of the jitter. Without one the delay has no jitter.

        Returns:
            The delay in seconds.
        """
        try:
            delay = min(self.initial_delay * self.factor**attempt, self.max_delay)
        except OverflowError:
            delay = self.max_delay
        if random is None:
            return delay
        return delay * (1.0 - self.jitter * (1.0 - random.random()))


async def interruptible_sleep(event: asyncio.Event, delay: float) -> bool:
    """Sleep until an event is set, but not longer than a delay.

    Args:
        event: Ends the sleep.
        delay: Upper limit in seconds.

    Returns:
        True if the event is set.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(delay):
            await event.wait()
    return event.is_set()
