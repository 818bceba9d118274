"""Result codes."""

from __future__ import annotations

import pytest

from gatewaypy.protocol.codes import (
    BANK_REFUSALS,
    MEANINGS,
    CodeClass,
    bank_code,
    class_of,
    is_refusal,
    meaning_of,
)


@pytest.mark.parametrize("code", ["10001", "10002", "11005", "11051", "11033", "20007", "10006"])
def test_codes_listed_rejection_is_refusal(code: str) -> None:
    """Listed rejections and the bank's plain refusal mean that the operation was not done."""
    assert is_refusal(code)
    assert meaning_of(code)


@pytest.mark.parametrize("code", ["", "1", "10099", "11009", "11010", "11021", "11068", "11091", "10026", "20015", "20099", "00001",
                                  "90026", "77777", "100010", "1000a", "١٠٠٠١", "abc"])  # fmt: skip
def test_codes_other_codes_are_not_refusals(code: str) -> None:
    """An unlisted or open code proves nothing, and a duplicate has an earlier payment."""
    assert not is_refusal(code)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("00001", CodeClass.SUCCESS),
        ("10099", CodeClass.REJECTED),
        ("20099", CodeClass.REJECTED),
        ("20015", CodeClass.DUPLICATE),
        ("90026", CodeClass.PENDING),
        ("77777", CodeClass.UNKNOWN),
        ("", CodeClass.UNKNOWN),
        ("200", CodeClass.UNKNOWN),
    ],
)
def test_codes_unlisted_are_classed_by_first_digit(code: str, kind: CodeClass) -> None:
    """The first digit of a code gives its class for a person to read."""
    assert class_of(code) is kind


def test_codes_bank_code_is_extracted() -> None:
    """An 11nnn code has ISO 8583 field 39 in its last digits."""
    assert bank_code("11051") == "51"
    assert bank_code("10051") is None
    assert bank_code("11") is None
    assert meaning_of("11051") == "insufficient funds"
    assert meaning_of("99999") is None


def test_codes_table_is_complete() -> None:
    """Every code of protocol section 9 is listed."""
    listed = [
        "200",
        "00001",
        "00004",
        "00005",
        "00006",
        "00007",
        "00010",
        "00012",
        "00026",
        "90026",
        "10001",
        "10002",
        "10003",
        "20007",
        "20015",
    ]
    listed += [f"{code}" for code in (*range(10005, 10028),)]
    listed += [
        f"110{code:02}" for code in (2, 3, 4, 5, 6, 9, 10, 12, 13, 14, 21, 30, 33, 34, 40, 43)
    ]
    assert set(MEANINGS) == set(listed)
    assert "09" not in BANK_REFUSALS
