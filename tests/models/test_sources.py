"""Payment sources other than a card."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from gatewaypy import (
    AchAccount,
    NetBanking,
    OtherSource,
    Secret,
    SepaAccount,
    Upi,
    Voucher,
    Wallet,
    errors,
)

IBAN, BIC = "DE09100100101234567893", "PBNKDEFFXXX"
ACCOUNT, ROUTING = "9876543210", "011000028"

# Each source, its mode and brand, and every secret in it.
SOURCES: list[tuple[Any, str, str, tuple[str, ...]]] = [
    (Wallet("APPLEPAY"), "EW", "APPLEPAY", ()),
    (Wallet("SKRILL", mode="WA"), "WA", "SKRILL", ()),
    (NetBanking("SOFORT"), "NB", "SOFORT", ()),
    (Voucher("NEOSURF"), "PV", "NEOSURF", ()),
    (SepaAccount(IBAN, BIC), "SEPA", "SEPA", (IBAN, BIC)),
    (
        SepaAccount(Secret(IBAN), Secret(BIC), brand="SEPAEXPRESS", mode="SE"),
        "SE",
        "SEPAEXPRESS",
        (IBAN, BIC),
    ),
    (AchAccount(ACCOUNT, ROUTING, "checking"), "ACH", "ACH", (ACCOUNT, ROUTING)),
    (Upi("ada@bank"), "UPI", "UPI", ("ada@bank",)),
    (Upi(), "UPI", "UPI", ()),
    (
        OtherSource("PX", "PIX", {"pix.key": "k3y", "pix.taxId": Secret("123.456")}),
        "PX",
        "PIX",
        ("k3y", "123.456"),
    ),
    (OtherSource("PX", "PIX"), "PX", "PIX", ()),
]


def kind(value: Any) -> str | None:
    return type(value).__name__ if attrs.has(type(value)) else None


@pytest.mark.parametrize(("source", "mode", "brand", "secrets"), SOURCES, ids=kind)
def test_source_has_documented_mode_and_brand(
    source: Any, mode: str, brand: str, secrets: tuple[str, ...]
) -> None:
    """Mode and brand are the documented ones, unless the caller sets them."""
    assert (source.mode, source.brand) == (mode, brand)


@pytest.mark.parametrize(("source", "mode", "brand", "secrets"), SOURCES, ids=kind)
def test_source_repr_hides_account(
    source: Any, mode: str, brand: str, secrets: tuple[str, ...]
) -> None:
    """Accounts and addresses are masked however the source is shown."""
    for shown in (
        repr(source),
        str(source),
        f"{source}",
        str(attrs.asdict(source)),
        repr([source]),
    ):
        for secret in secrets:
            assert secret not in shown


@pytest.mark.parametrize(("source", "mode", "brand", "secrets"), SOURCES, ids=kind)
def test_source_account_is_wrapped_in_secret_once(
    source: Any, mode: str, brand: str, secrets: tuple[str, ...]
) -> None:
    """Text becomes a Secret, a Secret stays, and each reveals the passed text."""
    values = [
        *attrs.asdict(source, recurse=False).values(),
        *getattr(source, "fields", {}).values(),
    ]
    assert tuple(value.reveal() for value in values if isinstance(value, Secret)) == secrets


@pytest.mark.parametrize(
    "source", [source for source, _, _, secrets in SOURCES if secrets], ids=kind
)
def test_source_with_secret_cannot_be_pickled(source: Any) -> None:
    """No account can get into a task queue."""
    with pytest.raises(TypeError, match="Secret"):
        pickle.dumps(source)


def test_source_equality_compares_accounts() -> None:
    """Sources of the same account are equal, with text or a Secret."""
    assert SepaAccount(IBAN, BIC) == SepaAccount(Secret(IBAN), Secret(BIC))
    assert SepaAccount(IBAN, BIC) != SepaAccount(IBAN, "OTHERBIC")


@pytest.mark.parametrize(("source", "mode", "brand", "secrets"), SOURCES, ids=kind)
def test_source_is_frozen(source: Any, mode: str, brand: str, secrets: tuple[str, ...]) -> None:
    """What was validated is what is sent."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        source.mode = "CC"


@pytest.mark.parametrize("word", ["", None, 5, b"SKRILL", ["SKRILL"]])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (Wallet, "brand"),
        (NetBanking, "brand"),
        (Voucher, "brand"),
        (lambda word: Wallet("SKRILL", mode=word), "mode"),
        (lambda word: SepaAccount(IBAN, BIC, brand=word), "brand"),
        (lambda word: AchAccount(ACCOUNT, ROUTING, mode=word), "mode"),
        (lambda word: Upi(brand=word), "brand"),
        (lambda word: OtherSource(word, "PIX"), "mode"),
        (lambda word: OtherSource("PX", word), "brand"),
    ],
)
def test_source_invalid_mode_or_brand_raises(make: Any, name: str, word: Any) -> None:
    """A mode or brand is a non-empty string."""
    with pytest.raises(errors.InvalidRequest) as refused:
        make(word)
    assert refused.value.field == name
    assert IBAN not in str(refused.value)
