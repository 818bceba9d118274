"""Cards: brand, validation, and what is shown."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Card, Secret, errors
from gatewaypy.pan import brand_of, is_luhn_valid


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4000000000000051", "VISA"),
        ("4111111111111111", "VISA"),
        ("5101082187256503", "MC"),
        ("5101080000000009", "MC"),
        ("2221000000000009", "MC"),
        ("375510513169537", "AMEX"),
        ("378282246310005", "AMEX"),
        ("30569309025904", "DINER"),
        ("6011111111111117", "DISC"),
        ("3530111333300000", "JCB"),
        ("6200000000000005", "CUP"),
        ("6759649826438453", "MAESTRO"),
        ("6521500000000006", "RUPAY"),
    ],
)
def test_card_brand_is_detected_from_number(number: str, brand: str) -> None:
    """The published ranges of each scheme map to the gateway's name for it."""
    assert is_luhn_valid(number)
    assert Card(number, 1, 2030).brand == brand


def test_card_unknown_range_has_no_brand() -> None:
    """A number of no known scheme is a card without a brand."""
    assert brand_of("1234") is None


@given(st.text("0123456789", min_size=11, max_size=18), st.integers(0, 9))
def test_card_luhn_accepts_one_last_digit_in_ten(stem: str, mistake: int) -> None:
    """For each stem one last digit passes, and any changed digit of a valid number fails."""
    valid = [stem + digit for digit in "0123456789" if is_luhn_valid(stem + digit)]
    assert len(valid) == 1
    position = mistake % len(stem)
    changed = (
        valid[0][:position] + str((int(valid[0][position]) + 1) % 10) + valid[0][position + 1 :]
    )
    assert not is_luhn_valid(changed)


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("4000000000000052", "card.number"),
        ("4000", "card.number"),
        ("4000 0000 0000 005x", "card.number"),
        (4000000000000051, "card.number"),
    ],
)
def test_card_mistyped_number_raises_without_showing_it(number: object, field: str) -> None:
    """The error names the field and describes the value without one of its digits."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Card(number, 7, 2030)
    assert refused.value.field == field
    assert "4000" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expiry_month": 13}, "card.expiryMonth"),
        ({"expiry_month": True}, "card.expiryMonth"),
        ({"expiry_month": "07"}, "card.expiryMonth"),
        ({"expiry_year": 30}, "card.expiryYear"),
        ({"cvv": "12"}, "card.cvv"),
        ({"cvv": 745}, "card.cvv"),
        ({"holder": "Ada\nLovelace"}, "card.holder"),
    ],
)
def test_card_every_other_field_is_validated(changes: dict[str, object], field: str) -> None:
    """Month, year, CVV and holder have formats of their own."""
    arguments = {"number": "4000000000000051", "expiry_month": 7, "expiry_year": 2030} | changes
    with pytest.raises(errors.InvalidRequest) as refused:
        Card(**arguments)
    assert refused.value.field == field


def test_card_spaces_and_dashes_are_ignored() -> None:
    """A number may be written in groups, and may be a Secret."""
    assert Card("4000-0000 0000-0051", 7, 2030) == Card(Secret("4000000000000051"), 7, 2030)


def test_card_repr_shows_first_six_and_last_four_digits() -> None:
    """The repr shows what PCI DSS allows."""
    card = Card("4000000000000051", 7, 2030, "745")
    assert repr(card) == "Card(VISA 400000******0051, 07/2030)"
    assert (card.bin, card.last_four) == ("400000", "0051")


def test_card_expires_after_last_day_of_month() -> None:
    """A card expires at the end of its month."""
    card = Card("4000000000000051", 7, 2030)
    assert not card.is_expired(date(2030, 7, 31))
    assert card.is_expired(date(2030, 8, 1))
