"""Replies about records other than a single payment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import (
    AccountOnFile,
    CardOnFile,
    Customer,
    CustomerAccounts,
    Invoice,
    InvoiceConfiguration,
    Money,
    Outcome,
    PaymentLink,
    SignedUpCustomer,
    SignedUpMerchant,
    StoredCard,
    Transaction,
)
from gatewaypy.models import NO_FIELDS, Fields, MaskedCard, OperationResult, ResultCode
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.classify import read_record
from gatewaypy.protocol.decode import ATTRIBUTES
from gatewaypy.protocol.operation_types import (
    Operation,
    ReplyKind,
    ServiceRoot,
)
from gatewaypy.protocol.parse import UnreadableError, parse, parse_json
from gatewaypy.protocol.records import record
from gatewaypy.protocol.wire import WireFailure, WireReply

REPLIES = Path(__file__).parent.parent / "vectors" / "replies"
FOUND = ResultCode("00026", "Your record found successfully")
YES = {"result": {"code": "00001", "description": "Transaction succeeded"}}

# Every operation whose reply is about records; all but the list have one result.
RECORDS = [
    operation
    for operation in operations.OPERATIONS.values()
    if not operation.moves_money
    and operation.reply not in {ReplyKind.TOKEN, ReplyKind.INQUIRY, ReplyKind.PAGE}
]
SINGLE = [operation for operation in RECORDS if operation.reply is not ReplyKind.LIST]

# Each vector: the operation, its result class, and the fields of the reply without an attribute.
VECTORS: dict[str, tuple[Operation, Any, Any]] = {
    "list": (
        operations.TRANSACTION_LIST,
        Transaction(
            outcome=Outcome.SUCCEEDED,
            found=True,
            status="capturesuccess",
            payment_id="54279",
            merchant_transaction_id="TX-1001",
            amount=Money("50.00", "EUR"),
            captured=Money("50.00", "EUR"),
            refunded=Money(0, "EUR"),
            charged_back=Money(0, "EUR"),
            paid_out=Money(0, "EUR"),
            transaction_date="2026-06-01 16:31:36",
            remark="ok",
            customer=Fields({"givenName": "John", "surname": "Doe", "email": "john@shop.example"}),
            card=MaskedCard(bin="400000", last_four="0051"),
            terminal_id="1106",
        ),
        {"date": "2026-06-01"},
    ),
    "invoice": (
        operations.INVOICE_GENERATE,
        Invoice(
            outcome=Outcome.SUCCEEDED,
            result=ResultCode("00010", "Invoice generated successfully"),
            invoice_id="1746",
            merchant_invoice_id="INV-1",
            amount=Money("250.00", "USD"),
            payment_url="https://preprod.example/transaction/PayInvoice?inv=2625&ct=wgde",
            customer_email="john@shop.example",
            description="Invoice for goods",
            expiration_period="10",
            created_date="2026-02-08",
            created_time="16:15:46",
        ),
        {"memberId": "11344"},
    ),
    "stored-card": (
        operations.STORE_CARD,
        StoredCard(
            outcome=Outcome.SUCCEEDED,
            result=ResultCode("00001", "Transaction succeeded"),
            registration_id="REG123",
            payment_brand="VISA",
            payment_mode="CC",
            timestamp="2026-06-01 16:31:36",
        ),
        {"memberId": "11344"},
    ),
    "stored-cards": (
        operations.LIST_STORED_CARDS,
        CustomerAccounts(
            outcome=Outcome.SUCCEEDED,
            result=FOUND,
            customer_id="10279",
            cards=(
                CardOnFile(
                    registration_id="REG123",
                    status="ACTIVE",
                    brand="VISA",
                    bin="400000",
                    last_four="0051",
                    expiry_month="07",
                    expiry_year="2030",
                ),
            ),
            accounts=(
                AccountOnFile(
                    registration_id="REG124", status="ACTIVE", iban="DE09***7893", bic="PBNKDEFFXXX"
                ),
            ),
        ),
        {"partnerId": "4", "memberId": "11344"},
    ),
    "customer-signup": (
        operations.CUSTOMER_SIGN_UP,
        SignedUpCustomer(
            outcome=Outcome.SUCCEEDED,
            result=ResultCode("00007", "Cardholder successfully registered"),
            customer_id="10279",
            timestamp="2026-06-27 14:22:39",
        ),
        {"memberId": "11344"},
    ),
    "pay-by-link": (
        operations.PAY_BY_LINK,
        PaymentLink(
            outcome=Outcome.SUCCEEDED,
            result=FOUND,
            url="https://test.example/transaction/PayByLink?orderId=TX-1001&authToken=a4000890",
        ),
        {},
    ),
}
INVOICE = VECTORS["invoice"][0]


def vector(name: str) -> dict[str, Any]:
    return parse_json((REPLIES / f"{name}.json").read_text())


def read(operation: Operation, fields: dict[str, Any]) -> Any:
    """Read a reply that has one result, which may be the only row of a list."""
    result = record(operation, fields)
    return result[0] if operation.reply is ReplyKind.LIST else result


def named(operation: Operation) -> str:
    return operation.name


# Recorded replies


@pytest.mark.parametrize("name", VECTORS)
def test_read_record_recorded_reply_has_every_field(name: str) -> None:
    """Each field becomes its attribute, with the library's name and type."""
    operation, expected, _ = VECTORS[name]
    assert attrs.evolve(read(operation, vector(name)), extra=NO_FIELDS) == expected


