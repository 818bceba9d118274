"""A payment card, whose number and CVV are secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import Attribute, field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.pan import UNIONPAY, brand_of, is_luhn_valid
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from datetime import date

_NUMBER: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_CVV: Final = re.compile(r"[0-9]{3,4}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_ -]{1,40}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MONTHS: Final = range(1, 13)
_YEARS: Final = range(2000, 2100)


def _parse_number(value: object, brand: object) -> Secret | InvalidRequest:
    # Returns the error, like parse_cvv: a traceback keeps the frame that raises, and this frame
    # has the number.
    text = value.reveal() if isinstance(value, Secret) else value
    digits = text.replace(" ", "").replace("-", "") if isinstance(text, str) else ""
    if not _NUMBER.fullmatch(digits):
        return InvalidRequest(
            "card.number",
            "must have 12 to 19 digits; spaces and dashes are ignored",
            shape_of(text),
        )
    is_unionpay = brand == UNIONPAY or brand_of(digits) == UNIONPAY
    if not is_unionpay and not is_luhn_valid(digits):
        return InvalidRequest(
            "card.number", "must pass the Luhn check; a digit is probably mistyped", shape_of(text)
        )
    return Secret(digits)


def parse_cvv(value: object) -> Secret | InvalidRequest | None:
    """Parse a CVV.

    Returns:
        The CVV, or None if there is none. For a malformed one the error to raise: a traceback
        keeps the frame that raises, so that frame must not have the CVV.
    """
    if value is None:
        return None
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _CVV.fullmatch(text):
        return InvalidRequest(
            "card.cvv", "must have three digits, or four for AMEX", shape_of(text)
        )
    return Secret(text)


def _check_month(_: object, __: object, month: int) -> None:
    if type(month) is not int or month not in _MONTHS:
        raise InvalidRequest("card.expiryMonth", "must be an integer from 1 to 12", shape_of(month))


def _check_year(_: object, __: object, year: int) -> None:
    if type(year) is not int or year not in _YEARS:
        raise InvalidRequest(
            "card.expiryYear", "must be an integer with four digits, such as 2030", shape_of(year)
        )


def _check_holder(_: object, __: object, holder: str | None) -> None:
    if holder is not None and (not isinstance(holder, str) or _CONTROL.search(holder)):
        raise InvalidRequest(
            "card.holder", "must be a string without control characters", shape_of(holder)
        )


def _check_word(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (not isinstance(value, str) or not _WORD.fullmatch(value)):
        name = f"card.{attribute.name}"
        rule = "must be one of the gateway's words, such as 'VISA' or 'CC'"
        raise InvalidRequest(name, rule, shape_of(value))


@frozen(repr=False, init=False)
class Card:
    """A card to pay with.

    ``repr`` shows the brand and the first six and last four digits, as PCI DSS 3.4.1 allows.

    Args:
        number: 12 to 19 digits that pass the Luhn check; spaces and dashes are ignored. Numbers
            of UnionPay (62..., 81..., or ``brand="CUP"``) need not pass it. Kept as a `Secret`.
        expiry_month: 1 to 12; sent as ``07``.
        expiry_year: Four digits; sent as ``2030``.
        cvv: Three digits, or four for AMEX. Kept as a `Secret`, sent once and not stored.
        holder: Name on the card.
        brand: The ``paymentBrand``. The default is the brand of the number's issuer range.
        mode: The ``paymentMode``: ``"CC"``, or ``"DC"`` for a debit card if the acquirer
            distinguishes them.

    Raises:
        InvalidRequest: A value is malformed. The error describes the value and does not show it.

    Example:
        ``card = Card("4000 0000 0000 0051", 7, 2030, cvv="123", holder="Ada Lovelace")``

    Protocol section 6. Documented.
    """

    number: Secret
    expiry_month: int = field(validator=_check_month)
    expiry_year: int = field(validator=_check_year)
    cvv: Secret | None
    holder: str | None = field(validator=_check_holder)
    brand: str | None = field(validator=_check_word)
    mode: str = field(validator=_check_word)

    def __init__(
        self,
        number: str | Secret,
        expiry_month: int,
        expiry_year: int,
        cvv: str | Secret | None = None,
        holder: str | None = None,
        *,
        brand: str | None = None,
        mode: str = "CC",
    ) -> None:
        parsed_number, parsed_cvv = _parse_number(number, brand), parse_cvv(cvv)
        # The traceback of an error keeps this frame and its variables.
        del number, cvv
        if isinstance(parsed_number, InvalidRequest):
            del self
            raise parsed_number
        if isinstance(parsed_cvv, InvalidRequest):
            del self
            raise parsed_cvv
        # pyright does not know the method that attrs generates.
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            parsed_number,
            expiry_month,
            expiry_year,
            parsed_cvv,
            holder,
            brand or brand_of(parsed_number.reveal()),
            mode,
        )

    @property
    def bin(self) -> str:
        """The first six digits, which identify the issuer."""
        return self.number.reveal()[:6]

    @property
    def last_four(self) -> str:
        """The last four digits."""
        return self.number.reveal()[-4:]

    def is_expired(self, today: date) -> bool:
        """Return whether the card's expiry month has ended on this day."""
        return (today.year, today.month) > (self.expiry_year, self.expiry_month)

    def __repr__(self) -> str:
        expiry = f"{self.expiry_month:02}/{self.expiry_year}"
        return f"Card({self.brand or 'card'} {self.bin}******{self.last_four}, {expiry})"
