"""Money: exact amounts and currencies."""

from __future__ import annotations

import decimal
import pickle
import tracemalloc
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Money, errors

if TYPE_CHECKING:
    from collections.abc import Callable

CURRENCIES = st.sampled_from(["EUR", "USD", "KWD", "JPY", "XXX"])


@pytest.mark.parametrize(
    "value",
    [50.0, "50,00", "1e3", " 5", "", "٥", None, True, Decimal("NaN"), Decimal("Infinity"), "nan"],
)
def test_money_inexact_amount_raises(value: object) -> None:
    """Floats, texts that are not plain decimals, and NaN are refused with the field's name."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Money(value, "EUR")
    assert refused.value.field == "amount"


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.001", "EUR"), ("1.5", "JPY"), ("1.234", "KWD"), ("10000000000", "EUR"), ("0.5", "KRW")],
)
def test_money_amount_beyond_currency_or_wire_raises(amount: str, currency: str) -> None:
    """A third decimal, a decimal of the yen, and an eleventh digit are refused."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Money(amount, currency)
    assert refused.value.field == "amount"


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("12.000", "JPY"),
        ("150.000", "KRW"),
        ("1.000", "EUR"),
        ("1.000", "KWD"),
        ("12.0000", "EUR"),
        ("-1.000", "EUR"),
        ("0.000", "EUR"),
    ],
)
def test_money_text_with_three_decimals_raises(amount: str, currency: str) -> None:
    """More than two decimals in text may mean thousands; a Decimal is taken as it is."""
    with pytest.raises(
        errors.InvalidRequest, match="at most 2 decimals, zeros included"
    ) as refused:
        Money(amount, currency)
    assert refused.value.field == "amount"
    assert Money(Decimal(amount), currency) == Money(Decimal(amount).to_integral_value(), currency)


@pytest.mark.parametrize("amount", ["100.00", "100.0", "100"])
def test_money_yen_of_the_gateway_is_read(amount: str) -> None:
    """The wire has two decimals for every currency, and they are zeros for the yen."""
    assert Money(amount, "JPY").wire() == "100.00"


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1E+50000000"), Decimal("-1E+50000000"), Decimal("1E-50000000"), Decimal("NaN123456789"), Decimal("sNaN"),
        Decimal("-Infinity"), 10**1_000_000, -(10**1_000_000), "9" * 1_000_000, "1." + "0" * 1_000_000, "1E+50000000",
    ],
    ids=range(11),
)  # fmt: skip
def test_money_refusal_needs_constant_memory(value: object) -> None:
    """A refused value is not written out: no allocation is larger than a page or two."""
    tracemalloc.start()
    try:
        with pytest.raises(errors.InvalidRequest):
            Money(value, "EUR")
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "factor",
    [
        10**1_000_000,
        Decimal("1E+50000000"),
        Decimal("1E-50000000"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
    ],
    ids=range(6),
)
def test_money_product_out_of_bounds_raises(factor: int | Decimal) -> None:
    """An inexact product is refused like an amount, without an error of ``decimal``."""
    with pytest.raises(errors.InvalidRequest):
        Money("5.00", "EUR") * factor


def test_money_product_that_would_be_rounded_raises() -> None:
    """A factor with more digits than a product can have is not rounded."""
    with pytest.raises(errors.InvalidRequest):
        Money("10.00", "EUR") * Decimal("0.1" + "0" * 40 + "1")


def test_money_sum_adds_one_currency() -> None:
    """``sum()`` adds amounts of one currency, and refuses two."""
    assert sum([Money("1.10", "EUR"), Money("2.20", "EUR")]) == Money("3.30", "EUR")
    with pytest.raises(
        errors.InvalidRequest, match=r"currency: must be (EUR; got JPY|JPY; got EUR)"
    ):
        sum([Money("1.10", "EUR"), Money(1, "JPY")])
    with pytest.raises(TypeError):
        1 + Money(1, "EUR")  # type: ignore[operator]


