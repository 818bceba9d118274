"""The checksum rules: the joined fields, their order, and their MD5 (protocol section 5)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol.grades import Grade
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the merchant's key in every rule.
KEY: Final = "secureKey"

_DIGEST: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
# With one of these in a value, two requests could have the same checksum: a|b + c = a + b|c.
_UNSIGNABLE: Final = re.compile(r"[|\r\n\x00\ud800-\udfff]")


@frozen
class Rule:
    """One way of signing: the names of the joined values, in order."""

    name: str
    signs: str
    fields: tuple[str, ...]
    grade: Grade


RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule("A", "payment", ("memberId", KEY, "merchantTransactionId", "amount"), Grade.SEEN),
        Rule("B", "capture, refund", ("memberId", KEY, "paymentId", "amount"), Grade.DOCUMENTED),
        Rule("C", "reversal, inquiry", ("memberId", KEY, "id"), Grade.DOCUMENTED),
        Rule("D", "payout", ("memberId", "merchantTransactionId", "amount", KEY), Grade.DOCUMENTED),
        Rule("E", "list, stored cards, invoice configuration", ("memberId", KEY), Grade.DOCUMENTED),
        Rule("F", "store a card", ("memberId", KEY, "cardNumber"), Grade.ONE_SOURCE),
        Rule(
            "G",
            "pay with a stored card",
            ("memberId", KEY, "registrationId", "amount"),
            Grade.ONE_SOURCE,
        ),
        Rule("H", "delete a stored card", ("memberId", KEY, "registrationId"), Grade.ONE_SOURCE),
        Rule(
            "I",
            "customer sign-up",
            ("memberId", KEY, "givenName", "surname", "email"),
            Grade.ONE_SOURCE,
        ),
        Rule(
            "J",
            "hosted checkout",
            ("memberId", "totype", "amount", "merchantTransactionId", "merchantRedirectUrl", KEY),
            Grade.DOCUMENTED,
        ),
        Rule("K", "pay by link", ("memberId", "orderID", "amount", KEY), Grade.DOCUMENTED),
        Rule(
            "L",
            "invoice generate",
            ("memberId", KEY, "merchantInvoiceId", "amount", "merchantRedirectUrl"),
            Grade.DOCUMENTED,
        ),
        Rule(
            "M",
            "invoice regenerate",
            ("invoiceId", "memberId", KEY, "merchantRedirectUrl"),
            Grade.DOCUMENTED,
        ),
        Rule("N", "invoice status", ("memberId", KEY, "merchantInvoiceId"), Grade.DOCUMENTED),
        Rule("P", "hosted card registration", ("memberId", "totype", KEY), Grade.DOCUMENTED),
        Rule(
            "P'",
            "return of the hosted card registration",
            ("memberId", "status", KEY),
            Grade.DOCUMENTED,
        ),
        Rule(
            "S",
            "callback and browser return",
            ("paymentId", "merchantTransactionId", "amount", "status", KEY),
            Grade.DOCUMENTED,
        ),
    )
}

#: Other names of a rule's value in the request, in order of preference.
STANDS_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "cardNumber": ("card.number", "bankAccount.bic", "bankAccount.routingNumber"),
    "givenName": ("customer.givenName",),
    "surname": ("customer.surname",),
    "email": ("customer.email",),
    "orderID": ("merchant.orderID",),
    "amount": ("amount", "merchant.amount"),
}


def signed_values(rule: Rule, fields: Mapping[str, str | Secret]) -> dict[str, str | Secret]:
    """Find what a rule signs among a request's fields.

    Raises:
        InvalidRequest: Names the field that is missing.
    """
    values: dict[str, str | Secret] = {}
    for name in rule.fields:
        place = (
            name
            if name in fields
            else next((place for place in STANDS_AS.get(name, ()) if place in fields), None)
        )
        if place is None:
            raise InvalidRequest(name, "required, because the checksum signs it")
        values[name] = fields[place]
    return values


def masked_signed_text(rule: Rule, values: Mapping[str, str | Secret]) -> str:
    """Return the text that a rule signs, with its secrets masked, for the gateway's support."""
    if _digest(rule, values) is None:
        raise _refusal(rule, values)
    return "|".join(str(values[name]) for name in rule.fields)


def checksum(rule: Rule, values: Mapping[str, str | Secret]) -> str:
    """Return the MD5 of a rule's values, joined with ``|``, as 32 lower-case hexadecimal digits.

    Raises:
        InvalidRequest: A value has ``|``, a line break or NUL.
    """
    digest = _digest(rule, values)
    if digest is None:
        # Raised here, because a traceback keeps the raising frame, and the frame of _digest has
        # the key.
        raise _refusal(rule, values)
    return digest


def _refusal(rule: Rule, values: Mapping[str, str | Secret]) -> InvalidRequest:
    parts = zip(rule.fields, _plain(rule, values), strict=True)
    name, text = next((name, part) for name, part in parts if _UNSIGNABLE.search(part))
    return InvalidRequest(
        name, "must not contain '|', a line break or NUL, because it is signed", shape_of(text)
    )


def _plain(rule: Rule, values: Mapping[str, str | Secret]) -> list[str]:
    return [
        value.reveal() if isinstance(value := values[name], Secret) else value
        for name in rule.fields
    ]


def _digest(rule: Rule, values: Mapping[str, str | Secret]) -> str | None:
    """Return the digest of what a rule signs; ``None`` if a value must not be signed."""
    parts = _plain(rule, values)
    text = "|".join(parts)
    # Printable text has no line break, NUL or unpaired surrogate. Other text may still be signed.
    is_plain = text.isprintable() and text.count("|") == len(parts) - 1
    if not is_plain and _UNSIGNABLE.search("".join(parts)):
        return None
    # The gateway requires MD5. TLS protects the request.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def matches(expected: str, received: str) -> bool:
    """Compare two checksums in constant time; False if the received one is not a checksum."""
    lowered = received.lower()
    return _DIGEST.fullmatch(lowered) is not None and hmac.compare_digest(expected, lowered)
