"""XML as Java libraries write it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Outcome
from gatewaypy.models import CustomerAccounts
from gatewaypy.protocol import decode
from gatewaypy.protocol.classify import classify_fields
from gatewaypy.protocol.operations import DEBIT, LIST_STORED_CARDS
from gatewaypy.protocol.parse import UnreadableError, parse
from gatewaypy.protocol.records import record
from gatewaypy.protocol.wire import WireReply

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
YES = "<transactionStatus>Y</transactionStatus><result><code>00001</code></result>"


def read(text: str, encoding: str = "utf-8", kind: str = "application/xml") -> dict[str, Any]:
    return parse(WireReply(200, kind, text.encode(encoding)))


@pytest.mark.parametrize(
    "text",
    [
        f'<ns2:response xmlns:ns2="urn:pz"><ns2:transactionStatus>Y</ns2:transactionStatus>{YES[40:]}</ns2:response>',
        f'<response xmlns="urn:pz" {XSI}>{YES}</response>',
        f'<response {XSI} xsi:schemaLocation="urn:pz pz.xsd" version="1.0">{YES}</response>',
        f'<response><paymentId xsi:nil="true" {XSI}/><remark xsi:nil="1"></remark>{YES}</response>',
        '<o class="object"><transactionStatus type="string">Y</transactionStatus>'
        '<result class="object"><code type="number">00001</code></result></o>',
        "<response><transactionStatus><![CDATA[Y]]></transactionStatus><!-- no comment -->"
        '<result code="00001" description="ok"/></response>',
        f"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n<?pi?>\n<response>\n  {YES}\n  <remark> ü </remark></response>",
        "<response>\n <transactionStatus>\n  Y\n </transactionStatus><result><code>00001</code><code2/></result></response>",
    ],
)
def test_xml_of_java_writers_is_success(text: str) -> None:
    """Prefixes, namespaces, ``xsi:nil``, attributes, CDATA and comments do not hide the result."""
    assert classify_fields(DEBIT, read(text), is_redirect=False) is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "encoding",
    ["ISO-8859-1", "windows-1252", "UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "US-ASCII"],
)
def test_xml_in_its_declared_encoding_is_read(encoding: str) -> None:
    """The encoding of the XML declaration counts if the content type has none."""
    remark = "ok" if encoding == "US-ASCII" else "für"
    text = f'<?xml version="1.0" encoding="{encoding}"?><a><remark>{remark}</remark></a>'
    assert read(text, encoding) == {"remark": remark}


@pytest.mark.parametrize(
    "text",
    [
        f'<r xmlns:a="u:a" xmlns:b="u:b"><a:status>payoutsuccessful</a:status><b:status>payoutfailed</b:status>{YES}</r>',
        '<r xmlns:a="u:a"><transactionStatus>Y</transactionStatus><a:transactionStatus>N</a:transactionStatus>'
        "<result><code>00001</code></result></r>",
        "<r><transactionStatus>Y</transactionStatus><transactionStatus>N</transactionStatus><result><code>00001</code></result></r>",
        '<r><transactionStatus xmlns="u:a">Y</transactionStatus><transactionStatus xmlns="u:b">N</transactionStatus>'
        "<result><code>00001</code></result></r>",
        '<r><transactionStatus value="N">Y</transactionStatus><result><code>00001</code></result></r>',
        '<r><transactionStatus code="10001">Y</transactionStatus><result><code>00001</code></result></r>',
        '<r><transactionStatus>Y</transactionStatus><result code="10001"><code>00001</code></result></r>',
        f'<r transactionStatus="N">{YES}</r>',
        f'<r xmlns:x="u:x" x:transactionStatus="N">{YES}</r>',
        f'<r status="authfailed">{YES}</r>',
        f'<r>{YES}<amount currency="USD">50.00</amount><currency>EUR</currency></r>',
        f'<r {XSI}><transactionStatus xsi:nil="true">Y</transactionStatus><result><code>00001</code></result></r>',
        f'<r {XSI}><result xsi:nil="true"><code>00001</code></result><transactionStatus>Y</transactionStatus></r>',
        "<r><transactionStatus>Y<b/>N</transactionStatus><result><code>00001</code></result></r>",
        "<r><transactionStatus>Y<!-- -->N</transactionStatus><result><code>00001</code></result></r>",
        f"<r>{YES}</r><r>{YES}</r>",
        f"<r>{YES}",
    ],
)
def test_xml_contradicting_itself_is_not_success(text: str) -> None:
    """Two elements of a name, a different attribute, content of a nil element: no success."""
    with contextlib.suppress(UnreadableError):
        assert classify_fields(DEBIT, read(text), is_redirect=False) is not Outcome.SUCCEEDED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32-be", "iso-8859-1"])
@pytest.mark.parametrize(
    "doctype",
    ["<!DOCTYPE a>", '<!DOCTYPE a [<!ENTITY y "Y">]>', '<!DOCTYPE a SYSTEM "http://127.0.0.1/x">'],
)
def test_xml_with_doctype_is_refused(doctype: str, encoding: str) -> None:
    """A document type definition is refused in every encoding, and the error quotes nothing."""
    with pytest.raises(UnreadableError, match="DTD") as refused:
        read(f"{doctype}<a><b>1</b></a>", encoding)
    assert refused.value.__context__ is None


def test_xml_text_about_a_doctype_is_read() -> None:
    """Only a real document type definition is refused."""
    assert read("<a><remark><![CDATA[<!DOCTYPE html>]]></remark></a>") == {
        "remark": "<!DOCTYPE html>"
    }


def test_xml_amount_with_currency_is_two_fields() -> None:
    """The currency of an amount may be its attribute."""
    assert read('<a><amount currency="EUR">50.00</amount></a>') == {
        "amount": "50.00",
        "currency": "EUR",
    }


@pytest.mark.parametrize(
    "cards",
    [
        "<cards><registrationId>R1</registrationId></cards>",
        "<cards><card><registrationId>R1</registrationId></card></cards>",
        "<cards><cards><registrationId>R1</registrationId></cards></cards>",
    ],
)
def test_xml_list_of_one_row_is_a_list(cards: str) -> None:
    """A list of one element is read wrapped or not."""
    fields = read(f"<response><result><code>00001</code></result>{cards}</response>")
    accounts = record(LIST_STORED_CARDS, fields)
    assert isinstance(accounts, CustomerAccounts)
    assert [card.registration_id for card in accounts.cards] == ["R1"]


@pytest.mark.parametrize(
    "parameters",
    [
        "<listofParameters><name>MD</name><value>1</value></listofParameters>",
        "<parameters><parameter><name>MD</name><value>1</value></parameter></parameters>",
        "<parameters><parameters><name>MD</name><value>1</value></parameters></parameters>",
    ],
)
def test_xml_redirect_parameters_are_read(parameters: str) -> None:
    """The parameters of a redirect are read wrapped or not."""
    target = decode.redirect(
        read(f"<r><redirect><url>https://acs.example</url>{parameters}</redirect></r>")
    )
    assert target is not None
    assert target.parameters == (("MD", "1"),)


@given(st.text(alphabet=st.sampled_from('<>/abY"= x:?!&;[]-'), max_size=80))
def test_xml_of_any_shape_is_read_or_refused(text: str) -> None:
    """The reader raises nothing but `UnreadableError`."""
    with contextlib.suppress(UnreadableError):
        assert isinstance(read(f"<r>{text}</r>"), dict)