@pytest.mark.parametrize("name", VECTORS)
def test_read_record_extra_has_unknown_fields_only(name: str) -> None:
    """A value that is masked in an attribute is not repeated in extra."""
    operation, _, extra = VECTORS[name]
    assert dict(read(operation, vector(name)).extra) == extra


@pytest.mark.parametrize("name", VECTORS)
def test_read_record_raw_is_the_whole_reply(name: str) -> None:
    """Raw is as received, except for bank account numbers; a row of a list has its own."""
    operation, fields = VECTORS[name][0], vector(name)
    raw = dict(read(operation, fields).raw)
    whole = fields["transaction"][0] if name == "list" else fields
    if name == "stored-cards":
        whole["bankaccounts"][0]["iban"] = "DE09***7893"
    assert raw == whole


def test_read_list_empty_has_no_transactions() -> None:
    """No match is not an error."""
    assert record(operations.TRANSACTION_LIST, vector("list-empty")) == ()


def test_read_stored_cards_without_record_is_empty() -> None:
    """The same reply to a query for stored cards is a refusal with empty lists."""
    accounts = record(operations.LIST_STORED_CARDS, vector("list-empty"))
    assert (accounts.outcome, accounts.cards, accounts.accounts) == (Outcome.FAILED, (), ())


@pytest.mark.parametrize("name", VECTORS)
def test_read_record_numbers_are_read_as_text(name: str) -> None:
    """Ids and amounts that a gateway sends as numbers are read as text."""
    operation, expected, _ = VECTORS[name]
    text = (REPLIES / f"{name}.json").read_text()
    for number in (
        '"54279"',
        '"50.00"',
        '"250.00"',
        '"0.00"',
        '"1746"',
        '"10"',
        '"10279"',
        '"1106"',
        '"400000"',
        '"2030"',
    ):
        text = text.replace(number, number.strip('"'))
    assert attrs.evolve(read(operation, parse_json(text)), extra=NO_FIELDS) == expected


def test_read_merchant_signup_has_member_id() -> None:
    """No reply is documented: only the member id is required."""
    merchant = record(
        operations.MERCHANT_SIGN_UP, YES | {"memberId": "50001", "partnerId": "4", "plan": "basic"}
    )
    assert attrs.evolve(merchant, extra=NO_FIELDS) == SignedUpMerchant(
        outcome=Outcome.SUCCEEDED, result=ResultCode(**YES["result"]), member_id="50001"
    )
    assert dict(merchant.extra) == {"partnerId": "4", "plan": "basic"}


