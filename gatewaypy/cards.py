"""A payment card: its number and CVV are secrets, its brand is read off its first digits."""

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
    # Like parse_cvv this returns its refusal: the frame that raises is kept by the error's traceback, and this one has seen
    # the number.
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
    """Seal a CVV; what is none is described, not raised, as the frame that raises must not have seen it."""
    if value is None:
        return None
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _CVV.fullmatch(text):
        return InvalidRequest("card.cvv", "three digits, four for AMEX", shape_of(text))
    return Secret(text)


def _check_month(_: object, __: object, month: int) -> None:
    if type(month) is not int or month not in _MONTHS:
        raise InvalidRequest("card.expiryMonth", "an integer from 1 to 12", shape_of(month))


def _check_year(_: object, __: object, year: int) -> None:
    if type(year) is not int or year not in _YEARS:
        raise InvalidRequest(
            "card.expiryYear", "an integer of four digits, such as 2030", shape_of(year)
        )


def _check_holder(_: object, __: object, holder: str | None) -> None:
    if holder is not None and (not isinstance(holder, str) or _CONTROL.search(holder)):
        raise InvalidRequest("card.holder", "text without control characters", shape_of(holder))


def _check_word(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (not isinstance(value, str) or not _WORD.fullmatch(value)):
        name = f"card.{attribute.name}"
        raise InvalidRequest(
            name, "the gateway's word for it, such as 'VISA' or 'CC'", shape_of(value)
        )


@frozen(repr=False, init=False)
class Card:
    """A card to pay with (protocol section 6, documented).

    :param number: 12 to 19 digits with a valid Luhn digit, which UnionPay's numbers (62…, 81…, or ``brand="CUP"``) need not
        have; spaces and dashes are taken out. Stored as a `Secret`.
    :param expiry_month: 1 to 12; the wire gets ``07``.
    :param expiry_year: four digits; the wire gets ``2030``.
    :param cvv: three digits, four for AMEX. Stored as a `Secret`, sent once, stored nowhere.
    :param holder: the name on the card.
    :param brand: the ``paymentBrand``, where the number's first digits do not tell, or tell wrong.
    :param mode: the ``paymentMode``: ``"CC"``, or ``"DC"`` for a debit card where the acquirer tells them apart.
    :raises InvalidRequest: for anything else; the error describes the value and never shows it.

    ``repr`` shows the brand, the first six and the last four digits: what PCI DSS 3.4.1 lets be shown.
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
        """Check the card and seal its number and CVV."""
        parsed_number, digits = _parse_number(number, brand), parse_cvv(cvv)
        # A frame that raises stays in the traceback, with whatever its names still hold.
        del number, cvv
        if isinstance(parsed_number, InvalidRequest):
            del self
            raise parsed_number
        if isinstance(digits, InvalidRequest):
            del self
            raise digits
        # pyright does not know what attrs generates.
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            parsed_number,
            expiry_month,
            expiry_year,
            digits,
            holder,
            brand or brand_of(parsed_number.reveal()),
            mode,
        )

    @property
    def bin(self) -> str:
        """The first six digits, which name the issuer."""
        return self.number.reveal()[:6]

    @property
    def last_four(self) -> str:
        """The last four digits, by which the cardholder knows the card."""
        return self.number.reveal()[-4:]

    def is_expired(self, today: date) -> bool:
        """Tell whether the card's last month is over on this day."""
        return (today.year, today.month) > (self.expiry_year, self.expiry_month)

    def __repr__(self) -> str:
        return f"Card({self.brand or 'card'} {self.bin}******{self.last_four}, {self.expiry_month:02}/{self.expiry_year})"
