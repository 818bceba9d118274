"""Parsing of forms."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.form import read_pairs

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type", "pairs", "is_guessed"),
    [
        (b"a=1&b=2&", FORM, [("a", "1"), ("b", "2")], False),
        (b"a=1&flag&&b=", FORM, [("a", "1"), ("flag", ""), ("b", "")], False),
        (b"a=b=c+d%2B", FORM, [("a", "b=c d+")], False),
        (b"n=%C3%BC", FORM, [("n", "ü")], False),
        (b"n=%FC&m=\xfc", FORM, [("n", "ü"), ("m", "ü")], True),
        (b"n=%A4", f"{FORM}; charset=ISO-8859-15", [("n", "€")], False),
        (b"n=%95\\", f"{FORM}; charset=Shift_JIS", [("n", "表")], False),
        (b"\xef\xbb\xbfn=\xc3\xbc", FORM, [("n", "ü")], False),
        ("n=ü&m=%FC".encode("utf-16"), FORM, [("n", "Ã¼"), ("m", "ü")], True),
        (b"%00a=1", FORM, [("\0a", "1")], False),
        (b"", FORM, [], False),
    ],
)
def test_read_pairs_uses_one_charset(
    body: bytes,
    content_type: str,
    pairs: list[tuple[str, str]],
    is_guessed: bool,
) -> None:
    """Raw and percent-encoded bytes have one charset; a trailing ``&`` or bare name is harmless."""
    assert read_pairs(body, content_type, max_fields=10) == (pairs, is_guessed)


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=8)), min_size=1, max_size=5
    )
)
def test_read_pairs_encoded_form_round_trips(pairs: list[tuple[str, str]]) -> None:
    """A form that was encoded as UTF-8 is read as it was."""
    assert read_pairs(urlencode(pairs, errors="surrogatepass").encode(), FORM, max_fields=10)[
        0
    ] == pairs or any(
        "\ud800" <= character <= "\udfff" for pair in pairs for character in "".join(pair)
    )


def test_read_pairs_too_many_fields_raises() -> None:
    """A form has a maximum number of fields."""
    with pytest.raises(ValueError, match="more than 2"):
        read_pairs(b"a=1&b=2&c=3", FORM, max_fields=2)


@given(st.binary(max_size=60), st.sampled_from([FORM, f"{FORM}; charset=latin1", ""]))
def test_read_pairs_never_fails(body: bytes, content_type: str) -> None:
    """Any bytes are some pairs."""
    read_pairs(body, content_type, max_fields=100)
