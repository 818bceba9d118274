"""A payout order: whom to pay how much under which id, as a file, a program and a journal have it."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Self

from attrs import evolve, field, fields_dict, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Customer
from gatewaypy.money import Money
from gatewaypy.pan import is_luhn_valid
from gatewaypy.protocol.fields import check
from gatewaypy.secret import Secret, shape_of

_CARD_NUMBER: Final = re.compile(r"[0-9][0-9 -]{10,22}[0-9]", re.ASCII)
_CUSTOMER: Final = tuple(fields_dict(Customer))
_NOBODY: Final = Customer()
_FORBIDDEN: Final = frozenset({"cvv", "card.cvv", "cvc", "card.cvc"})


def _sealed(extra: Mapping[str, str | Secret] | None) -> dict[str, Secret] | None:
    if extra is None:
        return None
    texts = dict(extra) if isinstance(extra, Mapping) else {"": None}
    sealed = {
        name: value if isinstance(value, Secret) else Secret(value)
        for name, value in texts.items()
        if isinstance(value, str | Secret)
    }
    wrong = [name for name in texts if name not in sealed]
    # A frame that raises stays in the traceback, with whatever its names still hold.
    del extra, texts
    if wrong:
        raise InvalidRequest(f"extra.{wrong[0]}".rstrip("."), "text, under its wire name")
    return sealed


@frozen(kw_only=True)
class PayoutOrder:
    """One payout to be made (protocol section 6, documented).

    :param merchant_transaction_id: your own id of this payout; the journal knows the order by it, for ever.
    :param amount: how much.
    :param payment_id: the captured or settled sale whose payer is paid; or
    :param customer: whom to pay, with the account's details in ``extra`` as the acquirer wants them; or
    :param stored_card: the registration id of a stored card or account (our choice of wire name).
    :param terminal_id: the terminal to pay through; the credentials' own where none is given.
    :param extra: further fields by their wire names, each kept as a `Secret`. Never a CVV; a card number only where the job has
        a ``seal`` to encrypt orders with.
    :raises InvalidRequest: for an id or a payee that no payout could have.
    """

    merchant_transaction_id: str
    amount: Money
    payment_id: str | None = None
    customer: Customer | None = None
    stored_card: str | None = None
    terminal_id: str | None = None
    extra: Mapping[str, Secret] | None = field(default=None, converter=_sealed)

    def __attrs_post_init__(self) -> None:
        facts = {"operation": "payout", "merchant_transaction_id": self.merchant_transaction_id}
        check({"merchantTransactionId": self.merchant_transaction_id})
        if not isinstance(self.amount, Money):
            raise InvalidRequest("amount", "Money, such as Money('50.00', 'EUR')", shape_of(self.amount), **facts)
        if not self.amount.amount > 0:
            raise InvalidRequest("amount", "more than nothing", **facts)
        if self.customer == Customer():
            raise InvalidRequest("customer", "somebody: a customer without any field is nobody", **facts)
        payees = [name for name in ("payment_id", "customer", "stored_card") if getattr(self, name) is not None]
        if len(payees) != 1:
            raise InvalidRequest("payee", "exactly one of payment_id, customer and stored_card", **facts)
        for name in self.extra or {}:
            if name.lower() in _FORBIDDEN:
                rule = "no CVV: it must not be stored, and a journal stores orders"
                raise InvalidRequest("extra." + name, rule, **facts)

    @property
    def has_card_number(self) -> bool:
        """Whether a field holds what may be a card number: such an order is journalled encrypted or not at all."""
        customer = self.customer or _NOBODY
        named = (customer.given_name, customer.surname, customer.email)
        texts = [*(secret.reveal() for secret in (self.extra or {}).values()), *(text for text in named if text)]
        return any(_may_be_card(text) for text in texts)

    def to_fields(self) -> dict[str, Any]:
        """Return the order as plain fields, secrets in the clear: what :meth:`from_fields` reads."""
        customer = None if self.customer is None else {n: v for n in _CUSTOMER if (v := getattr(self.customer, n)) is not None}
        if customer is not None and isinstance(customer.get("birth_date"), date):
            customer["birth_date"] = customer["birth_date"].isoformat()
        fields = {
            "merchant_transaction_id": self.merchant_transaction_id,
            # One amount has one text, however it was written: 12.5 and 12.50 are one order.
            "amount": self.amount.wire(),
            "currency": self.amount.currency,
            "payment_id": self.payment_id,
            "customer": customer,
            "stored_card": self.stored_card,
            "terminal_id": self.terminal_id,
            "extra": None if self.extra is None else {name: secret.reveal() for name, secret in self.extra.items()},
        }
        return {name: value for name, value in fields.items() if value is not None}

    def to_json(self) -> bytes:
        """Return the order as JSON, secrets in the clear: what a journal keeps, sealed where the job has a seal."""
        return json.dumps(self.to_fields()).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read back what :meth:`to_json` gave."""
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Make an order of plain fields: ``amount`` and ``currency``, a customer's as an object.

        :raises InvalidRequest: naming the field that is missing, unknown or wrong.
        """
        values = dict(fields)
        known = {*fields_dict(cls), "currency"}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InvalidRequest(unknown[0], f"one of {', '.join(sorted(known))}")
        for name in ("merchant_transaction_id", "amount", "currency"):
            if values.get(name) in (None, ""):
                raise InvalidRequest(name, "required")
        values["amount"] = Money(values["amount"], values.pop("currency"))
        if values.get("customer") is not None:
            values["customer"] = _customer(values["customer"])
        return cls(**values)

    def fingerprint(self, key: bytes) -> str:
        """Digest what is paid and to whom: HMAC-SHA-256 over the amount, the currency and the payee."""
        return fingerprint(self.to_fields(), key)


def fingerprint(fields: Mapping[str, Any], key: bytes) -> str:
    """Digest the fields of an order that tell what is paid and to whom."""
    payee = {name: fields.get(name) for name in ("amount", "currency", "payment_id", "customer", "stored_card", "extra")}
    return hmac.digest(key, json.dumps(payee, sort_keys=True).encode(), "sha256").hex()


def _may_be_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return bool(_CARD_NUMBER.fullmatch(text)) and 12 <= len(digits) <= 19 and is_luhn_valid(digits)  # noqa: PLR2004 - a PAN's


def _customer(fields: object) -> Customer:
    if not isinstance(fields, dict):
        raise InvalidRequest("customer", "an object of a customer's fields", shape_of(fields))
    unknown = sorted(set(fields) - set(fields_dict(Customer)))
    if unknown:
        raise InvalidRequest("customer." + unknown[0], f"one of {', '.join(sorted(fields_dict(Customer)))}")
    wrong = sorted(name for name, value in fields.items() if not isinstance(value, str | None))
    if wrong:
        raise InvalidRequest("customer." + wrong[0], "text")
    customer = Customer(**fields)
    if fields.get("birth_date"):
        try:
            return evolve(customer, birth_date=date.fromisoformat(fields["birth_date"]))
        except ValueError:
            refused = InvalidRequest("customer.birth_date", "a day such as 1990-12-31", shape_of(fields["birth_date"]))
        raise refused
    return customer
