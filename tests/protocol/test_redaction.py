"""What the gateway says, without card numbers and secrets; ids and amounts as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.redaction import ID_FIELDS, redact, secrets_of
from gatewaypy.secret import Secret

# Without a valid check digit: only the request knows that it is a card's.
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
    """Numbers are masked in any nesting and script, named ones and CVVs left out; amounts and redirects work as they were."""
    assert redact(sent) == kept


@pytest.mark.parametrize("name", sorted(ID_FIELDS))
@pytest.mark.parametrize("spelling", ["{}", "customer.{}"])
def test_redact_never_alters_an_id(name: str, spelling: str) -> None:
    """What the protocol calls an id stays, flat, dotted and nested, in any case, though it passes a card's check."""
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
def test_redact_takes_out_the_requests_secrets(words: str, shown: str) -> None:
    """A number in any grouping, a key, a token go wherever they are; a CVV as a whole word alone, never from an amount."""
    assert redact({"remark": words, "x": {"y": [words]}}, SECRETS) == {
        "remark": shown,
        "x": {"y": [shown]},
    }


def test_redact_takes_the_own_number_out_of_ids() -> None:
    """An id that is the request's own card number is not shown either; short secrets in ids and codes are chance."""
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


def test_redact_keeps_a_token_that_was_asked_for() -> None:
    """The token that a token call gets is read, even if it is the old one again; the words beside it are not."""
    sent = {"AuthToken": TOKEN, "result": {"code": "200", "description": f"renewed {TOKEN}"}}
    assert redact(sent, SECRETS, keep_token=True) == {
        "AuthToken": TOKEN,
        "result": {"code": "200", "description": "renewed ***"},
    }


def test_secrets_of_names_what_a_reply_must_not_show() -> None:
    """Numbers, CVVs, keys and accounts are secrets of a request; further fields of the caller's are echoed to him."""
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
def test_redact_twice_is_redact_once(fields: dict[str, Any]) -> None:
    """Whatever is redacted stays as it is when it is read again from a store."""
    once = redact(fields, SECRETS)
    assert redact(once, SECRETS) == once
