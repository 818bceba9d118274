"""Resolving a doubtful outcome by the answer of an inquiry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import (
    Card,
    Credentials,
    Invoice,
    Money,
    Outcome,
    OutcomeSource,
    Payment,
    Payout,
    Platform,
)
from gatewaypy.models import ResultCode
from gatewaypy.protocol import decode, operations, records, requests
from gatewaypy.protocol.inquiry import (
    Unresolved,
    inquiry_about,
    read_transaction,
    resolve,
    resolve_invoice,
)
from gatewaypy.protocol.operation_types import Operation
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.requests import Request
from gatewaypy.protocol.statuses import LONG
from gatewaypy.protocol.wire import WireReply

MERCHANT = Credentials(member_id="11344", partner_id="4", username="shop", secret_key="k" * 32)
EUROS = Money("50.00", "EUR")


def new(operation: Operation) -> Request:
    if operation is operations.PAYOUT:
        return requests.payout(credentials=MERCHANT, amount=EUROS, merchant_transaction_id="TX-1", payment_id="1", customer=None,
                               notification_url=None, terminal_id=None, extra=None)  # fmt: skip
    return requests.payment(operation, platform=Platform(name="t", base_url="https://g.example"), credentials=MERCHANT, amount=EUROS,
                            source=Card("4000000000000051", 7, 2030), merchant_transaction_id="TX-1")  # fmt: skip


def record(status: str | None, short: str | None = None, **fields: Any) -> Any:
    found = {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1",
        "amount": "50.00",
        "currency": "EUR",
        "result": {"code": "00026"},
    }
    return decode.transaction({**found, "status": status, "transactionStatus": short, **fields})


@pytest.mark.parametrize(
    ("operation", "status", "short", "outcome"),
    [
        (operations.DEBIT, "capturesuccess", "Y", Outcome.SUCCEEDED),
        (operations.DEBIT, "authsuccessful", "Y", Outcome.PENDING),
        (operations.PREAUTH, "authsuccessful", "Y", Outcome.SUCCEEDED),
        (operations.DEBIT, "authfailed", "N", Outcome.FAILED),
        (operations.DEBIT, "failed", "N", Outcome.FAILED),
        (operations.DEBIT, "3D Authstarted", "3D", Outcome.PENDING),
        (operations.DEBIT, "reversed", "Y", Outcome.REFUNDED),
        (operations.DEBIT, "chargeback", "N", Outcome.CHARGED_BACK),
        (operations.DEBIT, None, "Y", Outcome.SUCCEEDED),
        (operations.PAYOUT, "payoutsuccessful", "Y", Outcome.SUCCEEDED),
        (operations.PAYOUT, "payoutstarted", "P", Outcome.PENDING),
        (operations.PAYOUT, "payoutfailed", "N", Outcome.FAILED),
        (operations.PAYOUT, "failed", "N", Outcome.FAILED),
    ],
)
def test_resolve_found_record_decides(
    operation: Operation, status: str | None, short: str, outcome: Outcome
) -> None:
    """The state of the record becomes the outcome, marked as found by inquiry."""
    result = resolve(new(operation), record(status, short), duplicate=True)
    assert isinstance(result, Payout if operation is operations.PAYOUT else Payment)
    assert (result.outcome, result.outcome_source, result.duplicate) == (
        outcome,
        OutcomeSource.INQUIRY,
        True,
    )
    assert (result.payment_id, result.merchant_transaction_id, result.amount) == (
        "54279",
        "TX-1",
        EUROS,
    )
    assert (result.status, result.transaction_status) == (status, short)


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        (operations.DEBIT, {"amount": "51.00"}),
        (operations.DEBIT, {"currency": "USD"}),
        (operations.DEBIT, {"amount": "51.00", "currency": None}),
        (operations.DEBIT, {"amount": "fifty"}),
        (operations.DEBIT, {"status": "payoutsuccessful"}),
        (operations.PAYOUT, {"status": "capturesuccess"}),
    ],
)
def test_resolve_other_record_is_final_without_outcome(
    operation: Operation, fields: dict[str, Any]
) -> None:
    """A record of another amount, currency or kind is never going to match."""
    answer = resolve(
        new(operation),
        record("capturesuccess", "Y", **fields)
        if "status" not in fields
        else record(**fields, short="Y"),
    )
    assert isinstance(answer, Unresolved)
    assert answer.final


@pytest.mark.parametrize(
    "transaction",
    [
        record(None, None, result={"code": "10026"}),
        record("somethingnew", "Y"),
        record("settled", "N"),
    ],
)
def test_resolve_missing_or_contradiction_stays_open(transaction: Any) -> None:
    """The record may appear, or its status may make sense, later."""
    answer = resolve(new(operations.DEBIT), transaction)
    assert isinstance(answer, Unresolved)
    assert not answer.final


@pytest.mark.parametrize(
    ("operation", "status", "outcome"),
    [
        (operations.CAPTURE, "capturesuccess", Outcome.SUCCEEDED),
        (operations.CAPTURE, "settled", Outcome.SUCCEEDED),
        (operations.CAPTURE, "capturestarted", Outcome.PENDING),
        (operations.CAPTURE, "capturefailed", Outcome.FAILED),
        (operations.CAPTURE, "authsuccessful", None),
        (operations.CAPTURE, "authcancelled", None),
        (operations.REVERSAL, "authcancelled", Outcome.SUCCEEDED),
        (operations.REVERSAL, "cancelstarted", Outcome.PENDING),
        (operations.REVERSAL, "authsuccessful", None),
        (operations.REVERSAL, "capturesuccess", None),
        (operations.REFUND, "reversed", Outcome.SUCCEEDED),
        (operations.REFUND, "markedforreversal", Outcome.PENDING),
        (operations.REFUND, "capturesuccess", None),
        (operations.REFUND, "chargeback", None),
    ],
)
def test_resolve_follow_up_by_payment_status(
    operation: Operation, status: str, outcome: Outcome | None
) -> None:
    """Only a status that the operation leaves resolves it; the amount is as reported."""
    request = requests.follow_up(operation, "54279", EUROS)
    assert isinstance(resolve(request, record(status)), Unresolved), (
        "an earlier follow-up may have left that status"
    )
    answer = resolve(request, record(status), is_only=True)
    if outcome is None:
        assert isinstance(answer, Unresolved)
        return
    assert not isinstance(answer, Unresolved)
    assert (answer.outcome, answer.amount, answer.payment_id, answer.outcome_source) == (
        outcome,
        None,
        "54279",
        OutcomeSource.INQUIRY,
    )


def test_resolve_follow_up_of_other_amount_is_refused() -> None:
    """If the gateway reports the refunded amount, it must be the requested one."""
    request = requests.follow_up(operations.REFUND, "54279", EUROS)
    ours = resolve(request, record("reversed", refundamount="50.00"), is_only=True)
    assert not isinstance(ours, Unresolved)
    assert ours.amount == EUROS
    theirs = resolve(request, record("reversed", refundamount="20.00"), is_only=True)
    assert isinstance(theirs, Unresolved)
    assert theirs.final


def test_inquiry_id_depends_on_operation() -> None:
    """New payments are looked up by the merchant's id, follow-ups by the gateway's."""
    assert inquiry_about(new(operations.DEBIT)).merchant_transaction_id == "TX-1"
    assert inquiry_about(requests.follow_up(operations.REFUND, "54279", EUROS)).subject == "54279"


@pytest.mark.parametrize(
    ("inquiry", "changes", "is_about"),
    [
        ({"payment_id": "54279"}, {}, True),
        ({"payment_id": "1"}, {}, False),
        ({"payment_id": "54279"}, {"paymentId": "-"}, False),
        ({"merchant_transaction_id": "TX-1"}, {}, True),
        ({"merchant_transaction_id": "TX-2"}, {}, False),
        ({"merchant_transaction_id": "TX-2"}, {"merchantTransactionId": None}, False),
    ],
)
def test_read_transaction_must_have_the_inquired_id(
    inquiry: dict[str, str], changes: dict[str, str | None], is_about: bool
) -> None:
    """A record without the id that the inquiry asked for is unreadable."""
    fields = {**record("settled", "Y").raw, **changes}
    answer = WireReply(200, "application/json", json.dumps(fields).encode())
    if is_about:
        assert read_transaction(requests.inquiry(**inquiry), answer).status == "settled"
        return
    with pytest.raises(UnreadableError, match="another payment"):
        read_transaction(requests.inquiry(**inquiry), answer)


@given(
    st.sampled_from([*LONG, "new"]),
    st.sampled_from(["Y", "N", "P", "3D", "C", "Z", None]),
    st.sampled_from(["50.00", "49.99"]),
)
def test_resolve_never_invents_a_success(status: str, short: str | None, amount: str) -> None:
    """A payment succeeds only by a record of its own amount with statuses of success."""
    answer = resolve(new(operations.DEBIT), record(status, short, amount=amount))
    if not isinstance(answer, Unresolved):
        assert amount == "50.00"
        assert answer.outcome is not Outcome.UNKNOWN
        if answer.outcome is Outcome.SUCCEEDED:
            assert status in {"capturesuccess", "settled"}
            assert short in {"Y", None}


def test_resolve_invoice_ignores_inquiry_code() -> None:
    """The code of the inquiry says that an invoice was found, not how its generation ended."""
    result = {"code": "00026", "description": "Your record found successfully"}
    fields = {
        "merchantInvoiceId": "INV-1",
        "systemInvoiceId": "9",
        "status": "generated",
        "amount": "50.00",
        "currency": "EUR",
    }
    invoice = records.record(operations.INVOICE_STATUS, {"statusInvoiceResult": result, **fields})
    request = Request(
        operation=operations.INVOICE_GENERATE, fields={"merchantInvoiceId": "INV-1"}, amount=EUROS
    )
    settled = resolve_invoice(request, invoice)
    assert isinstance(settled, Invoice)
    assert (settled.outcome_source, settled.result) == (OutcomeSource.INQUIRY, ResultCode())
