"""Parsing of reply bodies."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import errors
from gatewaypy.protocol.parse import UnreadableError, parse
from gatewaypy.protocol.wire import WireReply


def read(body: bytes, kind: str = "application/json") -> dict[str, Any]:
    return parse(WireReply(200, kind, body))


def test_parse_scalars_keep_their_text() -> None:
    """Numbers stay as written: codes keep their zeros, amounts their decimals."""
    assert read(
        b'{"code": 10001, "amount": 50.00, "id": 12345678901234567890123, "text": "00001", "none": null}'
    ) == {
        "code": "10001",
        "amount": "50.00",
        "id": "12345678901234567890123",
        "text": "00001",
        "none": None,
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"   ", "application/json"),
        (b"<html><body>Sorry</body></html>", "text/html"),
        (b"<html></html>", "application/json"),
        (b"<html/>", "application/xhtml+xml"),
        (b'{"a": 1', "application/json"),
        (b"[]", "application/json"),
        (b'"text"', "application/json"),
        (b"null", "application/json"),
        (b'{"a": 1, "a": 2}', "application/json"),
        (b'{"a": {"b": 1, "b": 2}}', "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b'{"a": -Infinity}', "application/json"),
        (b'{"a": 1} trailing', "application/json"),
        (b'{"status": "\xff"}', "application/json"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "application/json"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json"),
        (b"<a><b></a>", "application/xml"),
        (b"<a>text</a>", "application/xml"),
        (b"<a/>", "application/xml"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a><b>&x;</b></a>', "application/xml"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x"><a><b>1</b></a>', "application/xml"),
        (b"<a><b>&x;</b></a>", "application/xml"),
        (b"<a>" * 30 + b"1" + b"</a>" * 30, "application/xml"),
        (b"<a>" * 5_000 + b"1" + b"</a>" * 5_000, "text/xml"),
    ],
)
def test_parse_other_body_is_unreadable(body: bytes, kind: str) -> None:
    """Only one JSON object or XML element is read; the error quotes none of it."""
    with pytest.raises(UnreadableError) as refused:
        read(body, kind)
    assert "Sorry" not in str(refused.value)
    assert refused.value.__context__ is None


def test_parse_xml_has_json_names() -> None:
    """Elements become fields, repeated ones a list, empty ones an empty string."""
    body = b"""<?xml version="1.0"?><response><paymentId>1</paymentId><remark/><result><code>00001</code></result>
    <row><a>1</a></row><row><a>2</a></row></response>"""
    assert read(body, "application/xml") == {
        "paymentId": "1",
        "remark": "",
        "result": {"code": "00001"},
        "row": [{"a": "1"}, {"a": "2"}],
    }


def test_parse_xml_without_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra is named."""
    monkeypatch.setitem(sys.modules, "xmltodict", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[xml\]"):
        read(b"<a><b>1</b></a>", "application/xml")


@given(
    st.binary(max_size=200),
    st.sampled_from(["application/json", "application/xml", "text/html", ""]),
)
def test_parse_any_bytes_are_read_or_refused(body: bytes, kind: str) -> None:
    """Any bytes are parsed or raise UnreadableError."""
    with contextlib.suppress(UnreadableError):
        assert isinstance(read(body, kind), dict)


JSON = st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5))
def test_parse_shallow_object_is_unchanged(fields: dict[str, Any]) -> None:
    """An object without numbers that is not deep is returned unchanged."""
    assert read(json.dumps(fields).encode()) == fields
