"""Decoding of bytes to text."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatewaypy.protocol.charset import CHARSETS, declared_charset, decode_text, find_guessed_field

WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        ("application/json", None),
        ("", None),
        ("application/json;charset=ISO-8859-1", "iso8859-1"),
        ('application/json; charset="iso-8859-15"', "iso8859-15"),
        ("application/json; CHARSET = 'UTF-8'", "utf-8"),
        ("text/xml; version=1; charset=Cp1252", "cp1252"),
        ('text/xml; title="a;charset=utf-8"; charset=latin1', "latin-1"),
        ("application/json; charset=utf-8, application/json", "utf-8"),
        ("application/json; charset=", None),
        ("application/json; charset=klingon", None),
        *(
            (f"application/json; charset={name}", None)
            for name in ("utf-7", "punycode", "idna", "rot13", "unicode_escape")
        ),
        *(
            (f"application/json; charset={name}", None)
            for name in ("zip", "hex", "base64", "cp037", "cp500", "IBM1047", "mbcs")
        ),
        ("application/json" + ";" * 100_000 + "charset=latin1", None),
    ],
)
def test_declared_charset_name_is_read(content_type: str, codec: str | None) -> None:
    """A charset is read in any case and in quotes; any unknown charset counts as undeclared."""
    assert declared_charset(content_type) == codec


@pytest.mark.parametrize("codec", sorted(set(CHARSETS.values())))
def test_charset_ascii_bytes_are_ascii(codec: str) -> None:
    """ASCII bytes decode to ASCII in every charset that can be declared, ids included."""
    ascii_text = "".join(map(chr, range(128)))
    assert ascii_text.encode("ascii").decode(codec) == ascii_text


@given(st.sampled_from(sorted(CHARSETS)), st.text(max_size=40))
def test_declared_text_round_trips(name: str, text: str) -> None:
    """Text in a declared charset is read as it was written."""
    try:
        body = f"{{{text}".encode(CHARSETS[name])
    except UnicodeEncodeError:
        assume(False)
    # Some charsets have two characters for one code.
    assume(body.decode(CHARSETS[name]) == f"{{{text}" and "\0" not in text[:3])
    assert decode_text(body, f"application/json; charset={name}") == (f"{{{text}", False)


@given(
    st.sampled_from(WIDE),
    st.text(max_size=40),
    st.sampled_from(["", "; charset=utf-16", "; charset=latin1"]),
)
def test_wide_text_round_trips(codec: str, text: str, label: str) -> None:
    """UTF-16 and UTF-32 are detected by their first bytes, with any declaration."""
    assume(
        "\0" not in text[:3] and all(not "\ud800" <= character <= "\udfff" for character in text)
    )
    assert decode_text(f"{{{text}".encode(codec), f"application/json{label}") == (
        f"{{{text}",
        False,
    )


@pytest.mark.parametrize(
    ("body", "content_type", "text", "is_guessed"),
    [
        (b"{\xfc}", "application/json;charset=ISO-8859-1", "{ü}", False),
        (b"{\xfc}", "application/json", "{ü}", True),
        (b"{\xfc}", "application/json; charset=utf-8", "{ü}", True),
        (b"{\xc3\xbc}", "application/json; charset=us-ascii", "{ü}", False),
        (b"{\xc3\xbc}", "application/json; charset=utf-16", "{ü}", False),
        (b"\xef\xbb\xbf{\xc3\xbc}", "application/json; charset=ISO-8859-1", "{ü}", False),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "application/json", "\ufeff{}", False),
        (b"{\x81}", "application/json; charset=windows-1252", "{\x81}", True),
        ("{表}".encode("shift-jis"), "application/json; charset=Shift_JIS", "{表}", False),
        (b'<?xml version="1.0" encoding="ISO-8859-15"?><a>\xa4</a>', "text/xml", "€", False),
        (b'<?xml version="1.0" encoding="utf-7"?><a>+AOQ-</a>', "text/xml", "+AOQ-", False),
        (
            b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xc3\xbc</a>',
            "text/xml; charset=utf-8",
            "ü",
            False,
        ),
    ],
)
def test_decode_text_charset_is_found(
    body: bytes, content_type: str, text: str, is_guessed: bool
) -> None:
    """The byte order mark decides, then the declaration, then UTF-8; the rest is Latin-1."""
    decoded, guessed = decode_text(body, content_type)
    assert (text in decoded, guessed) == (True, is_guessed)
    assert decoded == text or decoded.startswith("<?xml")


@given(st.binary(max_size=60), st.text(max_size=20))
def test_decode_text_never_fails(body: bytes, label: str) -> None:
    """Any bytes under any label decode to some text."""
    decode_text(body, f"application/json; charset={label}")
    decode_text(body, label)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"remark": "ü", "card": {"holder": "ü"}, "customer": [{"surname": "ü"}]}, None),
        ({"paymentId": "ü"}, "paymentId"),
        (
            {"transaction": [{"merchantTransactionId": "1"}, {"transactionStatus": "Ý"}]},
            "transactionStatus",
        ),
        ({"result": {"code": "٠٠٠٠١", "description": "ü"}}, "code"),
        ({"captureamount": "１"}, "captureamount"),
        ({"checksum": ["ü"]}, "checksum"),
    ],
)
def test_find_guessed_field_returns_deciding_field(value: object, name: str | None) -> None:
    """In guessed text only names and remarks may have any character; ids and amounts may not."""
    assert find_guessed_field(value) == name
