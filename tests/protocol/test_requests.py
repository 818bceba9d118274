"""Every operation as a request: its URL, its fields and its checksum."""

from __future__ import annotations

import contextlib
import decimal
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import (
    AchAccount,
    Address,
    Card,
    Credentials,
    Customer,
    Money,
    NetBanking,
    OtherSource,
    Outcome,
    Platform,
    Product,
    Secret,
    SepaAccount,
    Upi,
    Voucher,
    Wallet,
    errors,
)
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.checksum import RULES
from gatewaypy.protocol.encode import encode, hosted_form
from gatewaypy.protocol.operation_types import Operation, ReplyKind
from gatewaypy.protocol.operations import OPERATIONS, check_platform
from gatewaypy.protocol.records import record
from gatewaypy.protocol.requests import Request, Stored
from gatewaypy.secret import wrap_extra

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "checksums.json").read_text())
MD5 = {vector["rule"]: vector["md5"] for vector in VECTORS["rules"]}
MEMBER, KEY = VECTORS["memberId"], VECTORS["secureKey"]

MERCHANT = Credentials(
    member_id=MEMBER,
    partner_id="4",
    username="shop",
    secret_key=KEY,
    terminal_id="1106",
    partner_name="PartnerX",
)
BARE = Credentials(member_id=MEMBER, partner_id="4", username="shop", secret_key=KEY)
PLATFORM = Platform(name="test", base_url="https://gateway.example")
HOST = "https://gateway.example"
API, INVOICES, MERCHANTS, PAGES = (
    f"{HOST}/transactionServices/REST/v1",
    f"{HOST}/invoiceServices/REST/v1",
    f"{HOST}/merchantServices/api/v1",
    f"{HOST}/transaction",
)

CARD = Card("4000000000000051", 7, 2030, "745", "Zoë Müller")
EUROS = Money("50.00", "EUR")
ZOE = Customer(given_name="Zoë", surname="Müller", email="zoe@shop.example")
WHOLE = Customer(
    given_name="Zoë", surname="Müller", email="zoe@shop.example", phone="123", phone_country_code="+44", ip="192.0.2.1",
    birth_date=date(1990, 2, 3), sex="F", customer_id="10279",
)  # fmt: skip
DOME = Address(country="DE", city="Köln", state="NW", postcode="50667", street="Domplatz 1")
BACK, LONG_BACK = "https://shop.example/return", "https://shop.example/return?order=1&lang=de"
GOODS = (Product("Über-Lampe", Money("19.99", "EUR"), 2), Product("Shipping", Money("4.50", "EUR")), Product("Card & bow", Money("0.52", "EUR"), 11))  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)

# Functions that build each request, with the arguments that a test may change.


def pay(operation: Operation, source: Any = CARD, **options: Any) -> Request:
    return requests.payment(
        operation,
        **{
            "platform": PLATFORM,
            "credentials": MERCHANT,
            "amount": EUROS,
            "source": source,
            "merchant_transaction_id": "TX-1001",
        }
        | options,
    )


def payout(**options: Any) -> Request:
    nothing = dict.fromkeys(("payment_id", "customer", "notification_url", "terminal_id", "extra"))
    return requests.payout(
        **nothing
        | {"credentials": MERCHANT, "amount": EUROS, "merchant_transaction_id": "TX-1001"}
        | options
    )


def listed(**options: Any) -> Request:
    return requests.transaction_list(
        **{
            "platform": PLATFORM,
            "start": date(2026, 6, 1),
            "end": date(2026, 6, 30),
            "status": None,
            "page": 1,
            "page_size": 50,
        }
        | options
    )


def store(source: Any = CARD, **options: Any) -> Request:
    nothing = dict.fromkeys(("customer", "shipping", "terminal_id", "extra"))
    return requests.store_card(**nothing | {"credentials": MERCHANT, "source": source} | options)


def sign_up(customer: Customer = ZOE, **options: Any) -> Request:
    return requests.sign_up_customer(
        **{"customer": customer, "address": None, "extra": None} | options
    )


def sign_up_merchant(**options: Any) -> Request:
    nothing = dict.fromkeys(("contact_name", "phone", "country", "website", "extra"))
    facts = {
        "partner_id": "4",
        "username": "newshop",
        "company_name": "Shop GmbH",
        "email": "a@shop.example",
    }
    return requests.sign_up_merchant(**nothing | facts | options)


def link(**options: Any) -> Request:
    facts = {"amount": Money("20.00", "EUR"), "order_id": "TX-1001", "customer": Customer()}
    return requests.pay_by_link(
        **dict.fromkeys(("description", "expires", "extra")) | facts | options
    )


def invoice(*products: Any, **options: Any) -> Request:
    facts = {
        "amount": EUROS,
        "merchant_invoice_id": "INV-1",
        "customer": ZOE,
        "redirect_url": BACK,
        "products": products,
    }
    return requests.generate_invoice(
        **dict.fromkeys(("expires_after", "description", "extra")) | facts | options
    )


def checkout(**options: Any) -> Request:
    nothing = dict.fromkeys(("notification_url", "description", "shown_amount", "mode", "brand", "customer", "address", "language", "terminal_id", "extra"))  # fmt: skip
    facts = {"credentials": MERCHANT, "amount": EUROS, "merchant_transaction_id": "TX-1001", "redirect_url": LONG_BACK, "preauth": False}  # fmt: skip
    return requests.hosted_checkout(**nothing | facts | options)


def card_page(**options: Any) -> Request:
    nothing = dict.fromkeys(("customer_id", "language", "terminal_id", "extra"))
    return requests.hosted_card_registration(
        **nothing | {"credentials": MERCHANT, "redirect_url": BACK} | options
    )


# Functions that encode it.


def is_page(request: Request) -> bool:
    return request.operation.reply is ReplyKind.PAGE


def flat(tree: Any, name: str = "") -> dict[str, str]:
    """Flatten nested JSON to the dotted names of the form, with the positions of lists."""
    if isinstance(tree, str):
        return {name: tree}
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    inner = (
        flat(part, f"{name}[{key}]" if isinstance(tree, list) else f"{name}.{key}".lstrip("."))
        for key, part in parts
    )
    return {path: text for fields in inner for path, text in fields.items()}


