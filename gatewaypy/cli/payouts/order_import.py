"""Importing a file's orders into a job, with a message for each bad row and each conflict."""

from __future__ import annotations

import contextlib
import stat
from collections import deque
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.payouts import BadRow, Journal, OrderFile, read_in_thread
from gatewaypy.payouts.journal.rows import Conflict
from gatewaypy.payouts.order_files import CSV, shown_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from pathlib import Path

    from gatewaypy.payouts import PayoutOrder
    from gatewaypy.payouts.journal.rows import Row

_PIECE: Final = 1 << 20
_NOT_ENCRYPTED: Final = (
    "must not contain a card number, because this journal is not encrypted; "
    "pay to a stored card, or give a job of your own encrypt="
)


@define(eq=False)
class OrderImport:
    """The import of one file.

    Args:
        say: Prints a message.
        new: Number of orders that are new in the journal.
        known: Number of orders that the journal had already.
        conflicts: Number of orders whose id the journal has with another amount or payee.
        bad: Number of bad rows.
        is_read: Whether the whole file was read.
    """

    say: Callable[[str], None]
    new: int = 0
    known: int = 0
    conflicts: int = 0
    bad: int = 0
    is_read: bool = False
    # The lines of the orders that were read and are not planned yet.
    _lines: deque[int] = field(factory=deque)

    @property
    def read(self) -> int:
        """Number of rows that were read."""
        return self.taken + len(self._lines)

    @property
    def taken(self) -> int:
        """Number of rows that are planned or reported."""
        return self.new + self.known + self.conflicts + self.bad

    @property
    def is_taken(self) -> bool:
        """Whether all rows are taken. A stopped run may have read rows that are not planned."""
        return self.is_read and not self._lines

    def orders(self, path: Path, *, strict: bool) -> AsyncGenerator[PayoutOrder, None]:
        """Open a file, and yield its orders, which a thread reads.

        A pipe is opened in the thread, because its writer may be slow.

        Raises:
            InvalidRequest: The header is invalid, or with `strict` a row is bad.
        """
        opened = rows_of(path) if is_read_twice(path) else None
        rows = read_in_thread(lambda: rows_of(path) if opened is None else opened)
        return self._orders(shown_name(path), rows, strict=strict)

    async def _orders(
        self,
        name: str,
        rows: AsyncGenerator[tuple[int, PayoutOrder | BadRow], None],
        *,
        strict: bool,
    ) -> AsyncGenerator[PayoutOrder, None]:
        async with contextlib.aclosing(rows):
            async for line, row in rows:
                if isinstance(row, BadRow):
                    if strict:
                        raise row.to_error(name)
                    self.bad += 1
                    self.say(str(row))
                    continue
                self._lines.append(line)
                yield row
        self.is_read = True

    def planned(self, orders: Sequence[PayoutOrder], rows: Sequence[Row | Conflict | None]) -> None:
        """Count the journal's answers to orders, in the order in which they were yielded."""
        for order, row in zip(orders, rows, strict=True):
            line = self._lines.popleft()
            if row is None:
                self.known += 1
            elif isinstance(row, Conflict):
                self.conflicts += 1
                self.say(
                    f"line {line} ({order.merchant_transaction_id}): conflict: the journal has this"
                    " id with another amount or payee; not paid"
                )
            else:
                self.new += 1


class ImportJournal(Journal):
    """A journal that reports each planned order to an import."""

    def __init__(self, url: str, member_id: str, feed: OrderImport) -> None:
        """Choose the store; nothing is opened yet."""
        super().__init__(url, member_id)
        self._feed = feed

    async def plan(
        self, orders: Sequence[PayoutOrder], *, batch: str = ""
    ) -> list[Row | Conflict | None]:
        """Plan orders, and count the answers."""
        rows = await super().plan(orders, batch=batch)
        self._feed.planned(orders, rows)
        return rows


def rows_of(path: Path) -> Iterator[tuple[int, PayoutOrder | BadRow]]:
    """Read a file's rows; an order with a card number is a bad row."""
    return (
        (line, BadRow(line, f"{name}: {_NOT_ENCRYPTED}", row.merchant_transaction_id))
        if not isinstance(row, BadRow) and (name := row.card_number_field) is not None
        else (line, row)
        for line, row in OrderFile(path)
    )


def check_whole(path: Path) -> None:
    """Read a whole file.

    Raises:
        InvalidRequest: A row is bad.
    """
    for _, row in rows_of(path):
        if isinstance(row, BadRow):
            raise row.to_error(shown_name(path))


def is_read_twice(path: Path) -> bool:
    """Return whether a file can be read more than once. A pipe cannot."""
    return stat.S_ISREG(path.stat().st_mode)


def about_how_many(path: Path) -> int:
    """Return the approximate number of orders of a file: its lines without the header."""
    with path.open("rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE), b""))
    return lines - (path.suffix.lower() == CSV)
