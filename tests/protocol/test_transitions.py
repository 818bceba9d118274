"""Which state may follow which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.statuses import LONG, SHORT
from gatewaypy.protocol.transitions import (
    PAYMENT_TRANSITIONS,
    Kind,
    Transition,
    classify_transition,
    may_be_of,
    state_of,
)

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
    assert classify_transition(None, way[0]) is Transition.FORWARD
    for known, heard in itertools.pairwise(way):
        assert classify_transition(known, heard) is Transition.FORWARD


@pytest.mark.parametrize(
    ("known", "heard", "meaning"),
    [
        ("capturesuccess", "authsuccessful", Transition.STALE),
        ("reversed", "capturesuccess", Transition.STALE),
        ("chargeback", "settled", Transition.STALE),
        ("authfailed", "authstarted", Transition.STALE),
        ("authfailed", "failed", Transition.REPEAT),
        ("authfailed", "capturesuccess", Transition.CONTRADICTION),
        ("capturesuccess", "authfailed", Transition.CONTRADICTION),
        ("payoutsuccessful", "payoutfailed", Transition.CONTRADICTION),
        ("authcancelled", "capturesuccess", Transition.CONTRADICTION),
        ("settled", "settled", Transition.REPEAT),
        ("3d", "3d authstarted", Transition.REPEAT),
    ],
)
def test_what_is_no_news(known: str, heard: str, meaning: Transition) -> None:
    """Older states are stale, repeats are repeats, and a yes after a no, or a no after a yes, cannot be true."""
    assert classify_transition(known, heard) is meaning


HOLD_ENDED = {("y", "c"), ("y", "authcancelled"), ("y", "capturefailed")}


@pytest.mark.parametrize("ended", ["c", "authcancelled"])
def test_step_bare_yes_may_be_a_hold_that_is_cancelled(ended: str) -> None:
    """The cancellation of what was a hold is news, not a contradiction; a success after a bare C is for a person."""
    assert classify_transition("y", ended) is Transition.FORWARD
    assert classify_transition("c", "y") is Transition.CONTRADICTION
    assert classify_transition("y", "authsuccessful") is Transition.STALE
    assert classify_transition("y", "authfailed") is Transition.CONTRADICTION


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
        if classify_transition(known, status) is Transition.FORWARD:
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


# The table

PAYOUTS = ("payoutstarted", "payoutsuccessful", "payoutfailed")
# What either may be; everything else is said of payments alone.
BOTH = ("begun", "failed", "cancelled")
PAYMENTS = tuple(state for state in LONG if state not in (*PAYOUTS, *BOTH))
# Ends without money: one after another is no news, and no contradiction.
NOTHING_CAME_OF_IT = {"authfailed", "authcancelled", "payoutfailed"}

# Once money has moved, these are the states that are left: each may come after those before it, never the other way.
MONEY_MOVED = ("capturesuccess", "settled", "markedforreversal", "reversed", "chargeback")
PAID_OUT = "payoutsuccessful"


def reachable(state: str) -> set[str]:
    """Walk the table from a state; a step may be skipped."""
    found: set[str] = set()
    ahead = [state]
    while ahead:
        news = set(PAYMENT_TRANSITIONS[ahead.pop()]) - found
        found |= news
        ahead += news
    return found


REACHABLE = {state: reachable(state) for state in PAYMENT_TRANSITIONS}


def test_every_long_status_has_its_moves() -> None:
    """The table and the statuses of protocol section 8 name the same states, in the form that a state is kept in."""
    assert set(PAYMENT_TRANSITIONS) == set(LONG)
    assert all(state_of(status.name, None) in PAYMENT_TRANSITIONS for status in LONG.values())


@pytest.mark.parametrize("state", PAYMENT_TRANSITIONS)
def test_every_move_leads_to_another_status(state: str) -> None:
    """No move goes nowhere, to itself, or twice to the same place."""
    assert set(PAYMENT_TRANSITIONS[state]) <= set(LONG) - {state}
    assert len(set(PAYMENT_TRANSITIONS[state])) == len(PAYMENT_TRANSITIONS[state])


def test_every_status_can_come_about() -> None:
    """Whatever a payment or payout may become, it begins as begun."""
    assert REACHABLE["begun"] == set(LONG) - {"begun"}


@pytest.mark.parametrize(
    "end",
    [
        "failed",
        "authfailed",
        "authcancelled",
        "cancelled",
        "chargeback",
        "payoutsuccessful",
        "payoutfailed",
    ],
)
def test_an_end_has_no_way_on(end: str) -> None:
    """Nothing is news after it."""
    assert PAYMENT_TRANSITIONS[end] == ()
    assert not any(classify_transition(end, heard) is Transition.FORWARD for heard in LONG)


def test_what_is_no_end_is_under_way_or_may_be_undone() -> None:
    """A status that is not final has a next one."""
    assert all(PAYMENT_TRANSITIONS[state] for state, status in LONG.items() if not status.final)


@pytest.mark.parametrize("known", LONG)
def test_a_step_is_news_where_the_table_leads_there(known: str) -> None:
    """What can be reached is news, what it could be reached from is stale, and the rest is neither."""
    others = set(LONG) - {known}
    meanings = {heard: classify_transition(known, heard) for heard in others}
    stale = {heard for heard in others if known in REACHABLE[heard]} - REACHABLE[known]
    assert {heard for heard in others if meanings[heard] is Transition.FORWARD} == REACHABLE[
        known
    ] - {known}
    assert {heard for heard in others if meanings[heard] is Transition.STALE} == stale


@pytest.mark.parametrize("state", LONG)
def test_a_status_that_was_known_is_a_repeat_and_the_first_is_news(state: str) -> None:
    """Before anything is known, all is news; twice the same is none."""
    assert classify_transition(None, state) is Transition.FORWARD
    assert classify_transition(state, state) is Transition.REPEAT


@pytest.mark.parametrize(("earlier", "later"), list(itertools.combinations(MONEY_MOVED, 2)))
def test_money_that_moved_is_only_ever_given_back(earlier: str, later: str) -> None:
    """After the capture come settlement, refund and chargeback, each overriding what was before, none the other way."""
    assert classify_transition(earlier, later) is Transition.FORWARD
    assert classify_transition(later, earlier) is Transition.STALE


@given(st.lists(st.sampled_from(list(LONG)), max_size=15))
def test_however_statuses_arrive_money_never_goes_back(heard: list[str]) -> None:
    """In any order, with any of them twice, a state once booked gives way only to what the table puts after it."""
    known: str | None = None
    for status in heard:
        before = known
        if classify_transition(known, status) is Transition.FORWARD:
            known = status
        if before in MONEY_MOVED:
            assert known in MONEY_MOVED
            assert MONEY_MOVED.index(known) >= MONEY_MOVED.index(before)
        if before == PAID_OUT:
            assert known == PAID_OUT


@pytest.mark.parametrize("payout", PAYOUTS)
def test_a_payment_never_becomes_a_payout(payout: str) -> None:
    """Money that was to be taken is not paid out, nor the other way: both cannot be true of one record."""
    for payment in PAYMENTS:
        expected = (
            Transition.REPEAT
            if {payment, payout} <= NOTHING_CAME_OF_IT
            else Transition.CONTRADICTION
        )
        assert (
            payment,
            classify_transition(payment, payout),
            classify_transition(payout, payment),
        ) == (
            payment,
            expected,
            expected,
        )
