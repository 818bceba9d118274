"""The progress of a payout run: a bar on a terminal, otherwise a line every few seconds."""

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
_MAX_COUNTED: Final = 1000
_QUERY_INTERVAL: Final = 2.0
_QUERY_FACTOR: Final = 50
_RATE_OVER: Final = 30.0
_MINUTE: Final = 60
_HOUR: Final = 3600


@define(eq=False)
class PayoutProgress:
    """Shows a run while the block runs.

    Args:
        console: Where the progress is shown.
        feed: The import of the file.
        journal: The journal.
        progress_interval: Seconds between two lines without a terminal.
        before: Number of open orders of the journal when the run began.
        rows: Approximate number of rows of the file; None for a pipe.
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
        """Show the start of the run."""
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
        """Show the end of the run."""
        if self._watcher is not None:
            self._watcher.cancel()
            # An error of the display must not hide how the run ended.
            await asyncio.wait([self._watcher])
        if error is None:
            await self._look()
        self._show()
        if self._bar is not None:
            self._bar.stop()

    @property
    def total(self) -> int | None:
        """Number of orders of this run: open ones of the journal, and new ones of the file."""
        feed = self.feed
        rows = feed.read if feed.is_read else self.rows
        return (
            None
            if rows is None
            else self.before + max(rows, feed.read) - feed.known - feed.conflicts - feed.bad
        )

    @property
    def done(self) -> int:
        """Number of orders that ended in this run. Bad rows do not count."""
        return sum(
            self.ended.get(state, 0) for state in (State.SUCCEEDED, State.FAILED, State.REVIEW)
        )

    def count(self, result: PayoutResult) -> None:
        """Count a result."""
        if result.state is not None:
            self.ended[result.state] = self.ended.get(result.state, 0) + 1

    def describe(self) -> str:
        """Describe the progress in one line."""
        total = self.total
        parts = [
            f"{self.done:,}" + ("" if total is None else f" of {total:,}"),
            f"done {self.ended.get(State.SUCCEEDED, 0):,}",
            f"failed {self.ended.get(State.FAILED, 0):,}",
            f"unknown {self.unknown:,}{'+' * (self.unknown == _MAX_COUNTED)}",
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
        """Return how many payouts a second the gateway answered in the last 30 s."""
        now = time.monotonic()
        settled = self.ended.get(State.SUCCEEDED, 0) + self.ended.get(State.FAILED, 0)
        self._samples.append((now, settled))
        while now - self._samples[0][0] > _RATE_OVER:
            self._samples.popleft()
        start, before = self._samples[0]
        return (settled - before) / (now - start) if now > start else 0.0

    def _show(self) -> None:
        if self._bar is None:
            self.console.say(self.describe())
            return
        self._bar.update(
            self._bar.task_ids[0],
            completed=self.done,
            total=self.total,
            description=self.describe(),
        )
        self._bar.refresh()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.progress_interval if self._bar is None else _REFRESH)
            if time.monotonic() >= self._next_look:
                await self._look()
            self._show()

    async def _look(self) -> None:
        start = time.monotonic()
        self.unknown = len(await self.journal.list_entries(state=State.UNKNOWN, limit=_MAX_COUNTED))
        # Writes of the journal wait for this query, so that a slow query is run less often.
        now = time.monotonic()
        self._next_look = now + max(_QUERY_INTERVAL, (now - start) * _QUERY_FACTOR)


def time_left(seconds: float) -> str:
    """Format a remaining time."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
