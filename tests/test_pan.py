"""Detection and masking of card numbers in text, in any grouping and next to other digits."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Card, errors
from gatewaypy.pan import (
    Span,
    brand_of,
    contains,
    find,
    is_luhn_valid,
    mask,
    may_contain,
    replace_digits,
)


def with_check_digit(stem: str) -> str:
    """Add the Luhn check digit."""
    return next(stem + digit for digit in "0123456789" if is_luhn_valid(stem + digit))


#: Numbers of every scheme, in all of their lengths.
KNOWN = tuple(
    with_check_digit(stem)
    for stem in (
        "400000000000005", "411111111111111", "422222222222", "400000000000000000", "510108218725650", "222100000000000",
        "37551051316953", "37828224631000", "3056930902590", "3614890064791", "601111111111111", "353011133330000",
        "620000000000000", "62123456789012345", "817199990000001", "675964982643845", "67677000000", "630400000000000",
        "652150000000000", "508500000000000", "220000000000000", "979200000000000", "12200000000000",
    )
)  # fmt: skip
#: Numbers that are also found inside a longer group of digits, because of their usual lengths.
USUAL = tuple(number for number in KNOWN if brand_of(number) and len(number) in {14, 15, 16})
SEPARATORS = (
    "",
    " ",
    "-",
    ".",
    "\u00a0",
    "\u2009",
    "\u2011",
    "\u2013",
    "\u2212",
    "\u200b",
    "\t",
    " - ",
)
SCRIPTS = (0x30, 0xFF10, 0x660, 0x966)

texts = st.text(
    st.characters(exclude_categories=["Cs", "Nd", "Lu", "Zs", "Pd", "Cf", "Mn"]), max_size=30
).map(lambda text: text.rstrip(". \t\n\r\v\f\x1c\x1d\x1e\x1f\x85·•․∙・．"))


def hidden_digits(number: str) -> str:
    """Return the middle of a number, which must not be shown."""
    return number[6:-4]


@given(st.sampled_from(KNOWN), st.data(), texts, texts)
def test_find_returns_number_in_any_grouping_and_text(
    number: str, data: Any, before: str, after: str
) -> None:
    """Every known number is found, with any separator, in any script and any text."""
    script = data.draw(st.sampled_from(SCRIPTS))
    gaps = data.draw(
        st.lists(st.sampled_from(SEPARATORS), min_size=len(number) - 1, max_size=len(number) - 1)
    )
    digits = [chr(script + int(digit)) for digit in number]
    written = digits[0] + "".join(gap + digit for gap, digit in zip(gaps, digits[1:], strict=True))
    text = f"{before}|{written}|{after}"
    start = len(before) + 1
    assert Span(start, start + len(written)) in find(text)
    assert mask(text) == f"{before}|{number[:6]}******{number[-4:]}|{after}"
    assert may_contain(text)


@given(
    st.sampled_from(KNOWN),
    st.sampled_from(
        ["2026-11-26", "26.11.2026", "12/30", "20261126", "123", "0", "5000 4000 3000"]
    ),
    st.sampled_from([" ", "-", ".", " - "]),
)
def test_find_returns_number_next_to_other_groups(number: str, other: str, gap: str) -> None:
    """A number before or after a date or other digits is found."""
    for text in (
        f"{number}{gap}{other}",
        f"{other}{gap}{number}",
        f"{other}{gap}{number}{gap}{other}",
    ):
        assert number in {text[span.start : span.end] for span in find(text)}
        assert number not in mask(text)
        assert f"{number[:6]}{hidden_digits(number)}" not in mask(text)


@given(
    st.sampled_from(USUAL), st.text("0123456789", max_size=12), st.text("0123456789", max_size=12)
)
def test_find_returns_number_inside_digits(number: str, before: str, after: str) -> None:
    """A number between other digits is found by its issuer range and length."""
    text = before + number + after
    assert any(
        span.start <= len(before) and span.end >= len(before) + len(number)
        for span in merged(find(text))
    )
    assert number not in mask(text)


def merged(spans: list[Span]) -> list[Span]:
    """Join overlapping parts."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start < joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4000000000000052",
        "40000000051",
        "20261126221546",
        "1700000000001",
        "0000000000000000",
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00 EUR",
        "GB29NWBK60161331926819",
        "paid 1234.56 EUR on 2026-11-26 22:15:46",
        "+81 90 1234 5678",
        "4111/1111/1111/1111",
    ],
)
def test_find_other_numbers_returns_nothing(text: str) -> None:
    """Wrong check digits, dates, times, account numbers and amounts are not card numbers."""
    assert find(text) == []
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", True),
        ("4111-1111 1111.1111", True),
        ("PAY-4111111111111111", True),
        ("7000000000000005", False),
        ("676770000003", False),
        ("41111111111111112026", False),
    ],
)
def test_contains_known_issuer_needs_whole_number(text: str, expected: bool) -> None:
    """In ids only a number of a known range and length counts, without digits around it."""
    assert contains(text, known_issuer=True) is expected


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111 1111 1111 1111 and 5101082187256503.", "411111******1111 and 510108******6503."),
        ("41111111111111112026", "411111******11112026"),
        ("4222222222222", "422222******2222"),
        ("6212 3456 7890 1234 567", "621234******4567"),
        ("id 6212345678901234", "id 621234******1234"),
    ],
)
def test_mask_keeps_six_and_four_digits(text: str, masked: str) -> None:
    """The first six and the last four digits stay, as does all other text."""
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "written",
    ["6212345678901234", "6212 3456 7890 1234", "621234567890123456 7", "8171 0000 0000 0001 23"],
)
def test_find_unionpay_needs_no_check_digit(written: str) -> None:
    """UnionPay numbers are found by their range, length and grouping."""
    digits = written.replace(" ", "")
    assert not is_luhn_valid(digits)
    assert any(
        span.end - span.start >= len(written) - 2 for span in find(f"card {written} declined")
    )


