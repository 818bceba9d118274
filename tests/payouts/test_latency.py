"""The histogram of answer times."""

from __future__ import annotations

import pytest

from gatewaypy.payouts import Latency, format_duration


def test_histogram_shares_come_from_buckets() -> None:
    """Shares are at most a quarter too high, and never above the slowest answer."""
    latency = Latency()
    for number in range(1, 1001):
        latency.add(number / 1000)
    assert latency.total == 1000
    for share in (0.1, 0.5, 0.9, 0.99):
        assert share <= latency.percentile(share) <= share * 1.26
    assert (latency.percentile(1.0), latency.slowest) == (1.0, 1.0)
    assert sum(count for _, count in latency.buckets()) == 1000


def test_histogram_draws_first_to_last_bucket() -> None:
    """Empty buckets between are drawn, the fullest has full width, small ones are visible."""
    latency = Latency()
    for seconds in [0.01] * 100 + [0.019]:
        latency.add(seconds)
    first, *between, last = latency.lines(10)
    assert first == "≤    10 ms       100  " + "█" * 10
    assert [line.split()[-1] for line in between] == ["0", "0"]
    assert last == "≤    20 ms         1  █"


def test_histogram_last_bucket_has_no_upper_limit() -> None:
    """An answer slower than every bucket counts, up to the slowest."""
    latency = Latency()
    latency.add(500.0)
    assert latency.buckets() == [(500.0, 1)]
    assert latency.percentile(0.5) == 500.0


def test_histogram_empty_has_no_lines() -> None:
    """An empty histogram has no line and no share."""
    assert (Latency().lines(), Latency().summary(), Latency().percentile(0.5)) == (
        [],
        "no answer was timed",
        0.0,
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (0.9, "900 ms"), (1.0, "1 s"), (12.34, "12.3 s")]
)
def test_histogram_duration_has_three_digits(seconds: float, text: str) -> None:
    """A duration is written with three digits."""
    assert format_duration(seconds) == text
