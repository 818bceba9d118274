"""Remove card numbers and known secrets from what the gateway sent; its ids stay unchanged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.pan import mask, may_contain, replace_digits
from gatewaypy.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Ids, digests and times of the protocol, in lower case, without the group before them (protocol
#: sections 6, 7, 10 and 11). They are looked up and compared, so they are never altered, although
#: one number in ten passes the Luhn check.
ID_FIELDS: Final = frozenset(
    {
        "accountid", "bankreferenceid", "checksum", "createddate", "createdtime", "customerid",
        "date", "desc", "invoiceid", "invoiceno", "memberid", "merchantinvoiceid",
        "merchanttransactionid", "merchantuserid", "mobile", "orderid", "originalpaymentid",
        "partnerid", "paymentid", "phone", "registrationid", "systeminvoiceid", "systempaymentid",
        "telnocc", "terminalid", "timestamp", "token", "trackingid", "transactiondate",
    }
)  # fmt: skip
#: Amounts and redirect targets: an altered one is another amount or an invalid URL.
_EXACT_FIELDS: Final = ID_FIELDS | {
    "amount", "authtoken", "captureamount", "chargebackamount", "payoutamount", "productamount",
    "producttotal", "redirect", "refundamount", "tmpl_amount", "transactionurl", "url",
}  # fmt: skip
# The protocol's own words and short numbers: a CVV's digits in them are a coincidence.
_SHORT_FIELDS: Final = {
    "bin", "birthdate", "cardbin", "cardlast4digits", "cardtype", "code", "country", "currency",
    "eci", "expirationperiod", "expirymonth", "expiryyear", "ip", "last4digits", "lastfourdigits",
    "paymentbrand", "paymentmode", "postcode", "quantity", "resultcode", "status",
    "tmpl_currency", "transactionstatus",
}  # fmt: skip
# Data that must never be stored (PCI DSS 3.3.1), and credentials of the gateway. They are left out
# with their names.
_LEFT_OUT: Final = frozenset(
    {"cvv", "cvv2", "cvc", "cvc2", "csc", "securitycode", "verification_code", "skey", "securekey"}
)
_TOKEN: Final = "authtoken"  # noqa: S105 - a field's name
_CARD_NUMBERS: Final = frozenset({"number", "cardnumber", "pan"})
_SHORTEST_NUMBER: Final = 12
_NUMBER: Final = re.compile(r"[0-9]{12,19}", re.ASCII)

#: Fields of a request whose values must not appear in what is shown of its reply.
_SECRET_FIELDS: Final = (
    "card.number", "card.cvv", "authentication.sKey", "authToken", "bankAccount.iban",
    "bankAccount.accountNumber", "customer.vpa",
)  # fmt: skip
# A shorter secret is part of many words, so it is removed only as a whole word of free text.
_SHORTEST_SECRET: Final = 8

_SUSPECT_NAME: Final = re.compile(
    r"cvv|cvc|csc|securitycode|verification_code|authtoken|skey|securekey|\\", re.IGNORECASE
)


def secrets_of(fields: Mapping[str, Any]) -> tuple[Secret, ...]:
    """Return the secrets of a request that its reply must not show."""
    return tuple(
        [value for name in _SECRET_FIELDS if isinstance(value := fields.get(name), Secret)]
    )


def redact(
    fields: Mapping[str, Any], secrets: Sequence[Secret] = (), *, keep_token: bool = False
) -> dict[str, Any]:
    """Return fields without card numbers, CVVs and secrets, in any nesting; ids are unchanged.

    Args:
        fields: As they were read: texts, objects and lists.
        secrets: Secrets that the gateway knows. Numbers as long as a card number are found in any
            grouping and removed from ids too. Secrets of fewer than 8 characters, such as a CVV,
            are removed only as a whole word.
        keep_token: Keep the reply's ``AuthToken``.
    """
    plain = fields if isinstance(fields, dict) else dict(fields)
    text = repr(plain)
    # A check of the whole text clears most replies. Names, escapes and other scripts need more.
    if not may_contain(text) and _SUSPECT_NAME.search(text) is None and not _has_any(text, secrets):
        return plain
    return _Redaction(secrets, keep_token=keep_token).of_object(plain, is_redirect=False)


def _has_any(text: str, secrets: Sequence[Secret]) -> bool:
    for secret in secrets:  # noqa: SIM110 - a generator costs twice as much
        if secret.reveal() in text:
            return True
    return False


class _Redaction:
    """One reply's redaction."""

    def __init__(self, secrets: Sequence[Secret], *, keep_token: bool) -> None:
        texts = {secret.reveal() for secret in secrets}
        self._numbers = [text for text in texts if _NUMBER.fullmatch(text)]
        self._long = [
            text for text in texts.difference(self._numbers) if len(text) >= _SHORTEST_SECRET
        ]
        self._short_texts = {text for text in texts if 0 < len(text) < _SHORTEST_SECRET}
        # Only whole words, and not a part of an amount, a date or a longer number.
        self._short = [
            re.compile(rf"(?<!\w)(?<![0-9][.,:/-]){re.escape(text)}(?!\w|[.,:/-][0-9])")
            for text in self._short_texts
        ]
        self._left_out = _LEFT_OUT if keep_token else _LEFT_OUT | {_TOKEN}

    def of_object(self, fields: Mapping[str, Any], *, is_redirect: bool) -> dict[str, Any]:
        kept = {}
        for name, value in fields.items():
            leaf = name.rpartition(".")[2].lower()
            if leaf in self._left_out or (leaf in _CARD_NUMBERS and _is_long_number(value)):
                continue
            kept[mask(self._without_numbers(name))] = self._of_value(
                leaf, value, is_redirect=is_redirect or leaf == "redirect"
            )
        return kept

    def _of_value(self, leaf: str, value: Any, *, is_redirect: bool) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return self.of_object(value, is_redirect=is_redirect)
        if isinstance(value, list):
            return [self._of_value(leaf, inner, is_redirect=is_redirect) for inner in value]
        return (
            self._of_text("redirect" if is_redirect else leaf, value)
            if isinstance(value, str)
            else value
        )

    def _of_text(self, leaf: str, text: str) -> str:
        # The known number first, because a part of it may look like another card number.
        text = self._without_numbers(text)
        if leaf not in _EXACT_FIELDS:
            text = mask(text)
        if leaf != _TOKEN:
            for secret in self._long:
                text = text.replace(secret, MASK)
        # A code that equals the CVV's digits is a coincidence.
        if leaf not in _EXACT_FIELDS and not (
            leaf in _SHORT_FIELDS and text.strip() in self._short_texts
        ):
            for pattern in self._short:
                text = pattern.sub(MASK, text)
        return text

    def _without_numbers(self, text: str) -> str:
        for number in self._numbers:
            text = replace_digits(text, number, MASK)
        return text


def _is_long_number(value: object) -> bool:
    return isinstance(value, str) and sum(map(str.isdecimal, value)) >= _SHORTEST_NUMBER