@pytest.mark.parametrize("name", ["result", "statusInvoiceResult"])
def test_read_configuration_is_all_extra(name: str) -> None:
    """No reply is documented: all fields are carried as they are."""
    fields = {
        name: {"code": "00026", "description": "found"},
        "smsAllowed": "Y",
        "reminders": ["1", "2"],
    }
    configuration = record(operations.INVOICE_CONFIGURATION, fields)
    assert configuration == InvoiceConfiguration(
        outcome=Outcome.SUCCEEDED,
        result=ResultCode("00026", "found"),
        extra=Fields({"smsAllowed": "Y", "reminders": ["1", "2"]}),
    )
    assert dict(configuration.raw) == fields


# Rows


ROW = {"systemPaymentId": "7", "registrationId": "R7"}


@pytest.mark.parametrize(
    ("listed", "count"),
    [([], 0), (None, 0), ("", 0), (ROW, 1), ([ROW], 1), ([ROW, ROW | {"x": "y"}], 2), ([{}], 1)],
)
@pytest.mark.parametrize("name", ["transaction", "cards", "bankaccounts"])
def test_read_list_single_row_may_be_object(name: str, listed: Any, count: int) -> None:
    """A list of one may be the row itself; an empty list may be absent, null or an empty string."""
    fields = {"result": {"code": "00026"}, name: listed}
    if name == "transaction":
        rows = record(operations.TRANSACTION_LIST, fields)
        assert all(row.payment_id == "7" for row in rows if row.raw)
    else:
        accounts = record(operations.LIST_STORED_CARDS, fields)
        rows = {"cards": accounts.cards, "bankaccounts": accounts.accounts}[name]
        assert all(row.registration_id in {"R7", None} for row in rows)
    assert len(rows) == count


@pytest.mark.parametrize(
    "listed", ["x", " ", True, False, 0, [None], ["x"], [[]], [ROW, "x"], [ROW, None]]
)
@pytest.mark.parametrize("name", ["transaction", "cards", "bankaccounts"])
def test_read_list_of_other_values_is_unreadable(name: str, listed: Any) -> None:
    """A row that cannot be read may be the one that matters."""
    operation = (
        operations.TRANSACTION_LIST if name == "transaction" else operations.LIST_STORED_CARDS
    )
    with pytest.raises(UnreadableError, match=name):
        record(operation, {"result": {"code": "00026"}, name: listed})


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("capturesuccess", Outcome.SUCCEEDED),
        (" Settled ", Outcome.SUCCEEDED),
        ("authstarted", Outcome.PENDING),
        ("authfailed", Outcome.FAILED),
        ("authcancelled", Outcome.CANCELLED),
        ("reversed", Outcome.REFUNDED),
        ("chargeback", Outcome.CHARGED_BACK),
        ("payoutsuccessful", Outcome.SUCCEEDED),
        ("onhold", Outcome.UNKNOWN),
        ("", Outcome.UNKNOWN),
        (None, Outcome.UNKNOWN),
    ],
)
def test_read_row_status_may_be_the_long_word(word: str | None, outcome: Outcome) -> None:
    """The status of a row sets its outcome, also as a long word; an unknown one is carried."""
    (row,) = record(
        operations.TRANSACTION_LIST,
        {"result": {"code": "00026"}, "transaction": {"transactionStatus": word}},
    )
    assert (row.outcome, row.status, row.transaction_status, row.found) == (
        outcome,
        word,
        None,
        True,
    )


@pytest.mark.parametrize(
    ("row", "payment_id"),
    [
        ({"systemPaymentId": "7"}, "7"),
        ({"paymentId": "7"}, "7"),
        ({"systemPaymentId": "7", "paymentId": "8"}, "7"),
        ({"systemPaymentId": "-"}, None),
        ({"systemPaymentId": " "}, None),
        ({}, None),
    ],
)
def test_read_row_id_is_the_gateways(row: dict[str, str], payment_id: str | None) -> None:
    """The list has another name for the payment id; a dash is not an id."""
    (read_row,) = record(
        operations.TRANSACTION_LIST, {"result": {"code": "00026"}, "transaction": [row]}
    )
    assert read_row.payment_id == payment_id


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ("<transaction><systemPaymentId>7</systemPaymentId><amount/></transaction>", ["7"]),
        (
            "<transaction><systemPaymentId>7</systemPaymentId></transaction>"
            "<transaction><systemPaymentId>8</systemPaymentId></transaction>",
            ["7", "8"],
        ),
        ("<transaction/>", []),
        ("", []),
    ],
)
def test_read_list_in_xml_is_read(body: str, ids: list[str]) -> None:
    """Rows are repeated elements: one, several or none."""
    xml = f"<reply><result><code>00026</code></result>{body}</reply>"
    fields = parse(WireReply(200, "application/xml", xml.encode()))
    assert [row.payment_id for row in record(operations.TRANSACTION_LIST, fields)] == ids


