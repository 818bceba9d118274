"""Orders in groups, from any iterable or async iterable."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.payouts.orders import PayoutOrder

T = TypeVar("T")

_GROUPING_DELAY: Final = 0.05
_MAX_READ_AHEAD: Final = 512


async def group_orders(
    orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder], limit: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    """Group orders. The orders of a slow stream wait at most 50 ms for others.

    Args:
        orders: The orders.
        limit: Maximum number of orders of a group.

    Raises:
        Exception: The error of the orders, after the groups before it.
    """
    if isinstance(orders, AsyncIterable):
        async with contextlib.aclosing(_group_stream(orders, limit)) as stream:
            async for group in stream:
                yield group
        return
    iterator, failure = iter(orders), None
    while failure is None:
        chunk: list[PayoutOrder] = []
        try:
            # The orders that were read before an error stay in the list.
            chunk.extend(itertools.islice(iterator, limit))
        except Exception as error:  # noqa: BLE001 - it is raised below
            failure = error
        if not chunk:
            break
        yield chunk
    if failure is not None:
        raise failure


async def _group_stream(
    orders: AsyncIterable[PayoutOrder], limit: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    gathered: list[PayoutOrder] = []
    has_some, is_full, has_room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def gather() -> None:
        async for order in orders:
            gathered.append(order)
            has_some.set()
            if len(gathered) >= limit:
                has_room.clear()
                is_full.set()
                await has_room.wait()

    def end(_: object) -> None:
        has_some.set()
        is_full.set()

    reading = asyncio.ensure_future(gather())
    reading.add_done_callback(end)
    try:
        while not reading.done() or gathered:
            await has_some.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GROUPING_DELAY):
                    await is_full.wait()
            chunk, gathered[:] = gathered[:], []
            if not reading.done():
                has_some.clear()
                is_full.clear()
                has_room.set()
            if chunk:
                yield chunk
        reading.result()
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def read_in_thread(read: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
    """Iterate in a separate thread, so that a slow source does not block the event loop.

    Use it to read a pipe. The end of the process does not wait for the thread. At most 512 items
    are read ahead.

    Args:
        read: Called in the thread, for instance ``lambda: read_orders(path)``.

    Raises:
        Exception: The error of the iterable, after the items before it.
    """
    handover: _Handover[T] = _Handover(asyncio.get_running_loop())
    # A thread that waits for a pipe cannot be stopped. The interpreter does not wait for a daemon.
    threading.Thread(target=handover.fill, args=(read,), daemon=True, name="gatewaypy-read").start()
    try:
        while True:
            items, is_over = await handover.take()
            for item in items:
                yield item
            if is_over:
                break
        if handover.failure is not None:
            raise handover.failure
    finally:
        handover.abandon()


class _Handover(Generic[T]):
    """Items that a thread passes to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.failure: Exception | None = None
        self._loop = loop
        self._changed = threading.Condition()
        self._arrived = asyncio.Event()
        self._items: deque[T] = deque()
        self._is_notified = False
        self._is_over = False
        self._is_abandoned = False

    def fill(self, read: Callable[[], Iterable[T]]) -> None:
        """Run in the thread: read until the end, or until the consumer stops."""
        iterable: Iterable[T] = ()
        try:
            iterable = read()
            for item in iterable:
                if not self._put(item):
                    break
        except Exception as error:  # noqa: BLE001 - it is raised in the event loop
            self.failure = error
        finally:
            if (close := getattr(iterable, "close", None)) is not None:
                with contextlib.suppress(Exception):
                    close()
            with self._changed:
                self._is_over = True
                self._notify()

    def _put(self, item: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < _MAX_READ_AHEAD or self._is_abandoned)
            if not self._is_abandoned:
                self._items.append(item)
                self._notify()
            return not self._is_abandoned

    def _notify(self) -> None:
        if self._is_notified or self._is_abandoned:
            return
        self._is_notified = True
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            # The loop is closed.
            self._is_abandoned = True

    async def take(self) -> tuple[list[T], bool]:
        """Wait for items; return them, and True if they are the last."""
        await self._arrived.wait()
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._arrived.clear()
            self._is_notified = False
            self._changed.notify()
            return items, self._is_over

    def abandon(self) -> None:
        """Let the thread end once it has its next item."""
        with self._changed:
            self._is_abandoned = True
            self._items.clear()
            self._changed.notify()
