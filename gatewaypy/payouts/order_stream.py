"""Orders in groups, from any iterable or stream: as many at a time as come together."""

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
    orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder], most: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    """Group orders, as many at a time as come together: a slow stream's are not kept waiting for others.

    What came before an error is given before the error is raised.
    """
    if isinstance(orders, AsyncIterable):
        async with contextlib.aclosing(_chunks_of_stream(orders, most)) as stream:
            async for group in stream:
                yield group
        return
    iterator, failure = iter(orders), None
    while failure is None:
        chunk: list[PayoutOrder] = []
        try:
            # What was read before an error stays in the list.
            chunk.extend(itertools.islice(iterator, most))
        except Exception as error:  # noqa: BLE001 - it is raised below
            failure = error
        if not chunk:
            break
        yield chunk
    if failure is not None:
        raise failure


async def _chunks_of_stream(
    orders: AsyncIterable[PayoutOrder], most: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    gathered: list[PayoutOrder] = []
    has_some, is_full, has_room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def gather() -> None:
        async for order in orders:
            gathered.append(order)
            has_some.set()
            if len(gathered) >= most:
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
    """Iterate in a thread of its own, so that what blocks it blocks neither the event loop nor the end of the process.

    A pipe whose writer pauses is read like this. At most 512 items are read ahead.

    Args:
        read: Called in the thread, for instance ``lambda: read_orders(path)``.

    Raises:
        Exception: What the iterable raised, after the items that came before.
    """
    handover: _Handover[T] = _Handover(asyncio.get_running_loop())
    # A thread that waits for a pipe cannot be woken; the interpreter does not wait for a daemon.
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
    """Items on their way from a thread to the event loop."""

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
        """Run in the thread: read until the end, or until nobody takes any more."""
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
        """Wait for items; return them, and whether they are the last."""
        await self._arrived.wait()
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._arrived.clear()
            self._is_notified = False
            self._changed.notify()
            return items, self._is_over

    def abandon(self) -> None:
        """Let the thread end, as soon as it has its next item."""
        with self._changed:
            self._is_abandoned = True
            self._items.clear()
            self._changed.notify()