# Success, refusal and unknown


@pytest.mark.parametrize("operation", RECORDS, ids=named)
@pytest.mark.parametrize("fields", [{}, {"result": None}, {"result": {}}, {"result": {"code": ""}}, {"result": {"code": None}},
                                    {"result": "00026"}, {"result": []}, {"result": {"code": ["00026"]}}, {"result": {"code": True}},
                                    {"paymentId": "7"}])  # fmt: skip
def test_read_record_without_code_is_unreadable(
    operation: Operation, fields: dict[str, Any]
) -> None:
    """Such a reply is neither a success nor a refusal."""
    with pytest.raises(UnreadableError):
        record(operation, fields)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (operations.STORE_CARD, "10003"),
        (operations.STORE_CARD, "20007"),
        (operations.STORE_CARD, "11014"),
        (operations.DELETE_STORED_CARD, "10008"),
        (operations.DELETE_STORED_CARD, "10026"),
        (operations.LIST_STORED_CARDS, "10026"),
        (operations.CUSTOMER_SIGN_UP, "10009"),
        (operations.CUSTOMER_SIGN_UP, "10024"),
        (operations.MERCHANT_SIGN_UP, "10016"),
        (operations.PAY_BY_LINK, "10001"),
        (operations.INVOICE_GENERATE, "10011"),
        (operations.INVOICE_REGENERATE, "10014"),
        (operations.INVOICE_STATUS, "10026"),
        (operations.INVOICE_REMIND, "10013"),
        (operations.INVOICE_CANCEL, "10012"),
        (operations.INVOICE_CONFIGURATION, "10023"),
    ],
)
def test_read_record_refusal_is_failed_result(operation: Operation, code: str) -> None:
    """It has the gateway's code and text; invoices may have them under two names."""
    names = (
        ["result"]
        if operation.root is not ServiceRoot.INVOICES
        else ["result", "statusInvoiceResult"]
    )
    for name in names:
        refused = record(operation, {name: {"code": code, "description": "No"}})
        assert (refused.outcome, refused.result) == (Outcome.FAILED, ResultCode(code, "No"))


@pytest.mark.parametrize("operation", SINGLE, ids=named)
@pytest.mark.parametrize("code", ["99999", "77777", "x", "20999", "10099", "90026"])
def test_read_record_unknown_code_is_unknown(operation: Operation, code: str) -> None:
    """The outcome is unknown, and the fields of a success are not required."""
    result = record(operation, {"result": {"code": code}})
    assert (result.outcome, result.result.code) == (Outcome.UNKNOWN, code)


@pytest.mark.parametrize("fields", [{"result": {"code": "77777"}}, {"result": {"code": "10001"}}, {"result": {"code": "10026"}, "transaction": [ROW]}])  # fmt: skip
def test_read_list_with_other_code_is_unreadable(fields: dict[str, Any]) -> None:
    """A page without a success code cannot be distinguished from the end of the list."""
    with pytest.raises(UnreadableError, match="list's code"):
        record(operations.TRANSACTION_LIST, fields)


