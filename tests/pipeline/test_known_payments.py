"""What a gateway object knows of earlier amounts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import pytest

from gatewaypy import Capture, Money, Outcome, OutcomeSource, Payment, Refund, errors
from gatewaypy.models import Transaction
from gatewaypy.pipeline.known_payments import KnownPayments
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


def refused(payments: KnownPayments, operation: Operation, money: Money) -> str | None:
    try:
        payments.check(follow_up(operation, "1", money))
    except errors.InvalidRequest as refusal:
        return refusal.field
    return None


def test_capture_is_limited_by_authorized_amount() -> None:
    """Above the hold, or in another currency, nothing is sent; a capture leaves the rest."""
    payments = KnownPayments()
    payments.record_result(*known(operations.PREAUTH, "80"))
    assert refused(payments, operations.CAPTURE, eur("80.01")) == "amount"
    assert refused(payments, operations.CAPTURE, Money(80, "USD")) == "currency"
    assert refused(payments, operations.CAPTURE, eur("80")) is None
    payments.record_result(*known(operations.CAPTURE, "30", Capture))
    assert refused(payments, operations.CAPTURE, eur("50.01")) == "amount"
    assert refused(payments, operations.REFUND, eur("30.01")) == "amount"
    assert refused(payments, operations.REFUND, eur("30")) is None


def test_refund_is_limited_by_captured_amount() -> None:
    """What was refunded before cannot be refunded again."""
    payments = KnownPayments()
    payments.record_result(*known(operations.DEBIT, "50"))
    payments.record_result(*known(operations.REFUND, "20", Refund))
    assert refused(payments, operations.REFUND, eur("30.01")) == "amount"
    assert refused(payments, operations.REFUND, eur("30")) is None


def test_captures_add_up() -> None:
    """Two partial captures can be refunded together."""
    payments = KnownPayments()
    payments.record_result(*known(operations.PREAUTH, "80"))
    payments.record_result(*known(operations.CAPTURE, "30", Capture))
    payments.record_result(*known(operations.CAPTURE, "20", Capture))
    assert refused(payments, operations.REFUND, eur("50")) is None
    assert refused(payments, operations.REFUND, eur("50.01")) == "amount"


def sent(payments: KnownPayments, operation: Operation, amount: str = "10") -> Request:
    request = follow_up(operation, "1", eur(amount))
    payments.record_attempt(request)
    return request


def test_only_follow_up_needs_known_payment() -> None:
    """A trace on an unknown payment may be older than the follow-up."""
    payments = KnownPayments()
    refund = sent(payments, operations.REFUND)
    assert not payments.is_only(refund)
    payments.record_result(*known(operations.DEBIT, "50"))
    assert not payments.is_only(refund), "a later record says nothing about the time before"
    payments.record_refusal(refund)
    assert payments.is_only(sent(payments, operations.REFUND))
    debit = Request(operation=operations.DEBIT, fields={})
    payments.record_attempt(debit)
    assert not payments.is_only(debit)


@pytest.mark.parametrize("other", [operations.REFUND, operations.REVERSAL, operations.CAPTURE])
def test_only_follow_up_ends_when_another_starts(other: Operation) -> None:
    """The check is made when a trace is found: a later follow-up may have left it."""
    payments = KnownPayments()
    payments.record_result(*known(operations.DEBIT, "50"))
    first = sent(payments, operations.REFUND)
    assert payments.is_only(first)
    second = sent(payments, other)
    assert not payments.is_only(first)
    assert not payments.is_only(second)


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
    payments = KnownPayments()
    payments.record_result(*known(operations.PREAUTH, "50"))
    payments.record_result(*known(operations.DEBIT, "50"))
    payments.record_transaction(
        Transaction(
            found=True, outcome=Outcome.UNKNOWN, payment_id="1", status=status, amount=eur("50")
        )
    )
    assert not payments.is_only(sent(payments, operation))


def test_only_follow_up_ignores_earlier_steps() -> None:
    """A capture that an inquiry shows before a refund is not a trace of the refund."""
    payments = KnownPayments()
    payments.record_result(*known(operations.PREAUTH, "50"))
    for status in ("authsuccessful", "capturesuccess", "settled"):
        payments.record_transaction(
            Transaction(
                found=True,
                outcome=Outcome.SUCCEEDED,
                payment_id="1",
                status=status,
                amount=eur("50"),
            )
        )
    assert payments.is_only(sent(payments, operations.REFUND))


def test_only_follow_up_again_after_refusal() -> None:
    """A refused follow-up left no trace; it only takes back itself."""
    payments = KnownPayments()
    payments.record_result(*known(operations.DEBIT, "50"))
    first = sent(payments, operations.REFUND)
    second = sent(payments, operations.REFUND)
    payments.record_refusal(second)
    assert payments.is_only(first)
    payments.record_refusal(first)
    payments.record_refusal(first)
    assert payments.is_only(sent(payments, operations.REFUND))


def test_only_follow_up_after_completed_capture() -> None:
    """A capture leaves a different trace, so a refund after it can still be recognized."""
    payments = KnownPayments()
    payments.record_result(*known(operations.PREAUTH, "50"))
    capture = sent(payments, operations.CAPTURE)
    payments.record_result(capture, Capture(payment_id="1", outcome=Outcome.SUCCEEDED))
    assert payments.is_only(sent(payments, operations.REFUND))
    second = sent(payments, operations.CAPTURE)
    assert not payments.is_only(second)


@pytest.mark.parametrize("before", ["unsent", "authorized here"])
def test_only_follow_up_after_inquiry_before_refund(before: str) -> None:
    """An inquiry counts after an unsent attempt, and if another process captured."""
    payments = KnownPayments()
    if before == "unsent":
        payments.record_refusal(sent(payments, operations.REFUND))
    else:
        payments.record_result(*known(operations.PREAUTH, "50"))
    found = Transaction(
        found=True,
        outcome=Outcome.SUCCEEDED,
        payment_id="1",
        status="capturesuccess",
        amount=eur("50"),
    )
    payments.record_transaction(found)
    assert payments.is_only(sent(payments, operations.REFUND))


def test_known_amounts_come_from_certain_results() -> None:
    """Pending and failed payments, and follow-ups found by inquiry, set no limit."""
    payments = KnownPayments()
    payments.record_result(*known(operations.DEBIT, "50", outcome=Outcome.PENDING))
    payments.record_result(*known(operations.PAYOUT, "50"))
    assert refused(payments, operations.REFUND, eur("1000")) is None
    payments.record_result(*known(operations.DEBIT, "50"))
    payments.record_result(
        *known(operations.REFUND, "20", Refund, outcome_source=OutcomeSource.INQUIRY)
    )
    assert refused(payments, operations.REFUND, eur("50")) is None


@pytest.mark.parametrize(
    ("status", "operation"),
    [("authsuccessful", operations.CAPTURE), ("settled", operations.REFUND)],
)
def test_known_amounts_come_from_inquiries(status: str, operation: Operation) -> None:
    """The amount of a record limits captures and refunds."""
    payments = KnownPayments()
    found = Transaction(
        found=True, outcome=Outcome.SUCCEEDED, payment_id="1", status=status, amount=eur("50")
    )
    payments.record_transaction(found)
    assert refused(payments, operation, eur("50.01")) == "amount"
    payments.record_transaction(Transaction(found=False, outcome=Outcome.UNKNOWN))
    payments.record_transaction(
        Transaction(
            found=True, outcome=Outcome.FAILED, payment_id="2", status="authfailed", amount=eur("5")
        )
    )


def test_known_payments_are_bounded() -> None:
    """The oldest payments are dropped, and then no longer limited."""
    payments = KnownPayments()
    for number in range(10_001):
        payments.record_result(
            Request(operation=operations.DEBIT, fields={}, amount=eur("1")),
            Payment(payment_id=str(number), outcome=Outcome.SUCCEEDED),
        )
    payments.check(follow_up(operations.REFUND, "0", eur("9")))
    with pytest.raises(errors.InvalidRequest):
        payments.check(follow_up(operations.REFUND, "1", eur("9")))


class Guarded(OrderedDict[str, Any]):
    """A mapping that must not change while its lock is free."""

    lock: threading.Lock

    def setdefault(self, name: str, default: Any = None) -> Any:
        assert self.lock.locked()
        return super().setdefault(name, default)

    def move_to_end(self, name: str, last: bool = True) -> None:  # noqa: FBT002 - OrderedDict's
        assert self.lock.locked()
        super().move_to_end(name, last)


def test_known_payments_change_only_under_their_lock() -> None:
    """Gateway objects in several threads share them, and a lost entry would fail a paid call."""
    payments, guarded = KnownPayments(), Guarded()
    guarded.lock, payments._known = payments._lock, guarded
    debit, result = known(operations.DEBIT, "50")
    payments.record_result(debit, result)
    payments.record_attempt(known(operations.REFUND, "20", Refund)[0])
    payments.record_transaction(
        Transaction(
            found=True,
            outcome=Outcome.SUCCEEDED,
            payment_id="2",
            status="capturesuccess",
            amount=eur("5"),
        )
    )
    assert set(guarded) == {"1", "2"}


@pytest.mark.parametrize("captured", [Money("5", "USD"), Money("9999999999", "EUR")])
def test_result_without_sum_makes_amount_unknown(captured: Money) -> None:
    """An executed capture in another currency, or with too large a sum, raises nothing."""
    payments = KnownPayments()
    payments.record_transaction(
        Transaction(
            found=True,
            outcome=Outcome.SUCCEEDED,
            payment_id="1",
            status="capturesuccess",
            amount=captured,
        )
    )
    payments.record_result(*known(operations.CAPTURE, "5", Capture))
    assert refused(payments, operations.REFUND, eur("9999999999")) is None
