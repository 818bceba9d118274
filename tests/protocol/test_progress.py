"""Which state may follow which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.statuses import LONG, SHORT
from gatewaypy.protocol.transitions import Kind, Step, may_be_of, state_of, step

STATES = [*LONG, *(short.casefold() for short in SHORT)]
MOVED = {
    "y",
    "capturesuccess",
    "payoutsuccessful",
    "settled",
    "markedforreversal",
    "reversed",
    "chargeback",
}
ENDED = {"n", "c", "failed", "authfailed", "payoutfailed", "cancelled", "authcancelled"}


@pytest.mark.parametrize(
    ("way"),
    [
        [
            "begun",
            "authstarted",
            "3d authstarted",
            "authsuccessful",
            "capturestarted",
            "capturesuccess",
            "settled",
            "markedforreversal",
            "reversed",
        ],
        ["begun", "authsuccessful", "cancelstarted", "authcancelled"],
        ["authstarted", "authfailed"],
        ["capturesuccess", "chargeback"],
        ["reversed", "chargeback"],
        ["payoutstarted", "payoutsuccessful"],
        ["payoutstarted", "payoutfailed"],
        ["authsuccessful", "capturestarted", "capturefailed", "capturestarted", "capturesuccess"],
        ["p", "y", "capturesuccess"],
        ["3d", "n"],
    ],
)
def test_a_payments_usual_ways_are_news_at_each_step(way: list[str]) -> None:
    """Every status of a usual way moves the payment forward, the first from nothing."""
    assert step(None, way[0]) is Step.FORWARD
    for known, heard in itertools.pairwise(way):
        assert step(known, heard) is Step.FORWARD


@pytest.mark.parametrize(
    ("known", "heard", "meaning"),
    [
        ("capturesuccess", "authsuccessful", Step.STALE),
        ("reversed", "capturesuccess", Step.STALE),
        ("chargeback", "settled", Step.STALE),
        ("authfailed", "authstarted", Step.STALE),
        ("authfailed", "failed", Step.REPEAT),
        ("authfailed", "capturesuccess", Step.CONTRADICTION),
        ("capturesuccess", "authfailed", Step.CONTRADICTION),
        ("payoutsuccessful", "payoutfailed", Step.CONTRADICTION),
        ("authcancelled", "capturesuccess", Step.CONTRADICTION),
        ("settled", "settled", Step.REPEAT),
        ("3d", "3d authstarted", Step.REPEAT),
    ],
)
def test_what_is_no_news(known: str, heard: str, meaning: Step) -> None:
    """Older states are stale, repeats are repeats, and a yes after a no, or a no after a yes, cannot be true."""
    assert step(known, heard) is meaning


HOLD_ENDED = {("y", "c"), ("y", "authcancelled"), ("y", "capturefailed")}


@pytest.mark.parametrize("ended", ["c", "authcancelled"])
def test_step_bare_yes_may_be_a_hold_that_is_cancelled(ended: str) -> None:
    """The cancellation of what was a hold is news, not a contradiction; a success after a bare C is for a person."""
    assert step("y", ended) is Step.FORWARD
    assert step("c", "y") is Step.CONTRADICTION
    assert step("y", "authsuccessful") is Step.STALE
    assert step("y", "authfailed") is Step.CONTRADICTION


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (Kind.PAYOUT, {"begun", "payoutstarted", "payoutsuccessful", "payoutfailed", "failed"}),
        (Kind.PAYMENT, set(LONG) - {"payoutstarted", "payoutsuccessful", "payoutfailed"}),
    ],
)
def test_kind_of_record_by_reachability(kind: Kind, statuses: set[str]) -> None:
    """A status belongs to a kind if the table of moves connects it with the kind's own first status."""
    assert {status for status in LONG if may_be_of(kind, status, None)} == statuses


def test_kind_of_record_by_short_status() -> None:
    """3-D Secure is for payments; every other short status, and an unknown one, says nothing of the kind."""
    assert not may_be_of(Kind.PAYOUT, None, "3D")
    assert all(
        may_be_of(kind, None, short) for kind in Kind for short in ("Y", "N", "P", "C", "Z", None)
    )
    assert may_be_of(Kind.PAYMENT, "onhold", "Y")


@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_no_order_of_events_takes_money_back(heard: list[str]) -> None:
    """However statuses arrive, a payment that moved money never becomes a failure, nor the other way, by being told so."""
    known = None
    for status in heard:
        if step(known, status) is Step.FORWARD:
            # A bare Y may be a hold, which a cancellation ends.
            assert not (known in MOVED and status in ENDED and (known, status) not in HOLD_ENDED)
            assert not (known in ENDED and status in MOVED)
            known = status


def test_the_state_is_one_word() -> None:
    """The long status leads; an unknown one is no state, whatever the short one says."""
    assert state_of(" CaptureSuccess ", "N") == "capturesuccess"
    assert state_of(None, "3D") == "3d"
    assert state_of("", "Y") == "y"
    assert state_of("onhold", "Y") is None
    assert state_of(None, "Z") is None
