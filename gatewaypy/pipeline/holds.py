"""Delays that the gateway asked for: no request of a kind is sent before its hold ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field

from gatewaypy.protocol.retry_after import read_delay

if TYPE_CHECKING:
    from random import Random

    from gatewaypy.protocol.operation_types import ReplyKind
    from gatewaypy.protocol.wire import WireReply


@define(eq=False)
class Holds:
    """Until when the gateway asked not to be called, by kind of reply.

    Args:
        loop: Its time is the clock.
        random: Spreads the requests that wait.
        until: The end of each hold, in the loop's time.
    """

    loop: asyncio.AbstractEventLoop
    random: Random
    until: dict[ReplyKind, float] = field(factory=dict)

    def add(self, kind: ReplyKind, answer: WireReply, *, now: float) -> None:
        """Hold requests of a kind for as long as a reply asks; a longer hold stays.

        Args:
            kind: The kind of reply.
            answer: A reply of this kind.
            now: The wall clock, in seconds since the epoch.
        """
        delay = read_delay(answer, now=now)
        if delay is not None:
            self.until[kind] = max(self.until.get(kind, 0.0), self.loop.time() + delay)

    def is_held(self, kind: ReplyKind, at: float) -> bool:
        """Return whether a kind is held at a time of the loop."""
        return self.until.get(kind, 0.0) > at

    def remaining(self, *kinds: ReplyKind) -> float:
        """Return for how many seconds at least one of the kinds is held; 0.0 if none is."""
        now = self.loop.time()
        return max(0.0, *(self.until.get(kind, 0.0) - now for kind in kinds))

    async def wait(self, kinds: tuple[ReplyKind, ...], latest: float) -> None:
        """Wait until no kind is held, but not longer than until a time of the loop."""
        while self.until:
            now = self.loop.time()
            rest = min(max(self.until.get(kind, 0.0) for kind in kinds), latest) - now
            if rest <= 0:
                return
            # Spread, so that waiting requests are not sent all at once.
            await asyncio.sleep(min(rest * (1 + self.random.random() / 2), latest - now))
