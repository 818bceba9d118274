"""Classification of replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Outcome
from gatewaypy.protocol import codes
from gatewaypy.protocol.classify import found, judge
from gatewaypy.protocol.operations import (
    CAPTURE,
    DEBIT,
    PAYOUT,
    PREAUTH,
    REFUND,
    REVERSAL,
    Operation,
)
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.statuses import LONG

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
    verdict = judge(operation, vector(name), redirected=redirected)
    assert (verdict.outcome, verdict.doubt) == (outcome, None)


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
    verdict = judge(DEBIT, fields, redirected=False)
    assert (verdict.outcome, verdict.doubt) == (outcome, None)


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
    verdict = judge(operation, fields, redirected=False)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.doubt


@pytest.mark.parametrize(
    "operation", [CAPTURE, REFUND, REVERSAL], ids=lambda operation: operation.name
)
@pytest.mark.parametrize("fields", [reply(), reply(None, "00001"), reply(None, "77777"), reply(None, "20015"), reply(None, "90026"),
                                    reply("N", "00004"), reply("Y", "10005")], ids=str)  # fmt: skip
def test_classify_follow_up_by_its_own_code(operation: Operation, fields: dict[str, Any]) -> None:
    """Only its own success code is a success, only a refusal a failure."""
    if fields.get("result", {}).get("code") == operation.success:
        fields = reply("N", operation.success)
    assert judge(operation, fields, redirected=False).doubt


@pytest.mark.parametrize(
    ("operation", "code"),
    [(CAPTURE, "10005"), (REFUND, "10006"), (REVERSAL, "10007"), (REFUND, "10002")],
)
def test_classify_follow_up_refusal_is_failed(operation: Operation, code: str) -> None:
    """A refusal of a capture, refund or reversal is a failure."""
    verdict = judge(operation, reply(None, code), redirected=False)
    assert (verdict.outcome, verdict.doubt) == (Outcome.FAILED, None)


@pytest.mark.parametrize("fields", [{"result": "00001"}, {"result": []}, reply({}, "00001"), reply("Y", ["00001"]), reply("Y", "00001", True),
                                    reply(False, "10001")], ids=str)  # fmt: skip
@pytest.mark.parametrize("operation", [DEBIT, PAYOUT, REFUND], ids=lambda operation: operation.name)
def test_classify_wrong_type_is_unreadable(operation: Operation, fields: dict[str, Any]) -> None:
    """A status that is not a string decides nothing."""
    try:
        assert judge(operation, fields, redirected=False).doubt
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
    verdict = judge(DEBIT, reply(short, code, long), redirected=False)
    if verdict.outcome is Outcome.SUCCEEDED:
        assert (short, code.strip()) == ("Y", "00001")
    if verdict.outcome is Outcome.FAILED:
        assert short == "N"
        assert codes.is_refusal(code.strip())
        assert code.strip() != "20015"
    assert (verdict.outcome is Outcome.UNKNOWN) is (verdict.doubt is not None)


def test_classify_inquiry_code_is_of_the_lookup() -> None:
    """A record is found with 00026 or 00001 and a status, missing with 10026 and none."""
    assert found(vector("inquiry"))
    assert found(reply("N", "00001"))
    assert not found(vector("inquiry-not-found"))
    for unclear in (
        reply(None, "00026"),
        reply("Y", "10026"),
        reply("Y", "77777"),
        reply("Y"),
        {},
        reply(None, "10001"),
    ):
        with pytest.raises(UnreadableError):
            found(unclear)