@pytest.mark.parametrize(
    "zero",
    [
        lambda: Money("-0.00", "EUR"),
        lambda: Money(Decimal("-0"), "EUR"),
        lambda: -Money(0, "EUR"),
        lambda: Money(0, "EUR") * -1,
        lambda: Money(0, "EUR") * Decimal(-5),
        lambda: Money(-1, "EUR") - Money(-1, "EUR"),
        lambda: Money(Decimal("-0E+50000000"), "EUR"),
    ],
)
def test_money_zero_has_no_sign(zero: Callable[[], Money]) -> None:
    """However a zero was computed, it is written without a sign."""
    assert (zero().wire(), str(zero()), repr(zero())) == (
        "0.00",
        "0.00 EUR",
        "Money('0.00', 'EUR')",
    )


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "", None, "€", "E R"])
def test_money_invalid_currency_raises(currency: object) -> None:
    """A currency is three upper-case letters."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Money("1", currency)
    assert refused.value.field == "currency"


@pytest.mark.parametrize(
    ("amount", "currency", "wire", "text"),
    [
        ("50.00", "EUR", "50.00", "50.00 EUR"),
        (100, "JPY", "100.00", "100 JPY"),
        (Decimal("1E+3"), "USD", "1000.00", "1000.00 USD"),
        ("1.5", "KWD", "1.50", "1.50 KWD"),
        ("0", "EUR", "0.00", "0.00 EUR"),
    ],
)
def test_money_wire_text_has_two_decimals(
    amount: object, currency: str, wire: str, text: str
) -> None:
    """The wire text has two decimals for every currency; ``str`` has those of the currency."""
    money = Money(amount, currency)
    assert (money.wire(), str(money)) == (wire, text)
    assert eval(repr(money)) == money  # noqa: S307 - a repr that can be pasted back


def test_money_negative_amount_is_never_sent() -> None:
    """Differences may be negative; requests may not."""
    debt = Money(1, "EUR") - Money(3, "EUR")
    assert debt == -Money(2, "EUR")
    with pytest.raises(errors.InvalidRequest):
        debt.wire()


@given(st.integers(0, 10**9), st.integers(0, 10**9), CURRENCIES)
def test_money_arithmetic_is_exact(first: int, second: int, currency: str) -> None:
    """Arithmetic within a currency is that of the numbers."""
    a, b = Money(first, currency), Money(second, currency)
    assert a + b == Money(first + second, currency)
    assert (a - b).amount == first - second
    assert (a < b, a <= b, a > b, a >= b) == (
        first < second,
        first <= second,
        first > second,
        first >= second,
    )
    assert a * 2 == 2 * a == a + a
    assert bool(a) is bool(first)
    assert hash(a) == hash(Money(Decimal(first), currency))
    assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301 - our own


@given(st.decimals(min_value=0, max_value=10**9, places=2), st.integers(1, 6))
def test_money_decimal_context_changes_nothing(amount: Decimal, precision: int) -> None:
    """A lowered precision of the thread neither rounds an amount nor breaks it."""
    money = Money(amount, "EUR")
    with decimal.localcontext() as context:
        context.prec = precision
        assert Decimal(money.wire()).compare_total(amount) == 0 or money.wire() == f"{amount:.2f}"


@pytest.mark.parametrize(
    "operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"]
)
def test_money_currencies_do_not_mix(operation: str) -> None:
    """Euros and yen are neither added nor compared, and are never equal."""
    with pytest.raises(errors.InvalidRequest):
        getattr(Money(1, "EUR"), operation)(Money(1, "JPY"))
    assert Money(1, "EUR") != Money(1, "JPY")
    assert getattr(Money(1, "EUR"), operation)(1) is NotImplemented


def test_money_times_float_raises() -> None:
    """A factor is an int or a Decimal."""
    with pytest.raises(TypeError):
        Money(1, "EUR") * 1.5
