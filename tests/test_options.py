"""Options of the public API: a value that cannot work is refused where it is set, with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import Credentials, Gateway, HttpxTransport, Limits, Platform, Timeouts, errors
from gatewaypy.callbacks import CallbackApp, Inbox, Receiver, Reconciler, Router
from gatewaypy.payouts import PayoutJob
from gatewaypy.protocol.operation_types import ServiceRoot
from gatewaypy.sandbox import MERCHANT, CallbackStyle, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT: dict[str, Any] = {
    "member_id": "11344",
    "partner_id": "4",
    "username": "shop",
    "secret_key": "k" * 32,
}
URL = "https://gateway.example"
NOT_NUMBERS = [None, "5", True, float("nan"), float("inf"), -1, 10**400]
NOT_WHOLE = [*NOT_NUMBERS, 1.5, 0]


@pytest.mark.parametrize("value", [None, 5, b"4", "", " \n", ["4"], 1.0, True], ids=repr)
@pytest.mark.parametrize("name", ["member_id", "partner_id", "username", "secret_key"])
def test_credentials_wrong_required_field_is_named(name: str, value: object) -> None:
    """A required field that is not a string or is empty is refused and named at construction."""
    if (name, value) == ("username", " \n"):
        value = "\n"
    with pytest.raises(errors.InvalidRequest) as refused:
        Credentials(**ACCOUNT | {name: value})
    assert refused.value.field == name


@pytest.mark.parametrize("value", [5, b"4", "", "\n", ["4"], True], ids=repr)
@pytest.mark.parametrize(
    "name", ["terminal_id", "partner_username", "partner_secret_key", "partner_name"]
)
def test_credentials_wrong_optional_field_is_named(name: str, value: object) -> None:
    """An optional field may be absent; any other value that is not a string is refused."""
    assert getattr(Credentials(**ACCOUNT | {name: None}), name) is None
    with pytest.raises(errors.InvalidRequest) as refused:
        Credentials(**ACCOUNT | {name: value})
    assert refused.value.field == name


@pytest.mark.parametrize(
    "value", ["k" * 32, b"k" * 32, None, 5, [None], [b"k" * 32], [""]], ids=repr
)
def test_credentials_wrong_previous_keys_are_named(value: object) -> None:
    """One key instead of a list would give a key for each of its characters, and is refused."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Credentials(**ACCOUNT | {"previous_secret_keys": value})
    assert refused.value.field == "previous_secret_keys"
    assert "kkk" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["credentials", "transport", "timeouts", "limits", "observer", "token_store"]
)
@pytest.mark.parametrize("value", [5, "https://gateway.example", {"total": 5}], ids=repr)
def test_gateway_option_of_wrong_type_is_named(name: str, value: object) -> None:
    """An option of another type is refused when the client is constructed."""
    options: dict[str, Any] = {"credentials": MERCHANT} | {name: value}
    with pytest.raises(errors.ConfigurationError, match=name):
        Gateway(URL, **options)


def test_gateway_invalid_credentials_are_named() -> None:
    """None is not an account, and a class is not one of its objects."""
    with pytest.raises(errors.ConfigurationError, match="credentials"):
        Gateway(URL, None)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigurationError, match="transport"):
        Gateway(URL, MERCHANT, transport=HttpxTransport)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0], ids=lambda value: str(value)[:8])
@pytest.mark.parametrize("name", ["connect", "read", "total", "inquiry"])
def test_timeouts_wrong_seconds_are_named(name: str, value: object) -> None:
    """Seconds are a finite number greater than zero."""
    with pytest.raises(errors.ConfigurationError, match=name):
        Timeouts(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NOT_WHOLE, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize("name", ["max_in_flight", "max_reply_bytes"])
def test_limits_wrong_count_is_named(name: str, value: object) -> None:
    """A count is an integer of at least one."""
    with pytest.raises(errors.ConfigurationError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize(
    "name",
    [
        "concurrency",
        "per_second",
        "quiet_period",
        "pending_timeout",
        "failure_threshold",
        "max_attempts",
        "resend_unknown",
        "batch",
    ],
)
def test_job_wrong_option_is_named(tmp_path: Path, name: str, value: object) -> None:
    """The options of a job are checked before its journal opens; text is not True for resend."""
    if (name, value) in {("per_second", None), ("resend_unknown", True), ("batch", "5")}:
        value = "no" if name == "resend_unknown" else 0
    gateway = Gateway(URL, MERCHANT)
    with pytest.raises(errors.ConfigurationError, match=name):
        PayoutJob(gateway, journal=f"sqlite:///{tmp_path}/journal.db", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: str(value)[:8])
@pytest.mark.parametrize("name", ["concurrency", "max_attempts", "initial_delay", "max_open"])
def test_receiver_wrong_number_is_named(name: str, value: object) -> None:
    """The numbers of a receiver are checked at construction, with an inbox and without."""
    with pytest.raises(errors.ConfigurationError, match=name):
        Receiver(Router(), MERCHANT, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigurationError, match=name):
        CallbackApp(Router(), MERCHANT, inbox="sqlite:///inbox.db", **{name: value})


@pytest.mark.parametrize("wrong", [None, "11344", [], [None], [MERCHANT, "x"]], ids=repr)
def test_receiver_wrong_accounts_are_refused(wrong: Any) -> None:
    """A receiver has the accounts that it verifies callbacks for from the start."""
    with pytest.raises(errors.ConfigurationError, match=r"redentials"):
        Receiver(Router(), wrong)


def test_receiver_wrong_router_or_check_is_refused() -> None:
    """A class instead of its object, and a check that is not callable, are refused."""
    with pytest.raises(errors.ConfigurationError, match="Router"):
        Receiver(Router, MERCHANT)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigurationError, match="check"):
        Receiver(Router(), MERCHANT, inbox="sqlite:///inbox.db", check=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0], ids=lambda value: str(value)[:8])
