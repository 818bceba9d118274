"""How a job logs why it does not progress."""

from __future__ import annotations

import pytest

from gatewaypy import errors
from gatewaypy.payouts.throttle import Throttle, failure_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            errors.NotSent("no connection: [Errno 111] Connect call failed ('127.0.0.1', 9)"),
            "gateway unreachable: connection refused",
        ),
        (
            errors.NotSent("no token: no connection: [Errno 111] Connect call failed"),
            "gateway unreachable: connection refused",
        ),
        (
            errors.NotSent(
                "no connection: Multiple exceptions: [Errno 111] Connect call failed ('::1', 9), [Errno 113] x"
            ),
            "gateway unreachable: connection refused",
        ),
        (
            errors.NotSent("no connection: [Errno -2] Name or service not known"),
            "gateway unreachable: name or service not known",
        ),
        (
            errors.NotSent("no connection within 10 s"),
            "gateway unreachable: no connection within 10 s",
        ),
        (
            errors.NotSent("no free slot among 8 within 3 s"),
            "payouts are not sent: no free slot among 8 within 3 s",
        ),
        (errors.OutcomeUnknown("HTTP 502"), "payouts get no usable answer: HTTP 502"),
    ],
)
def test_describe_failure_uses_system_text_without_address(
    error: errors.NotSent | errors.OutcomeUnknown, words: str
) -> None:
    """A reason uses the words of the operating system, without addresses."""
    assert failure_of(error) == words


async def test_throttle_logs_first_failure_and_each_delay(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure since a success is logged, then only each delay with its seconds."""
    pace = Throttle(per_second=None, failure_threshold=3)
    dead = errors.NotSent("no connection: [Errno 111] Connect call failed")
    for tries in range(6):
        pace.failed(dead, tries)
    pace.succeeded()
    pace.failed(dead)
    messages = [record.getMessage().rpartition("; ")[2] for record in caplog.records]
    assert messages == [
        "next try in 0.1 s",
        "next try in 0.5 s",
        "next try in 1 s",
        "next try in 0.1 s",
    ]


async def test_throttle_logs_unanswered_payouts_only_with_delay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One payout without an answer is not logged; a delay after several is."""
    pace = Throttle(per_second=None, failure_threshold=2)
    for _ in range(2):
        pace.failed(errors.OutcomeUnknown("HTTP 502"))
    assert [record.getMessage() for record in caplog.records] == [
        "payouts get no usable answer: HTTP 502; next try in 0.5 s"
    ]
