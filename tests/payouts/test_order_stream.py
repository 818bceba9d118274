"""Orders on their way into a job: what a slow, a broken or a blocking source of them does to the others."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import Customer, Money
from gatewaypy.payouts import PayoutOrder, read_in_thread
from gatewaypy.payouts.order_stream import group_orders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ORDERS = [
    PayoutOrder(
        merchant_transaction_id=f"P-{number}", amount=Money("5.00", "EUR"), customer=Customer("Ada")
    )
    for number in range(700)
]


def breaking() -> Iterator[PayoutOrder]:
    yield from ORDERS[:300]
    raise OSError("the disk is gone")


async def stream() -> AsyncIterator[PayoutOrder]:
    for order in breaking():
        yield order


@pytest.mark.parametrize(
    "source",
    [breaking, stream, lambda: read_in_thread(breaking)],
    ids=["iterator", "stream", "thread"],
)
async def test_chunks_come_before_the_error_that_follows_them(source: Any) -> None:
    """What was read before an error is given, all of it, in groups of at most so many; then the error is raised."""
    given: list[list[PayoutOrder]] = []

    async def take() -> None:
        async for chunk in group_orders(source(), 256):
            given.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before the error

    with pytest.raises(OSError, match="the disk is gone"):
        await take()
    assert [order for chunk in given for order in chunk] == ORDERS[:300]
    assert max(map(len, given)) == 256


async def test_chunks_do_not_wait_for_a_slow_stream() -> None:
    """An order that came is given, though the next one never comes."""
    silence = asyncio.Event()

    async def slow() -> AsyncIterator[PayoutOrder]:
        yield ORDERS[0]
        await silence.wait()

    groups = group_orders(slow(), 256)
    async with asyncio.timeout(20):
        assert await anext(groups) == ORDERS[:1]
    await groups.aclose()


async def test_read_in_thread_gives_everything_in_order() -> None:
    """All items come through, in their order, however many they are."""
    assert [order async for order in read_in_thread(lambda: ORDERS)] == ORDERS


async def test_read_in_thread_blocks_nothing_while_it_waits() -> None:
    """While the thread is blocked, the event loop runs on, and what came before was given."""
    may_go_on = threading.Event()

    def blocked() -> Iterator[int]:
        yield 1
        assert may_go_on.wait(20)
        yield 2

    numbers = read_in_thread(blocked)
    assert await anext(numbers) == 1
    second = asyncio.ensure_future(anext(numbers))
    await asyncio.sleep(0)
    may_go_on.set()
    assert await second == 2
    await numbers.aclose()


async def test_read_in_thread_reads_no_further_once_left() -> None:
    """Who stops taking items ends the thread at its next item, and closes what it read."""
    closed, reads = threading.Event(), 0

    def endless() -> Iterator[int]:
        nonlocal reads
        try:
            while True:
                reads += 1
                yield reads
        finally:
            closed.set()

    numbers = read_in_thread(endless)
    assert await anext(numbers) == 1
    await numbers.aclose()
    assert await asyncio.to_thread(closed.wait, 20)
    # At most what may be read ahead, and what was taken at once.
    assert reads <= 2 * 512 + 2
    gc.collect()
