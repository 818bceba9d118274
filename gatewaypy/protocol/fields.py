"""The request fields of protocol section 6: the format of each, checked before anything is sent."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol.grades import Grade
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# An unpaired surrogate cannot be written as UTF-8.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# Several products are distinguished by their position: product[1].quantity.
_POSITION: Final = re.compile(r"\[[0-9]+\]", re.ASCII)


@frozen
class Field:
    """A wire field: its whole-value pattern, the rule in words, and how well both are known."""

    name: str
    pattern: re.Pattern[str]
    rule: str
    grade: Grade


def _field(name: str, pattern: str, rule: str, grade: Grade = Grade.DOCUMENTED) -> Field:
    return Field(name, re.compile(pattern, re.ASCII), rule, grade)


_URL = r"https?://[\x21-\x7e]+"
_ID = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})"
_ID_RULE = "the gateway's id: letters and digits, never '-'"
_OWN_ID = r"(?=[ .-]*[A-Za-z0-9])(?! )[A-Za-z0-9 .-]{1,100}(?<! )"
_OWN_ID_RULE = (
    "1 to 100 of letters, digits, space, '.' and '-', a letter or digit among them, "
    "no space at either end"
)
_AMOUNT = r"[0-9]{1,10}\.[0-9]{2}"
_AMOUNT_RULE = "up to ten digits, a point, two digits"
_CURRENCY = r"[A-Z]{3}"
_CURRENCY_RULE = "three upper-case letters of ISO 4217"
_URL_RULE = "an absolute http or https URL in ASCII"

#: Fields with a format of their own. All others are text without control characters.
FIELDS: Final[Mapping[str, Field]] = {
    field.name: field
    for field in (
        _field("authentication.memberId", r"[0-9]{1,10}", "one to ten digits"),
        _field("authentication.partnerId", r"[0-9]{1,10}", "one to ten digits"),
        _field("authentication.terminalId", r"[0-9]{1,6}", "one to six digits"),
        _field("authentication.accountId", r"[0-9]{1,10}", "one to ten digits"),
        _field("merchantTransactionId", _OWN_ID, _OWN_ID_RULE),
        _field("amount", _AMOUNT, _AMOUNT_RULE, Grade.SEEN),
        _field("currency", _CURRENCY, _CURRENCY_RULE),
        _field("tmpl_amount", r"[0-9]{1,8}\.[0-9]{2}", "up to eight digits, a point, two digits"),
        _field("tmpl_currency", _CURRENCY, _CURRENCY_RULE),
        _field("paymentId", _ID, _ID_RULE, Grade.SEEN),
        _field("registrationId", _ID, _ID_RULE, Grade.ONE_SOURCE),
        _field("invoiceId", _ID, _ID_RULE),
        _field("merchantInvoiceId", _OWN_ID, _OWN_ID_RULE, Grade.OUR_CHOICE),
        _field("merchant.orderID", _OWN_ID, _OWN_ID_RULE, Grade.OUR_CHOICE),
        _field("merchant.amount", _AMOUNT, _AMOUNT_RULE),
        _field("merchant.currency", _CURRENCY, _CURRENCY_RULE),
        _field("product.productAmount", _AMOUNT, _AMOUNT_RULE),
        _field("product.productTotal", _AMOUNT, _AMOUNT_RULE),
        _field("product.quantity", r"[0-9]{1,9}", "a whole number"),
        _field("invoiceExpirationPeriod", r"[0-9]{1,9}", "a whole number"),
        _field("TMPL_AMOUNT", r"[0-9]{1,8}\.[0-9]{2}", "up to eight digits, a point, two digits"),
        _field("TMPL_CURRENCY", _CURRENCY, _CURRENCY_RULE),
        _field("terminalid", r"[0-9]{1,6}", "one to six digits"),
        _field("merchantRedirectUrl", _URL, _URL_RULE),
        _field("notificationUrl", _URL, _URL_RULE),
        _field("card.number", r"[0-9]{12,19}", "12 to 19 digits"),
        _field("card.expiryMonth", r"0[1-9]|1[0-2]", "two digits from 01 to 12"),
        _field("card.expiryYear", r"20[0-9]{2}", "four digits"),
        _field("card.cvv", r"[0-9]{3,4}", "three or four digits"),
        _field("customer.birthDate", r"[0-9]{8}", "YYYYMMDD"),
        _field("shipping.country", r"[A-Z]{2}", "two upper-case letters of ISO 3166-1"),
    )
}


# Every request has the same few names. Values are never cached.
@lru_cache(maxsize=256)
def _field_of(name: str) -> Field | None:
    return FIELDS.get(_POSITION.sub("", name))


def check(fields: Mapping[str, str | Secret]) -> None:
    """Check values against their fields' formats.

    Raises:
        InvalidRequest: Names the field, the rule and the value's shape, never the value.
    """
    refusal = refusal_of(fields)
    if refusal is not None:
        raise refusal


def refusal_of(fields: Mapping[str, str | Secret]) -> InvalidRequest | None:
    """Return why `check` refuses the fields.

    The error is returned and not raised, because a traceback keeps the raising frame, and this
    frame has the values.
    """
    for name, value in fields.items():
        text = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(text, str):
            return InvalidRequest(name, "must be a string", shape_of(text))
        field = _field_of(name)
        if field is None:
            if _CONTROL.search(text):
                return InvalidRequest(name, "must not contain control characters", shape_of(text))
        elif not field.pattern.fullmatch(text):
            return InvalidRequest(name, field.rule, shape_of(text))
    return None
