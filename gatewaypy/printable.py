"""Escaping of foreign text, for terminals, log lines, error messages and databases."""

from __future__ import annotations

import re
import traceback
from typing import Final

#: Maximum length of a text that is stored or shown, in characters.
MAX_LENGTH: Final = 2000

_NOT_ASCII_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_CUT: Final = "…"


def printable(text: str, max_length: int = MAX_LENGTH) -> str:
    r"""Return a text on one line without characters that control or deceive a terminal.

    Control characters, terminal escapes, line and paragraph separators, bidirectional overrides,
    characters without a width, NUL and unpaired surrogates are escaped as in Python: ``\x1b``,
    ``\n``, ``\u202e``. Other white space becomes a space.

    Args:
        text: Any text.
        max_length: In characters. A longer text is cut and ends with an ellipsis.
    """
    if len(text) <= max_length and text.isprintable():
        return text
    shown = _NOT_ASCII_PRINTABLE.sub(_escaped, text[: max_length + 1])
    return (
        shown
        if len(shown) <= max_length and len(text) <= max_length
        else shown[: max_length - 1] + _CUT
    )


class UnprintableError(Exception):
    """Replaces an error in a log; its text is the error's type and escaped message."""


def printable_error(error: BaseException) -> BaseException:
    """Return an error whose traceback can be logged.

    The message, a note or a cause of an error can contain foreign text.

    Returns:
        The error itself, or an `UnprintableError` with its traceback if one of the messages
        contains a line break, an escape or the like.
    """
    left = [traceback.TracebackException.from_exception(error)]
    while left:
        shown = left.pop()
        # Each message ends with one line break.
        if not "".join(shown.format_exception_only()).removesuffix("\n").isprintable():
            return UnprintableError(printable(f"{type(error).__name__}: {error}")).with_traceback(
                error.__traceback__
            )
        left += [
            inner
            for inner in (shown.__cause__, shown.__context__, *(shown.exceptions or ()))
            if inner is not None
        ]
    return error


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    # Line breaks are white space for Python, but must be escaped.
    if character.isspace() and character not in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    return character.encode("unicode_escape").decode("ascii")
