"""Sources of orders that are slow, broken or blocking, and their effect on other orders."""

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
async def test_chunks_precede_error_of_stream(source: Any) -> None:
    """Everything read before an error is yielded, in groups up to the limit; then it is raised."""
    given: list[list[PayoutOrder]] = []

    async def take() -> None:
        async for chunk in group_orders(source(), 256):
            given.append(chunk)  # noqa: PERF401 - a comprehension loses chunks before the error

    with pytest.raises(OSError, match="the disk is gone"):
        await take()
    assert [order for chunk in given for order in chunk] == ORDERS[:300]
    assert max(map(len, given)) == 256


async def test_chunks_do_not_wait_for_slow_stream() -> None:
    """An order that was read is yielded even if the next one never arrives."""
    silence = asyncio.Event()

    async def slow() -> AsyncIterator[PayoutOrder]:
        yield ORDERS[0]
        await silence.wait()

    groups = group_orders(slow(), 256)
    async with asyncio.timeout(20):
        assert await anext(groups) == ORDERS[:1]
    await groups.aclose()


async def test_read_in_thread_yields_everything_in_order() -> None:
    """All items arrive in order, however many there are."""
    assert [order async for order in read_in_thread(lambda: ORDERS)] == ORDERS


async def test_read_in_thread_never_blocks_the_loop() -> None:
    """While the thread is blocked, the event loop runs, and earlier items were yielded."""
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


async def test_read_in_thread_stops_when_left() -> None:
    """If the caller stops, the thread ends at its next item and closes its source."""
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
    # At most the read-ahead and the current chunk.
    assert reads <= 2 * 512 + 2
    gc.collect()
