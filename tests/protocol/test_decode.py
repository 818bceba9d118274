"""Decoding of replies into results."""

from __future__ import annotations

import html
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Money, Outcome, Redirect, errors
from gatewaypy.models import Fields, ResultCode
from gatewaypy.protocol import decode
from gatewaypy.protocol.parse import UnreadableError

REPLIES = Path(__file__).parent.parent / "vectors" / "replies"


def vector(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((REPLIES / f"{name}.json").read_text())
    return fields


def test_payment_has_every_field_of_reply() -> None:
    """Known fields have the library's names; the rest is in extra, and all of it in raw."""
    fields = vector("payment-sync") | {
        "acquirerNote": "new",
        "registrationId": "REG1",
        "bankReferenceId": "7",
    }
    payment = decode.payment(fields, Outcome.SUCCEEDED, None)
    assert (payment.payment_id, payment.merchant_transaction_id, payment.amount) == (
        "54279",
        "TX-1001",
        Money("50.00", "EUR"),
    )
    assert payment.card is not None
    assert (payment.card.bin, payment.card.last_four, payment.card.expiry_month) == (
        "400000",
        "0051",
        "07",
    )
    assert (payment.result.code, payment.descriptor, payment.eci) == ("00001", "Shop GmbH", "05")
    assert (payment.registration_id, payment.bank_reference_id) == ("REG1", "7")
    assert dict(payment.extra) == {
        "paymentType": "DB",
        "tmpl_currency": "EUR",
        "tmpl_amount": "50.00",
        "acquirerNote": "new",
    }
    assert payment.raw["acquirerNote"] == "new"
    assert repr(payment.raw) == f"<{len(fields)} fields>"
    assert pickle.loads(pickle.dumps(payment)) == payment  # noqa: S301 - our own


@pytest.mark.parametrize("identifier", ["-", "", " ", None])
def test_payment_dash_as_id_is_none(identifier: str | None) -> None:
    """A request that was rejected early has no payment."""
    assert decode.payment_id({"paymentId": identifier}) is None


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("x", "EUR"),
        ("100.50", "JPY"),
        ("1.234", "EUR"),
        ("1", "euro"),
        (None, "EUR"),
        ("1", None),
        ({}, []),
    ],
)
def test_payment_invalid_amount_is_none(amount: Any, currency: Any) -> None:
    """What the library would not send is still received; the text stays in raw."""
    payment = decode.payment(
        {"paymentId": "1", "amount": amount, "currency": currency}, Outcome.PENDING, None
    )
    assert payment.amount is None
    assert payment.raw["amount"] == amount


def test_payment_yen_has_two_decimals_on_wire() -> None:
    """100.00 JPY is a hundred yen."""
    assert decode.money("100.00", "JPY") == Money(100, "JPY")


def test_inquiry_without_record_is_unknown() -> None:
    """No record is not a failure."""
    transaction = decode.transaction(vector("inquiry-not-found"))
    assert (transaction.found, transaction.outcome, transaction.lookup.code) == (
        False,
        Outcome.UNKNOWN,
        "10026",
    )


def test_inquiry_code_is_never_the_payments() -> None:
    """The code of the inquiry has its own field, and that of the payment stays empty."""
    transaction = decode.transaction(
        vector("inquiry") | {"status": "authfailed", "transactionStatus": "N"}
    )
    assert (transaction.outcome, transaction.lookup.code, transaction.result) == (
        Outcome.FAILED,
        "00026",
        ResultCode(),
    )


def test_inquiry_statuses_set_the_state() -> None:
    """The statuses of the record count, not the code of the inquiry; any text is carried."""
    transaction = decode.transaction(
        vector("inquiry") | {"captureamount": "20.00", "refundamount": "1.00"}
    )
    assert (transaction.found, transaction.outcome, transaction.status) == (
        True,
        Outcome.SUCCEEDED,
        "capturesuccess",
    )
    assert (transaction.captured, transaction.refunded) == (Money(20, "EUR"), Money(1, "EUR"))
    assert transaction.card is not None
    assert transaction.card.holder == "?ü?i Üglü"


