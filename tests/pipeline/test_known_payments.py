"""What a gateway object knows of earlier amounts."""

from __future__ import annotations

from typing import Any

import pytest

from gatewaypy import Capture, Money, Outcome, OutcomeSource, Payment, Refund, errors
from gatewaypy.models import Transaction
from gatewaypy.pipeline.known_payments import Bounds
from gatewaypy.protocol import operations
from gatewaypy.protocol.operation_types import Operation
from gatewaypy.protocol.requests import Request, follow_up


def eur(amount: str) -> Money:
    return Money(amount, "EUR")


def known(
    operation: Operation, amount: str, kind: Any = Payment, **facts: Any
) -> tuple[Request, Any]:
    request = Request(
        operation=operation,
        fields={},
        subject="1" if kind is not Payment else None,
        amount=eur(amount),
    )
    return request, kind(payment_id="1", outcome=facts.pop("outcome", Outcome.SUCCEEDED), **facts)


def refused(bounds: Bounds, operation: Operation, money: Money) -> str | None:
    try:
        bounds.check(follow_up(operation, "1", money))
    except errors.InvalidRequest as refusal:
        return refusal.field
    return None


def test_capture_is_limited_by_authorized_amount() -> None:
    """Above the hold, or in another currency, nothing is sent; a capture leaves the rest."""
    bounds = Bounds()
    bounds.learn(*known(operations.PREAUTH, "80"))
    assert refused(bounds, operations.CAPTURE, eur("80.01")) == "amount"
    assert refused(bounds, operations.CAPTURE, Money(80, "USD")) == "currency"
    assert refused(bounds, operations.CAPTURE, eur("80")) is None
    bounds.learn(*known(operations.CAPTURE, "30", Capture))
    assert refused(bounds, operations.CAPTURE, eur("50.01")) == "amount"
    assert refused(bounds, operations.REFUND, eur("30.01")) == "amount"
    assert refused(bounds, operations.REFUND, eur("30")) is None


def test_refund_is_limited_by_captured_amount() -> None:
    """What was refunded before cannot be refunded again."""
    bounds = Bounds()
    bounds.learn(*known(operations.DEBIT, "50"))
    bounds.learn(*known(operations.REFUND, "20", Refund))
    assert refused(bounds, operations.REFUND, eur("30.01")) == "amount"
    assert refused(bounds, operations.REFUND, eur("30")) is None


def test_captures_add_up() -> None:
    """Two partial captures can be refunded together."""
    bounds = Bounds()
    bounds.learn(*known(operations.PREAUTH, "80"))
    bounds.learn(*known(operations.CAPTURE, "30", Capture))
    bounds.learn(*known(operations.CAPTURE, "20", Capture))
    assert refused(bounds, operations.REFUND, eur("50")) is None
    assert refused(bounds, operations.REFUND, eur("50.01")) == "amount"


def begun(bounds: Bounds, operation: Operation, amount: str = "10") -> Request:
    request = follow_up(operation, "1", eur(amount))
    bounds.begin(request)
    return request


def test_only_follow_up_needs_known_payment() -> None:
    """A trace on an unknown payment may be older than the follow-up."""
    bounds = Bounds()
    refund = begun(bounds, operations.REFUND)
    assert not bounds.is_only(refund)
    bounds.learn(*known(operations.DEBIT, "50"))
    assert not bounds.is_only(refund), "a later record says nothing about the time before"
    bounds.refused(refund)
    assert bounds.is_only(begun(bounds, operations.REFUND))
    debit = Request(operation=operations.DEBIT, fields={})
    bounds.begin(debit)
    assert not bounds.is_only(debit)


@pytest.mark.parametrize("other", [operations.REFUND, operations.REVERSAL, operations.CAPTURE])
def test_only_follow_up_ends_when_another_starts(other: Operation) -> None:
    """The check is made when a trace is found: a later follow-up may have left it."""
    bounds = Bounds()
    bounds.learn(*known(operations.DEBIT, "50"))
    first = begun(bounds, operations.REFUND)
    assert bounds.is_only(first)
    second = begun(bounds, other)
    assert not bounds.is_only(first)
    assert not bounds.is_only(second)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (operations.CAPTURE, "capturesuccess"),
        (operations.CAPTURE, "capturefailed"),
        (operations.REVERSAL, "cancelstarted"),
        (operations.REFUND, "markedforreversal"),
        (operations.REFUND, "Reversed "),
    ],
)
def test_only_follow_up_needs_payment_without_trace(operation: Operation, status: str) -> None:
    """If an inquiry showed the trace before, another process left it."""
    bounds = Bounds()
    bounds.learn(*known(operations.PREAUTH, "50"))
    bounds.learn(*known(operations.DEBIT, "50"))
    bounds.learn_of(
        Transaction(
            found=True, outcome=Outcome.UNKNOWN, payment_id="1", status=status, amount=eur("50")
        )
    )
    assert not bounds.is_only(begun(bounds, operation))