def written(
    request: Request, body: str = "form", platform: Platform = PLATFORM
) -> tuple[str, dict[str, str]]:
    """Return where a request is sent and what the gateway reads from it."""
    if is_page(request):
        form = hosted_form(request, platform=platform, credentials=MERCHANT)
        assert len(dict(form.inputs())) == len(form.inputs())
        return form.url, dict(form.inputs())
    wire = encode(request, platform=platform, credentials=MERCHANT, body=body)
    if wire.content_type == "application/json":
        return wire.url, flat(json.loads(bytes(wire.body)))
    assert wire.content_type == "application/x-www-form-urlencoded"
    pairs = parse_qsl(bytes(wire.body).decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return wire.url, dict(pairs)


def refused(build: Callable[[], Request], body: str = "json") -> errors.InvalidRequest:
    """Build and encode an invalid request, and return the error."""
    with pytest.raises(errors.InvalidRequest) as refusal:
        written(build(), body)
    return refusal.value


BASE = {
    "merchantTransactionId": "TX-1001",
    "amount": "50.00",
    "currency": "EUR",
    "authentication.terminalId": "1106",
}
VISA = {"paymentMode": "CC", "paymentBrand": "VISA"}
WHOLE_CARD = VISA | {
    "card.number": "4000000000000051",
    "card.expiryMonth": "07",
    "card.expiryYear": "2030",
    "card.cvv": "745",
    "card.holder": "Zoë Müller",
}
STORED, INITIAL = Stored("REG123", "CC", "VISA"), Stored("54304", "CC", "VISA")
NAMES = {
    "customer.givenName": "Zoë",
    "customer.surname": "Müller",
    "customer.email": "zoe@shop.example",
}

# Every operation: the request, its URL, its checksum rule, and its fields without the member id and
# the checksum.
CASES: list[tuple[Request, str, str | None, dict[str, str]]] = [
    (pay(operations.DEBIT), f"{API}/payments", "A", BASE | WHOLE_CARD | {"paymentType": "DB"}),
    (pay(operations.PREAUTH), f"{API}/payments", "A", BASE | WHOLE_CARD | {"paymentType": "PA"}),
    (pay(operations.RECURRING_INITIAL, store_card=True), f"{API}/payments", "A",
     BASE | WHOLE_CARD | {"paymentType": "DB", "recurringType": "INITIAL", "createRegistration": "true"}),
    (pay(operations.RECURRING_INITIAL_HOLD), f"{API}/payments", "A",
     BASE | WHOLE_CARD | {"paymentType": "PA", "recurringType": "INITIAL"}),
    (pay(operations.RECURRING_BY_STORED_CARD, STORED), f"{API}/paywithtoken/REG123", "G",
     BASE | VISA | {"paymentType": "DB", "recurringType": "REPEATED"}),
    (pay(operations.RECURRING_BY_STORED_CARD_HOLD, STORED), f"{API}/paywithtoken/REG123", "G",
     BASE | VISA | {"paymentType": "PA", "recurringType": "REPEATED"}),
    (pay(operations.RECURRING_BY_PAYMENT, INITIAL), f"{API}/payments/54304", "B",
     BASE | VISA | {"paymentType": "DB", "recurringType": "REPEATED"}),
    (pay(operations.RECURRING_BY_PAYMENT_HOLD, INITIAL), f"{API}/payments/54304", "B",
     BASE | VISA | {"paymentType": "PA", "recurringType": "REPEATED"}),
    (pay(operations.STORED_CARD_DEBIT, Stored("REG123", cvv=Secret("745"))), f"{API}/paywithtoken/REG123", "G",
     BASE | {"paymentType": "DB", "card.cvv": "745"}),
    (pay(operations.STORED_CARD_HOLD, Stored("REG123"), terminal_id="7"), f"{API}/paywithtoken/REG123", "G",
     BASE | {"paymentType": "PA", "authentication.terminalId": "7"}),
    (requests.follow_up(operations.CAPTURE, "54304", EUROS), f"{API}/payments/54304", "B",
     {"paymentType": "CP", "amount": "50.00", "currency": "EUR"}),
    (requests.follow_up(operations.REVERSAL, "54304", None), f"{API}/payments/54304", "C", {"paymentType": "RV"}),
    (requests.follow_up(operations.REFUND, "54304", EUROS), f"{API}/payments/54304", "B",
     {"paymentType": "RF", "amount": "50.00", "currency": "EUR"}),
    (payout(payment_id="54279", notification_url="https://shop.example/gateway"), f"{API}/payout", "D",
     BASE | {"paymentType": "PO", "paymentId": "54279", "notificationUrl": "https://shop.example/gateway"}),
    (listed(status="settled"), f"{API}/getTransactionList", "E",
     {"pagination.fromdate": "01/06/2026", "pagination.todate": "30/06/2026", "pagination.pageno": "1", "pagination.records": "50",
      "status": "settled"}),
    (store(customer=WHOLE, shipping=DOME), f"{API}/registrations", "F",
     WHOLE_CARD | NAMES | {"authentication.terminalId": "1106", "customer.phone": "123", "customer.telnocc": "+44",
                           "customer.ip": "192.0.2.1", "customer.birthDate": "19900203", "customer.sex": "F",
                           "customer.customerId": "10279", "shipping.country": "DE", "shipping.city": "Köln", "shipping.state": "NW",
                           "shipping.postcode": "50667", "shipping.street": "Domplatz 1", "shipping.givenName": "Zoë",
                           "shipping.surname": "Müller"}),
    (requests.delete_stored_card("REG123"), f"{API}/paywithtoken/REG123", "H", {"paymentType": "DL"}),
    (requests.list_stored_cards("10279"), f"{API}/getCardsAndAccounts", "E", {"customer.customerId": "10279"}),
    (sign_up(address=DOME), f"{MERCHANTS}/customerSignup", "I",
     NAMES | {"shipping.country": "DE", "shipping.city": "Köln", "shipping.state": "NW", "shipping.postcode": "50667",
              "shipping.street1": "Domplatz 1"}),
    (sign_up_merchant(contact_name="Zoë", country="DE"), f"{MERCHANTS}/merchantSignup", None,
     {"authentication.partnerId": "4", "merchant.username": "newshop", "merchant.companyName": "Shop GmbH",
      "merchant.email": "a@shop.example", "merchant.contactName": "Zoë", "merchant.country": "DE"}),
    (link(customer=WHOLE, description="Order 1", expires="48"), f"{MERCHANTS}/generatePayByLink", "K",
     {"authentication.expirationTime": "48", "merchant.orderID": "TX-1001", "merchant.amount": "20.00", "merchant.currency": "EUR",
      "merchant.contactName": "Zoë Müller", "merchant.email": "zoe@shop.example", "merchant.phone": "123",
      "merchant.orderDescription": "Order 1"}),
    (invoice(GOODS[0], customer=WHOLE, expires_after=10, description="Invoice for goods"), f"{INVOICES}/generate", "L",
     {"amount": "50.00", "currency": "EUR", "merchantInvoiceId": "INV-1", "merchantRedirectUrl": BACK,
      "customer.email": "zoe@shop.example", "customer.givenName": "Zoë", "customer.mobile": "123", "telnocc": "+44",
      "invoiceExpirationPeriod": "10", "merchantOrderDescription": "Invoice for goods",
      "product.productDescription": "Über-Lampe", "product.productAmount": "19.99", "product.quantity": "2",
      "product.productTotal": "39.98"}),
    (requests.regenerate_invoice("1746", BACK), f"{INVOICES}/regenerate", "M", {"invoiceId": "1746", "merchantRedirectUrl": BACK}),
    (requests.invoice_status("INV-1"), f"{INVOICES}/inquiry", "N", {"merchantInvoiceId": "INV-1"}),
    (requests.remind("1746", BACK), f"{INVOICES}/remind", None, {"invoiceId": "1746", "merchantRedirectUrl": BACK}),
    (requests.cancel_invoice("1746", None), f"{INVOICES}/cancel", None, {"invoiceId": "1746"}),
    (requests.invoice_configuration(), f"{INVOICES}/getinvoiceconfigdetails", "E", {}),
    (checkout(customer=WHOLE, address=DOME, notification_url="https://shop.example/gateway", description="Order 1",
              shown_amount=Money(6000, "JPY"), mode="CC", brand="VISA", language="de"), f"{PAGES}/Checkout", "J",
     {"totype": "PartnerX", "amount": "50.00", "currency": "EUR", "merchantTransactionId": "TX-1001", "merchantRedirectUrl": LONG_BACK,
      "transactionType": "DB", "orderDescription": "Order 1", "notificationUrl": "https://shop.example/gateway",
      "TMPL_AMOUNT": "6000.00", "TMPL_CURRENCY": "JPY", "terminalid": "1106", "paymentMode": "CC", "paymentBrand": "VISA",
      "lang": "de", "customerId": "10279", "ip": "192.0.2.1", "firstName": "Zoë", "lastName": "Müller", "email": "zoe@shop.example",
      "phone": "123", "telnocc": "+44", "country": "DE", "city": "Köln", "state": "NW", "postcode": "50667", "street": "Domplatz 1"}),
    (card_page(customer_id="10279", language="de"), f"{PAGES}/CardRegistration", "P",
     {"totype": "PartnerX", "merchantRedirectUrl": BACK, "customerId": "10279", "terminalid": "1106", "lang": "de"}),
]  # fmt: skip


def named(value: Any) -> str | None:
    return value.operation.name if isinstance(value, Request) else ""


def test_requests_cover_every_operation_and_rule() -> None:
    """Only tokens, inquiries and the rules for incoming messages are tested elsewhere."""
    elsewhere = {ReplyKind.TOKEN, ReplyKind.INQUIRY}
    assert {request.operation.name for request, *_ in CASES} == {
        operation.name for operation in OPERATIONS.values() if operation.reply not in elsewhere
    }
    assert {rule for _, _, rule, _ in CASES if rule is not None} == set(RULES) - {"P'", "S"}
    assert len(OPERATIONS) == sum(
        isinstance(value, Operation) for value in vars(operations).values()
    )


@pytest.mark.parametrize("body", ["form", "json"])
@pytest.mark.parametrize(("request_", "url", "rule", "fields"), CASES, ids=named)
def test_request_matches_its_table_row(request_: Request, url: str, rule: str | None, fields: dict[str, str], body: str) -> None:  # fmt: skip
    """The URL, the exact fields, and the checksum of the vectors for its rule."""
    prefix = "" if is_page(request_) else "authentication."
    member = (
        {} if request_.operation is operations.MERCHANT_SIGN_UP else {f"{prefix}memberId": MEMBER}
    )
    signature = {} if rule is None else {f"{prefix}checksum": MD5[rule]}
    assert written(request_, body) == (url, fields | member | signature)


@pytest.mark.parametrize("body", ["form", "json"])
def test_request_with_fixed_body_format_keeps_it(body: str) -> None:
    """A payment link is requested in JSON by a client of either encoding."""
    wire = encode(link(), platform=PLATFORM, credentials=MERCHANT, body=body)
    assert wire.content_type == "application/json"
    assert json.loads(bytes(wire.body))["merchant"] == {
        "orderID": "TX-1001",
        "amount": "20.00",
        "currency": "EUR",
    }


@pytest.mark.parametrize(("request_", "url", "rule", "fields"), CASES, ids=named)
def test_request_repr_has_no_secret(
    request_: Request, url: str, rule: str | None, fields: dict[str, str]
) -> None:
    """Neither it, its wire form nor its page's form shows a card, the key or the checksum."""
    make = hosted_form if is_page(request_) else encode
    shown = f"{request_!r} {make(request_, platform=PLATFORM, credentials=MERCHANT)!r}"
    for secret in ("4000000000000051", "745'", KEY, *MD5.values()):
        assert secret not in shown


# Sources


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (Wallet("APPLEPAY"), {"paymentMode": "EW", "paymentBrand": "APPLEPAY"}),
        (NetBanking("IDEAL"), {"paymentMode": "NB", "paymentBrand": "IDEAL"}),
        (Voucher("NEOSURF"), {"paymentMode": "PV", "paymentBrand": "NEOSURF"}),
        (SepaAccount("DE09100100101234567893", "PBNKDEFFXXX"),
         {"paymentMode": "SEPA", "paymentBrand": "SEPA", "bankAccount.iban": "DE09100100101234567893", "bankAccount.bic": "PBNKDEFFXXX"}),
        (AchAccount("9876543210", "011000028"),
         {"paymentMode": "ACH", "paymentBrand": "ACH", "bankAccount.accountNumber": "9876543210", "bankAccount.routingNumber": "011000028"}),
        (AchAccount("9876543210", "011000028", "checking"),
         {"paymentMode": "ACH", "paymentBrand": "ACH", "bankAccount.accountNumber": "9876543210", "bankAccount.routingNumber": "011000028",
          "bankAccount.accountType": "checking"}),
        (Upi("ada@bank"), {"paymentMode": "UPI", "paymentBrand": "UPI", "customer.vpa": "ada@bank"}),
        (Upi(), {"paymentMode": "UPI", "paymentBrand": "UPI"}),
        (OtherSource("PX", "PIX", {"pix.key": "k"}), {"paymentMode": "PX", "paymentBrand": "PIX", "pix.key": "k"}),
        (Card("4000000000000051", 12, 2031, brand="ELECTRON", mode="DC"),
         {"paymentMode": "DC", "paymentBrand": "ELECTRON", "card.number": "4000000000000051", "card.expiryMonth": "12",
          "card.expiryYear": "2031"}),
    ],
    ids=lambda value: type(value).__name__ if attrs.has(type(value)) else "",
)  # fmt: skip
@pytest.mark.parametrize("body", ["form", "json"])
def test_request_source_has_its_fields(source: Any, fields: dict[str, str], body: str) -> None:
    """Mode, brand and the account fields are sent; none of them is shown."""
    request = pay(operations.DEBIT, source, customer=ZOE)
    signed = {
        "authentication.memberId": MEMBER,
        "authentication.checksum": MD5["A"],
        "paymentType": "DB",
    }
    assert written(request, body)[1] == BASE | fields | NAMES | signed
    shown = repr(request)
    assert not any(
        account in shown for account in ("DE0910", "PBNK", "987654", "011000028", "ada@bank", "'k'")
    )


