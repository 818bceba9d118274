"""The histogram of how long answers took."""

from __future__ import annotations

import pytest

from gatewaypy.payouts import Latency, format_duration


def test_answers_are_counted_by_how_long_they_took() -> None:
    """Shares are read off the buckets, a quarter too high at most, and never above the slowest."""
    latency = Latency()
    for number in range(1, 1001):
        latency.add(number / 1000)
    assert latency.total == 1000
    for share in (0.1, 0.5, 0.9, 0.99):
        assert share <= latency.percentile(share) <= share * 1.26
    assert (latency.percentile(1.0), latency.slowest) == (1.0, 1.0)
    assert sum(count for _, count in latency.buckets()) == 1000


def test_a_histogram_is_drawn_from_its_first_bucket_to_its_last() -> None:
    """Empty buckets between are drawn, the fullest is as wide as asked for, and what is small still shows."""
    latency = Latency()
    for seconds in [0.01] * 100 + [0.019]:
        latency.add(seconds)
    first, *between, last = latency.lines(10)
    assert first == "≤    10 ms       100  " + "█" * 10
    assert [line.split()[-1] for line in between] == ["0", "0"]
    assert last == "≤    20 ms         1  █"


def test_what_takes_longer_than_every_bucket_counts_too() -> None:
    """The last bucket has no end but the slowest."""
    latency = Latency()
    latency.add(500.0)
    assert latency.buckets() == [(500.0, 1)]
    assert latency.percentile(0.5) == 500.0


def test_nothing_timed_is_said_plainly() -> None:
    """An empty histogram has no line and no share."""
    assert (Latency().lines(), Latency().summary(), Latency().percentile(0.5)) == (
        [],
        "no answer was timed",
        0.0,
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (0.9, "900 ms"), (1.0, "1 s"), (12.34, "12.3 s")]
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    """Three digits are enough."""
    assert format_duration(seconds) == text
