"""A payout order: its valid values, how it is stored, and its fingerprint."""

from __future__ import annotations

import inspect
import traceback
from datetime import date
from typing import Any

import pytest

from gatewaypy import Credentials, Customer, Gateway, Money, Secret, errors
from gatewaypy.payouts import PayoutOrder

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="0123456789abcdef0123456789abcdef",
)
KEY = b"a key of the journal's own"
EUROS = Money("5.00", "EUR")
ADA = Customer(given_name="Ada", birth_date=date(1815, 12, 10), email="ada@example.com")


def order(**changes: Any) -> PayoutOrder:
    fields: dict[str, Any] = {
        "merchant_transaction_id": "PAYOUT-1",
        "amount": EUROS,
        "payment_id": "54279",
    }
    return PayoutOrder(**(fields | changes))


def fields(**changes: Any) -> dict[str, Any]:
    given = {
        "merchant_transaction_id": "PAYOUT-1",
        "amount": "5.00",
        "currency": "EUR",
        "payment_id": "54279",
    }
    return {name: value for name, value in (given | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merchant_transaction_id": ""}, "merchantTransactionId"),
        ({"merchant_transaction_id": "a|b"}, "merchantTransactionId"),
        ({"merchant_transaction_id": 7}, "merchantTransactionId"),
        ({"amount": "5.00"}, "amount: must be a Money"),
        ({"amount": Money(0, "EUR")}, "amount: must be greater than zero"),
        ({"amount": Money(-1, "EUR")}, "amount: must be greater than zero"),
        ({"payment_id": None}, "payee: must be exactly one"),
        ({"customer": ADA}, "payee: must be exactly one"),
        ({"stored_card": "77"}, "payee: must be exactly one"),
        ({"extra": {"card.cvv": "123"}}, r"extra\.card\.cvv: must not be a CVV"),
        ({"extra": {"CVC": "123"}}, r"extra\.CVC: must not be a CVV"),
    ],
)
def test_order_invalid_value_raises(changes: dict[str, Any], words: str) -> None:
    """An order is validated at construction, and the error names the field."""
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
        order(
            payment_id=None, stored_card="77", extra={"bankAccount.iban": "DE89370400440532013000"}
        ),
        order(amount=Money(12000, "JPY")),
        order(extra={"purpose": Secret("rent")}),
        order(extra={}),
    ],
)
def test_order_stored_is_read_back(made: PayoutOrder) -> None:
    """A journal stores every field of an order."""
    kept = PayoutOrder.from_json(made.to_json())
    assert kept == made
    assert kept.fingerprint(KEY) == made.fingerprint(KEY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merchant_transaction_id": ...}, "merchant_transaction_id: must not be empty"),
        ({"amount": None}, "amount: must not be empty"),
        ({"currency": ""}, "currency: must not be empty"),
        ({"amount": 5.0}, "floats are not exact"),
        ({"paymentId": "5"}, "paymentId: must be one of amount, currency, customer"),
        ({"payment_id": ..., "customer": "Ada"}, "customer: must be an object"),
        (
            {"payment_id": ..., "customer": {"name": "Ada"}},
            r"customer\.name: must be one of birth_date",
        ),
        ({"payment_id": ..., "customer": {"phone": 7}}, r"customer\.phone: must be a string"),
        (
            {"payment_id": ..., "customer": {"birth_date": "10.12.1815"}},
            r"customer\.birth_date: must be a date such as",
        ),
    ],
)
def test_order_from_fields_names_each_mistake(changes: dict[str, Any], words: str) -> None:
    """Each mistake in the fields of a program or a file is reported by its field."""
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
def test_fingerprint_depends_on_amount_and_payee(changes: dict[str, Any]) -> None:
    """The amount and the payee distinguish two orders of one id."""
    assert order(**changes).fingerprint(KEY) != order().fingerprint(KEY)


def test_fingerprint_depends_on_nothing_else() -> None:
    """Equal payments are equal on any terminal; the key of another journal changes it."""
    made = order()
    assert (
        made.fingerprint(KEY)
        == order(terminal_id="7").fingerprint(KEY)
        == order(merchant_transaction_id="B").fingerprint(KEY)
    )
    assert made.fingerprint(KEY) != made.fingerprint(b"another")
    two = {"a": "1", "b": "2"}
    assert order(extra=two).fingerprint(KEY) == order(
        extra=dict(reversed(two.items()))
    ).fingerprint(KEY)


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
def test_order_possible_card_number_is_detected(value: str, expected: bool) -> None:
    """A journal without encryption refuses such an order."""
    assert order(extra={"account": value}).has_card_number is expected