@pytest.mark.parametrize(
    ("source", "signed"),
    [
        (CARD, "4000000000000051"),
        (SepaAccount("DE09100100101234567893", "PBNKDEFFXXX"), "PBNKDEFFXXX"),
        (AchAccount("9876543210", "011000028"), "011000028"),
    ],
)
def test_request_stored_source_is_signed_by_number(source: Any, signed: str) -> None:
    """A card is signed by its number, an account by that of its bank."""
    joined = f"{MEMBER}|{KEY}|{signed}"
    assert (
        written(store(source))[1]["authentication.checksum"]
        == hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()
    )


@pytest.mark.parametrize(
    "source", [Wallet("APPLEPAY"), Upi("ada@bank"), STORED, "4000000000000051", None]
)
def test_request_to_store_other_source_raises(source: Any) -> None:
    """The gateway stores only cards and bank accounts."""
    assert refused(lambda: store(source)).field == "source"


def test_request_address_has_no_names() -> None:
    """The names come from the customer."""
    assert {name for name in store(shipping=DOME).fields if name.startswith("shipping.")} == {
        f"shipping.{name}" for name in ("country", "city", "state", "postcode", "street")
    }


@pytest.mark.parametrize(
    ("customer", "contact"),
    [
        (Customer(), None),
        (Customer(given_name="Zoë"), "Zoë"),
        (Customer(surname="Müller"), "Müller"),
        (ZOE, "Zoë Müller"),
    ],
)
def test_request_link_has_known_names(customer: Customer, contact: str | None) -> None:
    """Either part of the name is sent, or both."""
    assert link(customer=customer).fields.get("merchant.contactName") == contact


