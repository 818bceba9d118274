"""Records of a binary file: CSV records, delimited outside quotes, and lines of JSON Lines."""

from __future__ import annotations

import codecs
import re
from itertools import chain
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, TypeAlias

#: The largest record that is read, in bytes without its line end. An order is far smaller, and
#: memory must not grow with a file that has no line ends or never closes a quote.
LONGEST_RECORD: Final = 65_536
_PIECE: Final = LONGEST_RECORD + 1
_END: Final = b""
_TOO_LONG: Final = f"must have at most {LONGEST_RECORD:,} bytes"
_MISQUOTED: Final = (
    "must be CSV with commas between values; quotes must enclose a whole value, and be doubled"
    " in it"
)
_UNCLOSED: Final = (
    "must close the quote that is opened here, before a comma or the line end; the end of the"
    " value is unknown, so nothing from here on was read"
)
_ESCAPED: Final = (
    "must not escape a quote or a line end with a backslash; double the quote. The end of the"
    " value is unknown, so nothing from here on was read"
)
_ESCAPED_QUOTE: Final = re.compile(rb'\\"')
_ESCAPED_LINE_END: Final = re.compile(rb"\\\r?\n\Z")
#: What spreadsheets write for an empty row: separators, empty quotes and blanks.
_BLANK: Final = re.compile(rb'[\s,"]*')
#: What stands between values in files that other programs call CSV.
SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_QUOTED_OTHERWISE: Final = re.compile(rb'"([;\t|])"')
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_AFTER_VALUE: Final = frozenset(b",\r\n")
_NEXT: Final = re.compile(rb'[",]')

#: The number of a record's first line, and its bytes or why it is not a row.
Record: TypeAlias = "tuple[int, bytes | InvalidRequest]"


def csv_records(file: BinaryIO, name: str) -> Iterator[Record]:
    """Read CSV records. A record ends at LF or CRLF outside quotes. Blank records are skipped.

    Args:
        file: The file.
        name: The file's name, for the error.

    Yields:
        The number of a record's first line, and its bytes or why it is not a row.

    Raises:
        InvalidRequest: The end of a value is unknown: a quote is not closed or is misplaced, or a
            backslash precedes a quote, or a line end outside quotes. It names the line. Nothing
            after it is read.
    """
    number, first, record, quotes, before = 0, 0, _Bytes(), _Quotes(), b""
    for piece in chain(_pieces(file), (_END,)):
        if piece:
            number += quotes.is_at_line_begin
            first = first or number
            quotes.read(piece, number)
            record.add(piece)
            is_escaped = _ESCAPED_QUOTE.search(before + piece) or (
                not quotes.is_inside and _ESCAPED_LINE_END.search(before + piece)
            )
            before = piece[-2:]
            if is_escaped:
                # As below.
                del piece, is_escaped
                raise _escaped(name, number)
            if not piece.endswith(b"\n"):
                continue
        is_misquoted = quotes.is_misplaced
        if quotes.end_line() or (quotes.is_inside and not piece):
            # A frame that raises stays in the traceback, with the values of its names.
            del piece
            raise _unclosed(name, quotes.opened)
        if quotes.is_inside:
            continue
        content, line, first = record.take(), first, 0
        if is_misquoted:
            yield line, _misquoted(content)
        elif not isinstance(content, bytes) or not _BLANK.fullmatch(content):
            yield line, content
        del content


