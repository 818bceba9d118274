"""Text from outside on a terminal and in a log."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.printable import MAX_LENGTH, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("declined\nrefund: done", r"declined\nrefund: done"),
        ("a\r\nb\u2028c\u2029d\x85e", r"a\r\nb\u2028c\u2029d\x85e"),
        ("\x1b[31mred\x1b[0m \x9b2J", r"\x1b[31mred\x1b[0m \x9b2J"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\ud83d half, \0", r"\ud83d half, \x00"),
        ("a\u00a0b\u3000c", "a b c"),
        ("Zoë 😀 [/05]", "Zoë 😀 [/05]"),
    ],
)
def test_printable_escapes_invisible_characters(text: str, shown: str) -> None:
    """Line breaks, escapes, overrides, surrogates and NUL are escaped; letters stay."""
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=300), st.integers(1, 50))
def test_printable_any_text_is_safe(text: str, max_length: int) -> None:
    """The result is one printable line in UTF-8 of limited length that a database can store."""
    shown = printable(text, max_length)
    assert shown.isprintable()
    assert len(shown) <= max_length
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        assert database.execute("SELECT ?", (shown,)).fetchone() == (shown,)


def test_printable_long_text_is_truncated() -> None:
    """A long text ends with an ellipsis."""
    assert printable("x" * 3000) == "x" * (MAX_LENGTH - 1) + "…"
    assert printable("x" * MAX_LENGTH) == "x" * MAX_LENGTH