def test_inbox_and_reconciler_wrong_number_is_named(value: Any) -> None:
    """Leases, intervals and counts are numbers greater than zero."""
    with pytest.raises(errors.ConfigurationError, match="lease"):
        Inbox("sqlite:///inbox.db", lease=value)
    for name in ("initial_delay", "poll_interval", "max_inquiries"):
        with pytest.raises(errors.ConfigurationError, match=name):
            Reconciler(Gateway(URL, MERCHANT), Inbox("sqlite:///inbox.db"), **{name: value})


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: str(value)[:8])
def test_sandbox_wrong_number_is_named(value: Any) -> None:
    """The times, ports and faults of a sandbox are checked when they are set."""
    for name in ("token_lifetime", "inquiry_delay", "approval_delay", "reply_delay"):
        with pytest.raises(errors.ConfigurationError, match=name):
            Sandbox(**{name: value})
    for name in ("repeat", "delay", "shuffle", "drop", "corrupt"):
        style = CallbackStyle()
        with pytest.raises(errors.ConfigurationError, match=name):
            setattr(style, name, value)
    for name in ("probability", "after", "seconds"):
        with pytest.raises(errors.ConfigurationError, match=name):
            Sandbox().faults.add("reset", **{name: value})


async def test_sandbox_wrong_port_or_merchants_are_named() -> None:
    """A port that does not exist, and a merchant without an account, are refused."""
    for port in (-1, 65536, "80", True):
        with pytest.raises(errors.ConfigurationError, match="port"):
            async with Sandbox().serve(port=port):  # type: ignore[arg-type]
                pass
    for merchants in ((), MERCHANT, (None,)):
        with pytest.raises(errors.ConfigurationError, match="merchants"):
            Sandbox(merchants)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None), ("name", ""), ("base_url", None), ("base_url", b"https://a"), ("inquiry_path", None), ("inquiry_path", 5),
        ("inquiry_path", "/a b/{id}"), ("inquiry_path", "/a/{id"), ("inquiry_path", "/a/{payment}"), ("inquiry_path", "/a?b"),
        ("refund_path", "/a\n"), ("refund_path", "/\u00fc"), ("stored_card_path", "/a#b"), ("list_date_format", "%Q"),
        ("list_date_format", "%d/%m"), ("list_date_format", "day"), ("list_date_format", "%d/%m/%Y\n"),
        ("list_date_format", None), ("list_date_format", ""), ("three_d_spelling", ("a", "b")), ("three_d_spelling", "abc"),
        ("operations", None), ("operations", {"debit": None}), ("field_names", None), ("field_names", {"amount": 5}),
        ("token_rejected", None), ("token_rejected", 401), ("token_rejected", frozenset({200})), ("token_rejected", frozenset({"401"})),
    ],
)  # fmt: skip
def test_platform_wrong_field_is_named(name: str, value: object) -> None:
    """The fields of a platform are checked at construction."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Platform(**{"name": "mine", "base_url": URL} | {name: value})  # type: ignore[arg-type]
    assert refused.value.field == name


@pytest.mark.parametrize("base", [URL, f"{URL}:8443/base"])
@pytest.mark.parametrize("tail", ["", "/", "/payments", "/authToken"])
@pytest.mark.parametrize("root", ServiceRoot)
def test_base_url_with_service_root_names_the_right_one(
    root: ServiceRoot, tail: str, base: str
) -> None:
    """The library adds the service root: a base URL that has it is refused."""
    if root is ServiceRoot.PAGES and tail not in {"", "/"}:
        tail = "/"
    with pytest.raises(errors.InvalidRequest, match="must not contain the service root") as refused:
        Gateway(f"{base}{root.value}{tail}", MERCHANT)
    assert f"use '{base}'" in str(refused.value)
    assert Gateway(base, MERCHANT).platform.base_url == base


@pytest.mark.parametrize(
    "url",
    [f"{URL} ", f"{URL}\n", f"\t{URL}", f"{URL}/\r\n", "https://gate\nway.example", f"{URL}\ufeff"],
)
def test_base_url_with_blanks_raises(url: str) -> None:
    """A blank or line break from a file or a shell is refused, not sent in every request."""
    with pytest.raises(errors.InvalidRequest, match="base_url: must not contain line breaks"):
        Gateway(url, MERCHANT)