@pytest.mark.parametrize(
    "operation",
    [operation for operation in RECORDS if operation.reply is not ReplyKind.LINK],
    ids=named,
)
def test_read_record_each_success_code_succeeds(operation: Operation) -> None:
    """Each operation has its own codes; those of another operation do not count."""
    ids = {"registrationId": "R", "customerId": "C", "memberId": "M", "systemInvoiceId": "I"}
    for code in operation.success:
        result = record(operation, ids | {"result": {"code": code}})
        assert result == () or result.outcome is Outcome.SUCCEEDED
    if operation in SINGLE:
        other = record(operation, ids | {"result": {"code": "00005"}})
        assert other.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("operation", "name", "code"),
    [
        (operations.STORE_CARD, "registrationId", "00001"),
        (operations.CUSTOMER_SIGN_UP, "customerId", "00007"),
        (operations.MERCHANT_SIGN_UP, "memberId", "00001"),
        (operations.PAY_BY_LINK, "url", "00026"),
        (operations.INVOICE_GENERATE, "systemInvoiceId", "00010"),
        (operations.INVOICE_STATUS, "systemInvoiceId", "00026"),
    ],
)
@pytest.mark.parametrize(
    "required",
    [[], [None], [""], [["7"]], [{}], [True]],
    ids=["missing", "null", "empty", "list", "object", "true"],
)
def test_read_record_success_without_id_raises(
    operation: Operation, name: str, code: str, required: list[Any]
) -> None:
    """The operation succeeded without the id that the caller needs."""
    asked_for = dict.fromkeys([name], required[0]) if required else {}
    fields = (
        {"result": {"code": code} | asked_for}
        if name == "url"
        else {"result": {"code": code}} | asked_for
    )
    with pytest.raises(UnreadableError, match=name):
        record(operation, fields)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (operations.DELETE_STORED_CARD, "00001"),
        (operations.INVOICE_REGENERATE, "00010"),
        (operations.INVOICE_REMIND, "00012"),
        (operations.INVOICE_CANCEL, "00006"),
    ],
)
def test_read_record_success_of_known_id_needs_none(operation: Operation, code: str) -> None:
    """The caller passed the id."""
    assert record(operation, {"result": {"code": code}}).succeeded


# Links


INSECURE = [
    "http://gateway.example/pay",
    "HTTP://gateway.example/pay",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://gateway.example/pay",
    "//gateway.example/pay",
    "/transaction/PayByLink",
    "gateway.example/pay",
    "https://",
    "https:///pay",
    "https://[",
    "https://gateway.example/a\nb",
    "https://gateway.example/\x00",
    "http://127.0.0.1.evil.example/",
    "http://localhost@evil.example/",
]
SECURE = [
    "https://gateway.example/pay?a=1",
    "HTTPS://gateway.example/",
    "http://127.0.0.1:8080/pay",
    "http://localhost/pay",
]


def with_link(operation: Operation, url: Any) -> dict[str, Any]:
    if operation.reply is ReplyKind.LINK:
        return {"result": {"code": "00026", "url": url}}
    return vector("invoice") | {
        "invoiceDetails": vector("invoice")["invoiceDetails"] | {"transactionUrl": url}
    }


def link_of(result: PaymentLink | Invoice) -> str | None:
    return result.url if isinstance(result, PaymentLink) else result.payment_url


@pytest.mark.parametrize(
    "operation", [operations.PAY_BY_LINK, operations.INVOICE_GENERATE], ids=named
)
@pytest.mark.parametrize("url", INSECURE)
def test_read_link_without_https_is_unreadable(operation: Operation, url: str) -> None:
    """No customer is sent to pay over plain http, or to a script."""
    with pytest.raises(UnreadableError, match="link is not https"):
        record(operation, with_link(operation, url))


@pytest.mark.parametrize(
    "operation", [operations.PAY_BY_LINK, operations.INVOICE_GENERATE], ids=named
)
@pytest.mark.parametrize("url", SECURE)
def test_read_link_https_or_loopback_is_accepted(operation: Operation, url: str) -> None:
    """Spaces around the link are removed."""
    assert link_of(record(operation, with_link(operation, f" {url}\n"))) == url


@pytest.mark.parametrize("url", [None, "", " "])
def test_read_invoice_without_link_is_accepted(url: str | None) -> None:
    """The customer gets the link by e-mail."""
    assert record(INVOICE, with_link(INVOICE, url)).payment_url is None


@given(st.text() | st.text(st.sampled_from("htps:/[]@.?#\\ \n1270localhost")))
def test_read_link_any_text_is_safe_or_unreadable(url: str) -> None:
    """A browser may open any link that is returned."""
    for operation in (operations.PAY_BY_LINK, operations.INVOICE_GENERATE):
        try:
            link = link_of(record(operation, with_link(operation, url)))
        except UnreadableError:
            continue
        assert link is None or link.lower().startswith(
            ("https://", "http://localhost", "http://127.", "http://[::1]")
        )


