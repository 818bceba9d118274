"""An amount and its currency, as the gateway takes them."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Final

from attrs import field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

_PLAIN: Final = re.compile(r"-?[0-9]{1,10}(\.[0-9]+)?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_LIMIT: Final = Decimal(10) ** 10
_UNITS: Final = {0: Decimal(1), 2: Decimal("0.01")}
# A context of our own: an application may have lowered the precision of the thread's.
_EXACT: Final = Context(prec=28)

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
    return amount.quantize(_UNITS[decimals], context=_EXACT)


def _amount(value: object) -> Decimal:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return Decimal(value)
    raise InvalidRequest(
        "amount", "a Decimal, an int, or text such as '50.00'; never a float, which cannot hold cents", shape_of(value)
    )


def _check_currency(_: object, __: object, currency: str) -> None:
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise InvalidRequest("currency", "three upper-case letters of ISO 4217, such as 'EUR'", shape_of(currency))


@frozen(order=False, repr=False)
class Money:
    """An exact amount in one currency, such as ``Money("50.00", "EUR")``.

    :param amount: a ``Decimal``, an ``int`` or plain decimal text; floats are refused.
    :param currency: ISO 4217 alpha-3, upper case.
    :raises InvalidRequest: for more decimals than the currency has (JPY has none) or the wire can carry (two, so a
        third decimal of KWD is refused), or more than ten digits before the point.

    On the wire every amount has two decimals, ¥100 too: ``100.00`` (protocol section 6, seen).
    """

    amount: Decimal = field(converter=_amount)
    currency: str = field(validator=_check_currency)

    def __attrs_post_init__(self) -> None:
        if self.amount.copy_abs() >= _LIMIT:
            raise InvalidRequest("amount", "at most ten digits before the point", shape_of(f"{self.amount:f}"))
        allowed = decimals_of(self.currency)
        if self.amount != _rounded(self.amount, allowed):
            why = "" if self.currency in WITHOUT_DECIMALS else " (the wire carries no more)"
            rule = f"at most {allowed} decimals in {self.currency}{why}"
            raise InvalidRequest("amount", rule, shape_of(f"{self.amount:f}"))

    def wire(self) -> str:
        """Return the amount as the wire has it: two decimals, a point, no sign.

        :raises InvalidRequest: for a negative amount, which no operation takes.
        """
        if self.amount < 0:
            raise InvalidRequest("amount", "not negative: the operation says which way the money goes", "a negative amount")
        return str(_rounded(self.amount, WIRE_DECIMALS))

    def __repr__(self) -> str:
        return f"Money('{_rounded(self.amount, decimals_of(self.currency))}', '{self.currency}')"

    def __str__(self) -> str:
        return f"{_rounded(self.amount, decimals_of(self.currency))} {self.currency}"

    def __bool__(self) -> bool:
        return bool(self.amount)

    def _same_currency(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise InvalidRequest("currency", f"amounts of one currency only: {self.currency} and {other.currency} do not mix")
        return other.amount

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.add(self.amount, self._same_currency(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        return Money(_EXACT.subtract(self.amount, self._same_currency(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(self.amount.copy_negate(), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        if isinstance(factor, bool) or not isinstance(factor, int | Decimal):
            return NotImplemented
        return Money(_EXACT.multiply(self.amount, Decimal(factor)), self.currency)

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