@pytest.mark.parametrize("name", ["parameters", "listofParameters", "listOfParameters", "params"])
@pytest.mark.parametrize(
    "parameters",
    [
        [{"name": "a", "value": "1"}, {"name": "b", "value": ""}],
        {"a": "1", "b": ""},
        [{"name": "a", "value": "1"}, {"name": "b", "value": None}],
    ],
)
def test_redirect_parameter_names_are_all_read(name: str, parameters: Any) -> None:
    """Every parameter is kept, empty ones too, under each documented name."""
    target = decode.redirect(
        {"redirect": {"url": "https://acs.example/", "method": "post", name: parameters}}
    )
    assert target == Redirect("https://acs.example/", "POST", (("a", "1"), ("b", "")))


def test_redirect_single_parameter_may_be_object() -> None:
    """XML has no lists of one element."""
    target = decode.redirect(
        {"redirect": {"url": "https://acs.example/", "parameters": {"name": "a", "value": "1"}}}
    )
    assert target is not None
    assert (target.parameters, target.method) == ((("a", "1"),), "POST")


def test_redirect_default_method_depends_on_parameters() -> None:
    """POST with parameters, GET without; a local URL is accepted for development."""
    target = decode.redirect({"redirect": {"url": "http://127.0.0.1:1/acs", "target": "_top"}})
    assert target == Redirect("http://127.0.0.1:1/acs", "GET", (), "_top")


@pytest.mark.parametrize("nowhere", [None, {}, "", [], "https://acs.example"])
def test_redirect_empty_is_none(nowhere: Any) -> None:
    """An empty redirect counts as absent."""
    assert decode.redirect({"redirect": nowhere}) is None


@pytest.mark.parametrize(
    "target",
    [
        {"url": "http://acs.example/"},
        {"url": "javascript:alert(1)"},
        {"url": "https://acs.example/\npath"},
        {"url": " \n"},
        {"url": ""},
        {"url": "https://["},
        {"url": "https://"},
        {"method": "POST"},
        {"url": ["https://acs.example"]},
        {"url": "https://acs.example/", "method": "PUT"},
        {"url": "https://acs.example/", "parameters": "a=1"},
        {"url": "https://acs.example/", "parameters": ["a"]},
        {"url": "https://acs.example/", "parameters": [{"name": "a", "value": {}}]},
    ],
)
def test_redirect_unsafe_is_unreadable(target: dict[str, Any]) -> None:
    """Only https by GET or POST with readable parameters is accepted."""
    with pytest.raises(UnreadableError):
        decode.redirect({"redirect": target})


@pytest.mark.parametrize("ends", ["\n", "\r\n", " ", "\t \n", "\u00a0"], ids=repr)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirect_url_with_blank_ends_is_accepted(ends: str, method: str) -> None:
    """Blanks and line breaks at the ends of a URL do not lose the redirect."""
    expected = Redirect("https://acs.example/c?a=1", method, (("b", "2"),))
    target = {
        "url": f"{ends}https://acs.example/c?a=1{ends}",
        "method": method,
        "parameters": [{"name": "b", "value": "2"}],
    }
    assert decode.redirect({"redirect": target}) == expected
    by_hand = Redirect(f"{ends}https://acs.example/c?a=1{ends}", method, (("b", "2"),))
    assert by_hand.html() == expected.html()


@pytest.mark.parametrize(
    "nameless",
    [{}, {"name": ""}, {"name": None, "value": "x"}, {"name": " ", "value": ""}],
    ids=repr,
)
def test_redirect_parameter_without_name_is_dropped(nameless: dict[str, Any]) -> None:
    """A browser submits no pair without a name, and the URL of a GET has none either."""
    reply = {"url": "https://acs.example/", "parameters": [{"name": "a", "value": "1"}, nameless]}
    assert decode.redirect({"redirect": reply}) == Redirect(
        "https://acs.example/", "POST", (("a", "1"),)
    )
    alone = decode.redirect({"redirect": {"url": "https://acs.example/", "parameters": [nameless]}})
    assert alone == Redirect("https://acs.example/", "GET")
    assert Redirect("https://acs.example/", "GET", (("", "x"), ("a", "1"))).parameters == (
        ("a", "1"),
    )