def line_records(file: BinaryIO) -> Iterator[Record]:
    """Read lines that end in LF or CRLF. Blank lines are skipped."""
    number, record, is_at_begin = 0, _Bytes(), True
    for piece in _pieces(file):
        number += is_at_begin
        record.add(piece)
        is_at_begin = piece.endswith(b"\n")
        if is_at_begin:
            content = record.take()
            if not isinstance(content, bytes) or content.strip():
                yield number, content
    content = record.take()
    if not isinstance(content, bytes) or content.strip():
        yield number, content


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Read lines in pieces of limited size. A last line that is being written is read on."""
    piece = file.readline(_PIECE).removeprefix(codecs.BOM_UTF8)
    while piece:
        yield piece
        piece = file.readline(_PIECE)


def wrong_separator(separator: str) -> InvalidRequest:
    """Build the error of a record with another separator than the comma."""
    return InvalidRequest("separator", "must be a comma between values", SEPARATORS[separator])


def _misquoted(content: bytes | InvalidRequest) -> InvalidRequest:
    found = _QUOTED_OTHERWISE.search(content) if isinstance(content, bytes) else None
    return (
        InvalidRequest("line", _MISQUOTED) if found is None else wrong_separator(found[1].decode())
    )


def _escaped(name: str, line: int) -> InvalidRequest:
    return InvalidRequest(f"{name}, line {line}", _ESCAPED)


def _unclosed(name: str, line: int) -> InvalidRequest:
    return InvalidRequest(f"{name}, line {line}", _UNCLOSED)


@define(eq=False)
class _Bytes:
    """The bytes of one record, up to the limit."""

    _pieces: list[bytes] = field(factory=list, repr=False)
    _length: int = 0

    def add(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > LONGEST_RECORD + len(b"\r\n"):
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def take(self) -> bytes | InvalidRequest:
        """Return the record without its line end, and start the next."""
        content = b"".join(self._pieces).removesuffix(b"\n").removesuffix(b"\r")
        is_too_long = self._length > LONGEST_RECORD + len(b"\r\n") or len(content) > LONGEST_RECORD
        self._pieces, self._length = [], 0
        return InvalidRequest("line", _TOO_LONG) if is_too_long else content


@define(eq=False)
class _Quotes:
    """Parser state for the quotes of a file.

    A quote is misplaced if it is inside a value that is not quoted, or if a closing quote is
    followed by another character than a comma or a line end. CSV parsers disagree about the rest
    of such a line. If the line started outside a value and has an even number of quotes, they
    agree that the record ends with the line. Otherwise the end of the value is unknown.
    """

    #: The line on which the latest quoted value was opened, or a quote was misplaced.
    opened: int = 0
    is_inside: bool = False
    is_misplaced: bool = False
    is_at_line_begin: bool = True
    _began_inside: bool = False
    _is_value_begin: bool = True
    _is_closed: bool = False
    _count: int = 0

    def read(self, piece: bytes, line: int) -> None:
        """Parse a piece of a line."""
        self.is_at_line_begin = piece.endswith(b"\n")
        count = piece.count(b'"')
        self._count += count
        if self.is_misplaced:
            return
        if not count and not self._is_closed:
            self._is_value_begin = piece.endswith(b",")
            return
        self._follow(piece, line)

    def _follow(self, piece: bytes, line: int) -> None:
        at = 0
        while at < len(piece):
            if self.is_inside:
                at = piece.find(b'"', at) + 1
                if not at:
                    return
                self.is_inside, self._is_closed = False, True
            elif self._is_closed:
                self._is_closed = False
                self.is_inside = piece[at] == _QUOTE
                self._is_value_begin = piece[at] == _COMMA
                if not self.is_inside and piece[at] not in _AFTER_VALUE:
                    # The line of the value that was closed too early is reported.
                    self.is_misplaced = True
                    return
                at += 1
            elif self._is_value_begin and piece[at] == _QUOTE:
                self.is_inside, self.opened = True, line
                at += 1
            else:
                found = _NEXT.search(piece, at)
                if found is None:
                    self._is_value_begin = False
                    return
                at = found.end()
                self._is_value_begin = found[0] == b","
                if found[0] == b'"':
                    self.is_misplaced, self.opened = True, line
                    return

    def end_line(self) -> bool:
        """End a line; return True if the end of a value with a misplaced quote is unknown."""
        is_unknown = self.is_misplaced and (self._began_inside or self._count % 2 == 1)
        self.is_inside = self.is_inside and not self.is_misplaced
        self._began_inside = self.is_inside
        self.is_misplaced = self._is_closed = False
        self._is_value_begin, self._count = True, 0
        return is_unknown
