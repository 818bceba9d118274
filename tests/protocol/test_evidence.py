"""The comparison of replies, inquiries and callbacks with the expected payment."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Money, Outcome, Payout
from gatewaypy.models import Fields
from gatewaypy.protocol.evidence import (
    Check,
    Evidence,
    Subject,
    judge,
    mismatch_of,
    reading,
    same_amount,
)
from gatewaypy.protocol.statuses import LONG

PAYOUT = Subject(
    payment_type="PO",
    member_id="1",
    payment_id="9",
    merchant_transaction_id="A",
    amount="50.00",
    currency="EUR",
)
RECORD = Evidence(
    member_id="1",
    payment_id="9",
    merchant_transaction_id="A",
    amount="50.00",
    currency="EUR",
    status="payoutsuccessful",
    transaction_status="Y",
)


def test_judge_matching_record_returns_its_outcome() -> None:
    """A record that passes every check has the outcome of its statuses."""
    assert judge(PAYOUT, RECORD).outcome is Outcome.SUCCEEDED
    assert (
        judge(PAYOUT, evolve(RECORD, status="begun", transaction_status="P")).outcome
        is Outcome.PENDING
    )
    assert judge(PAYOUT, evolve(RECORD, status="onhold")).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"member_id": "2"}, Check.MERCHANT),
        ({"status": "capturesuccess"}, Check.KIND),
        ({"status": "authstarted", "transaction_status": "P"}, Check.KIND),
        ({"status": None, "transaction_status": "3D"}, Check.KIND),
        ({"payment_id": "10"}, Check.PAYMENT_ID),
        ({"merchant_transaction_id": "B"}, Check.MERCHANT_TRANSACTION_ID),
        ({"amount": "50.01"}, Check.AMOUNT),
        ({"amount": "1.00", "currency": None}, Check.AMOUNT),
        ({"amount": "50.000"}, Check.AMOUNT),
        ({"amount": ""}, Check.AMOUNT),
        ({"amount": None, "currency": "USD"}, Check.CURRENCY),
        ({"currency": "USD"}, Check.CURRENCY),
    ],
)
def test_judge_other_record_names_failed_check(change: dict[str, Any], check: Check) -> None:
    """The first check that fails is named, and the record gives no outcome."""
    judgement = judge(PAYOUT, evolve(RECORD, **change))
    assert judgement.outcome is Outcome.UNKNOWN
    assert judgement.mismatch is not None
    assert judgement.mismatch.check is check


@pytest.mark.parametrize("currency", ["EUR", "eur", " EUR ", None])
def test_judge_currency_matches_in_any_case(currency: str | None) -> None:
    """A missing or lower-case currency does not refuse a record with the right amount."""
    assert judge(PAYOUT, evolve(RECORD, currency=currency)).mismatch is None


@pytest.mark.parametrize(
    "name", ["member_id", "payment_id", "merchant_transaction_id", "amount", "currency"]
)
def test_mismatch_value_missing_on_one_side_is_none(name: str) -> None:
    """A value is compared only if both sides have it."""
    assert mismatch_of(PAYOUT, evolve(RECORD, **{name: None})) is None
    assert mismatch_of(evolve(PAYOUT, **{name: None}), RECORD) is None


@given(
    st.sampled_from([*LONG, "new", None]), st.sampled_from(["Y", "N", "P", "3D", "C", "Z", None])
)
def test_judge_payout_ignores_status_of_payment(long: str | None, short: str | None) -> None:
    """A status that only a payment can have says nothing about a payout."""
    judgement = judge(PAYOUT, evolve(RECORD, status=long, transaction_status=short))
    if judgement.outcome is not Outcome.UNKNOWN:
        assert long is None or long in {
            "begun",
            "payoutstarted",
            "payoutsuccessful",
            "payoutfailed",
            "failed",
        }


def test_judge_authorized_debit_is_pending() -> None:
    """An authorized debit only holds the money; a preauthorization is complete then."""
    assert reading("DB", " AuthSuccessful", Outcome.SUCCEEDED) is Outcome.PENDING
    assert reading("PA", "authsuccessful", Outcome.SUCCEEDED) is Outcome.SUCCEEDED
    assert reading("DB", "authsuccessful", Outcome.UNKNOWN) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        ("50.00", "50", True),
        ("50.00", "50.0", True),
        ("50.00", " 50.00 ", True),
        ("50.00", "50.000", False),
        ("50.00", "5.0e1", False),
        ("50.00", "５０.００", False),
        ("12.00", "12.000", False),
        ("1.00", "1" * 100_000, False),
    ],
)
def test_same_amount_compares_wire_text_by_value(mine: str, theirs: str, same: bool) -> None:
    """Only texts with at most two decimals are amounts on the wire."""
    assert same_amount(mine, theirs) is same


def test_evidence_of_record_uses_received_texts() -> None:
    """The received text counts, because Money needs a currency; without one the Money counts."""
    raw = Fields({"paymentId": "9", "amount": "1.00"})
    assert Evidence.of(Payout(outcome=Outcome.SUCCEEDED, raw=raw)).amount == "1.00"
    by_hand = Evidence.of(Payout(outcome=Outcome.SUCCEEDED, amount=Money("2", "EUR")))
    assert (by_hand.amount, by_hand.currency) == ("2.00", "EUR")


def test_evidence_dash_is_not_an_id() -> None:
    """A dash is not an id; a value that is not a string cannot match."""
    evidence = Evidence.from_fields(
        {"paymentId": "-", "merchantTransactionId": "", "amount": ["50.00"], "currency": ""}
    )
    assert (evidence.payment_id, evidence.merchant_transaction_id, evidence.currency) == (
        None,
        None,
        None,
    )
    assert mismatch_of(Subject(amount="50.00"), evidence) is not None
