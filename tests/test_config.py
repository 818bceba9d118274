"""Configuration."""

from __future__ import annotations

from typing import Any

import pytest

from gatewaypy import Credentials, Limits, Timeouts, errors

ACCOUNT: dict[str, Any] = {"member_id": "11344", "partner_id": "4", "username": "shop", "secret_key": "k" * 32}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("member_id", "11344a"),
        ("member_id", 11344),
        ("member_id", "12345678901"),
        ("partner_id", ""),
        ("username", "sh|op"),
        ("username", ""),
        ("secret_key", "k" * 16 + "|"),
        ("secret_key", ""),
        ("secret_key", 5),
        ("terminal_id", "1234567"),
        ("partner_secret_key", "a\nb"),
    ],
)
def test_what_cannot_be_an_account_is_refused(name: str, value: object) -> None:
    """Ids are digits, and nothing that is signed holds a separator or a control character."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Credentials(**ACCOUNT | {name: value})
    assert refused.value.field == name


def test_a_short_key_is_warned_of() -> None:
    """Under 16 characters a key can be searched for offline."""
    with pytest.warns(UserWarning, match="fewer than 16 characters"):
        Credentials(**ACCOUNT | {"secret_key": "short"})


def test_credentials_hide_their_keys() -> None:
    """An account can be printed."""
    credentials = Credentials(**ACCOUNT, partner_username="p", partner_secret_key="q" * 16)
    assert "kkkk" not in repr(credentials)
    assert "qqqq" not in repr(credentials)
    assert Credentials(**ACCOUNT | {"secret_key": credentials.secret_key}) == Credentials(**ACCOUNT)


def test_credentials_come_from_the_environment() -> None:
    """Each variable is read by its name; every one that is missing is named."""
    environ = {f"SHOP_{name.upper()}": value for name, value in ACCOUNT.items()} | {"SHOP_TERMINAL_ID": "1106"}
    assert Credentials.from_env("SHOP_", environ=environ) == Credentials(**ACCOUNT, terminal_id="1106")
    with pytest.raises(errors.ConfigurationError, match="GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID"):
        Credentials.from_env(environ={})


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan")])
def test_deadlines_and_limits_are_positive_numbers(value: object) -> None:
    """A deadline of nothing, or of no number, is a mistake in the set-up."""
    with pytest.raises(errors.ConfigurationError, match="connect"):
        Timeouts(connect=value)
    with pytest.raises(errors.ConfigurationError, match="max_in_flight"):
        Limits(max_in_flight=value)