@pytest.mark.parametrize(
    "written", ["62.50 12 7 3 90 1234 55", "12345678901234567890", "62 1 2 3 4 5 6 7 8 9 0 1 2 3 4"]
)
def test_find_unionpay_needs_grouping_of_a_card(written: str) -> None:
    """Digits in short groups are not a UnionPay number only because of their first two."""
    assert not any(written[span.start :].startswith("62") for span in find(written))


def test_replace_digits_ignores_check_digit() -> None:
    """A known number is removed in every grouping, inside other digits too."""
    text = "1234-5678-9012-3456, 12345678\u00a090123456, 991234567890123456"
    assert replace_digits(text, "1234567890123456", "***") == "***, ***, 99***"


@pytest.mark.parametrize(
    "piece",
    ["4", "62", "4 ", "1  ", "4111 1111 1111 1111 ", "12345678901x", "AA11 ", "AA11", "\u0661"],
)
def test_find_work_is_linear(piece: str) -> None:
    """Twice the text needs at most twice the work, with any content."""

    def lines(text: str) -> int:
        count = 0

        def trace(*_: object) -> Any:
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            mask(text)
        finally:
            sys.settrace(before)
        return count

    mask(piece * 300)
    once, twice = lines(piece * 300), lines(piece * 600)
    assert twice <= 2.1 * once + 200


@pytest.mark.parametrize("brand", [None, "CUP"])
def test_card_unionpay_needs_no_check_digit(brand: str | None) -> None:
    """A UnionPay card is accepted by its range, or by its brand."""
    for number in (
        "6200000000000000",
        "8171000000000000",
        *(["1234567890123456"] if brand else []),
    ):
        assert not is_luhn_valid(number)
        assert Card(number, 7, 2030, brand=brand).brand == "CUP"


def test_card_other_brand_needs_check_digit() -> None:
    """The number of another brand has a check digit, and a wrong one is a typing error."""
    with pytest.raises(errors.InvalidRequest, match="Luhn"):
        Card("4000000000000052", 7, 2030, brand="VISA")