# Products


@pytest.mark.parametrize("count", [2, 3])
def test_request_products_are_numbered(count: int) -> None:
    """The form has product[0] and so on, JSON a list; totals and checksum are the same."""
    expected = [
        {
            "productDescription": "Über-Lampe",
            "productAmount": "19.99",
            "quantity": "2",
            "productTotal": "39.98",
        },
        {
            "productDescription": "Shipping",
            "productAmount": "4.50",
            "quantity": "1",
            "productTotal": "4.50",
        },
        {
            "productDescription": "Card & bow",
            "productAmount": "0.52",
            "quantity": "11",
            "productTotal": "5.72",
        },
    ][:count]
    request = invoice(*GOODS[:count])
    _, form = written(request)
    assert {name: text for name, text in form.items() if name.startswith("product")} == {
        f"product[{position}].{name}": text
        for position, product in enumerate(expected)
        for name, text in product.items()
    }
    tree = json.loads(
        bytes(encode(request, platform=PLATFORM, credentials=MERCHANT, body="json").body)
    )
    assert tree["product"] == expected
    assert form["authentication.checksum"] == tree["authentication"]["checksum"] == MD5["L"]


def test_request_single_product_has_no_number() -> None:
    """One product is documented as an object, and none has no field."""
    one = json.loads(
        bytes(encode(invoice(GOODS[1]), platform=PLATFORM, credentials=MERCHANT, body="json").body)
    )
    assert one["product"]["productTotal"] == "4.50"
    assert not any(name.startswith("product") for name in written(invoice())[1])