# Masking


@pytest.mark.parametrize(
    ("iban", "shown"),
    [
        ("DE09100100101234567893", "DE09***7893"),
        ("NO9386011117947", "NO93***7947"),
        ("", None),
        (None, None),
    ],
)
def test_masked_iban_shows_only_its_ends(iban: str | None, shown: str | None) -> None:
    """The customer recognizes the account by its ends."""
    accounts = record(operations.LIST_STORED_CARDS, YES | {"bankaccounts": {"iban": iban}})
    assert accounts.accounts[0].iban == shown


@pytest.mark.parametrize("number", ["DE091001", "1234567", "12345", "1234", "1"])
def test_masked_short_account_is_not_shown_whole(number: str) -> None:
    """The two ends must not be the whole number."""
    shown = (
        record(operations.LIST_STORED_CARDS, YES | {"bankaccounts": {"iban": number}})
        .accounts[0]
        .iban
    )
    assert len((shown or "").replace("***", "")) < len(number)


def test_accounts_repr_has_no_number_or_rows() -> None:
    """The accounts of a customer can be logged."""
    shown = repr(record(operations.LIST_STORED_CARDS, vector("stored-cards")))
    assert "100100101234567893" not in shown
    assert "DE09***7893" in shown


# Unknown fields


NEWS = st.dictionaries(st.from_regex(r"new[A-Z][a-z]{1,6}", fullmatch=True), st.text(max_size=5) | st.lists(st.text(max_size=3)), max_size=4)  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
@given(news=NEWS)
def test_read_record_unknown_fields_are_kept(name: str, news: dict[str, Any]) -> None:
    """Each is in extra under the gateway's name, and in raw."""
    operation, fields = VECTORS[name][0], vector(name)
    if name == "list":
        fields["transaction"][0] |= news
    else:
        fields |= news
    result = read(operation, fields)
    assert news.items() <= dict(result.extra).items()
    assert news.items() <= dict(result.raw).items()


@given(NEWS)
def test_read_invoice_unknown_details_are_kept(news: dict[str, Any]) -> None:
    """They are in extra next to the fields around them; raw has them in place."""
    fields = vector("invoice")
    fields["invoiceDetails"] |= news
    invoice = record(INVOICE, fields)
    assert dict(invoice.extra) == {"memberId": "11344"} | news
    assert invoice.raw["invoiceDetails"] == fields["invoiceDetails"]


@given(NEWS)
def test_read_stored_row_unknown_fields_are_kept(news: dict[str, Any]) -> None:
    """A stored card or account keeps the fields of its row."""
    fields = vector("stored-cards")
    fields["cards"][0] |= news
    fields["bankaccounts"][0] |= news
    accounts = record(operations.LIST_STORED_CARDS, fields)
    assert dict(accounts.cards[0].extra) == dict(accounts.accounts[0].extra) == news


@given(NEWS)
def test_read_link_unknown_fields_are_in_raw(news: dict[str, Any]) -> None:
    """Other fields of the reply with the link are in raw."""
    fields = vector("pay-by-link")
    fields["result"] |= news
    assert record(operations.PAY_BY_LINK, fields).raw["result"] == fields["result"]


WIRE_NAMES = sorted({*ATTRIBUTES, "systemPaymentId", "transaction", "cards", "bankaccounts", "invoiceDetails", "registrationStatus",
                     "cardType", "iban", "bic", "memberId", "url", "new"})  # fmt: skip
