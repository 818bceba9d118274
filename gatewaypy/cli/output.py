"""The output of commands: plain text, tables and CSV.

Text from outside (the gateway, a customer, a file) is never read as rich's markup and cannot move
the cursor. Ids and amounts are never cut. A table that does not fit the terminal is written with
one value a line.
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

#: The beginning of a cell that a spreadsheet reads as a formula, with or without leading blanks.
_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
#: A number, with or without a currency. It is not a formula.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?( [A-Z]{3})?", re.ASCII)
_LONGEST_LINE: Final = 1 << 20
_HAS_ZONE: Final = re.compile(r".*[0-9](Z|[+-][0-9]{2}:?[0-9]{2})", re.ASCII)


class PlainConsole(Console):
    """A console that reads no markup, emoji codes or links in a text, and highlights nothing.

    Args:
        file: Where to write; standard output by default.
        ends_with_reader: Whether the command ends if its output is closed (``… | head``). A run of
            payouts continues.
    """

    def __init__(self, file: TextIO | None = None, *, ends_with_reader: bool = True) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False)
        self._ends_with_reader = ends_with_reader

    def on_broken_pipe(self) -> None:
        """End the command, or stop writing."""
        self.quiet = True
        discard_output()
        if self._ends_with_reader:
            raise BrokenPipeError

    def say(self, text: str = "") -> None:
        """Write one line as it is, however long."""
        self.out(plain(text), highlight=False)


def discard_output() -> None:
    """Discard standard output from now on, so that Python's writes at exit do not fail."""
    discarded = os.open(os.devnull, os.O_WRONLY)
    os.dup2(discarded, sys.stdout.fileno())
    os.close(discarded)


def plain(text: str) -> str:
    """Make a text harmless for a terminal, without cutting it."""
    return printable(text, _LONGEST_LINE)


def show_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
) -> None:
    """Write a table, or one value a line if the terminal is too narrow.

    Args:
        console: Where to write.
        columns: The column names; if all are empty, only the rows are written.
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
    """Writes rows as CSV in which a spreadsheet finds no formula."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file)

    def write(self, cells: Iterable[Any]) -> None:
        """Write a row; ``None`` is an empty cell."""
        self._writer.writerow([cell_of(cell) for cell in cells])


def cell_of(value: Any) -> str:  # noqa: ANN401 - any value
    """Write a value as a CSV cell.

    A text that a spreadsheet would read as a formula gets an apostrophe in front. A number, such as
    ``-12.50`` or ``-12.50 EUR``, is not changed. Control characters and characters without a width
    are written as escapes, because CSV is also read on a terminal and a spreadsheet may skip them.
    """
    text = "" if value is None else str(value)
    shown = plain(text)
    return f"'{shown}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else shown


def utc(value: object) -> str:
    """Format a time of a store, which is in UTC, as ``2026-11-26T22:15:43Z``."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def has_zone(text: str) -> bool:
    """Return whether a time of the gateway has a zone; most do not."""
    return _HAS_ZONE.fullmatch(text) is not None