@given(
    st.lists(st.tuples(TEXT, st.integers(0, 10**6), st.integers(1, 999)), min_size=2, max_size=13)
)
def test_request_products_keep_their_order(goods: list[tuple[str, int, int]]) -> None:
    """The tenth comes after the ninth, equally in form and JSON."""
    request = invoice(
        *(Product(text, Money(cents, "EUR") * 1, count) for text, cents, count in goods)
    )
    assert written(request, "form") == written(request, "json")
    tree = json.loads(
        bytes(encode(request, platform=PLATFORM, credentials=MERCHANT, body="json").body)
    )
    assert [(line["productDescription"], line["quantity"]) for line in tree["product"]] == [
        (text, str(count)) for text, _, count in goods
    ]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Product("Lamp", "19.99"), "product.productAmount"),
        (lambda: Product("Lamp", 19.99), "product.productAmount"),
        (lambda: Product("Lamp", EUROS, 0), "product.quantity"),
        (lambda: Product("Lamp", EUROS, -1), "product.quantity"),
        (lambda: Product("Lamp", EUROS, 1.5), "product.quantity"),
        (lambda: Product("Lamp", EUROS, True), "product.quantity"),
        (lambda: Product("Lamp", EUROS, "2"), "product.quantity"),
        (lambda: invoice(Product("Lamp", Money("19.99", "USD"))), "product.productAmount"),
        (lambda: invoice("Lamp"), "product"),
        (lambda: invoice(GOODS[0], None), "product"),
        (lambda: written(invoice(Product("a\nb", EUROS))), "product.productDescription"),
        (lambda: written(invoice(Product("a", EUROS), Product("b\0", EUROS))), "product[1].productDescription"),
        (lambda: written(invoice(Product("a", EUROS, 10**9))), "amount"),
        (lambda: invoice(Product("a", Money(1, "EUR") - EUROS)), "amount"),
    ],
)  # fmt: skip
def test_request_invalid_product_raises(make: Any, field: str) -> None:
    """The price is Money in the invoice's currency, the quantity at least one, the total valid."""
    with pytest.raises(errors.InvalidRequest) as refusal:
        make()
    assert refusal.value.field == field


def test_request_decimal_context_rounds_no_total() -> None:
    """A lowered precision of the thread does not change the total of an invoice."""
    with decimal.localcontext() as context:
        context.prec = 3
        assert Product("Lamp", Money("1234.56", "EUR"), 2).total.wire() == "2469.12"


# Days of the list


@pytest.mark.parametrize(
    ("list_date_format", "expected"),
    [("%d/%m/%Y", ("01/06/2026", "30/06/2026")), ("%m/%d/%Y", ("06/01/2026", "06/30/2026"))],
)
def test_request_dates_follow_the_platform(
    list_date_format: str, expected: tuple[str, str]
) -> None:
    """Day first is documented, month first was seen on one host."""
    fields = listed(
        platform=attrs.evolve(PLATFORM, list_date_format=list_date_format), page=3, page_size=10
    ).fields
    assert (fields["pagination.fromdate"], fields["pagination.todate"]) == expected
    assert (fields["pagination.pageno"], fields["pagination.records"], "status" in fields) == (
        "3",
        "10",
        False,
    )


def test_request_single_day_is_accepted() -> None:
    """Both days of a range are included."""
    fields = listed(end=date(2026, 6, 1)).fields
    assert fields["pagination.fromdate"] == fields["pagination.todate"]


@pytest.mark.parametrize("day", [datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, 23, 59, tzinfo=UTC), "2026-06-01", None, 20260601])  # fmt: skip
@pytest.mark.parametrize(
    ("option", "field"), [("start", "pagination.fromdate"), ("end", "pagination.todate")]
)
def test_request_datetime_as_day_raises(option: str, field: str, day: Any) -> None:
    """A datetime has a time zone that the gateway does not use; text has no known format."""
    assert refused(lambda: listed(**{option: day})).field == field


def test_request_datetime_error_describes_the_value() -> None:
    """The error describes the value that was passed."""
    assert "datetime" in refused(lambda: listed(start=datetime(2026, 6, 1, tzinfo=UTC))).shape


def test_request_reversed_days_raise() -> None:
    """A range that ends before it begins is refused."""
    assert refused(lambda: listed(end=date(2026, 5, 31))).field == "pagination.todate"


# What varies between platforms


def on(**changes: Any) -> Platform:
    platform = attrs.evolve(PLATFORM, **changes)
    check_platform(platform)
    return platform


BY_TOKEN = [pay(operations.STORED_CARD_DEBIT, STORED), pay(operations.STORED_CARD_HOLD, STORED),
            pay(operations.RECURRING_BY_STORED_CARD, STORED), pay(operations.RECURRING_BY_STORED_CARD_HOLD, STORED),
            requests.delete_stored_card("REG123")]  # fmt: skip


@pytest.mark.parametrize("request_", BY_TOKEN, ids=named)
@pytest.mark.parametrize("path", ["/registrations/{id}", "/paywithtoken"])
def test_request_stored_cards_follow_platform_path(request_: Request, path: str) -> None:
    """Without a place in the path the id goes into the body; the checksum is the same."""
    url, fields = written(request_, platform=on(stored_card_path=path))
    assert url == API + path.replace("{id}", "REG123")
    assert fields.get("registrationId") == (None if "{id}" in path else "REG123")
    assert fields["authentication.checksum"] == written(request_)[1]["authentication.checksum"]


@pytest.mark.parametrize(
    ("request_", "changes", "url"),
    [
        (sign_up(), {"path": "/signup"}, f"{MERCHANTS}/signup"),
        (pay(operations.DEBIT), {"path": "/v2/payments"}, f"{API}/v2/payments"),
        (
            requests.follow_up(operations.CAPTURE, "54304", EUROS),
            {"path": "/capture/{id}"},
            f"{API}/capture/54304",
        ),
        (
            requests.follow_up(operations.REFUND, "54304", EUROS),
            {"path": "/refund/{id}"},
            f"{API}/refund/54304",
        ),
        (
            requests.delete_stored_card("REG123"),
            {"path": "/registrations/{id}/delete"},
            f"{API}/registrations/REG123/delete",
        ),
        (checkout(), {"path": "/Payment"}, f"{PAGES}/Payment"),
    ],
    ids=named,
)
def test_platform_operation_path_overrides(
    request_: Request, changes: dict[str, Any], url: str
) -> None:
    """The path applies to that operation only, and overrides that of its kind."""
    platform = on(
        operations={request_.operation.name: changes},
        refund_path="/refunds/{id}",
        stored_card_path="/cards/{id}",
    )
    assert written(request_, platform=platform)[0] == url
    assert written(payout(payment_id="1"), platform=platform)[0] == f"{API}/payout"


@pytest.mark.parametrize(
    ("request_", "rule", "md5"),
    [
        (pay(operations.DEBIT), "E", MD5["E"]),
        (pay(operations.DEBIT), "D", MD5["D"]),
        (pay(operations.DEBIT), None, None),
        (requests.remind("1746", BACK), "M", MD5["M"]),
        (requests.cancel_invoice("1746", BACK), "M", MD5["M"]),
        (checkout(), "P", MD5["P"]),
        (checkout(), None, None),
    ],
    ids=named,
)
def test_platform_operation_rule_overrides(
    request_: Request, rule: str | None, md5: str | None
) -> None:
    """A platform can set another checksum rule, or none."""
    _, fields = written(request_, platform=on(operations={request_.operation.name: {"rule": rule}}))
    assert fields.get("checksum" if is_page(request_) else "authentication.checksum") == md5


