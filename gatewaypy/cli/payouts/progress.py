"""How a payout run is getting on: a bar on a terminal, and else a plain line now and then."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from attrs import define, field
from rich.progress import BarColumn, Progress, TextColumn

from gatewaypy.payouts import State

if TYPE_CHECKING:
    from types import TracebackType

    from gatewaypy.cli.output import PlainConsole
    from gatewaypy.cli.payouts.order_import import OrderImport
    from gatewaypy.payouts import Journal, PayoutResult

_REFRESH: Final = 0.25
_MOST_COUNTED: Final = 1000
_LOOK_EVERY: Final = 2.0
_LOOKS_SHARE: Final = 50
_RATE_OVER: Final = 30.0
_MINUTE: Final = 60
_HOUR: Final = 3600


@define(eq=False)
class PayoutProgress:
    """Shows a run while the block runs.

    :param progress_interval: seconds between two plain lines, where there is no terminal.
    :param before: how many orders the journal had to settle when the run began.
    :param rows: how many rows the file has, or about; ``None`` where nobody knows before they are read.
    """

    console: PlainConsole
    feed: OrderImport
    journal: Journal
    progress_interval: float
    before: int
    rows: int | None
    ended: dict[State, int] = field(factory=dict)
    unknown: int = 0
    _next_look: float = 0.0
    _samples: deque[tuple[float, int]] = field(factory=deque)
    _bar: Progress | None = None
    _watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Show where the run begins."""
        if self.console.is_terminal:
            self._bar = Progress(
                BarColumn(30),
                TextColumn("{task.description}", markup=False),
                console=self.console,
                auto_refresh=False,
            )
            self._bar.add_task("", total=self.total)
            self._bar.start()
        self._show()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Show where it ended."""
        if self._watcher is not None:
            self._watcher.cancel()
            # What the display met must not hide how the run ended.
            await asyncio.wait([self._watcher])
        if error is None:
            await self._look()
        self._show()
        if self._bar is not None:
            self._bar.stop()

    @property
    def total(self) -> int | None:
        """How many orders there are to settle: what the journal had open, and the file's rows that are new to it."""
        feed = self.feed
        rows = feed.read if feed.is_read else self.rows
        return (
            None
            if rows is None
            else self.before + max(rows, feed.read) - feed.known - feed.conflicts - feed.bad
        )

    @property
    def done(self) -> int:
        """How many orders are settled in this run, each counted once; a row that is none is no progress."""
        return sum(
            self.ended.get(state, 0) for state in (State.SUCCEEDED, State.FAILED, State.REVIEW)
        )

    def count(self, result: PayoutResult) -> None:
        """Take note of an order's end."""
        if result.state is not None:
            self.ended[result.state] = self.ended.get(result.state, 0) + 1

    def told(self) -> str:
        """Say it in one line."""
        total = self.total
        parts = [
            f"{self.done:,}" + ("" if total is None else f" of {total:,}"),
            f"done {self.ended.get(State.SUCCEEDED, 0):,}",
            f"failed {self.ended.get(State.FAILED, 0):,}",
            f"unknown {self.unknown:,}{'+' * (self.unknown == _MOST_COUNTED)}",
            f"review {self.ended.get(State.REVIEW, 0):,}",
        ]
        others = {
            "bad": self.feed.bad,
            "in conflict": self.feed.conflicts,
            "in the journal before": self.feed.known,
        }
        parts += [f"{name} {count:,}" for name, count in others.items() if count]
        rate = self._rate()
        if rate:
            parts.append(f"{rate:,.0f}/s" if rate >= 1 else f"{rate:.1g}/s")
            if total is not None and self.done < total:
                parts.append(f"{time_left((total - self.done) / rate)} left")
        return " · ".join(parts)

    def _rate(self) -> float:
        """How many payouts a second the gateway has settled lately: what was not sent says nothing of the time left."""
        now = time.monotonic()
        settled = self.ended.get(State.SUCCEEDED, 0) + self.ended.get(State.FAILED, 0)
        self._samples.append((now, settled))
        while now - self._samples[0][0] > _RATE_OVER:
            self._samples.popleft()
        begun, before = self._samples[0]
        return (settled - before) / (now - begun) if now > begun else 0.0

    def _show(self) -> None:
        if self._bar is None:
            self.console.say(self.told())
            return
        self._bar.update(
            self._bar.task_ids[0], completed=self.done, total=self.total, description=self.told()
        )
        self._bar.refresh()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.progress_interval if self._bar is None else _REFRESH)
            if time.monotonic() >= self._next_look:
                await self._look()
            self._show()

    async def _look(self) -> None:
        begun = time.monotonic()
        self.unknown = len(
            await self.journal.list_entries(state=State.UNKNOWN, limit=_MOST_COUNTED)
        )
        # The payouts' own writes wait while a journal is looked at: a large one is looked at less often.
        now = time.monotonic()
        self._next_look = now + max(_LOOK_EVERY, (now - begun) * _LOOKS_SHARE)


def time_left(seconds: float) -> str:
    """Write seconds for people who wait."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
