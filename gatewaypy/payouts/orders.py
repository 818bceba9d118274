"""A payout order: the amount, the payee and the id."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from attrs import evolve, field, fields_dict, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Customer
from gatewaypy.money import Money
from gatewaypy.pan import contains, mask, may_contain
from gatewaypy.printable import printable
from gatewaypy.protocol import requests
from gatewaypy.protocol.fields import refusal_of
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from gatewaypy.config import Credentials

Order = TypeVar("Order", bound="PayoutOrder")

_MAX_PHONE_DIGITS: Final = 15
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,39}", re.ASCII)
_CUSTOMER: Final = tuple(fields_dict(Customer))
_CUSTOMER_NAMES: Final = tuple(f"customer.{name}" for name in _CUSTOMER)
_customer_values: Final = attrgetter(*_CUSTOMER)
_NUMBER: Final = re.compile(r"-?[0-9]{1,10}(\.[0-9]+)?", re.ASCII)
_SHORT_WORD: Final = re.compile(r"[0-9A-Za-z.,+ -]{1,8}", re.ASCII)
_ID_NAMES: Final = frozenset({"payment_id", "stored_card", "terminal_id", "customer.customer_id"})
_FORBIDDEN: Final = frozenset({"cvv", "card.cvv", "cvc", "card.cvc"})


def _wrap(extra: Mapping[str, str | Secret] | None) -> dict[str, Secret] | InvalidRequest | None:
    # The error is returned, not raised. A frame that raises stays in the error's traceback, and
    # this frame has the values.
    if extra is None:
        return None
    texts = dict(extra) if isinstance(extra, Mapping) else {"": None}
    wrapped = {
        name: value if isinstance(value, Secret) else Secret(value)
        for name, value in texts.items()
        if isinstance(value, str | Secret)
    }
    wrong = [name for name in texts if name not in wrapped]
    if wrong:
        return InvalidRequest(
            f"extra.{_named(wrong[0])}" if wrong[0] else "extra",
            "must be a string, under its wire name",
        )
    return wrapped


def _may_have_card(text: str, *, is_id: bool, is_phone: bool) -> bool:
    if is_phone and text.startswith("+") and sum(map(str.isdecimal, text)) <= _MAX_PHONE_DIGITS:
        return False
    return contains(text, known_issuer=is_id)


def _shown_id(value: object) -> str:
    return (
        repr(mask(value))
        if isinstance(value, str) and contains(value, known_issuer=True)
        else repr(value)
    )


def _shown_extra(extra: Mapping[str, Secret] | None) -> str:
    return mask(repr(extra))


def _named(name: str) -> str:
    """Show a name, or describe it if it may be a value."""
    return name if _NAME.fullmatch(name) and not contains(name) else shape_of(name)


@frozen(kw_only=True, init=False)
class PayoutOrder:
    """One payout that is to be sent.

    Set exactly one of ``payment_id``, ``customer`` and ``stored_card``.

    Args:
        merchant_transaction_id: Your id of this payout. The journal identifies the order by it
            permanently.
        amount: The amount, greater than zero.
        payment_id: The captured or settled sale whose payer is paid.
        customer: The payee, with the account's details in ``extra`` as the acquirer requires them.
        stored_card: Registration id of a stored card or account (our choice of wire name).
        terminal_id: The terminal. Without one the credentials' terminal is used.
        extra: Further fields by their wire names, each wrapped in `Secret`. Never a CVV. A card
            number only if the journal has ``encrypt``.

    Raises:
        InvalidRequest: A field is malformed, or there is not exactly one payee.

    Protocol section 6, documented.
    """

    merchant_transaction_id: str = field(repr=_shown_id)
    amount: Money
    payment_id: str | None = field(default=None, repr=_shown_id)
    customer: Customer | None = None
    stored_card: str | None = field(default=None, repr=_shown_id)
    terminal_id: str | None = field(default=None, repr=_shown_id)
    extra: Mapping[str, Secret] | None = field(default=None, repr=_shown_extra)

    def __init__(
        self,
        *,
        merchant_transaction_id: str,
        amount: Money,
        payment_id: str | None = None,
        customer: Customer | None = None,
        stored_card: str | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> None:
        """Check the order, and wrap its further fields."""
        wrapped = _wrap(extra)
        # A frame that raises stays in the traceback, with the values of its names.
        del extra
        if isinstance(wrapped, InvalidRequest):
            del self, merchant_transaction_id, payment_id, customer, stored_card, terminal_id
            raise wrapped
        # pyright does not know what attrs generates.
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            merchant_transaction_id=merchant_transaction_id,
            amount=amount,
            payment_id=payment_id,
            customer=customer,
            stored_card=stored_card,
            terminal_id=terminal_id,
            extra=wrapped,
        )
        refusal = self._refusal()
        if refusal is not None:
            del self, merchant_transaction_id, payment_id, customer, stored_card, terminal_id
            raise refusal

    def _refusal(self) -> InvalidRequest | None:  # noqa: PLR0911 - one rule after the other
        """Return the first rule that the order breaks."""
        malformed = refusal_of({"merchantTransactionId": self.merchant_transaction_id})
        if malformed is not None:
            return malformed
        if contains(self.merchant_transaction_id, known_issuer=True):
            rule = "must not be a card number, because ids are stored and shown"
            return InvalidRequest(
                "merchant_transaction_id",
                rule,
                shape_of(self.merchant_transaction_id),
                operation="payout",
            )
        facts = {"operation": "payout", "merchant_transaction_id": self.merchant_transaction_id}
        if not isinstance(self.amount, Money):
            return InvalidRequest(
                "amount",
                "must be a Money, such as Money('50.00', 'EUR')",
                shape_of(self.amount),
                **facts,
            )
        if not self.amount.amount > 0:
            return InvalidRequest("amount", "must be greater than zero", **facts)
        if self.customer == Customer():
            return InvalidRequest("customer", "must have at least one field set", **facts)
        payees = [
            name
            for name in ("payment_id", "customer", "stored_card")
            if getattr(self, name) is not None
        ]
        if len(payees) != 1:
            return InvalidRequest(
                "payee", "must be exactly one of payment_id, customer and stored_card", **facts
            )
        for name in self.extra or {}:
            if name.lower() in _FORBIDDEN:
                rule = "must not be a CVV, because a journal stores orders"
                return InvalidRequest("extra." + name, rule, **facts)
        return None

    @property
    def has_card_number(self) -> bool:
        """Whether a field may contain a card number; only an encrypted journal stores it then."""
        return self.card_number_field is not None

    @property
    def card_number_field(self) -> str | None:
        """The name of the first field that may contain a card number; None if there is none.

        In an id only the whole number of a known issuer counts. A phone number with a ``+`` and at
        most 15 digits does not count.
        """
        texts = {
            "payment_id": self.payment_id,
            "stored_card": self.stored_card,
            "terminal_id": self.terminal_id,
        }
        if self.customer is not None:
            texts |= dict(zip(_CUSTOMER_NAMES, _customer_values(self.customer), strict=True))
        if self.extra:
            texts |= {f"extra.{name}": secret.reveal() for name, secret in self.extra.items()}
        # One check of all values is enough for most orders.
        if not may_contain("|".join([f"{name}|{text}" for name, text in texts.items()])):
            return None
        for name, text in texts.items():
            if contains(name):
                return "extra"
            is_phone = name == "customer.phone"
            if text is not None and _may_have_card(
                str(text), is_id=name in _ID_NAMES, is_phone=is_phone
            ):
                return printable(name)
        return None

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `Gateway.payout` that send this order."""
        return {
            "amount": self.amount,
            "merchant_transaction_id": self.merchant_transaction_id,
            "payment_id": self.payment_id,
            "customer": self.customer,
            "stored_card": self.stored_card,
            "terminal_id": self.terminal_id,
            "extra": self.extra,
        }

    def to_request(self, credentials: Credentials) -> requests.Request:
        """Build the request that this order is sent as.

        Args:
            credentials: The merchant's credentials.

        Raises:
            InvalidRequest: The request would be refused before sending.
        """
        return requests.payout(credentials=credentials, notification_url=None, **self.arguments())

    def to_fields(self) -> dict[str, Any]:
        """Return the order as plain fields, secrets revealed; :meth:`from_fields` reads them."""
        customer = (
            None
            if self.customer is None
            else {n: v for n in _CUSTOMER if (v := getattr(self.customer, n)) is not None}
        )
        if customer is not None and isinstance(customer.get("birth_date"), date):
            customer["birth_date"] = customer["birth_date"].isoformat()
        fields = {
            "merchant_transaction_id": self.merchant_transaction_id,
            # 12.5 and 12.50 are the same order.
            "amount": self.amount.wire(),
            "currency": self.amount.currency,
            "payment_id": self.payment_id,
            "customer": customer,
            "stored_card": self.stored_card,
            "terminal_id": self.terminal_id,
            "extra": None
            if self.extra is None
            else {name: secret.reveal() for name, secret in self.extra.items()},
        }
        return {name: value for name, value in fields.items() if value is not None}

    def to_json(self) -> bytes:
        """Return the order as JSON with revealed secrets; :meth:`from_json` reads it."""
        return json.dumps(self.to_fields()).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read an order from the JSON of :meth:`to_json`.

        Raises:
            InvalidRequest: The text is not JSON of an order.
        """
        try:
            fields = json.loads(text)
        except ValueError:
            # Not chained, because the decoder's error has the text.
            fields = None
        order = (
            _read(cls, fields)
            if isinstance(fields, dict)
            else InvalidRequest("order", "must be a JSON object")
        )
        del text, fields
        if isinstance(order, InvalidRequest):
            raise order
        return order

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read an order from plain fields: ``amount`` and ``currency``, the customer as an object.

        Raises:
            InvalidRequest: It names the field that is missing, unknown or invalid.
        """
        order = _read(cls, fields)
        del fields
        if isinstance(order, InvalidRequest):
            raise order
        return order

    def fingerprint(self, key: bytes) -> str:
        """Return the HMAC-SHA-256 over the amount, the currency and the payee, in hexadecimal."""
        return fingerprint(self.to_fields(), key)


