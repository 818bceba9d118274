"""Checksums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Secret, errors
from gatewaypy.protocol.checksum import KEY, RULES, checksum, masked_signed_text, matches

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "checksums.json").read_text())
TEXT = st.text(st.characters(exclude_characters="|\r\n\0", exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize("vector", VECTORS["rules"], ids=lambda vector: vector["rule"])
def test_checksum_rules_match_their_vectors(vector: dict) -> None:
    """Each rule joins its fields in order and hashes them; the text for logs has a masked key."""
    rule = RULES[vector["rule"]]
    values = {
        "memberId": VECTORS["memberId"],
        KEY: Secret(VECTORS["secureKey"]),
        **vector["values"],
    }
    assert list(rule.fields) == vector["fields"]
    assert masked_signed_text(rule, values) == vector["joined"].replace("<secureKey>", "***")
    assert checksum(rule, values) == vector["md5"]


def test_checksum_rules_all_have_vectors() -> None:
    """The vectors cover every rule."""
    assert {vector["rule"] for vector in VECTORS["rules"]} == set(RULES)


@pytest.mark.parametrize("bad", ["a|b", "a\r", "a\nb", "a\0", "\ud800"])
@pytest.mark.parametrize("name", ["merchantTransactionId", "amount", KEY])
def test_checksum_separator_in_signed_value_raises(bad: str, name: str) -> None:
    """With a separator inside a value, two requests could share one checksum."""
    values = {"memberId": "1", KEY: Secret("k"), "merchantTransactionId": "a", "amount": "1.00"}
    for function in (checksum, masked_signed_text):
        with pytest.raises(errors.InvalidRequest) as refused:
            function(RULES["A"], values | {name: Secret(bad) if name == KEY else bad})
        assert refused.value.field == name


@given(TEXT, TEXT, TEXT, TEXT)
def test_checksum_different_values_join_differently(a: str, b: str, c: str, d: str) -> None:
    """Two sets of values join to the same text only if they are equal."""
    first = {"memberId": "1", KEY: "k", "merchantTransactionId": a, "amount": b}
    second = {"memberId": "1", KEY: "k", "merchantTransactionId": c, "amount": d}
    assert (masked_signed_text(RULES["A"], first) == masked_signed_text(RULES["A"], second)) is (
        (a, b) == (c, d)
    )


def test_checksum_comparison_ignores_case_only() -> None:
    """Upper case is accepted; another digest, a truncated one and other text are not."""
    digest = "0047d105f93b303bd07d7bac6eeaccb8"
    assert matches(digest, digest)
    assert matches(digest, digest.upper())
    for other in (digest[:-1], digest[:-1] + "9", digest + "0", "", "x" * 32, "٠" * 32):
        assert not matches(digest, other)