def test_redirect_page_escapes_everything() -> None:
    """No value leaves its attribute, and the form posts to the URL of the gateway."""
    page = Redirect(
        'https://acs.example/?a="><script>',
        "POST",
        (('x"><script>alert(1)</script>', "a+b/c=='&"), ("flag", "")),
    ).html()
    assert page.count("<script>") == 1
    assert "alert(1)</script>" not in page
    assert 'action="https://acs.example/?a=&quot;&gt;&lt;script&gt;" method="post"' in page
    assert 'value="a+b/c==&#x27;&amp;"' in page
    assert '<input type="hidden" name="flag" value="">' in page


@pytest.mark.parametrize(
    ("url", "parameters", "followed"),
    [
        (
            "https://acs.example/c?x=%FC&flag&&e=#top",
            (),
            "https://acs.example/c?x=%FC&flag&&e=#top",
        ),
        (
            "https://acs.example/c?x=%FC&flag",
            (("a", "1 +ü"),),
            "https://acs.example/c?x=%FC&flag&a=1+%2B%C3%BC",
        ),
        ("https://acs.example/c?x=+%20#top", (("a", ""),), "https://acs.example/c?x=+%20&a=#top"),
        ("https://acs.example/c?x=1&", (("a", "1"),), "https://acs.example/c?x=1&a=1"),
        ("https://acs.example/c?", (("a", "1"),), "https://acs.example/c?a=1"),
        ("https://acs.example/c", (("a", "1"), ("a", "2")), "https://acs.example/c?a=1&a=2"),
        ("https://acs.example/c#?", (("a", "1"),), "https://acs.example/c?a=1#?"),
        ("https://acs.example/c?q='\"<>", (("a", "<"),), "https://acs.example/c?q='\"<>&a=%3C"),
    ],
)
def test_redirect_get_url_keeps_its_own_query(
    url: str, parameters: tuple[tuple[str, str], ...], followed: str
) -> None:
    """The URL is unchanged; parameters are added to its query, before a fragment."""
    page = Redirect(url, "GET", parameters).html()
    assert f'<a href="{html.escape(followed)}">' in page
    assert f'<meta http-equiv="refresh" content="0;url={html.escape(followed)}">' in page
    assert "<form" not in page


def test_redirect_page_to_plain_http_raises() -> None:
    """A redirect that was built by hand is validated again."""
    with pytest.raises(errors.InsecureConnection):
        Redirect("http://acs.example/").html()


def test_result_raw_reads_like_a_dict() -> None:
    """The fields of the gateway can be iterated, and cannot be changed."""
    fields = Fields({"a": 1})
    assert (dict(fields), len(fields), fields.get("b")) == ({"a": 1}, 1, None)
    assert not hasattr(fields, "__setitem__")


ODD = st.none() | st.booleans() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2) | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)  # fmt: skip


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*decode.ATTRIBUTES, "new"], ODD)))
def test_payment_cosmetic_field_breaks_no_result(fields: dict[str, Any]) -> None:
    """Fields of any type give a result, or are unreadable if they decide; none is lost."""
    try:
        payment = decode.payment(fields, Outcome.PENDING, None)
    except UnreadableError:
        assert not isinstance(fields["paymentId"], str | None)
        return
    assert dict(payment.raw) == fields
    assert isinstance(payment.remark, str | None)


@pytest.mark.parametrize("amount", ["12.000", "1.000", "1E+50000000", "9" * 1000, "+1.00"])
def test_money_unplain_amount_in_reply_is_none(amount: str) -> None:
    """An amount that the library refuses as text counts as absent, and is not an error."""
    assert decode.money(amount, "EUR") is None


def test_money_currency_in_lower_case_is_read() -> None:
    """A currency is equal in any case, both when it is read and when it is compared."""
    assert decode.money("50.00", " eur ") == Money("50.00", "EUR")
