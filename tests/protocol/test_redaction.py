"""Redaction removes card numbers and secrets from gateway text, and keeps ids and amounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.redaction import ID_FIELDS, redact, secrets_of
from gatewaypy.secret import Secret

# Without a valid check digit only the request knows that it is a card number.
NUMBER, CVV, KEY, TOKEN = "1234567890123456", "917", "canaryKeyQ7xW2zP9", "eyJ.canary.token"
SECRETS = tuple(map(Secret, (NUMBER, CVV, KEY, TOKEN)))
VALID = "4111111111111111"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"remark": f"card {VALID} declined"}, {"remark": "card 411111******1111 declined"}),
        ({"result": {"code": VALID, "description": "4111-1111 1111.1111"}},
         {"result": {"code": "411111******1111", "description": "411111******1111"}}),
        ({"a": {"b": [{"c": VALID}, VALID]}}, {"a": {"b": [{"c": "411111******1111"}, "411111******1111"]}}),
        ({VALID: "x"}, {"411111******1111": "x"}),
        ({"card": {"number": VALID, "bin": "411111", "cvv": "123"}}, {"card": {"bin": "411111"}}),
        ({"card": {"number": "411111******1111"}}, {"card": {"number": "411111******1111"}}),
        ({"card.number": "6200000000000000", "card.cvv": "1"}, {}),
        ({"CVV2": "745", "card.securityCode": "745", "authentication.sKey": "x", "AuthToken": "t"}, {}),
        ({"remark": "４１１１１１１１１１１１１１１１"}, {"remark": "411111******1111"}),
        ({"remark": "Zoë, table 12"}, {"remark": "Zoë, table 12"}),
        ({"amount": "4111111111.11", "captureamount": "4111111111.11"}, {"amount": "4111111111.11", "captureamount": "4111111111.11"}),
        ({"redirect": {"url": f"https://acs.example/{VALID}", "parameters": [{"name": "MD", "value": VALID}]}},
         {"redirect": {"url": f"https://acs.example/{VALID}", "parameters": [{"name": "MD", "value": VALID}]}}),
    ],
)  # fmt: skip
def test_redact_masks_numbers_and_keeps_the_rest(
    sent: dict[str, Any], kept: dict[str, Any]
) -> None:
    """Numbers in any nesting and script are masked, CVVs removed; amounts and redirects stay."""
    assert redact(sent) == kept


@pytest.mark.parametrize("name", sorted(ID_FIELDS))
@pytest.mark.parametrize("spelling", ["{}", "customer.{}"])
def test_redact_never_alters_an_id(name: str, spelling: str) -> None:
    """What the protocol calls an id stays in any form and case, even with a valid check digit."""
    for known in (name, name.upper()):
        fields = {
            spelling.format(known): VALID,
            "customer": {known: VALID},
            "rows": [{known: [VALID]}],
            "remark": VALID,
        }
        assert redact(fields) == {**fields, "remark": "411111******1111"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("no 1234-5678 9012.3456 here", "no *** here"),
        ("99123456789012345699", "99***99"),
        (f"key {KEY}, token {TOKEN}", "key ***, token ***"),
        ("cvv:917, (917) cvv=917.", "cvv:***, (***) cvv=***."),
        (
            "917.00 EUR, 12-917-3, 9171, x917, 2026/917",
            "917.00 EUR, 12-917-3, 9171, x917, 2026/917",
        ),
    ],
)
def test_redact_removes_secrets_of_the_request(words: str, shown: str) -> None:
    """A number, key or token is removed everywhere; a CVV only as a whole word, not in amounts."""
    assert redact({"remark": words, "x": {"y": [words]}}, SECRETS) == {
        "remark": shown,
        "x": {"y": [shown]},
    }


def test_redact_removes_own_card_number_from_ids() -> None:
    """An id equal to the request's card number is hidden; short secrets in ids are chance."""
    sent = {
        "paymentId": NUMBER,
        "bankReferenceId": "917",
        "result": {"code": "917"},
        "remark": "917",
    }
    assert redact(sent, SECRETS) == {
        "paymentId": "***",
        "bankReferenceId": "917",
        "result": {"code": "917"},
        "remark": "***",
    }


def test_redact_keeps_requested_token() -> None:
    """The token of a token call is read, even if it is the old one; text around it is redacted."""
    sent = {"AuthToken": TOKEN, "result": {"code": "200", "description": f"renewed {TOKEN}"}}
    assert redact(sent, SECRETS, keep_token=True) == {
        "AuthToken": TOKEN,
        "result": {"code": "200", "description": "renewed ***"},
    }


def test_secrets_of_returns_what_replies_must_not_show() -> None:
    """Numbers, CVVs, keys and accounts are secrets; further fields of the caller are not."""
    fields = {
        "card.number": Secret(NUMBER),
        "card.cvv": Secret(CVV),
        "note": Secret("my own"),
        "amount": "5.00",
    }
    assert secrets_of(fields) == (Secret(NUMBER), Secret(CVV))


trees = st.recursive(
    st.text(max_size=20) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), trees, max_size=4))
def test_redact_is_idempotent(fields: dict[str, Any]) -> None:
    """Redacted text does not change when it is redacted again."""
    once = redact(fields, SECRETS)
    assert redact(once, SECRETS) == once
