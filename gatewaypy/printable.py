"""Text from outside, made fit for a terminal, a log line, an error message and every database."""

from __future__ import annotations

import re
from typing import Final

#: The longest text that is stored or shown, in characters.
MAX_LENGTH: Final = 2000

_NOT_ASCII_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_CUT: Final = "…"


def printable(text: str, max_length: int = MAX_LENGTH) -> str:
    r"""Return a text on one line that neither moves a cursor nor hides what it says.

    Control characters, terminal escapes, line and paragraph separators, bidirectional overrides, characters without a width,
    NUL and unpaired surrogates are written as Python writes them: ``\x1b``, ``\n``, ``\u202e``. Blanks of any kind become
    blanks.

    Args:
        text: Any text.
        max_length: In characters. A longer text ends with an ellipsis.
    """
    if len(text) <= max_length and text.isprintable():
        return text
    shown = _NOT_ASCII_PRINTABLE.sub(_escaped, text[: max_length + 1])
    return shown if len(shown) <= max_length and len(text) <= max_length else shown[: max_length - 1] + _CUT


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    # Line breaks are blanks for Python, too: they are shown.
    if character.isspace() and character not in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    return character.encode("unicode_escape").decode("ascii")
