"""Delays between attempts, and a sleep that an event ends early."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gatewaypy.backoff import Backoff, interruptible_sleep


def test_backoff_delays_grow_up_to_the_limit() -> None:
    """Each delay is `factor` times the previous one, and never above `max_delay`."""
    backoff = Backoff(initial_delay=0.5, max_delay=3.0)
    assert [backoff.delay(attempt) for attempt in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_backoff_factor_sets_the_growth() -> None:
    """A factor of 1.5 makes each delay half as long again."""
    backoff = Backoff(0.02, 1.0, factor=1.5)
    assert [backoff.delay(attempt) for attempt in range(3)] == pytest.approx([0.02, 0.03, 0.045])


@pytest.mark.parametrize("attempt", [1_000, 100_000])
def test_backoff_many_attempts_give_the_limit(attempt: int) -> None:
    """A power that overflows a float is the upper limit."""
    assert Backoff(1.0, 3600.0).delay(attempt) == 3600.0


def test_backoff_initial_delay_above_limit_is_cut() -> None:
    """The limit holds for the first delay too."""
    assert Backoff(10.0, 4.0).delay(0) == 4.0


def test_backoff_jitter_shortens_by_its_part_at_most() -> None:
    """With a jitter of 0.5, delays spread from a half to the whole."""
    backoff, random = Backoff(2.0, 8.0, jitter=0.5), Random(7)
    delays = [backoff.delay(1, random) for _ in range(500)]
    assert 2.0 <= min(delays) < 2.1
    assert 3.9 < max(delays) <= 4.0


def test_backoff_without_random_has_no_jitter() -> None:
    """The jitter needs a source of random numbers."""
    assert Backoff(2.0, 8.0, jitter=0.5).delay(1) == 4.0


async def test_interruptible_sleep_ends_with_the_event() -> None:
    """An event that is set ends a long sleep."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await asyncio.wait_for(interruptible_sleep(event, 60.0), 5.0)


@pytest.mark.parametrize("delay", [-1.0, 0.0, 0.001])
async def test_interruptible_sleep_ends_with_the_delay(delay: float) -> None:
    """Without the event the sleep ends after the delay."""
    assert not await asyncio.wait_for(interruptible_sleep(asyncio.Event(), delay), 5.0)


async def test_interruptible_sleep_passes_cancellation_on() -> None:
    """A cancelled sleep raises `CancelledError`."""
    task = asyncio.ensure_future(interruptible_sleep(asyncio.Event(), 60.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