CODES = st.sampled_from(
    sorted(
        {code for operation in RECORDS for code in operation.success}
        | {"10026", "10003", "20015", "x", ""}
    )
)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=6)
    | CODES
    | st.sampled_from([*SECURE, *INSECURE, "50.00", "EUR"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WIRE_NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
RESULT = st.builds(
    lambda reply_fields, code: reply_fields | {"code": code},
    st.dictionaries(st.sampled_from(WIRE_NAMES), ANY_JSON, max_size=3),
    CODES,
)
REPLY = st.builds(
    lambda fields, reply_fields: fields | reply_fields,
    st.dictionaries(st.sampled_from(WIRE_NAMES), ANY_JSON, max_size=8),
    st.fixed_dictionaries(
        {}, optional={"result": RESULT | ANY_JSON, "statusInvoiceResult": RESULT | ANY_JSON}
    ),
)


@pytest.mark.parametrize("operation", RECORDS, ids=named)
@given(fields=REPLY)
def test_read_record_any_json_is_result_or_unreadable(
    operation: Operation, fields: dict[str, Any]
) -> None:
    """A field of any type is carried or makes the reply unreadable; none is lost."""
    received = json.loads(json.dumps(fields))
    try:
        result = record(operation, fields)
    except UnreadableError:
        return
    assert fields == received
    results = result if isinstance(result, tuple) else (result,)
    assert all(
        isinstance(one, OperationResult) and isinstance(one.outcome, Outcome) for one in results
    )
    if any(
        f'"{name}"' in json.dumps(received)
        for name in ("iban", "accountNumber", "routingNumber", "vpa")
    ):
        # Only these are masked: the test above checks them.
        return
    if operation.reply is ReplyKind.LIST:
        listed = fields.get("transaction") or []
        assert [dict(one.raw) for one in results] == (
            [listed] if isinstance(listed, dict) and listed else list(listed)
        )
    else:
        assert dict(results[0].raw) == received
    for one in results:
        texts = (
            one.payment_id,
            one.merchant_transaction_id,
            one.status,
            one.transaction_status,
            one.remark,
            one.timestamp,
        )
        assert all(isinstance(text, str | None) for text in texts)
        assert isinstance(one.amount, Money | None)


# Real replies


@pytest.mark.parametrize(
    "answer",
    [
        WireFailure(sent=True, reason="the connection was closed"),
        WireReply(500, "application/json", (REPLIES / "stored-card.json").read_bytes()),
        WireReply(503, "text/html", b"<html>"),
        WireReply(429, "application/json", (REPLIES / "stored-card.json").read_bytes()),
        WireReply(401, "application/json", b"{}"),
        WireReply(302, "text/html", b""),
        WireReply(200, "text/html", b"<html>Maintenance</html>"),
        WireReply(200, "application/json", b""),
        WireReply(200, "application/json", b"[]"),
        WireReply(200, "application/json", b'{"result": {"code": "00001"'),
    ],
    ids=lambda answer: repr(answer)[:60],
)
def test_read_record_http_failure_is_unreadable(answer: WireReply | WireFailure) -> None:
    """A failure, an error page and a truncated body are neither a success nor a refusal."""
    with pytest.raises(UnreadableError):
        read_record(requests.delete_stored_card("REG123"), answer)


@pytest.mark.parametrize("status", [200, 201, 400, 404])
def test_read_record_body_counts_with_any_status(status: int) -> None:
    """If the body can be read, it decides, with any HTTP status."""
    answer = WireReply(status, "application/json", (REPLIES / "stored-card.json").read_bytes())
    assert read_record(requests.delete_stored_card("REG123"), answer).registration_id == "REG123"


@pytest.mark.parametrize(
    "fields", [{"amount": "1.00"}, {"amount": "50.00", "currency": "USD"}, {"currency": "USD"}]
)
def test_read_invoice_of_other_amount_is_unreadable(fields: dict[str, str]) -> None:
    """The amount is compared without a currency too, and the currency without an amount."""
    request = requests.generate_invoice(
        amount=Money("50.00", "EUR"), merchant_invoice_id="INV-1", customer=Customer(email="a@b.example"),
        redirect_url="https://shop.example/back", products=(), expires_after=None, description=None, extra=None,
    )  # fmt: skip
    known_fields = {
        "statusInvoiceResult": {"code": "00010"},
        "merchantInvoiceId": "INV-1",
        "systemInvoiceId": "9",
    }
    for place in (fields, {"invoiceDetails": fields}):
        reply = WireReply(
            http_status=200,
            content_type="application/json",
            body=json.dumps(known_fields | place).encode(),
        )
        with pytest.raises(UnreadableError, match="another record"):
            read_record(request, reply)
