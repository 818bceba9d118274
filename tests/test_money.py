"""Money."""

from __future__ import annotations

import decimal
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Money, errors

CURRENCIES = st.sampled_from(["EUR", "USD", "KWD", "JPY", "XXX"])


@pytest.mark.parametrize("value", [50.0, "50,00", "1e3", " 5", "", "٥", None, True, Decimal("NaN"), Decimal("Infinity"), "nan"])
def test_what_is_no_exact_amount_is_refused(value: object) -> None:
    """Floats, texts that are no plain decimal number, and numbers that are none are refused, naming the field."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Money(value, "EUR")
    assert refused.value.field == "amount"


@pytest.mark.parametrize(
    ("amount", "currency"), [("0.001", "EUR"), ("1.5", "JPY"), ("1.234", "KWD"), ("10000000000", "EUR"), ("0.5", "KRW")]
)
def test_more_than_the_currency_or_the_wire_can_carry_is_refused(amount: str, currency: str) -> None:
    """A third decimal, a decimal of the yen, and an eleventh digit are refused."""
    with pytest.raises(errors.InvalidRequest) as refused:
        Money(amount, currency)
    assert refused.value.field == "amount"


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "", None, "€", "E R"])
def test_what_is_no_currency_is_refused(currency: object) -> None:
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
def test_the_wire_always_has_two_decimals(amount: object, currency: str, wire: str, text: str) -> None:
    """The wire text has two decimals for every currency; people are shown the currency's own."""
    money = Money(amount, currency)
    assert (money.wire(), str(money)) == (wire, text)
    assert eval(repr(money)) == money  # noqa: S307 - a repr that can be pasted back


def test_a_negative_amount_never_reaches_the_wire() -> None:
    """Differences may be negative; requests may not."""
    debt = Money(1, "EUR") - Money(3, "EUR")
    assert debt == -Money(2, "EUR")
    with pytest.raises(errors.InvalidRequest):
        debt.wire()


@given(st.integers(0, 10**9), st.integers(0, 10**9), CURRENCIES)
def test_sums_and_comparisons_are_exact(first: int, second: int, currency: str) -> None:
    """Arithmetic within a currency is that of the numbers."""
    a, b = Money(first, currency), Money(second, currency)
    assert a + b == Money(first + second, currency)
    assert (a - b).amount == first - second
    assert (a < b, a <= b, a > b, a >= b) == (first < second, first <= second, first > second, first >= second)
    assert a * 2 == 2 * a == a + a
    assert bool(a) is bool(first)
    assert hash(a) == hash(Money(Decimal(first), currency))
    assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301 - our own


@given(st.decimals(min_value=0, max_value=10**9, places=2), st.integers(1, 6))
def test_an_applications_own_decimal_context_changes_nothing(amount: Decimal, precision: int) -> None:
    """A thread's lowered precision neither rounds an amount nor breaks it."""
    money = Money(amount, "EUR")
    with decimal.localcontext() as context:
        context.prec = precision
        assert Decimal(money.wire()).compare_total(amount) == 0 or money.wire() == f"{amount:.2f}"


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_currencies_do_not_mix(operation: str) -> None:
    """Euros and yen are neither summed nor compared, and are never equal."""
    with pytest.raises(errors.InvalidRequest):
        getattr(Money(1, "EUR"), operation)(Money(1, "JPY"))
    assert Money(1, "EUR") != Money(1, "JPY")
    assert getattr(Money(1, "EUR"), operation)(1) is NotImplemented


def test_money_is_not_multiplied_by_floats() -> None:
    """A factor is an int or a Decimal."""
    with pytest.raises(TypeError):
        Money(1, "EUR") * 1.5
