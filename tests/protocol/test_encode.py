"""Encoding of requests."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import (
    Address,
    BrowserInfo,
    Card,
    Credentials,
    Customer,
    Money,
    Platform,
    Secret,
    errors,
)
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.encode import encode, write
from gatewaypy.protocol.requests import Request

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="k3yForDocsOnly0000000000000000AB",
    terminal_id="1106",
)
PLATFORM = Platform(name="test", base_url="https://gateway.example")
CARD = Card("4000000000000051", 7, 2030, "745", "Zoë Müller")
EUROS = Money("50.00", "EUR")
API = "https://gateway.example/transactionServices/REST/v1"

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)


def debit(**options: Any) -> Request:
    arguments: dict[str, Any] = {
        "amount": EUROS,
        "source": CARD,
        "merchant_transaction_id": "TX-1001",
    } | options
    return requests.payment(operations.DEBIT, platform=PLATFORM, credentials=MERCHANT, **arguments)


def form(request: Request, platform: Platform = PLATFORM) -> dict[str, str]:
    wire = encode(request, platform=platform, credentials=MERCHANT)
    assert wire.content_type == "application/x-www-form-urlencoded"
    return dict(parse_qsl(bytes(wire.body).decode(), keep_blank_values=True, strict_parsing=True))


def test_encode_debit_matches_the_protocol() -> None:
    """All of a payment: names, order of the parts, formats and the documented checksum."""
    fields = form(
        debit(
            customer=Customer(given_name="Zoë", surname="M", email="z@shop.example", phone="123", phone_country_code="+44", ip="192.0.2.1",
                              birth_date=date(1990, 2, 3), sex="F", customer_id="10279"),
            shipping=Address(country="DE", city="Köln", state="NW", postcode="50667", street="Domplatz 1"),
            redirect_url="https://shop.example/back?order=1", notification_url="https://shop.example/gateway", three_d="3D",
            browser=BrowserInfo(user_agent="UA/1", accept_header="*/*", language="de", timezone_offset=-60, color_depth=24,
                                screen_height=1080, screen_width=1920),
            descriptor="Order 1", shown_amount=Money("6000", "JPY"), store_card=True, extra={"installment": "3"},
        )
    )  # fmt: skip
    assert fields == {
        "authentication.memberId": "11344",
        "paymentType": "DB",
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
        "currency": "EUR",
        "authentication.terminalId": "1106",
        "merchantRedirectUrl": "https://shop.example/back?order=1",
        "notificationUrl": "https://shop.example/gateway",
        "orderDescriptor": "Order 1",
        "attemptThreeD": "3D",
        "tmpl_amount": "6000.00",
        "tmpl_currency": "JPY",
        "createRegistration": "true",
        "paymentMode": "CC",
        "paymentBrand": "VISA",
        "card.number": "4000000000000051",
        "card.expiryMonth": "07",
        "card.expiryYear": "2030",
        "card.cvv": "745",
        "card.holder": "Zoë Müller",
        "customer.givenName": "Zoë",
        "customer.surname": "M",
        "customer.email": "z@shop.example",
        "customer.phone": "123",
        "customer.telnocc": "+44",
        "customer.ip": "192.0.2.1",
        "customer.birthDate": "19900203",
        "customer.sex": "F",
        "customer.customerId": "10279",
        "shipping.country": "DE",
        "shipping.city": "Köln",
        "shipping.state": "NW",
        "shipping.postcode": "50667",
        "shipping.street1": "Domplatz 1",
        "deviceDetails.user_Agent": "UA/1",
        "deviceDetails.browserAcceptHeader": "*/*",
        "deviceDetails.browserLanguage": "de",
        "deviceDetails.browserTimezoneOffset": "-60",
        "deviceDetails.browserColorDepth": "24",
        "deviceDetails.browserScreenHeight": "1080",
        "deviceDetails.browserScreenWidth": "1920",
        "deviceDetails.browserJavaEnabled": "false",
        "installment": "3",
        "authentication.checksum": "32f2641a3e924bad64256be60032056b",
    }


@pytest.mark.parametrize(
    ("request_", "path", "expected"),
    [
        (requests.follow_up(operations.CAPTURE, "54304", EUROS), "/payments/54304", {"paymentType": "CP", "amount": "50.00",
         "authentication.checksum": "ca4cf404b7b854dcbc102d46184da224"}),
        (requests.follow_up(operations.REFUND, "54304", EUROS), "/payments/54304", {"paymentType": "RF", "currency": "EUR",
         "authentication.checksum": "ca4cf404b7b854dcbc102d46184da224"}),
        (requests.follow_up(operations.REVERSAL, "54304", None), "/payments/54304", {"paymentType": "RV",
         "authentication.checksum": "0047d105f93b303bd07d7bac6eeaccb8"}),
        (requests.inquiry(payment_id="54304"), "/payments/54304", {"paymentType": "IN", "idType": "PID",
         "authentication.checksum": "0047d105f93b303bd07d7bac6eeaccb8"}),
        (requests.inquiry(merchant_transaction_id="TX 1"), "/payments/TX%201", {"paymentType": "IN", "idType": "MID",
         "merchantTransactionId": "TX 1"}),
        (requests.payout(credentials=MERCHANT, amount=EUROS, merchant_transaction_id="TX-1001", payment_id="54279", customer=None,
                         notification_url=None, terminal_id="7", extra=None), "/payout",
         {"paymentType": "PO", "paymentId": "54279", "authentication.terminalId": "7",
          "authentication.checksum": "675166f7236f7680d77412045db8108b"}),
        (requests.merchant_token(MERCHANT), "/authToken", {"merchant.username": "shop", "authentication.partnerId": "4",
         "authentication.sKey": "k3yForDocsOnly0000000000000000AB"}),
        (requests.partner_token("4", "p", Secret("q")), "/partnerAuthToken", {"partner.userName": "p", "authentication.sKey": "q"}),
        (requests.regenerated_token(MERCHANT, Secret("old")), "/regenerateToken", {"authToken": "old"}),
    ],
    ids=lambda value: value.operation.name if isinstance(value, Request) else "",
)  # fmt: skip
def test_encode_operation_follows_its_table_row(
    request_: Request, path: str, expected: dict[str, str]
) -> None:
    """Path, payment type and checksum follow from the row of the operation."""
    wire = encode(request_, platform=PLATFORM, credentials=MERCHANT)
    fields = form(request_)
    assert wire.url == API + path
    assert expected.items() <= fields.items()
    assert ("authentication.memberId" in fields) is (request_.operation.rule is not None)


def test_encode_json_nests_the_same_names() -> None:
    """The dotted names of the form become nested objects with the same values."""
    wire = encode(debit(), platform=PLATFORM, credentials=MERCHANT, body="json", accept="xml")
    tree = json.loads(bytes(wire.body))
    assert (wire.content_type, wire.accept) == ("application/json", "application/xml")
    assert tree["card"] == {
        "number": "4000000000000051",
        "expiryMonth": "07",
        "expiryYear": "2030",
        "cvv": "745",
        "holder": "Zoë Müller",
    }
    assert tree["authentication"]["checksum"] == "32f2641a3e924bad64256be60032056b"


def test_encode_platform_paths_and_spellings_apply() -> None:
    """An inquiry path without a place for the id puts it into the body."""
    platform = attrs.evolve(
        PLATFORM,
        inquiry_path="/inquiry",
        refund_path="/refund/{id}",
        three_d_spelling=("direct", "3D", "Only3D"),
    )
    assert (
        encode(
            requests.follow_up(operations.REFUND, "1", EUROS),
            platform=platform,
            credentials=MERCHANT,
        ).url
        == f"{API}/refund/1"
    )
    by_id, by_own = (
        requests.inquiry(payment_id="1"),
        requests.inquiry(merchant_transaction_id="TX-1"),
    )
    assert encode(by_id, platform=platform, credentials=MERCHANT).url == f"{API}/inquiry"
    assert form(by_id, platform)["paymentId"] == "1"
    assert form(by_own, platform)["merchantTransactionId"] == "TX-1"
    spelled = requests.payment(operations.DEBIT, platform=platform, credentials=MERCHANT, amount=EUROS, source=CARD,
                               merchant_transaction_id="A", three_d="only3D")  # fmt: skip
    assert spelled.fields["attemptThreeD"] == "Only3D"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (debit(merchant_transaction_id="TX|1"), "merchantTransactionId"),
        (debit(merchant_transaction_id="TX_1"), "merchantTransactionId"),
        (debit(merchant_transaction_id=""), "merchantTransactionId"),
        (debit(merchant_transaction_id=".."), "merchantTransactionId"),
        (debit(merchant_transaction_id=" TX"), "merchantTransactionId"),
        (debit(merchant_transaction_id="T" * 101), "merchantTransactionId"),
        (debit(merchant_transaction_id="TX١"), "merchantTransactionId"),
        (debit(merchant_transaction_id=None), "merchantTransactionId"),
        (debit(amount=Money("-1", "EUR") + Money("1", "EUR"), redirect_url="/back"), "merchantRedirectUrl"),
        (debit(notification_url="javascript:alert(1)"), "notificationUrl"),
        (debit(terminal_id="1234567"), "authentication.terminalId"),
        (debit(descriptor="a\nb"), "orderDescriptor"),
        (debit(customer=Customer(given_name="\ud800")), "customer.givenName"),
        (debit(customer=Customer(birth_date="3 Feb 1990")), "customer.birthDate"),
        (debit(shipping=Address(country="Germany")), "shipping.country"),
        (debit(shown_amount=Money("100000000", "JPY")), "tmpl_amount"),
        (debit(source=Card("1000000000000008", 1, 2030)), "paymentBrand"),
        (requests.follow_up(operations.REFUND, "-", EUROS), "paymentId"),
        (requests.follow_up(operations.REFUND, "../1", EUROS), "paymentId"),
        (requests.follow_up(operations.REFUND, "", EUROS), "paymentId"),
        (requests.follow_up(operations.CAPTURE, "1|2", EUROS), "paymentId"),
    ],
)  # fmt: skip
def test_encode_invalid_field_raises_with_its_name(request_: Request, field: str) -> None:
    """Each refusal names the field and the operation."""
    with pytest.raises(errors.InvalidRequest) as refused:
        encode(request_, platform=PLATFORM, credentials=MERCHANT)
    assert refused.value.field == field
    assert refused.value.operation == request_.operation.name


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: debit(three_d="4D"), "attemptThreeD"),
        (lambda: debit(amount=50.0), "amount"),
        (lambda: debit(source="4000000000000051"), "source"),
        (lambda: debit(extra={"recurringType": "INITIAL"}), "recurringType"),
        (lambda: debit(shown_amount="50.00"), "tmpl_amount"),
        (lambda: requests.follow_up(operations.CAPTURE, "1", None), "amount"),
        (lambda: requests.follow_up(operations.REFUND, None, EUROS), "paymentId"),
        (lambda: requests.follow_up(operations.REVERSAL, None, None), "paymentId"),
        (lambda: encode(Request(operation=operations.REVERSAL, fields={}), platform=PLATFORM, credentials=MERCHANT), "paymentId"),
        (lambda: debit(extra={"amount": "1.00"}), "amount"),
        (lambda: debit(extra={"authentication.checksum": "0"}), "authentication.checksum"),
        (lambda: debit(extra={"card": "x"}), "card"),
        (lambda: debit(extra={"card.number.x": "x"}), "card.number.x"),
        (lambda: debit(extra={"a b": "x"}), "extra"),
        (lambda: debit(amount=Money(1, "EUR") - Money(2, "EUR")), "amount"),
        (requests.inquiry, "paymentId"),
        (lambda: requests.inquiry(payment_id="1", merchant_transaction_id="2"), "paymentId"),
        (lambda: requests.payout(credentials=MERCHANT, amount=EUROS, merchant_transaction_id="A", payment_id=None, customer=None,
                                 notification_url=None, terminal_id=None, extra=None), "paymentId"),
    ],
)  # fmt: skip
def test_encode_meaningless_request_raises(build: Any, field: str) -> None:
    """Fields that the library sets are not overridden, and an operation needs its subject."""
    with pytest.raises(errors.InvalidRequest) as refused:
        build()
    assert refused.value.field == field


def test_encode_unknown_card_brand_comes_from_extra() -> None:
    """``extra`` sets what the library cannot detect."""
    request = debit(source=Card("1000000000000008", 1, 2030), extra={"paymentBrand": "LOCALCARD"})
    assert form(request)["paymentBrand"] == "LOCALCARD"


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), TEXT, min_size=1, max_size=8))
def test_encode_any_text_survives_form_and_json(fields: dict[str, str]) -> None:
    """The gateway reads the same text for any value."""
    assert (
        dict(parse_qsl(bytes(write(fields, "form")).decode("ascii"), keep_blank_values=True))
        == fields
    )
    assert json.loads(bytes(write(fields, "json"))) == fields


def test_encode_request_repr_has_no_secret() -> None:
    """The repr of a request and of its wire form has no card number, CVV, key or checksum."""
    request = debit()
    shown = f"{request!r} {encode(request, platform=PLATFORM, credentials=MERCHANT)!r}"
    for secret in ("4000000000000051", "745", "k3yForDocs", "32f2641a"):
        assert secret not in shown


@given(st.dictionaries(TEXT, TEXT, max_size=6))
def test_encode_form_equals_urlencode(fields: dict[str, str]) -> None:
    """The bytes of a form are those of Python's ``urlencode``."""
    assert write(fields, "form").decode() == urlencode(fields)
