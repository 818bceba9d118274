"""What commands write: whole lines of plain text, tables and CSV, with the words of others made harmless.

Text from outside (the gateway, a customer, a file) is never read as rich's markup and cannot move the
cursor. Ids and amounts are never cut: a table is written in whole lines unless it fits the terminal.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.cells import cell_len
from rich.console import Console

from gatewaypy.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: A spreadsheet reads a cell that begins so as a formula, leading blanks or not.
_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
#: A number, with its currency or without, is no formula.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?( [A-Z]{3})?", re.ASCII)
_LONGEST_LINE: Final = 1 << 20
_HAS_ZONE: Final = re.compile(r".*[0-9](Z|[+-][0-9]{2}:?[0-9]{2})", re.ASCII)


class PlainConsole(Console):
    """A console that reads no markup, emoji codes or links in a text, and highlights nothing.

    Args:
        file: Where to write; standard output by default.
        ends_with_reader: Whether a reader that goes away (``… | head``) ends the command. A run of
            payouts goes on without it.
    """

    def __init__(self, file: TextIO | None = None, *, ends_with_reader: bool = True) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False)
        self._ends_with_reader = ends_with_reader

    def on_broken_pipe(self) -> None:
        """End the command, or write nothing any more."""
        self.quiet = True
        discard_output()
        if self._ends_with_reader:
            raise BrokenPipeError

    def say(self, text: str = "") -> None:
        """Write one line as it is, however long."""
        self.out(plain(text), highlight=False)


def discard_output() -> None:
    """Send standard output nowhere from now on: what Python still writes at its end must not fail."""
    discarded = os.open(os.devnull, os.O_WRONLY)
    os.dup2(discarded, sys.stdout.fileno())
    os.close(discarded)


def plain(text: str) -> str:
    """Make a text harmless for a terminal, and cut no line that a person may need whole."""
    return printable(text, _LONGEST_LINE)


def show_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
) -> None:
    """Write a table in whole lines; one value a line where a terminal is too narrow for it.

    Args:
        console: Where to write.
        columns: The heads; without any, only the rows are written.
        rows: The cells of each row, as many as there are columns.
        numbers: The columns that are aligned to the right.
    """
    lines = [[plain(cell) for cell in row] for row in (*([columns] if any(columns) else []), *rows)]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    if console.is_terminal and sum(widths) + 2 * (len(widths) - 1) > console.width and any(columns):
        _show_records(console, lines)
        return
    right = [name in numbers for name in columns]
    for cells in lines:
        padded = (
            " " * (width - cell_len(cell)) + cell
            if is_right
            else cell + " " * (width - cell_len(cell))
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        console.out("  ".join(padded).rstrip(), highlight=False)


def _show_records(console: Console, lines: Sequence[Sequence[str]]) -> None:
    names, *records = lines
    for record in records:
        for name, cell in zip(names, record, strict=True):
            if cell:
                console.out(f"{name}: {cell}", highlight=False)
        console.out("", highlight=False)


class CsvWriter:
    """Writes rows as CSV that a spreadsheet opens without running any of it."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file)

    def write(self, cells: Iterable[Any]) -> None:
        """Write a row; ``None`` is an empty cell."""
        self._writer.writerow([cell_of(cell) for cell in cells])


def cell_of(value: Any) -> str:  # noqa: ANN401 - any value
    """Write a value as a CSV cell.

    A text that a spreadsheet would read as a formula gets an apostrophe in front; a number, such as
    ``-12.50`` or ``-12.50 EUR``, stays as it is. Control characters and characters without a width
    are written as escapes: CSV is also read on a terminal, and a spreadsheet may skip them.
    """
    text = "" if value is None else str(value)
    shown = plain(text)
    return f"'{shown}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else shown


def utc(value: object) -> str:
    """Write a time of a store, which is in UTC, as ``2026-11-26T22:15:43Z``."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def has_zone(text: str) -> bool:
    """Return whether a time of the gateway's names its zone; most do not."""
    return _HAS_ZONE.fullmatch(text) is not None
