"""Orders in groups, from any iterable or stream: as many at a time as come together."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatewaypy.payouts.orders import PayoutOrder

_PATIENCE: Final = 0.05


async def chunks(
    orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder], most: int
) -> AsyncGenerator[list[PayoutOrder], None]:
    """Group orders, as many at a time as come together: a slow stream's are not kept waiting for others."""
    if isinstance(orders, AsyncIterable):
        async with contextlib.aclosing(_chunks_of_stream(orders, most)) as stream:
            async for chunk in stream:
                yield chunk
        return
    iterator = iter(orders)
    while chunk := list(itertools.islice(iterator, most)):
        yield chunk


async def _chunks_of_stream(orders: AsyncIterable[PayoutOrder], most: int) -> AsyncGenerator[list[PayoutOrder], None]:
    stream = aiter(orders)
    coming: asyncio.Future[PayoutOrder] | None = None
    chunk: list[PayoutOrder] = []
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(stream))
            done, _ = await asyncio.wait([coming], timeout=_PATIENCE if chunk else None)
            if done:
                try:
                    chunk.append(coming.result())
                except StopAsyncIteration:
                    break
                coming = None
            if len(chunk) == most or not done:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
    finally:
        if coming is not None:
            coming.cancel()
