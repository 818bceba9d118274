"""Token replies."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.auth_token import (
    LIFETIME,
    UNREADABLE_LIFETIME,
    AuthToken,
    Refused,
    lifetime,
    read,
)
from gatewaypy.protocol.parse import UnreadableError

FIELDS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "replies" / "token.json").read_text()
)
EXPIRY = 1774860318


def jwt(payload: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def test_token_recorded_reply_is_read() -> None:
    """The token, its owner, and the lifetime that its ``exp`` claim leaves."""
    token = read(FIELDS, now=EXPIRY - 1800)
    assert isinstance(token, AuthToken)
    assert token.value.reveal() == FIELDS["AuthToken"]
    assert (token.lifetime, token.partner_id, token.member_id, token.login_name) == (
        1800,
        "4",
        "11344",
        "ShopLogin",
    )
    assert FIELDS["AuthToken"] not in repr(token)


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt({"exp": EXPIRY + 60}), 60),
        (
            "e30."
            + base64.urlsafe_b64encode(b'{"sub": "M\xfcller", "exp": %d}' % (EXPIRY + 60)).decode()
            + ".c2ln",
            60,
        ),
        (jwt({"exp": EXPIRY - 60}), UNREADABLE_LIFETIME),
        (jwt({"exp": EXPIRY + 86400}), LIFETIME),
        (jwt({"exp": "soon"}), UNREADABLE_LIFETIME),
        (jwt({"exp": True}), UNREADABLE_LIFETIME),
        (jwt({}), UNREADABLE_LIFETIME),
        (jwt([1]), UNREADABLE_LIFETIME),
        (jwt({"exp": 10**400}), UNREADABLE_LIFETIME),
        (jwt({"exp": float("nan")}), UNREADABLE_LIFETIME),
        (jwt({"exp": float("inf")}), UNREADABLE_LIFETIME),
        ("opaque", UNREADABLE_LIFETIME),
        ("a.b.c", UNREADABLE_LIFETIME),
        ("a.!!!!.c", UNREADABLE_LIFETIME),
    ],
)
def test_token_wrong_clock_or_opaque_is_usable(token: str, seconds: float) -> None:
    """A new token that seems expired shows a wrong clock, and does not cause a call per request."""
    assert lifetime(token, now=EXPIRY) == seconds


@pytest.mark.parametrize("code", ["10002", "20007", "00001"])
def test_token_refusal_has_code_and_no_token(code: str) -> None:
    """Any code but 200 without a token is a refusal by the gateway."""
    refused = read({"result": {"code": code, "description": "no"}}, now=0)
    assert refused == Refused(code, "no")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"result": {"code": "200"}},
        {"result": {"code": "200"}, "AuthToken": ""},
        {"result": {"code": "00001"}, "AuthToken": "t"},
        {"result": {"code": "200"}, "AuthToken": "a\r\nX: y"},
        {"result": {"code": "200"}, "AuthToken": ["t"]},
        {"AuthToken": "t"},
    ],
)
def test_token_other_reply_is_unreadable(fields: dict[str, Any]) -> None:
    """A token without its code, a code without a token, and an invalid header value raise."""
    with pytest.raises(UnreadableError):
        read(fields, now=0)


@given(st.text(max_size=60))
def test_token_of_any_shape_has_a_lifetime(token: str) -> None:
    """A token of any shape gets a lifetime."""
    assert 0 < lifetime(token, now=EXPIRY) <= LIFETIME