def test_order_repr_hides_account() -> None:
    """Extra fields are masked by their type, however an order is shown."""
    iban = "DE89370400440532013000"
    made = order(extra={"bankAccount.iban": iban})
    assert iban not in f"{made} {made!r} {made.extra}"


PAN = "4111111111111111"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"extra": {"note": "pay 4111 1111 1111 1111 please"}}, "extra.note"),
        ({"extra": {"a.b": f"{PAN} 2026-11-26"}}, "extra.a.b"),
        ({"extra": {"a": f"{PAN}20261126"}}, "extra.a"),
        ({"extra": {PAN: "x"}}, "extra"),
        ({"stored_card": PAN, "payment_id": None}, "stored_card"),
        ({"payment_id": "4111-1111-1111-1111"}, "payment_id"),
        ({"terminal_id": PAN}, "terminal_id"),
        *(
            ({"payment_id": None, "customer": Customer(**{name: PAN})}, f"customer.{name}")
            for name in (
                "given_name",
                "surname",
                "email",
                "phone",
                "phone_country_code",
                "ip",
                "sex",
                "customer_id",
            )
        ),
        ({"payment_id": None, "customer": Customer(phone=f"+{PAN}")}, "customer.phone"),
        ({"payment_id": None, "customer": Customer(phone="+375510513169537")}, None),
        ({"payment_id": None, "customer": Customer(customer_id="7000000000000005")}, None),
    ],
)
def test_order_card_number_in_any_field_is_detected(
    changes: dict[str, Any], field: str | None
) -> None:
    """Names and values are checked; a phone number with a plus and a numeric id count too."""
    made = order(**changes)
    assert made.card_number_field == field
    assert made.has_card_number is (field is not None)
    assert PAN not in f"{made!r}".replace(" ", "").replace("-", "")


def owned(error: BaseException) -> str:
    """Render an error with the locals of the library's frames."""
    summary = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [
        f"{frame.name} {frame.locals}" for frame in summary.stack if "tests/" not in frame.filename
    ]
    return "\n".join([*frames, repr(error), str(error), str(vars(error))])


@pytest.mark.parametrize(
    "make",
    [
        lambda: order(merchant_transaction_id=PAN),
        lambda: order(merchant_transaction_id="4111-1111-1111-1111"),
        lambda: order(merchant_transaction_id=f"PAY {PAN}"),
        lambda: order(extra={PAN: 5}),
        lambda: order(extra={"account": PAN}, amount=5),
        lambda: order(extra={"account": PAN, "cvv": "1"}),
        lambda: PayoutOrder.from_fields({PAN: "1"}),
        lambda: PayoutOrder.from_fields(
            {"merchant_transaction_id": "A", "amount": "x", "currency": "EUR", "extra": {"n": PAN}}
        ),
        lambda: PayoutOrder.from_fields(
            {
                "merchant_transaction_id": "A",
                "amount": "1.00",
                "currency": "EUR",
                "customer": {PAN: PAN},
            }
        ),
        lambda: PayoutOrder.from_json(f'{{"extra": "{PAN}"'.encode()),
        lambda: PayoutOrder.from_json(f'["{PAN}"]'.encode()),
    ],
)
def test_order_refusal_shows_no_card_number(make: Any) -> None:
    """A card number of a refused order is in no message, fact or local of the library's frames."""
    with pytest.raises(errors.InvalidRequest) as refused:
        make()
    assert PAN not in owned(refused.value).replace("-", "")


def test_order_arguments_name_every_field_of_a_payout() -> None:
    """`Gateway.payout` takes each field of an order under its own name."""
    parameters = set(inspect.signature(Gateway.payout).parameters)
    assert set(order().arguments()) == parameters - {"self", "notification_url", "send_guard"}


def test_order_to_request_has_every_field() -> None:
    """The request of an order has its amount, id, payee, terminal and further fields."""
    request = order(terminal_id="1106", extra={"note": "x"}).to_request(MERCHANT)
    assert request.merchant_transaction_id == "PAYOUT-1"
    assert request.amount == EUROS
    assert {"54279", "1106", "5.00"} <= {str(value) for value in request.fields.values()}
    assert "note" in request.fields