def test_platform_rule_for_absent_field_raises() -> None:
    """The error names the missing field."""
    platform = on(operations={"invoice remind": {"rule": "N"}})
    with pytest.raises(errors.InvalidRequest) as refusal:
        written(requests.remind("1746", BACK), platform=platform)
    assert (refusal.value.field, refusal.value.operation) == ("merchantInvoiceId", "invoice remind")


def test_platform_required_fields_override() -> None:
    """A required field is named in the error; one that is not required may be absent."""
    strict, easy = (
        on(operations={"debit": {"required": ("customer.email",)}}),
        on(operations={"customer sign-up": {"required": (), "rule": "E"}}),
    )
    with pytest.raises(errors.InvalidRequest) as refusal:
        written(pay(operations.DEBIT), platform=strict)
    assert refusal.value.field == "customer.email"
    assert (
        written(pay(operations.DEBIT, customer=ZOE), platform=strict)[1]["customer.email"]
        == "zoe@shop.example"
    )
    assert (
        written(sign_up(Customer(email="zoe@shop.example")), platform=easy)[0]
        == f"{MERCHANTS}/customerSignup"
    )


def test_platform_success_codes_override() -> None:
    """The codes of the platform replace the defaults."""
    platform = on(operations={"invoice cancel": {"success": ("00099",)}})
    outcomes = [
        record(operation, {"result": {"code": code}}).outcome
        for operation in (
            operations.INVOICE_CANCEL,
            operations.INVOICE_CANCEL.for_platform(platform),
        )
        for code in ("00006", "00099")
    ]
    assert outcomes == [Outcome.SUCCEEDED, Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.SUCCEEDED]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (
            pay(operations.DEBIT),
            {"card.number": "card.pan", "authentication.checksum": "authentication.sign"},
        ),
        (pay(operations.DEBIT), {"merchantTransactionId": "merchant.reference", "amount": "total"}),
        (
            requests.list_stored_cards("10279"),
            {"customer.customerId": "customerId", "authentication.memberId": "toId"},
        ),
        (
            checkout(),
            {"totype": "toType", "checksum": "signature", "merchantRedirectUrl": "redirecturl"},
        ),
        (card_page(), {"merchantRedirectUrl": "redirecturl"}),
        (sign_up(), {"customer.telnocc": "customer.countryCode"}),
    ],
    ids=named,
)
@pytest.mark.parametrize("body", ["form", "json"])
def test_platform_field_names_override(request_: Request, names: dict[str, str], body: str) -> None:
    """The name changes in form and JSON; the value, the checksum and other fields stay."""
    _, ours = written(request_, body)
    assert written(request_, body, on(field_names=names))[1] == {
        names.get(name, name): text for name, text in ours.items()
    }


def test_platform_product_field_names_override() -> None:
    """The new name applies to every product, however many there are."""
    platform = on(field_names={"product.productAmount": "product.price"})
    assert "product.price" in written(invoice(GOODS[0]), platform=platform)[1]
    assert "product[1].price" in written(invoice(*GOODS), platform=platform)[1]


@pytest.mark.parametrize(
    "names",
    [{"amount": "currency"}, {"amount": "x", "currency": "x"}, {"orderDescriptor": "card"}],
    ids=str,
)
def test_platform_equal_field_names_raise(names: dict[str, str]) -> None:
    """One of two fields with the same name would be lost silently."""
    with pytest.raises(errors.GatewayError):
        written(pay(operations.DEBIT, descriptor="Order 1"), "json", on(field_names=names))


def test_platform_without_overrides_keeps_operation() -> None:
    """An operation without a path of the platform is used unchanged."""
    assert operations.DEBIT.for_platform(PLATFORM) is operations.DEBIT
    assert (
        operations.DEBIT.for_platform(on(operations={"capture": {"rule": "C"}})) is operations.DEBIT
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no such operation": {}}, "no such operation"),
        ({"Debit": {"path": "/x"}}, "Debit"),
        ({"DEBIT": {"path": "/x"}}, "DEBIT"),
        ({"debit": {"paths": "/x"}}, "path"),
        ({"debit": {"name": "x"}}, "debit"),
        ({"debit": {"repeat": "freely"}}, "debit"),
        ({"debit": {"inquire_by": None}}, "debit"),
        ({"debit": {"reply": None}}, "debit"),
        ({"debit": {"fixed": {}}}, "debit"),
        ({"debit": {"path": "/x", "subject": "id"}}, "debit"),
        ({"debit": {"rule": "Z"}}, "Z"),
        ({"debit": {"rule": ""}}, "rule"),
        ({"debit": {"rule": "a"}}, "rule"),
        ({"capture": {"rule": "B"}, "debit": {"rule": "Z"}}, "debit"),
    ],
)
def test_platform_forbidden_override_raises(changes: dict[str, Any], message: str) -> None:
    """Whether a request is repeatable, and how its outcome is found, cannot change."""
    with pytest.raises(errors.ConfigurationError, match=message):
        check_platform(attrs.evolve(PLATFORM, operations=changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"success": "00001"},
        {"success": "0"},
        {"required": "amount"},
        {"path": "payments"},
        {"path": None},
        {"success": (1,)},
    ],
    ids=str,
)
def test_platform_override_of_wrong_type_raises(changes: dict[str, Any]) -> None:
    """A string instead of a tuple would make each character a success code."""
    with pytest.raises(errors.ConfigurationError, match="debit"):
        check_platform(attrs.evolve(PLATFORM, operations={"debit": changes}))


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_platform_every_operation_can_be_overridden(operation: Operation) -> None:
    """Path, rule, codes and fields, by the documented name of the operation."""
    changes = {"path": "/x/{id}", "rule": "E", "success": ("00098",), "required": ("a", "b")}
    changed = operation.for_platform(on(operations={operation.name: changes}))
    assert {name: getattr(changed, name) for name in changes} == changes
    assert (
        attrs.evolve(changed, **{name: getattr(operation, name) for name in changes}) == operation
    )


