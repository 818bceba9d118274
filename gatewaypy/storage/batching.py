"""Batching: calls that arrive while a call is in progress go to the store as one statement."""

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
    """A function that executes many calls as one.

    Args:
        act: Executes items with different keys, and returns an answer for each. If it raises an
            exception, the callers of all these items receive it.
        key: Returns the key of an item. Two items with the same key are not in one batch.
    """

    _act: Callable[[list[Item]], Awaitable[list[Answer]]]
    _key: Callable[[Item], Hashable]
    _waiting: list[tuple[Item, asyncio.Future[Answer]]] = field(factory=list, init=False)
    _acting: asyncio.Task[None] | None = field(default=None, init=False)

    async def __call__(self, item: Item) -> Answer:
        """Execute an item together with the other waiting items.

        Args:
            item: The item.

        Returns:
            The answer for this item.

        Raises:
            StoreUnavailableError: The task that executes the items has ended.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if self._acting is not None and self._acting.get_loop() is not loop:
            # Its loop ended before it did, so its callers do not wait any more.
            self._acting, self._waiting = None, []
        self._waiting.append((item, future))
        if self._acting is None:
            # The task serves other callers too, and can outlive this one: it does not inherit its
            # context.
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
                # Items are left only after a cancellation, or a BaseException from `act`.
                left, self._waiting = [*chosen, *self._waiting], []
                for _, future in left:
                    if not future.done():
                        future.set_exception(StoreUnavailableError(ENDED))

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """Take the next batch in order of arrival; a repeated key waits for a later batch."""
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
        except Exception as error:  # noqa: BLE001 - the callers receive it
            for _, future in chosen:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(chosen, answers, strict=True):
            if not future.done():
                future.set_result(answer)
