"""Classification of replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Credentials, Money, Outcome, Payout
from gatewaypy.protocol import codes, requests
from gatewaypy.protocol.classify import Doubt, classify, classify_fields, shows_execution
from gatewaypy.protocol.decode import is_found
from gatewaypy.protocol.operation_types import Operation
from gatewaypy.protocol.operations import (
    CAPTURE,
    DEBIT,
    PAYOUT,
    PREAUTH,
    REFUND,
    REVERSAL,
)
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.requests import Request
from gatewaypy.protocol.statuses import LONG
from gatewaypy.protocol.wire import WireFailure, WireReply

REPLIES = Path(__file__).parent.parent / "vectors" / "replies"


def vector(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((REPLIES / f"{name}.json").read_text())
    return fields


def reply(short: Any = None, code: Any = None, long: Any = None) -> dict[str, Any]:
    fields: dict[str, Any] = {"paymentId": "1"}
    fields |= {} if short is None else {"transactionStatus": short}
    fields |= {} if long is None else {"status": long}
    return fields | ({} if code is None else {"result": {"code": code}})


@pytest.mark.parametrize(
    ("operation", "name", "redirected", "outcome"),
    [
        (DEBIT, "payment-sync", False, Outcome.SUCCEEDED),
        (PREAUTH, "payment-sync", False, Outcome.SUCCEEDED),
        (DEBIT, "payment-3d", True, Outcome.REDIRECT),
        (DEBIT, "payment-declined", False, Outcome.FAILED),
        (DEBIT, "payment-rejected-no-id", False, Outcome.FAILED),
        (PAYOUT, "payout", False, Outcome.SUCCEEDED),
        (CAPTURE, "capture", False, Outcome.SUCCEEDED),
        (REFUND, "refund", False, Outcome.SUCCEEDED),
        (REVERSAL, "reversal", False, Outcome.SUCCEEDED),
    ],
)
def test_classify_recorded_replies_are_certain(
    operation: Operation, name: str, redirected: bool, outcome: Outcome
) -> None:
    """No recorded reply needs an inquiry."""
    assert classify_fields(operation, vector(name), is_redirect=redirected) is outcome


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        (reply("P", "00001"), Outcome.PENDING),
        (reply("P"), Outcome.PENDING),
        (reply("3D", "90026"), Outcome.PENDING),
        (reply("P", "77777"), Outcome.PENDING),
        (reply("C", "10001"), Outcome.CANCELLED),
        (reply("C", "00006"), Outcome.CANCELLED),
        (reply("N", "11051", "authfailed"), Outcome.FAILED),
    ],
)
def test_classify_payment_uses_status_and_code(fields: dict[str, Any], outcome: Outcome) -> None:
    """Status and code together make a payment pending, cancelled or failed."""
    assert classify_fields(DEBIT, fields, is_redirect=False) is outcome


DOUBTFUL = [
    reply("Y", "10001"), reply("Y", "77777"), reply("Y"), reply("N", "00001"), reply("N", "77777"), reply("N"), reply("N", "90026"),
    reply("N", "11009"), reply("N", "11010"), reply("N", "10026"), reply("C", "00001"), reply("P", "10001"), reply("Z", "00001"),
    reply(None, "00001"), reply("", "10001"), reply(), {}, reply("Y", "00001", "authfailed"), reply("Y", "00001", "somethingnew"),
    reply("N", "10001", "capturesuccess"), reply("N", "20015"), reply("Y", "20015"), reply("N", "11"), reply("N", "100010"),
]  # fmt: skip


@pytest.mark.parametrize(
    "operation", [DEBIT, PREAUTH, PAYOUT], ids=lambda operation: operation.name
)
@pytest.mark.parametrize("fields", DOUBTFUL, ids=str)
def test_classify_contradiction_or_unknown_is_doubtful(
    operation: Operation, fields: dict[str, Any]
) -> None:
    """Only a clear success or refusal is accepted; anything else needs an inquiry."""
    assert isinstance(classify_fields(operation, fields, is_redirect=False), Doubt)


@pytest.mark.parametrize(
    "operation", [CAPTURE, REFUND, REVERSAL], ids=lambda operation: operation.name
)
@pytest.mark.parametrize("fields", [reply(), reply(None, "00001"), reply(None, "77777"), reply(None, "20015"), reply(None, "90026"),
                                    reply("N", "00004"), reply("Y", "10005")], ids=str)  # fmt: skip
def test_classify_follow_up_by_its_own_code(operation: Operation, fields: dict[str, Any]) -> None:
    """Only its own success code is a success, only a refusal a failure."""
    if fields.get("result", {}).get("code") == operation.success:
        fields = reply("N", operation.success)
    assert isinstance(classify_fields(operation, fields, is_redirect=False), Doubt)


@pytest.mark.parametrize(
    ("operation", "code"),
    [(CAPTURE, "10005"), (REFUND, "10006"), (REVERSAL, "10007"), (REFUND, "10002")],
)
def test_classify_follow_up_refusal_is_failed(operation: Operation, code: str) -> None:
    """A refusal of a capture, refund or reversal is a failure."""
    outcome = classify_fields(operation, reply(None, code), is_redirect=False)
    assert outcome is Outcome.FAILED


@pytest.mark.parametrize("fields", [{"result": "00001"}, {"result": []}, reply({}, "00001"), reply("Y", ["00001"]), reply("Y", "00001", True),
                                    reply(False, "10001")], ids=str)  # fmt: skip
@pytest.mark.parametrize("operation", [DEBIT, PAYOUT, REFUND], ids=lambda operation: operation.name)
def test_classify_wrong_type_is_unreadable(operation: Operation, fields: dict[str, Any]) -> None:
    """A status that is not a string decides nothing."""
    try:
        assert isinstance(classify_fields(operation, fields, is_redirect=False), Doubt)
    except UnreadableError:
        return
    assert operation is REFUND


ANY_CODE = (
    st.sampled_from(sorted(codes.MEANINGS))
    | st.from_regex(r"[0-9]{5}", fullmatch=True)
    | st.text(max_size=6)
)


@given(
    st.sampled_from(["Y", "N", "P", "3D", "C", "Z", "", None]),
    ANY_CODE,
    st.sampled_from([*LONG, "new", "", None]),
)
def test_classify_failed_and_succeeded_need_both(
    short: str | None, code: str, long: str | None
) -> None:
    """FAILED needs a listed refusal and N; SUCCEEDED needs 00001 and Y; the rest is open."""
    outcome = classify_fields(DEBIT, reply(short, code, long), is_redirect=False)
    if outcome is Outcome.SUCCEEDED:
        assert (short, code.strip()) == ("Y", "00001")
    if outcome is Outcome.FAILED:
        assert short == "N"
        assert codes.is_refusal(code.strip())
        assert code.strip() != "20015"
    assert outcome is not Outcome.UNKNOWN


def test_classify_inquiry_code_is_of_the_lookup() -> None:
    """A record is found with 00026 or 00001 and a status, missing with 10026 and none."""
    assert is_found(vector("inquiry"))
    assert is_found(reply("N", "00001"))
    assert not is_found(vector("inquiry-not-found"))
    for unclear in (
        reply(None, "00026"),
        reply("Y", "10026"),
        reply("Y", "77777"),
        reply("Y"),
        {},
        reply(None, "10001"),
    ):
        with pytest.raises(UnreadableError):
            is_found(unclear)


MERCHANT = Credentials(member_id="11344", partner_id="4", username="shop", secret_key="k" * 32)
PAYOUT_REQUEST = requests.payout(
    credentials=MERCHANT, amount=Money("50.00", "EUR"), merchant_transaction_id="TX-1", payment_id="1", customer=None,
    notification_url=None, terminal_id=None, extra=None,
)  # fmt: skip
PAID_OUT = {
    "paymentId": "54279",
    "merchantTransactionId": "TX-1",
    "amount": "50.00",
    "currency": "EUR",
    "transactionStatus": "Y",
    "result": {"code": "00001", "description": "done"},
}


def answer(status: int = 200, **changes: Any) -> WireReply:
    return WireReply(status, "application/json", json.dumps(PAID_OUT | changes).encode())


def test_classify_plain_reply_returns_result() -> None:
    """A reply about the request whose code and status agree is the result."""
    result = classify(PAYOUT_REQUEST, answer())
    assert isinstance(result, Payout)
    assert result.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("reply", "reason", "code"),
    [
        (answer(amount="51.00"), "another amount: 51.00, not 50.00", None),
        (answer(merchantTransactionId="TX-2"), "another merchant transaction id", None),
        (answer(merchantTransactionId=None), "has no merchantTransactionId", "00001"),
        (answer(paymentId="-"), "has no paymentId", "00001"),
        (answer(transactionStatus="N"), "contradict each other", "00001"),
        (answer(result={"code": "20015"}), "20015", "20015"),
    ],
)
def test_classify_readable_doubt_states_reason_and_code(
    reply: WireReply, reason: str, code: str | None
) -> None:
    """The code is kept only if the reply is about the request."""
    doubt = classify(PAYOUT_REQUEST, reply)
    assert isinstance(doubt, Doubt)
    assert reason in doubt.reason
    assert (doubt.code, doubt.is_duplicate) == (code, code == "20015")
    assert not doubt.is_unreadable


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (WireFailure(sent=True, reason="no reply within 20 s"), None),
        (WireReply(200, "text/html", b"<html>"), None),
        (answer(502), None),
        (answer(502, result={"code": "20015"}), "20015"),
        (answer(transactionStatus=["Y"]), "00001"),
        (answer(paymentId=["54279"], transactionStatus="N", result={"code": "10001"}), "10001"),
    ],
)
def test_classify_unreadable_answer_is_a_doubt(
    reply: WireReply | WireFailure, code: str | None
) -> None:
    """A missing or unreadable answer raises nothing; a duplicate is recognized in it."""
    doubt = classify(PAYOUT_REQUEST, reply)
    assert isinstance(doubt, Doubt)
    assert doubt.is_unreadable
    assert (doubt.code, doubt.is_duplicate) == (code, code == "20015")


def test_classify_reader_that_fails_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request was sent, so no error of the reader reaches the caller."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gatewaypy.protocol.decode.payout", fail)
    doubt = classify(PAYOUT_REQUEST, answer())
    assert isinstance(doubt, Doubt)
    assert doubt.reason == "the reply could not be read (ZeroDivisionError)"
    assert doubt.code == "00001"


@pytest.mark.parametrize("name", ["mismatch_of", "subject_of", "read_code", "parse"])
def test_classify_check_that_fails_is_a_doubt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an error of the checks reaches the caller as if nothing had been sent."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"gatewaypy.protocol.classify.{name}", fail)
    for reply in (answer(paymentId="-"), answer(502), answer(401)):
        assert isinstance(classify(PAYOUT_REQUEST, reply), Doubt)
    if name in {"read_code", "parse"}:
        assert shows_execution(PAYOUT, answer(401))


NAMES = st.sampled_from(
    [
        "paymentId",
        "merchantTransactionId",
        "amount",
        "currency",
        "status",
        "transactionStatus",
        "result",
        "code",
        "description",
        "redirect",
        "url",
        "parameters",
        "name",
        "value",
        "card",
        "remark",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["00001", "20015", "Y", "3D", "50.00", "EUR", "https://bank.example/", "-"])
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@given(
    st.sampled_from([DEBIT, PAYOUT, CAPTURE, REFUND]),
    st.dictionaries(NAMES, JSON_VALUES, max_size=8).map(lambda body: json.dumps(body).encode())
    | st.binary(max_size=60),
    st.sampled_from([200, 302, 401, 429, 500]),
    st.sampled_from(["application/json", "application/xml", "text/html", ""]),
)
def test_classify_any_reply_never_raises(
    operation: Operation, body: bytes, status: int, content_type: str
) -> None:
    """The request was sent, so any reply gives a result or a doubt; a result names its payment."""
    request = Request(
        operation=operation,
        fields={},
        subject="7" if operation in (CAPTURE, REFUND) else None,
        merchant_transaction_id="TX-1",
        amount=Money("50.00", "EUR"),
    )
    result = classify(request, WireReply(status, content_type, body))
    if not isinstance(result, Doubt) and result.outcome is Outcome.SUCCEEDED:
        assert result.payment_id is not None
        assert result.payment_id == (request.subject or json.loads(body)["paymentId"])
