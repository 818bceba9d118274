"""Observers and the default log."""

from __future__ import annotations

import logging

import pytest

from gatewaypy import CallEnded, LateResult, Outcome, Payment, TokenRenewalFailed, errors
from gatewaypy.observe import log_event, notify


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (
            LateResult(operation="debit", merchant_transaction_id="A", payment_id="1", error=None,
                       result=Payment(outcome=Outcome.SUCCEEDED)),
            logging.WARNING, "debit A: the caller was cancelled after it was sent; it ended as SUCCEEDED (payment id 1)",
        ),
        (
            LateResult(operation="refund", merchant_transaction_id=None, payment_id="1", result=None, error=errors.OutcomeUnknown("cut")),
            logging.WARNING, "outcome is unknown",
        ),
        (TokenRenewalFailed(root="transactions", reason="no connection"), logging.WARNING, "the token for transactions was not renewed: no connection"),
        (CallEnded(operation="debit", outcome=Outcome.FAILED, error=None, http_status=200, requests=1, seconds=0.5), logging.DEBUG, "FAILED"),
        (CallEnded(operation="debit", outcome=None, error="NotSent", http_status=None, requests=1, seconds=0.5), logging.DEBUG, "NotSent"),
        (CallEnded(operation="token", outcome=None, error=None, http_status=200, requests=1, seconds=0.5), logging.DEBUG, "done"),
    ],
)  # fmt: skip
def test_observe_default_is_the_log(
    event: object, level: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Important events are logged as warnings, the rest at debug level."""
    with caplog.at_level(logging.DEBUG, "gatewaypy"):
        log_event(event)
    (record,) = caplog.records
    assert record.levelno == level
    assert words in record.getMessage()


def test_observe_failing_observer_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The error of an observer is logged, and the payment continues."""

    def broken(_: object) -> None:
        raise RuntimeError("broken")

    notify(broken, TokenRenewalFailed(root="r", reason="x"))
    assert "the observer failed at TokenRenewalFailed" in caplog.text
