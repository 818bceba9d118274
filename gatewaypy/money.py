"""An exact amount and its currency."""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

from attrs import field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

_MAX_DIGITS: Final = 10
_PLAIN: Final = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2})?", re.ASCII)
#: In many countries ``12.000`` means twelve thousand.
_THREE_DECIMALS: Final = re.compile(r"-?[0-9]{1,10}\.[0-9]{3}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_LIMIT: Final = 10**_MAX_DIGITS
#: Even the smallest amount times this is above the limit.
_LARGEST_FACTOR: Final = _LIMIT * 100
_UNITS: Final = {0: Decimal(1), 2: Decimal("0.01")}
# The application may have lowered the precision of the thread's own context.
_ROUNDING: Final = Context(prec=28)
# An inexact sum or product is an error.
_EXACT: Final = Context(prec=28, traps=[Inexact, InvalidOperation, Overflow])

#: The wire has two decimals for every currency (protocol section 6, seen), unlike ISO 4217.
WIRE_DECIMALS: Final = 2

#: ISO 4217 currencies without a minor unit. All others count as having two decimals or more.
WITHOUT_DECIMALS: Final = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
        "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip


def decimals_of(currency: str) -> int:
    """Return the number of decimals of a currency, at most the two of the wire."""
    return 0 if currency in WITHOUT_DECIMALS else WIRE_DECIMALS


def _rounded(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(_UNITS[decimals], context=_ROUNDING)


def _amount(value: object) -> Decimal:
    """Convert an amount; the work does not grow with the length of an invalid one."""
    if isinstance(value, Decimal) and value.is_finite():
        amount = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -_LIMIT < value < _LIMIT:
            raise _too_large()
        amount = Decimal(value)
    elif isinstance(value, str) and _PLAIN.fullmatch(value):
        amount = Decimal(value)
    elif isinstance(value, str) and _THREE_DECIMALS.match(value):
        rule = "must have at most 2 decimals, zeros included; '12.000' can mean twelve thousand"
        raise InvalidRequest("amount", rule, shape_of(value))
    else:
        rule = "must be a Decimal, an int or a string such as '50.00'; floats are not exact"
        raise InvalidRequest("amount", rule, shape_of(value))
    # Removes the sign of a zero, which would be sent.
    return amount or amount.copy_abs()


def _too_large() -> InvalidRequest:
    return InvalidRequest("amount", "must have at most ten digits before the point", "more digits")


def _check_currency(_: object, __: object, currency: str) -> None:
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise InvalidRequest(
            "currency",
            "must be three upper-case letters of ISO 4217, such as 'EUR'",
            shape_of(currency),
        )


@frozen(order=False, repr=False)
class Money:
    """An exact amount in one currency.

    Sums, differences, products and comparisons need the same currency. Every amount is sent with
    two decimals: 100 JPY as ``100.00``.

    Args:
        amount: A ``Decimal``, an ``int``, or ASCII digits with a point, such as ``"50.00"``. A
            string has at most two decimals, zeros included, because in many countries ``12.000``
            means twelve thousand. Floats are rejected.
        currency: ISO 4217 alpha-3, upper case.

    Raises:
        InvalidRequest: The amount has more than ten digits before the point. Or it has more
            decimals than the currency (JPY: none) or than the wire (two; a third decimal of KWD
            is rejected).

    Example:
        ``Money("50.00", "EUR") + Money("2.50", "EUR")``

    Protocol section 6. Seen.
    """

    amount: Decimal = field(converter=_amount)
    currency: str = field(validator=_check_currency)

    def __attrs_post_init__(self) -> None:
        if self.amount and self.amount.adjusted() >= _MAX_DIGITS:
            raise _too_large()
        allowed = decimals_of(self.currency)
        if self.amount != _rounded(self.amount, allowed):
            rule = f"must have at most {allowed} decimals in {self.currency}"
            raise InvalidRequest("amount", rule, "more decimals")

    def wire(self) -> str:
        """Return the amount as it is sent: with two decimals, a point and no sign.

        Raises:
            InvalidRequest: The amount is negative.
        """
        if self.amount < 0:
            rule = "must not be negative; the operation gives the direction"
            raise InvalidRequest("amount", rule, f"{self}")
        return str(_rounded(self.amount, WIRE_DECIMALS))

    def __repr__(self) -> str:
        return f"Money('{_rounded(self.amount, decimals_of(self.currency))}', '{self.currency}')"

    def __str__(self) -> str:
        return f"{_rounded(self.amount, decimals_of(self.currency))} {self.currency}"

    def __bool__(self) -> bool:
        return bool(self.amount)

    def _same_currency(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise InvalidRequest("currency", f"must be {self.currency}", other.currency)
        return other.amount

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.add(self.amount, self._same_currency(other)), self.currency)

    def __radd__(self, other: int) -> Money:
        # sum() starts with 0.
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.subtract(self.amount, self._same_currency(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(self.amount.copy_negate(), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        if isinstance(factor, bool) or not isinstance(factor, int | Decimal):
            return NotImplemented
        if isinstance(factor, int) and not -_LARGEST_FACTOR < factor < _LARGEST_FACTOR:
            raise _too_large()
        try:
            product = _EXACT.multiply(self.amount, Decimal(factor))
        except (Inexact, InvalidOperation, Overflow):
            product = None
        if product is None:
            rule = "must be an exact product with at most ten digits before the point"
            raise InvalidRequest("amount", rule)
        return Money(product, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount < self._same_currency(other)

    def __le__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount <= self._same_currency(other)

    def __gt__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount > self._same_currency(other)

    def __ge__(self, other: Money) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount >= self._same_currency(other)
