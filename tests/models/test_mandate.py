"""Mandates: what is stored of an initial payment."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Mandate, Money, Outcome, Payment, Transaction, errors
from gatewaypy.models import Fields, MaskedCard

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT | st.just("payment_id"), inner, max_size=3)
    ),
    max_leaves=6,
)
CARD = MaskedCard(
    bin="400000", last_four="0051", holder="Ada Lovelace", expiry_month="07", expiry_year="2031"
)
INITIAL: dict[str, Any] = {
    "outcome": Outcome.SUCCEEDED,
    "payment_id": "54279",
    "merchant_transaction_id": "SUB-1",
    "amount": Money("5.00", "EUR"),
    "registration_id": "REG123",
    "payment_mode": "CC",
    "payment_brand": "VISA",
    "terminal_id": "1106",
    "card": CARD,
    "raw": Fields({"card": {"number": "4000000000000051", "holder": "Ada Lovelace"}}),
}
MANDATE = Mandate(
    payment_id="54279",
    registration_id="REG123",
    payment_mode="CC",
    payment_brand="VISA",
    terminal_id="1106",
    merchant_transaction_id="SUB-1",
    currency="EUR",
)


@pytest.mark.parametrize(
    "payment",
    [Payment(**INITIAL), Transaction(**INITIAL, found=True)],
    ids=["payment", "transaction"],
)
def test_mandate_from_payment_equals_from_inquiry(
    payment: Payment | Transaction,
) -> None:
    """Both give the same mandate with everything that repeats need."""
    assert payment.mandate() == Mandate.of(payment) == MANDATE


def test_mandate_needs_only_payment_id() -> None:
    """Other fields that the payment lacks are absent in the mandate."""
    assert Payment(outcome=Outcome.SUCCEEDED, payment_id="54279").mandate() == Mandate(
        payment_id="54279"
    )


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED]
)
@pytest.mark.parametrize("kind", [Payment, Transaction])
def test_mandate_needs_succeeded_payment(
    kind: type[Payment | Transaction], outcome: Outcome
) -> None:
    """The error has the outcome and the merchant's own id."""
    facts = INITIAL | {"outcome": outcome} | ({"found": True} if kind is Transaction else {})
    with pytest.raises(errors.InvalidRequest, match=outcome.name) as refused:
        kind(**facts).mandate()
    assert (refused.value.field, refused.value.merchant_transaction_id) == ("mandate", "SUB-1")


def test_mandate_of_payment_without_id_raises() -> None:
    """Such a payment cannot be repeated."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Payment(**INITIAL | {"payment_id": None}).mandate()
    assert refused.value.field == "mandate"


def test_mandate_has_no_card_data() -> None:
    """Attributes, JSON and repr have nothing of the card, not even its masked number."""
    mandate = Payment(**INITIAL).mandate()
    assert {attribute.name for attribute in attrs.fields(Mandate)} == {
        "payment_id",
        "registration_id",
        "payment_mode",
        "payment_brand",
        "terminal_id",
        "merchant_transaction_id",
        "currency",
    }
    for shown in (mandate.to_json(), repr(mandate)):
        for card_data in (
            "4000000000000051",
            *(value for value in attrs.astuple(CARD) if len(value) > 2),
        ):
            assert card_data not in shown


def test_mandate_json_is_an_object_of_strings() -> None:
    """Absent values are left out; any JSON parser can read it."""
    assert json.loads(MANDATE.to_json()) == attrs.asdict(MANDATE)
    assert json.loads(Mandate(payment_id="1").to_json()) == {"payment_id": "1"}
    assert Mandate(payment_id="Zoë").to_json().isascii()


@given(
    st.builds(
        Mandate,
        payment_id=TEXT,
        **dict.fromkeys(
            (a.name for a in attrs.fields(Mandate) if a.name != "payment_id"), st.none() | TEXT
        ),
    )
)
def test_mandate_json_round_trip_is_equal(mandate: Mandate) -> None:
    """The same mandate is read from text and from bytes, with any values."""
    assert Mandate.from_json(mandate.to_json()) == mandate
    assert Mandate.from_json(mandate.to_json().encode()) == mandate


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "54279",
        '"54279"',
        "[]",
        '["54279"]',
        "{}",
        "{",
        '{"payment_id": "1"',
        '{"payment_id": "1"} {}',
        '{"payment_id": null}',
        '{"payment_id": 54279}',
        '{"payment_id": ["54279"]}',
        '{"payment_id": NaN}',
        '{"registration_id": "REG123"}',
        '{"payment_id": "1", "registration_id": null}',
        '{"payment_id": "1", "currency": true}',
        '{"payment_id": "1", "card": "4000000000000051"}',
        '{"paymentId": "1"}',
        "[" * 100_000,
        '{"payment_id": ' + "1" * 5000 + "}",
        b"\xff\xfe{",
        b"",
        None,
        7,
    ],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_mandate_from_other_text_raises(text: Any) -> None:
    """Text that to_json did not write is refused with its field, and not shown."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Mandate.from_json(text)
    assert refused.value.field == "mandate"
    assert "4000000000000051" not in str(refused.value)


@given(ANY_JSON.map(json.dumps) | TEXT | st.binary(max_size=40))
def test_mandate_from_any_text_is_read_or_refused(text: str | bytes) -> None:
    """What the reader accepts, it writes again."""
    try:
        mandate = Mandate.from_json(text)
    except errors.InvalidRequest as refused:
        assert refused.field == "mandate"  # noqa: PT017 - either is right
    else:
        assert Mandate.from_json(mandate.to_json()) == mandate
