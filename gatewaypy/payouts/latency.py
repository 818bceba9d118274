"""How long gateways take to answer: answers counted by how long they took, in as little memory for a million as for one."""

from __future__ import annotations

import bisect
import math
from typing import Final

from attrs import define, field

#: Upper ends of the buckets in seconds, ten to a decade from a millisecond to 100 s; the last bucket has no end.
_EDGES: Final = tuple(round(10 ** (step / 10 - 3), 6) for step in range(51))
_BAR: Final = "█"


@define
class Latency:
    """A histogram of seconds: ten buckets to each power of ten, so that what is read off it is a quarter too high at most."""

    counts: list[int] = field(factory=lambda: [0] * (len(_EDGES) + 1))
    slowest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count an answer."""
        self.counts[bisect.bisect_left(_EDGES, seconds)] += 1
        self.slowest = max(self.slowest, seconds)

    @property
    def total(self) -> int:
        """How many answers were counted."""
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Return the seconds within which this share of the answers came: the upper end of a bucket, at most the slowest."""
        wanted, seen = math.ceil(self.total * share), 0
        for edge, count in zip((*_EDGES, math.inf), self.counts, strict=True):
            seen += count
            if seen >= wanted:
                return min(edge, self.slowest)
        return self.slowest

    def buckets(self) -> list[tuple[float, int]]:
        """Return each bucket's upper end and count, from the first with answers to the last; the open one ends at the slowest."""
        filled = [number for number, count in enumerate(self.counts) if count]
        if not filled:
            return []
        ends = (*_EDGES, max(self.slowest, _EDGES[-1]))
        return [(ends[number], self.counts[number]) for number in range(filled[0], filled[-1] + 1)]

    def lines(self, width: int = 40) -> list[str]:
        """Draw the histogram as text, one line a bucket, the fullest ``width`` characters wide."""
        buckets = self.buckets()
        fullest = max((count for _, count in buckets), default=0)
        return [
            f"≤ {format_duration(end):>8} {count:>9,}  {_BAR * math.ceil(count * width / fullest)}".rstrip()
            for end, count in buckets
        ]

    def summary(self) -> str:
        """Say in one line how many answers there were, and how long they took."""
        if not self.total:
            return "no answer was timed"
        shares = ", ".join(
            f"{share:.0%} within {format_duration(self.percentile(share))}"
            for share in (0.5, 0.9, 0.99)
        )
        return f"{self.total:,} answers: {shares}; the slowest took {format_duration(self.slowest)}"


def format_duration(seconds: float) -> str:
    """Write seconds for people: in milliseconds below one second."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
