"""Calls that come while others of their kind are under way go to the store together, as one statement."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from attrs import define, field

from gatewaypy.storage.base import ENDED, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MOST_AT_ONCE: Final = 512


@define(eq=False)
class Batcher(Generic[Item, Answer]):
    """Carries out many calls as one.

    :param act: carries out items, no two of which have the same key, and returns an answer for each; what it raises, the callers
        of all of them hear.
    :param key: what two items that must not go together have in common.
    """

    _act: Callable[[list[Item]], Awaitable[list[Answer]]]
    _key: Callable[[Item], Hashable]
    _waiting: list[tuple[Item, asyncio.Future[Answer]]] = field(factory=list, init=False)
    _acting: asyncio.Task[None] | None = field(default=None, init=False)

    async def __call__(self, item: Item) -> Answer:
        """Carry one out with whatever else waits; return its answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if self._acting is not None and self._acting.get_loop() is not loop:
            # Its loop ended under it, and whoever waited there is gone.
            self._acting, self._waiting = None, []
        self._waiting.append((item, future))
        if self._acting is None:
            # It serves other callers too, and may outlive this one.
            self._acting = loop.create_task(self._go(), context=Context())
        return await future

    async def _go(self) -> None:
        own, chosen = asyncio.current_task(), self._next()
        try:
            while chosen:
                await self._carry_out(chosen)
                chosen = self._next()
        finally:
            if self._acting is own:
                self._acting = None
                # Some are left only where this task was cancelled, or met what is not an Exception.
                left, self._waiting = [*chosen, *self._waiting], []
                for _, future in left:
                    if not future.done():
                        future.set_exception(StoreUnavailableError(ENDED))

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """Take what may go together, in the order in which it came; what comes second with its key waits for the next time."""
        waiting, self._waiting = self._waiting, []
        chosen: list[tuple[Item, asyncio.Future[Answer]]] = []
        keys: set[Hashable] = set()
        for item, future in waiting:
            key = self._key(item)
            if key in keys or len(chosen) == _MOST_AT_ONCE:
                self._waiting.append((item, future))
            else:
                keys.add(key)
                chosen.append((item, future))
        return chosen

    async def _carry_out(self, chosen: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._act([item for item, _ in chosen])
        except Exception as error:  # noqa: BLE001 - the callers hear of it
            for _, future in chosen:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(chosen, answers, strict=True):
            if not future.done():
                future.set_result(answer)
