"""How many calls are on the wire at once, and the tasks that carry them: a sent request outlives a cancelled caller."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class ClosedError(Exception):
    """No place is given out any more."""


class Slots:
    """A fixed number of places on the wire, given out first come, first served, each to a task of its own."""

    def __init__(self, places: int, loop: asyncio.AbstractEventLoop) -> None:
        """Make that many places on an event loop."""
        self._loop = loop
        self._places = asyncio.Semaphore(places)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def acquire(self, deadline: float) -> None:
        """Wait for a slot. The caller must pass it on with `run` before it awaits anything else.

        Args:
            deadline: Latest time of the loop.

        Raises:
            ClosedError: The slots were closed, before or during the wait.
            TimeoutError: No slot was free before the deadline.
        """
        if self._places.locked():
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        else:
            await self._places.acquire()
        if self._closed:
            self._places.release()
            raise ClosedError

    def run(
        self, work: Coroutine[Any, Any, T], *, ended: Callable[[asyncio.Task[T]], None]
    ) -> asyncio.Task[T]:
        """Run work in a task of its own on an acquired place, which is free again when the work ends."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, ended))
        return task

    def _finished(self, ended: Callable[[asyncio.Task[T]], None], task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        self._places.release()
        ended(task)

    async def drain(self, seconds: float) -> None:
        """Give no place out any more, and let the work under way end; what takes longer than that is cancelled, and ends then."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
