"""A histogram of the gateway's response times, of constant size."""

from __future__ import annotations

import bisect
import math
from typing import Final

from attrs import define, field

#: Upper limits of the buckets in seconds, ten a decade from 1 ms to 100 s. The last is open.
_EDGES: Final = tuple(round(10 ** (step / 10 - 3), 6) for step in range(51))
_BAR: Final = "█"


@define
class Latency:
    """A histogram of seconds. Its percentiles are at most a quarter too high."""

    counts: list[int] = field(factory=lambda: [0] * (len(_EDGES) + 1))
    slowest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a response time, in seconds."""
        self.counts[bisect.bisect_left(_EDGES, seconds)] += 1
        self.slowest = max(self.slowest, seconds)

    @property
    def total(self) -> int:
        """Number of counted answers."""
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Return the seconds within which a share of the answers came, 0 to 1."""
        wanted, seen = math.ceil(self.total * share), 0
        for edge, count in zip((*_EDGES, math.inf), self.counts, strict=True):
            seen += count
            if seen >= wanted:
                return min(edge, self.slowest)
        return self.slowest

    def buckets(self) -> list[tuple[float, int]]:
        """Return the upper limit and count of each bucket between the first and last filled one."""
        filled = [number for number, count in enumerate(self.counts) if count]
        if not filled:
            return []
        ends = (*_EDGES, max(self.slowest, _EDGES[-1]))
        return [(ends[number], self.counts[number]) for number in range(filled[0], filled[-1] + 1)]

    def lines(self, width: int = 40) -> list[str]:
        """Draw the histogram as text, one line a bucket.

        Args:
            width: Length of the longest bar, in characters.
        """
        buckets = self.buckets()
        fullest = max((count for _, count in buckets), default=0)
        return [
            f"≤ {format_duration(end):>8} {count:>9,}"
            f"  {_BAR * math.ceil(count * width / fullest)}".rstrip()
            for end, count in buckets
        ]

    def summary(self) -> str:
        """Describe the number and the duration of the answers in one line."""
        if not self.total:
            return "no answer was timed"
        shares = ", ".join(
            f"{share:.0%} within {format_duration(self.percentile(share))}"
            for share in (0.5, 0.9, 0.99)
        )
        return f"{self.total:,} answers: {shares}; the slowest took {format_duration(self.slowest)}"


def format_duration(seconds: float) -> str:
    """Format seconds; below one second in milliseconds."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
