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
def test_transition_usual_path_is_progress_at_each_step(way: list[str]) -> None:
    """Every status of a usual path moves the payment forward, the first from no state."""
    assert classify_transition(None, way[0]) is Transition.FORWARD
    for known, reported in itertools.pairwise(way):
        assert classify_transition(known, reported) is Transition.FORWARD


@pytest.mark.parametrize(
    ("known", "reported", "meaning"),
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
def test_transition_other_moves_are_not_progress(
    known: str, reported: str, meaning: Transition
) -> None:
    """Older states are stale, repeats are repeats, and a yes after a no contradicts, or reverse."""
    assert classify_transition(known, reported) is meaning


HOLD_ENDED = {("y", "c"), ("y", "authcancelled"), ("y", "capturefailed")}


@pytest.mark.parametrize("ended", ["c", "authcancelled"])
def test_transition_bare_yes_then_cancel_is_progress(ended: str) -> None:
    """The cancellation of a hold is progress; a success after a bare C goes to review."""
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
    """A status belongs to a kind if the table connects it with the first status of the kind."""
    assert {status for status in LONG if may_be_of(kind, status, None)} == statuses


def test_kind_of_record_by_short_status() -> None:
    """3-D Secure is for payments; any other short status does not decide the kind."""
    assert not may_be_of(Kind.PAYOUT, None, "3D")
    assert all(
        may_be_of(kind, None, short) for kind in Kind for short in ("Y", "N", "P", "C", "Z", None)
    )
    assert may_be_of(Kind.PAYMENT, "onhold", "Y")


@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_transition_any_order_never_undoes_money(reported: list[str]) -> None:
    """In any order, a payment that moved money never becomes a failure, or the reverse."""
    known = None
    for status in reported:
        if classify_transition(known, status) is Transition.FORWARD:
            # A bare Y may be a hold, which a cancellation ends.
            assert not (known in MOVED and status in ENDED and (known, status) not in HOLD_ENDED)
            assert not (known in ENDED and status in MOVED)
            known = status


def test_state_is_one_word() -> None:
    """The long status leads; an unknown one gives no state, with any short one."""
    assert state_of(" CaptureSuccess ", "N") == "capturesuccess"
    assert state_of(None, "3D") == "3d"
    assert state_of("", "Y") == "y"
    assert state_of("onhold", "Y") is None
    assert state_of(None, "Z") is None


# The table

PAYOUTS = ("payoutstarted", "payoutsuccessful", "payoutfailed")
# States of either kind; the other parts are only about payments.
BOTH = ("begun", "failed", "cancelled")
PAYMENTS = tuple(state for state in LONG if state not in (*PAYOUTS, *BOTH))
# Ends without money: one after another is neither progress nor a contradiction.
NOTHING_CAME_OF_IT = {"authfailed", "authcancelled", "payoutfailed"}

# After money has moved only these states are left: each may follow those before it, never in
# reverse.
MONEY_MOVED = ("capturesuccess", "settled", "markedforreversal", "reversed", "chargeback")
PAID_OUT = "payoutsuccessful"


def reachable(state: str) -> set[str]:
    """Follow the table from a state; a step may be skipped."""
    found: set[str] = set()
    ahead = [state]
    while ahead:
        news = set(PAYMENT_TRANSITIONS[ahead.pop()]) - found
        found |= news
        ahead += news
    return found


REACHABLE = {state: reachable(state) for state in PAYMENT_TRANSITIONS}


def test_transitions_cover_every_long_status() -> None:
    """The table and protocol section 8 have the same states, in the stored spelling."""
    assert set(PAYMENT_TRANSITIONS) == set(LONG)
    assert all(state_of(status.name, None) in PAYMENT_TRANSITIONS for status in LONG.values())


@pytest.mark.parametrize("state", PAYMENT_TRANSITIONS)
def test_transitions_lead_to_other_statuses(state: str) -> None:
    """No move leads nowhere, to itself, or twice to the same state."""
    assert set(PAYMENT_TRANSITIONS[state]) <= set(LONG) - {state}
    assert len(set(PAYMENT_TRANSITIONS[state])) == len(PAYMENT_TRANSITIONS[state])


def test_transitions_reach_every_status() -> None:
    """Every state of a payment or payout can be reached from its start."""
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
def test_transition_from_final_status_is_never_progress(end: str) -> None:
    """A final status has no next one."""
    assert PAYMENT_TRANSITIONS[end] == ()
    assert not any(classify_transition(end, reported) is Transition.FORWARD for reported in LONG)


def test_transition_from_other_status_exists() -> None:
    """A status that is not final has a next one."""
    assert all(PAYMENT_TRANSITIONS[state] for state, status in LONG.items() if not status.final)


@pytest.mark.parametrize("known", LONG)
def test_transition_reachable_is_progress(known: str) -> None:
    """What can be reached is progress, what it was reached from is stale, the rest neither."""
    others = set(LONG) - {known}
    meanings = {reported: classify_transition(known, reported) for reported in others}
    stale = {reported for reported in others if known in REACHABLE[reported]} - REACHABLE[known]
    assert {
        reported for reported in others if meanings[reported] is Transition.FORWARD
    } == REACHABLE[known] - {known}
    assert {reported for reported in others if meanings[reported] is Transition.STALE} == stale


@pytest.mark.parametrize("state", LONG)
def test_transition_same_status_is_repeat(state: str) -> None:
    """Without a known state everything is progress; the same state twice is a repeat."""
    assert classify_transition(None, state) is Transition.FORWARD
    assert classify_transition(state, state) is Transition.REPEAT


@pytest.mark.parametrize(("earlier", "later"), list(itertools.combinations(MONEY_MOVED, 2)))
def test_transition_money_is_only_given_back(earlier: str, later: str) -> None:
    """Capture, settlement, refund and chargeback follow each other, never in reverse."""
    assert classify_transition(earlier, later) is Transition.FORWARD
    assert classify_transition(later, earlier) is Transition.STALE


@given(st.lists(st.sampled_from(list(LONG)), max_size=15))
def test_transition_any_arrival_order_keeps_money(reported: list[str]) -> None:
    """In any order and with repeats, a state gives way only to a later one of the table."""
    known: str | None = None
    for status in reported:
        before = known
        if classify_transition(known, status) is Transition.FORWARD:
            known = status
        if before in MONEY_MOVED:
            assert known in MONEY_MOVED
            assert MONEY_MOVED.index(known) >= MONEY_MOVED.index(before)
        if before == PAID_OUT:
            assert known == PAID_OUT


@pytest.mark.parametrize("payout", PAYOUTS)
def test_transition_payment_never_becomes_payout(payout: str) -> None:
    """One record cannot be both a payment and a payout."""
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