# Refusals


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: pay(operations.DEBIT, merchant_transaction_id="TX|1"), "merchantTransactionId"),
        (lambda: requests.follow_up(operations.CAPTURE, "1|2", EUROS), "paymentId"),
        (lambda: requests.follow_up(operations.REVERSAL, "1|2", None), "paymentId"),
        (lambda: pay(operations.RECURRING_BY_PAYMENT, Stored("1|2", "CC", "VISA")), "paymentId"),
        (lambda: pay(operations.STORED_CARD_DEBIT, Stored("R|1")), "registrationId"),
        (lambda: payout(merchant_transaction_id="TX|1", payment_id="1"), "merchantTransactionId"),
        (lambda: store(SepaAccount("DE09100100101234567893", "PBNK|X")), "cardNumber"),
        (lambda: store(AchAccount("9876543210", "0110|0028")), "cardNumber"),
        (lambda: requests.delete_stored_card("R|1"), "registrationId"),
        (lambda: sign_up(attrs.evolve(ZOE, given_name="Zoë|")), "givenName"),
        (lambda: sign_up(attrs.evolve(ZOE, surname="|Müller")), "surname"),
        (lambda: sign_up(attrs.evolve(ZOE, email="zoe|@shop.example")), "email"),
        (lambda: checkout(redirect_url="https://shop.example/?a|b"), "merchantRedirectUrl"),
        (lambda: checkout(merchant_transaction_id="TX|1"), "merchantTransactionId"),
        (lambda: link(order_id="TX|1"), "orderID"),
        (lambda: invoice(merchant_invoice_id="INV|1"), "merchantInvoiceId"),
        (lambda: invoice(redirect_url="https://shop.example/?a|b"), "merchantRedirectUrl"),
        (lambda: requests.regenerate_invoice("17|46", BACK), "invoiceId"),
        (lambda: requests.regenerate_invoice("1746", "https://shop.example/?a|b"), "merchantRedirectUrl"),
        (lambda: requests.invoice_status("INV|1"), "merchantInvoiceId"),
    ],
)  # fmt: skip
def test_request_separator_in_signed_value_raises(build: Callable[[], Request], field: str) -> None:
    """Two requests could share a checksum; the error names the field, not the value."""
    refusal = refused(build)
    assert refusal.field.rpartition(".")[2] == field
    assert refusal.operation == build().operation.name
    assert "PBNK" not in str(refusal)


def test_request_separator_in_unsigned_value_is_sent() -> None:
    """A separator is harmless in a value without a checksum."""
    assert written(pay(operations.DEBIT, descriptor="a|b"))[1]["orderDescriptor"] == "a|b"
    assert (
        written(store(CARD, customer=Customer(given_name="a|b")))[1]["customer.givenName"] == "a|b"
    )


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: pay(operations.STORED_CARD_DEBIT, Stored(None)), "paymentId|registrationId"),
        (lambda: pay(operations.RECURRING_BY_PAYMENT, Stored("-")), "paymentId"),
        (lambda: pay(operations.DEBIT, OtherSource("EW", "X", {"a b": "c"})), "extra"),
        (lambda: pay(operations.DEBIT, OtherSource("EW", "X", {"recurringType": "INITIAL"})), "recurringType"),
        (lambda: pay(operations.DEBIT, OtherSource("EW", "X", {"authentication.memberId": "9"})), "authentication.memberId"),
        (lambda: pay(operations.DEBIT, SepaAccount(5, "PBNKDEFFXXX")), "bankAccount.iban"),
        (lambda: pay(operations.DEBIT, SepaAccount("DE09\n", "PBNKDEFFXXX")), "bankAccount.iban"),
        (lambda: requests.delete_stored_card(None), "registrationId"),
        (lambda: requests.delete_stored_card("-"), "registrationId"),
        (lambda: requests.delete_stored_card("../payments/1"), "registrationId"),
        (lambda: requests.delete_stored_card(""), "registrationId"),
        (lambda: requests.list_stored_cards(None), "customer.customerId"),
        (lambda: sign_up(Customer(given_name="Zoë", surname="Müller")), "customer.email"),
        (lambda: sign_up(Customer(given_name="Zoë", email="a@b")), "customer.surname"),
        (lambda: sign_up(extra={"customer.email": "a@b"}), "customer.email"),
        (lambda: sign_up_merchant(email=None), "merchant.email"),
        (lambda: sign_up_merchant(partner_id="four"), "authentication.partnerId"),
        (lambda: link(amount="20.00"), "amount"),
        (lambda: link(order_id="TX_1"), "merchant.orderID"),
        (lambda: link(order_id=None), "merchant.orderID"),
        (lambda: link(extra={"merchant": "x"}), "merchant"),
        (lambda: link(extra={"merchant.amount": "1.00"}), "merchant.amount"),
        (lambda: invoice(amount=50), "amount"),
        (lambda: invoice(customer=Customer()), "customer.email"),
        (lambda: invoice(redirect_url="/back"), "merchantRedirectUrl"),
        (lambda: invoice(redirect_url=None), "merchantRedirectUrl"),
        (lambda: invoice(merchant_invoice_id="INV_1"), "merchantInvoiceId"),
        (lambda: invoice(expires_after=-1), "invoiceExpirationPeriod"),
        (lambda: invoice(expires_after=1.5), "invoiceExpirationPeriod"),
        (lambda: invoice(GOODS[0], extra={"product.quantity": "9"}), "product.quantity"),
        (lambda: requests.regenerate_invoice(None, BACK), "invoiceId"),
        (lambda: requests.regenerate_invoice("1746", "javascript:alert(1)"), "merchantRedirectUrl"),
        (lambda: requests.invoice_status(None), "merchantInvoiceId"),
        (lambda: requests.remind(None, BACK), "invoiceId"),
        (lambda: requests.cancel_invoice("-", None), "invoiceId"),
        (lambda: checkout(amount=50.0), "amount"),
        (lambda: checkout(merchant_transaction_id="TX_1"), "merchantTransactionId"),
        (lambda: checkout(redirect_url="https://shop.example/" + "a" * 80), "merchantRedirectUrl"),
        (lambda: checkout(redirect_url=None), "merchantRedirectUrl"),
        (lambda: checkout(notification_url="https://shop.example/" + "a" * 80), "notificationUrl"),
        (lambda: checkout(notification_url="ftp://shop.example/"), "notificationUrl"),
        (lambda: checkout(description="a" * 256), "orderDescription"),
        (lambda: checkout(description="a\0b"), "orderDescription"),
        (lambda: checkout(terminal_id="1234567"), "terminalid"),
        (lambda: checkout(shown_amount=Money(10**8, "EUR")), "TMPL_AMOUNT"),
        (lambda: checkout(customer=Customer(given_name="a\r\nb")), "firstName"),
        (lambda: checkout(extra={"amount": "1.00"}), "amount"),
        (lambda: card_page(redirect_url="https://shop.example/" + "a" * 80), "merchantRedirectUrl"),
        (lambda: listed(status=5), "status"),
    ],
)  # fmt: skip
def test_request_invalid_field_raises_with_its_name(
    build: Callable[[], Request], field: str
) -> None:
    """The error is raised before anything is sent."""
    refusal = refused(build)
    assert refusal.field in field.split("|")
    assert refusal.operation is not None


