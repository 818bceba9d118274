"""Limits the calls in flight. If a caller is cancelled, the task of its call continues."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class ClosedError(Exception):
    """The slots were closed."""


class Slots:
    """A fixed number of slots for one task each. Callers get them in the order of their calls."""

    def __init__(self, places: int, loop: asyncio.AbstractEventLoop) -> None:
        """Make ``places`` slots on an event loop."""
        self._loop = loop
        self._places = asyncio.Semaphore(places)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def acquire(self, deadline: float) -> None:
        """Wait for a slot. The caller must call `run` before its next ``await``.

        Args:
            deadline: Time on the event loop's clock at which the wait ends.

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
        """Run work in a task that uses an acquired slot. The slot is released when the task ends.

        Args:
            work: What the task does.
            ended: Called with the task when it has ended.
        """
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, ended))
        return task

    def _finished(self, ended: Callable[[asyncio.Task[T]], None], task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        self._places.release()
        ended(task)

    async def drain(self, seconds: float) -> None:
        """Close the slots and wait for the tasks. After ``seconds``, cancel the remaining tasks."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
