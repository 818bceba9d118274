"""Decode bytes: one rule for replies, callbacks, browser returns, forms and tokens.

Protocol section 2.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BOM: Final = "\ufeff"
_GUESS: Final = "latin-1"
_LONGEST_CONTENT_TYPE: Final = 256
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*("[^"]*"|[^\s;,]*)')
_XML_DECLARATION: Final = re.compile(
    rb"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']"""
)
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]+")

#: The charsets that a declaration may name, by their IANA, Windows and Java names without
#: punctuation, and Python's codec for each. Any other name counts as undeclared: Python has
#: codecs that are not charsets, or that read ASCII bytes as other text (UTF-7, EBCDIC). UTF-16
#: and UTF-32 are absent because a body's first bytes show them.
CHARSETS: Final[Mapping[str, str]] = {
    "utf8": "utf-8",
    "ascii": "ascii",
    "usascii": "ascii",
    "latin1": "latin-1",
    "latin9": "iso8859-15",
    **{f"iso8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
    **{
        f"{vendor}{page}": f"cp{page}"
        for vendor in ("windows", "cp")
        for page in (874, *range(1250, 1259))
    },
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "eucjp": "euc-jp",
    "euckr": "euc-kr",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
    "shiftjis": "shift-jis",
    "sjis": "shift-jis",
    "windows31j": "cp932",
}

#: Last parts of the names of deciding fields. If the charset of a text was guessed, their values
#: must be ASCII, which is the same in every possible charset.
_DECIDING: Final = ("id", "status", "amount", "currency", "checksum", "token")
_DECIDING_NAMES: Final = frozenset({"code", "resultcode", "desc"})


@lru_cache(maxsize=64)
def media_type(content_type: str) -> str:
    """Return a content type in lower case without its parameters."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=64)
def declared_charset(content_type: str) -> str | None:
    """Return Python's codec for the charset that a content type declares.

    The name may be quoted, in any case, with any punctuation.

    Returns:
        ``None`` if there is none, or one that is not in `CHARSETS`.
    """
    for name, value in _PARAMETER.findall(content_type[:_LONGEST_CONTENT_TYPE]):
        if name.lower() == "charset":
            return CHARSETS.get(_PUNCTUATION.sub("", value.lower()))
    return None


def decode_text(body: bytes, content_type: str) -> tuple[str, bool]:
    """Decode a body that begins with an ASCII character, as JSON, XML and forms do.

    A byte order mark, or the zero bytes of UTF-16 and UTF-32, decide first; then the charset
    that the content type or an XML declaration names; then UTF-8. If none of them fits, the
    bytes are read as Latin-1, which is a guess.

    Args:
        body: The bytes as they were received.
        content_type: The header as it was received; empty if there was none.

    Returns:
        The text without its byte order mark, and whether its charset was guessed. If it was, the
        caller must refuse what `find_guessed_field` finds.
    """
    declared = declared_charset(content_type)
    if declared is None and body.startswith(b"<?xml"):
        declared = _declared_in_xml(body)
    if declared in {None, "utf-8"} and b"\0" not in body[:4]:
        try:
            return body.decode().removeprefix(_BOM), False
        except UnicodeDecodeError:
            pass
    marked, body = _read_mark(body)
    codec = find_codec((body,), marked, declared)
    return body.decode(codec or _GUESS), codec is None


def find_codec(pieces: Iterable[bytes], *codecs: str | None) -> str | None:
    """Return the first codec, or UTF-8, that decodes every piece; ``None`` if there is none."""
    pieces = tuple(pieces)
    for codec in (*codecs, "utf-8"):
        if codec is None:
            continue
        try:
            for piece in pieces:
                piece.decode(codec)
        except UnicodeDecodeError:
            continue
        return codec
    return None


def decode_pieces(pieces: Iterable[bytes], content_type: str) -> tuple[list[str], bool]:
    """Decode the parts of a form after their percent signs were resolved, all by one charset.

    Returns:
        The texts, and whether their charset was guessed; see `decode_text`.
    """
    pieces = tuple(pieces)
    codec = find_codec(pieces, declared_charset(content_type))
    return [piece.decode(codec or _GUESS) for piece in pieces], codec is None


def find_guessed_field(value: Any, name: str = "") -> str | None:  # noqa: ANN401 - any JSON
    """Return the name of a deciding field that is not ASCII; ``None`` if there is none."""
    if isinstance(value, dict):
        return next(
            (found for inner, each in value.items() if (found := find_guessed_field(each, inner))),
            None,
        )
    if isinstance(value, list):
        return next((found for each in value if (found := find_guessed_field(each, name))), None)
    return name if isinstance(value, str) and not value.isascii() and is_deciding(name) else None


def is_deciding(name: str) -> bool:
    """Return whether a field of this name decides something: an id, a status, an amount, a code."""
    lowered = name.lower()
    return lowered.endswith(_DECIDING) or lowered in _DECIDING_NAMES


def _declared_in_xml(body: bytes) -> str | None:
    found = _XML_DECLARATION.match(body[:_LONGEST_CONTENT_TYPE])
    return CHARSETS.get(_PUNCTUATION.sub("", found[1].decode("ascii").lower())) if found else None


def _read_mark(body: bytes) -> tuple[str | None, bytes]:
    """Return the codec that the first bytes show, and the bytes after a byte order mark."""
    # UTF-32 first: the mark of UTF-16 is the beginning of its own.
    for mark, codec in (
        (BOM_UTF8, "utf-8"),
        (BOM_UTF32_LE, "utf-32-le"),
        (BOM_UTF32_BE, "utf-32-be"),
        (BOM_UTF16_LE, "utf-16-le"),
        (BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(mark):
            return codec, body.removeprefix(mark)
    # The first character is ASCII, so that its other bytes are zero (RFC 4627, section 3).
    match [byte != 0 for byte in body[:4]]:
        case [False, False, False, True]:
            return "utf-32-be", body
        case [True, False, False, False]:
            return "utf-32-le", body
        case [False, True, *_]:
            return "utf-16-be", body
        case [True, False, *_]:
            return "utf-16-le", body
    return None, body