@pytest.mark.parametrize("build", [checkout, card_page])
def test_page_without_partner_name_raises(build: Callable[..., Request]) -> None:
    """It is the ``totype`` of the form, and belongs to the account."""
    with pytest.raises(errors.ConfigurationError, match="partner_name"):
        build(credentials=BARE)


def test_page_defaults_fill_absent_values() -> None:
    """A page may only authorize; its description defaults to the order id."""
    _, fields = written(checkout(preauth=True, terminal_id="7"))
    assert (fields["transactionType"], fields["orderDescription"], fields["terminalid"]) == (
        "PA",
        "TX-1001",
        "7",
    )
    assert "notificationUrl" not in fields


def test_page_shown_amount_must_be_money() -> None:
    """As for a payment, text is refused with the name of the field."""
    assert refused(lambda: checkout(shown_amount="50.00")).field in {"TMPL_AMOUNT", "shown_amount"}


def test_page_without_id_names_the_id() -> None:
    """The error is not about the description that defaults to the id."""
    assert refused(lambda: checkout(merchant_transaction_id=None)).field == "merchantTransactionId"


# Extra fields of the caller


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "0.01"},
        {"merchantTransactionId": "OTHER"},
        {"currency": "USD"},
        {"merchantRedirectUrl": "https://evil.example/"},
        {"customer": "x"},
        {"customer.email": "other@shop.example"},
    ],
    ids=str,
)
def test_source_extra_field_of_library_raises(fields: dict[str, str]) -> None:
    """A different amount or id would make inquiries look for another payment."""
    refused(
        lambda: pay(
            operations.DEBIT, OtherSource("EW", "X", fields), customer=ZOE, redirect_url=BACK
        )
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda extra: pay(operations.STORED_CARD_DEBIT, STORED, credentials=BARE, extra=extra),
        lambda extra: sign_up(extra=extra),
        lambda extra: link(extra=extra),
        lambda extra: invoice(extra=extra),
    ],
)
def test_extra_authentication_field_raises(build: Callable[[Any], Request]) -> None:
    """The fields that the library adds for the checksum are reserved too."""
    assert refused(lambda: build({"authentication": "x"})).field == "authentication"


@pytest.mark.parametrize("name", ["memberId", "checksum"])
@pytest.mark.parametrize("build", [checkout, card_page])
def test_extra_page_account_or_checksum_raises(build: Callable[..., Request], name: str) -> None:
    """The page belongs to the merchant who signs it."""
    assert refused(lambda: build(extra={name: "9"})).field == name


@pytest.mark.parametrize("name", ["product", "product.discount", "product.productDescription"])
def test_extra_product_field_raises(name: str) -> None:
    """Several products are a list, which has no field names."""
    assert refused(lambda: invoice(*GOODS, extra={name: "x"})).field == name


@pytest.mark.parametrize(
    ("build", "extra", "rule"),
    [
        (link, {"amount": "1.00"}, "K"),
        (link, {"orderID": "OTHER"}, "K"),
        (sign_up, {"email": "other@shop.example"}, "I"),
        (sign_up, {"givenName": "Other"}, "I"),
        (sign_up, {"surname": "Other"}, "I"),
        (store, {"cardNumber": "4111111111111111"}, "F"),
        (invoice, {"secureKey": "x"}, "L"),
        (invoice, {"memberId": "9"}, "L"),
    ],
)
def test_extra_signed_field_raises(
    build: Callable[..., Request], extra: dict[str, str], rule: str
) -> None:
    """A second name of a signed field is refused, because it would be unsigned."""
    with contextlib.suppress(errors.InvalidRequest):
        assert written(build(extra=extra), "json")[1]["authentication.checksum"] == MD5[rule]


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda extra: pay(operations.DEBIT, extra=extra), "installment"),
        (
            lambda extra: pay(operations.RECURRING_BY_PAYMENT, INITIAL, extra=extra),
            "redirectMethod",
        ),
        (lambda extra: payout(payment_id="1", extra=extra), "merchant.email"),
        (lambda extra: store(extra=extra), "shipping.language"),
        (lambda extra: sign_up(extra=extra), "customer.passport"),
        (lambda extra: sign_up_merchant(extra=extra), "merchant.vat"),
        (lambda extra: link(extra=extra), "merchant.city"),
        (lambda extra: invoice(extra=extra), "customer.city"),
        (lambda extra: checkout(extra=extra), "device"),
        (lambda extra: card_page(extra=extra), "firstName"),
    ],
)
@pytest.mark.parametrize("body", ["form", "json"])
def test_extra_unknown_field_is_sent(build: Callable[[Any], Request], name: str, body: str) -> None:
    """It is sent next to the fields of the library, in any mode, with the same checksum."""
    _, plain = written(build(None), body)
    assert written(build({name: "x"}), body)[1] == plain | {name: "x"}
    wrapped = build(wrap_extra({name: "s3cret"}))
    assert written(wrapped, body)[1] == plain | {name: "s3cret"}
    assert "s3cret" not in repr(wrapped)
