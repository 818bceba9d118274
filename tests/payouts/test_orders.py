"""A payout order: what it may be, how it is kept, and what tells two of them apart."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gatewaypy import Customer, Money, Secret, errors
from gatewaypy.payouts import PayoutOrder

KEY = b"a key of the journal's own"
EUROS = Money("5.00", "EUR")
ADA = Customer(given_name="Ada", birth_date=date(1815, 12, 10), email="ada@example.com")


def order(**changes: Any) -> PayoutOrder:
    fields: dict[str, Any] = {"merchant_transaction_id": "PAYOUT-1", "amount": EUROS, "payment_id": "54279"}
    return PayoutOrder(**(fields | changes))


def fields(**changes: Any) -> dict[str, Any]:
    given = {"merchant_transaction_id": "PAYOUT-1", "amount": "5.00", "currency": "EUR", "payment_id": "54279"}
    return {name: value for name, value in (given | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merchant_transaction_id": ""}, "merchantTransactionId"),
        ({"merchant_transaction_id": "a|b"}, "merchantTransactionId"),
        ({"merchant_transaction_id": 7}, "merchantTransactionId"),
        ({"amount": "5.00"}, "amount: Money"),
        ({"amount": Money(0, "EUR")}, "amount: more than nothing"),
        ({"amount": Money(-1, "EUR")}, "amount: more than nothing"),
        ({"payment_id": None}, "payee: exactly one"),
        ({"customer": ADA}, "payee: exactly one"),
        ({"stored_card": "77"}, "payee: exactly one"),
        ({"extra": {"card.cvv": "123"}}, r"extra\.card\.cvv: no CVV"),
        ({"extra": {"CVC": "123"}}, r"extra\.CVC: no CVV"),
    ],
)
def test_what_no_payout_could_have_is_refused(changes: dict[str, Any], words: str) -> None:
    """An order is checked when it is made, and the error names it."""
    with pytest.raises(errors.InvalidRequest, match=words) as refused:
        order(**changes)
    assert refused.value.operation in {None, "payout"}


@pytest.mark.parametrize(
    "made",
    [
        order(),
        order(terminal_id="1106"),
        order(payment_id=None, customer=ADA),
        order(payment_id=None, customer=Customer(given_name="Zoë ‘|’ 佐藤")),
        order(payment_id=None, stored_card="77", extra={"bankAccount.iban": "DE89370400440532013000"}),
        order(amount=Money(12000, "JPY")),
        order(extra={"purpose": Secret("rent")}),
        order(extra={}),
    ],
)
def test_an_order_is_read_back_as_it_was_kept(made: PayoutOrder) -> None:
    """What a journal keeps of an order is all of it."""
    kept = PayoutOrder.from_json(made.to_json())
    assert kept == made
    assert kept.fingerprint(KEY) == made.fingerprint(KEY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merchant_transaction_id": ...}, "merchant_transaction_id: required"),
        ({"amount": None}, "amount: required"),
        ({"currency": ""}, "currency: required"),
        ({"amount": 5.0}, "never a float"),
        ({"paymentId": "5"}, "paymentId: one of amount, currency, customer"),
        ({"payment_id": ..., "customer": "Ada"}, "customer: an object"),
        ({"payment_id": ..., "customer": {"name": "Ada"}}, r"customer\.name: one of birth_date"),
        ({"payment_id": ..., "customer": {"phone": 7}}, r"customer\.phone: text"),
        ({"payment_id": ..., "customer": {"birth_date": "10.12.1815"}}, r"customer\.birth_date: a day such as"),
    ],
)
def test_plain_fields_that_make_no_order_are_named(changes: dict[str, Any], words: str) -> None:
    """Each mistake in a program's or a file's fields is told by its field."""
    with pytest.raises(errors.InvalidRequest, match=words):
        PayoutOrder.from_fields(fields(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Money("5.01", "EUR")},
        {"amount": Money("5.00", "USD")},
        {"payment_id": "54280"},
        {"payment_id": None, "stored_card": "54279"},
        {"payment_id": None, "customer": ADA},
        {"extra": {"bankAccount.iban": "DE89370400440532013000"}},
    ],
)
def test_another_amount_or_payee_has_another_fingerprint(changes: dict[str, Any]) -> None:
    """What is paid and to whom tells two orders of one id apart."""
    assert order(**changes).fingerprint(KEY) != order().fingerprint(KEY)


def test_a_fingerprint_tells_nothing_else() -> None:
    """It is the same for the same payment, whatever terminal it goes through, and another with another journal's key."""
    made = order()
    assert made.fingerprint(KEY) == order(terminal_id="7").fingerprint(KEY) == order(merchant_transaction_id="B").fingerprint(KEY)
    assert made.fingerprint(KEY) != made.fingerprint(b"another")
    two = {"a": "1", "b": "2"}
    assert order(extra=two).fingerprint(KEY) == order(extra=dict(reversed(two.items()))).fingerprint(KEY)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4000000000000051", True),
        ("4000 0000 0000 0051", True),
        ("4000-0000-0000-0051", True),
        ("4000000000000052", False),
        ("DE89370400440532013000", False),
        ("40000000051", False),
    ],
)
def test_what_may_be_a_card_number_is_noticed(value: str, expected: bool) -> None:
    """A journal that is not sealed refuses such an order."""
    assert order(extra={"account": value}).has_card_number is expected


def test_an_order_shows_no_account() -> None:
    """Further fields are masked by their type, however an order is shown."""
    iban = "DE89370400440532013000"
    made = order(extra={"bankAccount.iban": iban})
    assert iban not in f"{made} {made!r} {made.extra}"