def test_only_follow_up_ignores_earlier_steps() -> None:
    """A capture that an inquiry shows before a refund is not a trace of the refund."""
    bounds = Bounds()
    bounds.learn(*known(operations.PREAUTH, "50"))
    for status in ("authsuccessful", "capturesuccess", "settled"):
        bounds.learn_of(
            Transaction(
                found=True,
                outcome=Outcome.SUCCEEDED,
                payment_id="1",
                status=status,
                amount=eur("50"),
            )
        )
    assert bounds.is_only(begun(bounds, operations.REFUND))


def test_only_follow_up_again_after_refusal() -> None:
    """A refused follow-up left no trace; it only takes back itself."""
    bounds = Bounds()
    bounds.learn(*known(operations.DEBIT, "50"))
    first = begun(bounds, operations.REFUND)
    second = begun(bounds, operations.REFUND)
    bounds.refused(second)
    assert bounds.is_only(first)
    bounds.refused(first)
    bounds.refused(first)
    assert bounds.is_only(begun(bounds, operations.REFUND))


def test_only_follow_up_after_completed_capture() -> None:
    """A capture leaves a different trace, so a refund after it can still be recognized."""
    bounds = Bounds()
    bounds.learn(*known(operations.PREAUTH, "50"))
    capture = begun(bounds, operations.CAPTURE)
    bounds.learn(capture, Capture(payment_id="1", outcome=Outcome.SUCCEEDED))
    assert bounds.is_only(begun(bounds, operations.REFUND))
    second = begun(bounds, operations.CAPTURE)
    assert not bounds.is_only(second)


@pytest.mark.parametrize("before", ["unsent", "authorised here"])
def test_only_follow_up_after_inquiry_before_refund(before: str) -> None:
    """An inquiry counts after an unsent attempt, and if another process captured."""
    bounds = Bounds()
    if before == "unsent":
        bounds.refused(begun(bounds, operations.REFUND))
    else:
        bounds.learn(*known(operations.PREAUTH, "50"))
    found = Transaction(
        found=True,
        outcome=Outcome.SUCCEEDED,
        payment_id="1",
        status="capturesuccess",
        amount=eur("50"),
    )
    bounds.learn_of(found)
    assert bounds.is_only(begun(bounds, operations.REFUND))


def test_known_amounts_come_from_certain_results() -> None:
    """Pending and failed payments, and follow-ups found by inquiry, set no limit."""
    bounds = Bounds()
    bounds.learn(*known(operations.DEBIT, "50", outcome=Outcome.PENDING))
    bounds.learn(*known(operations.PAYOUT, "50"))
    assert refused(bounds, operations.REFUND, eur("1000")) is None
    bounds.learn(*known(operations.DEBIT, "50"))
    bounds.learn(*known(operations.REFUND, "20", Refund, outcome_source=OutcomeSource.INQUIRY))
    assert refused(bounds, operations.REFUND, eur("50")) is None


@pytest.mark.parametrize(
    ("status", "operation"),
    [("authsuccessful", operations.CAPTURE), ("settled", operations.REFUND)],
)
def test_known_amounts_come_from_inquiries(status: str, operation: Operation) -> None:
    """The amount of a record limits captures and refunds."""
    bounds = Bounds()
    found = Transaction(
        found=True, outcome=Outcome.SUCCEEDED, payment_id="1", status=status, amount=eur("50")
    )
    bounds.learn_of(found)
    assert refused(bounds, operation, eur("50.01")) == "amount"
    bounds.learn_of(Transaction(found=False, outcome=Outcome.UNKNOWN))
    bounds.learn_of(
        Transaction(
            found=True, outcome=Outcome.FAILED, payment_id="2", status="authfailed", amount=eur("5")
        )
    )


def test_known_payments_are_bounded() -> None:
    """The oldest payments are dropped, and then no longer limited."""
    bounds = Bounds()
    for number in range(10_001):
        bounds.learn(
            Request(operation=operations.DEBIT, fields={}, amount=eur("1")),
            Payment(payment_id=str(number), outcome=Outcome.SUCCEEDED),
        )
    bounds.check(follow_up(operations.REFUND, "0", eur("9")))
    with pytest.raises(errors.InvalidRequest):
        bounds.check(follow_up(operations.REFUND, "1", eur("9")))
