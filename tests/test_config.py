"""Credentials, timeouts and limits."""

from __future__ import annotations

import traceback
import warnings
from typing import Any

import pytest

from gatewaypy import Credentials, Limits, Timeouts, errors

ACCOUNT: dict[str, Any] = {
    "member_id": "11344",
    "partner_id": "4",
    "username": "shop",
    "secret_key": "k" * 32,
}


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
def test_credentials_invalid_field_raises(name: str, value: object) -> None:
    """Ids are digits, and no signed value has a separator or a control character."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Credentials(**ACCOUNT | {name: value})
    assert refused.value.field == name


def test_credentials_short_key_warns() -> None:
    """A key under 16 characters can be found by an offline search."""
    with pytest.warns(UserWarning, match="fewer than 16 characters"):
        Credentials(**ACCOUNT | {"secret_key": "short"})


def test_credentials_repr_hides_keys() -> None:
    """Credentials can be printed."""
    credentials = Credentials(**ACCOUNT, partner_username="p", partner_secret_key="q" * 16)
    assert "kkkk" not in repr(credentials)
    assert "qqqq" not in repr(credentials)
    assert Credentials(**ACCOUNT | {"secret_key": credentials.secret_key}) == Credentials(**ACCOUNT)


def test_credentials_from_env_reads_each_variable() -> None:
    """Each variable is read by its name; the error names all missing ones."""
    environ = {f"SHOP_{name.upper()}": value for name, value in ACCOUNT.items()} | {
        "SHOP_TERMINAL_ID": "1106"
    }
    assert Credentials.from_env("SHOP_", environ=environ) == Credentials(
        **ACCOUNT, terminal_id="1106"
    )
    with pytest.raises(
        errors.ConfigurationError, match="GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID"
    ):
        Credentials.from_env(environ={})


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan")])
def test_timeouts_and_limits_must_be_positive_numbers(value: object) -> None:
    """A timeout of zero or of another type is a configuration error."""
    with pytest.raises(errors.ConfigurationError, match="connect"):
        Timeouts(connect=value)
    with pytest.raises(errors.ConfigurationError, match="max_in_flight"):
        Limits(max_in_flight=value)


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        ("\n", "a line break"),
        ("\r", "a carriage return"),
        ("\0", "a NUL"),
        (" ", "a space"),
        ("\t", "a space"),
        ("\u00a0", "a space"),
        ("\u2003", "a space"),
        ("\ufeff", "a byte order mark"),
        ("\u200b", "an invisible character"),
        ('"', "a quotation mark"),
        ("'", "a quotation mark"),
        ("\u201d", "a quotation mark"),
        ("\x7f", "a control character"),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "member_id",
        "partner_id",
        "username",
        "secret_key",
        "terminal_id",
        "partner_username",
        "partner_secret_key",
        "partner_name",
    ],
)
def test_credentials_stray_character_at_end_is_named(name: str, stray: str, words: str) -> None:
    """A quote, blank, line break or mark at an end is refused and named; the key is never shown."""
    value = "1106" if name.endswith("_id") else "canaryKey0000000000"
    for place, written in (("end", value + stray), ("begin", stray + value)):
        with pytest.raises(
            errors.InvalidRequest, match=f"{name}: must not {place} with {words}"
        ) as refused:
            Credentials(**ACCOUNT | {name: written})
        assert name.endswith("_id") or value not in str(refused.value)
        environ = {f"GATEWAYPY_{known.upper()}": text for known, text in ACCOUNT.items()}
        with pytest.raises(errors.InvalidRequest, match=f"must not {place} with {words}"):
            Credentials.from_env(environ=environ | {f"GATEWAYPY_{name.upper()}": written})
    with pytest.raises(
        errors.InvalidRequest, match=f"previous_secret_keys: must not end with {words}"
    ):
        Credentials(**ACCOUNT, previous_secret_keys=["k" * 20 + stray])


def test_credentials_misread_byte_order_mark_is_named() -> None:
    """A byte order mark that was read as Latin-1 is detected."""
    with pytest.raises(
        errors.InvalidRequest, match="secret_key: must not begin with a byte order mark"
    ):
        Credentials(**ACCOUNT | {"secret_key": "\u00ef\u00bb\u00bf" + "k" * 20})


def test_credentials_inner_blanks_and_quotes_are_accepted() -> None:
    """A key or a name may have inside what it must not end with."""
    assert (
        Credentials(**ACCOUNT | {"secret_key": "k k'k\"k" * 5, "username": "a b"}).username == "a b"
    )


@pytest.mark.parametrize("name", ["secret_key", "partner_secret_key", "previous_secret_keys"])
def test_credentials_short_key_error_shows_no_key(name: str) -> None:
    """If warnings are errors, no frame of the library has the short key."""
    short = "canaryKey"
    environ = {f"GATEWAYPY_{known.upper()}": text for known, text in ACCOUNT.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=f"{name} has fewer than 16") as raised:
            Credentials(**ACCOUNT | {name: [short] if name.startswith("previous") else short})
        with pytest.raises(UserWarning, match="fewer than 16") as from_env:
            Credentials.from_env(environ=environ | {"GATEWAYPY_SECRET_KEY": short})
    for error in (raised.value, from_env.value):
        summary = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [
            f"{frame.name} {frame.locals}"
            for frame in summary.stack
            if "tests/" not in frame.filename
        ]
        assert ours
        assert short not in "\n".join([*ours, repr(error)])
