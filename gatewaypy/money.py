"""An amount and its currency, as the gateway takes them."""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

from attrs import field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

_MOST_DIGITS: Final = 10
_PLAIN: Final = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2})?", re.ASCII)
#: In half of the world, ``12.000`` says twelve thousand.
_TOO_MANY_WRITTEN: Final = re.compile(r"-?[0-9]{1,10}\.[0-9]{3}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_LIMIT: Final = 10**_MOST_DIGITS
#: The smallest amount times this is more than an amount can be.
_LARGEST_FACTOR: Final = _LIMIT * 100
_UNITS: Final = {0: Decimal(1), 2: Decimal("0.01")}
# A context of our own: an application may have lowered the precision of the thread's.
_ROUNDING: Final = Context(prec=28)
# Sums and products are exact, or refused.
_EXACT: Final = Context(prec=28, traps=[Inexact, InvalidOperation, Overflow])

#: The wire has two decimals for every currency (protocol section 6, seen), whatever ISO 4217 says.
WIRE_DECIMALS: Final = 2

#: ISO 4217 currencies without a minor unit. Every other currency is taken to have two decimals or more.
WITHOUT_DECIMALS: Final = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip


def decimals_of(currency: str) -> int:
    """Return how many decimals an amount of this currency may have: the currency's own number, at most the wire's two."""
    return 0 if currency in WITHOUT_DECIMALS else WIRE_DECIMALS


def _rounded(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(_UNITS[decimals], context=_ROUNDING)


def _amount(value: object) -> Decimal:
    """Convert an amount; the work does not grow with a value that is refused."""
    if isinstance(value, Decimal) and value.is_finite():
        amount = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -_LIMIT < value < _LIMIT:
            raise _too_large()
        amount = Decimal(value)
    elif isinstance(value, str) and _PLAIN.fullmatch(value):
        amount = Decimal(value)
    elif isinstance(value, str) and _TOO_MANY_WRITTEN.match(value):
        rule = "at most 2 decimals, zeros included: '12.000' is twelve thousand to many"
        raise InvalidRequest("amount", rule, shape_of(value))
    else:
        raise InvalidRequest(
            "amount",
            "a Decimal, an int, or text such as '50.00'; never a float, which cannot hold cents",
            shape_of(value),
        )
    # Zero has no sign: the wire would have it.
    return amount or amount.copy_abs()


def _too_large() -> InvalidRequest:
    return InvalidRequest("amount", "at most ten digits before the point", "more digits")


def _check_currency(_: object, __: object, currency: str) -> None:
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise InvalidRequest(
            "currency", "three upper-case letters of ISO 4217, such as 'EUR'", shape_of(currency)
        )


@frozen(order=False, repr=False)
class Money:
    """An exact amount in one currency, such as ``Money("50.00", "EUR")``.

    :param amount: a ``Decimal``, an ``int`` or plain decimal text, such as ``"50.00"``: ASCII digits and a point, at most two
        digits after it (zeros too: ``"12.000"`` says twelve thousand in half of the world). Floats are refused.
    :param currency: ISO 4217 alpha-3, upper case.
    :raises InvalidRequest: for more decimals than the currency has (JPY has none) or the wire can carry (two, so a
        third decimal of KWD is refused), or more than ten digits before the point.

    On the wire every amount has two decimals, ¥100 too: ``100.00`` (protocol section 6, seen).
    """

    amount: Decimal = field(converter=_amount)
    currency: str = field(validator=_check_currency)

    def __attrs_post_init__(self) -> None:
        if self.amount and self.amount.adjusted() >= _MOST_DIGITS:
            raise _too_large()
        allowed = decimals_of(self.currency)
        if self.amount != _rounded(self.amount, allowed):
            why = "" if self.currency in WITHOUT_DECIMALS else " (the wire carries no more)"
            raise InvalidRequest(
                "amount", f"at most {allowed} decimals in {self.currency}{why}", "more decimals"
            )

    def wire(self) -> str:
        """Return the amount as the wire has it: two decimals, a point, no sign.

        :raises InvalidRequest: for a negative amount, which no operation takes.
        """
        if self.amount < 0:
            raise InvalidRequest(
                "amount",
                "not negative: the operation says which way the money goes",
                "a negative amount",
            )
        return str(_rounded(self.amount, WIRE_DECIMALS))

    def __repr__(self) -> str:
        return f"Money('{_rounded(self.amount, decimals_of(self.currency))}', '{self.currency}')"

    def __str__(self) -> str:
        return f"{_rounded(self.amount, decimals_of(self.currency))} {self.currency}"

    def __bool__(self) -> bool:
        return bool(self.amount)

    def _same_currency(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise InvalidRequest(
                "currency",
                f"amounts of one currency only: {self.currency} and {other.currency} do not mix",
            )
        return other.amount

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.add(self.amount, self._same_currency(other)), self.currency)

    def __radd__(self, other: int) -> Money:
        # What sum() begins with.
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
            raise InvalidRequest(
                "amount", "a product that is exact, with at most ten digits before the point"
            )
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