def fingerprint(fields: Mapping[str, Any], key: bytes) -> str:
    """Return the digest of the fields that state the amount and the payee."""
    payee = {
        name: fields.get(name)
        for name in ("amount", "currency", "payment_id", "customer", "stored_card", "extra")
    }
    return hmac.digest(key, json.dumps(payee, sort_keys=True).encode(), "sha256").hex()


def _read(kind: type[Order], fields: Mapping[str, Any]) -> Order | InvalidRequest:
    # Returned, not raised; see _wrap.
    try:
        return _build(kind, fields)
    except InvalidRequest as refused:
        return refused.with_traceback(None)


def _build(kind: type[Order], fields: Mapping[str, Any]) -> Order:
    values = dict(fields)
    known = {*fields_dict(kind), "currency"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InvalidRequest(_named(unknown[0]), f"must be one of {', '.join(sorted(known))}")
    for name in ("merchant_transaction_id", "amount", "currency"):
        if values.get(name) in (None, ""):
            raise InvalidRequest(name, "must not be empty")
    values["amount"] = _amount(values["amount"], values.pop("currency"))
    if values.get("customer") is not None:
        values["customer"] = _customer(values["customer"])
    return kind(**values)


def _amount(text: Any, currency: Any) -> Money:  # noqa: ANN401 - a JSON value
    if isinstance(text, str) and not _NUMBER.fullmatch(text):
        # A long text may be a value of another column, such as a card number or a key.
        if not _SHORT_WORD.fullmatch(text):
            rule = "must be a number of at most ten digits before the point, written as 12.50"
            raise InvalidRequest("amount", rule, shape_of(text))
        raise InvalidRequest("amount", f"{text!r} is not a number; write it as 12.50")
    return Money(text, currency)


def _customer(fields: object) -> Customer:
    if not isinstance(fields, dict):
        raise InvalidRequest(
            "customer", "must be an object with a customer's fields", shape_of(fields)
        )
    unknown = sorted(set(fields) - set(fields_dict(Customer)))
    if unknown:
        name = f"customer.{_named(unknown[0])}"
        raise InvalidRequest(name, f"must be one of {', '.join(sorted(fields_dict(Customer)))}")
    wrong = sorted(name for name, value in fields.items() if not isinstance(value, str | None))
    if wrong:
        raise InvalidRequest("customer." + wrong[0], "must be a string")
    customer = Customer(**fields)
    if fields.get("birth_date"):
        try:
            return evolve(customer, birth_date=date.fromisoformat(fields["birth_date"]))
        except ValueError:
            refused = InvalidRequest(
                "customer.birth_date",
                "must be a date such as 1990-12-31",
                shape_of(fields["birth_date"]),
            )
        raise refused
    return customer
