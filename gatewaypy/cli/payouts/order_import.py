"""A file's orders on their way into a job: bad rows are told with their line, and so is what the journal says of the others."""

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
_UNSEALED: Final = (
    "must not contain a card number, because this journal is not encrypted; "
    "pay to a stored card, or give a job of your own encrypt="
)


@define(eq=False)
class OrderImport:
    """What became of a file's lines so far.

    ``known`` counts orders that the journal had already, ``conflicts`` those whose id it has with another amount or payee.
    """

    say: Callable[[str], None]
    new: int = 0
    known: int = 0
    conflicts: int = 0
    bad: int = 0
    is_read: bool = False
    # The lines of the orders that were given away and not planned yet: as many as a job plans at once.
    _lines: deque[int] = field(factory=deque)

    @property
    def read(self) -> int:
        """How many rows were read."""
        return self.taken + len(self._lines)

    @property
    def taken(self) -> int:
        """How many rows are planned, or told to be what they are."""
        return self.new + self.known + self.conflicts + self.bad

    @property
    def is_taken(self) -> bool:
        """Whether the whole file is: a row that was read need not be in the journal yet when a run is stopped."""
        return self.is_read and not self._lines

    def orders(self, path: Path, *, strict: bool) -> AsyncGenerator[PayoutOrder, None]:
        """Open a file and check its header; give its orders as they are asked for, read in a thread.

        A pipe is opened in the thread, since its writer may take its time.

        :raises InvalidRequest: for a header that no order fits; where it is strict, for a bad row.
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
        """Take note of what the journal says of orders, in the order in which they were given."""
        for order, row in zip(orders, rows, strict=True):
            line = self._lines.popleft()
            if row is None:
                self.known += 1
            elif isinstance(row, Conflict):
                self.conflicts += 1
                told = "conflict: the journal knows this id with another amount or payee; not paid"
                self.say(f"line {line} ({order.merchant_transaction_id}): {told}")
            else:
                self.new += 1


class ImportJournal(Journal):
    """A journal that tells a feed what it says of each order."""

    def __init__(self, url: str, member_id: str, feed: OrderImport) -> None:
        """Choose the store; nothing is opened yet."""
        super().__init__(url, member_id)
        self._feed = feed

    async def plan(
        self, orders: Sequence[PayoutOrder], *, batch: str = ""
    ) -> list[Row | Conflict | None]:
        """Write orders down, as any journal."""
        rows = await super().plan(orders, batch=batch)
        self._feed.planned(orders, rows)
        return rows


def rows_of(path: Path) -> Iterator[tuple[int, PayoutOrder | BadRow]]:
    """Read a file's rows; an order that must not lie in a journal as it is counts as a bad one."""
    return (
        (line, BadRow(line, f"{name}: {_UNSEALED}", row.merchant_transaction_id))
        if not isinstance(row, BadRow) and (name := row.card_number_field) is not None
        else (line, row)
        for line, row in OrderFile(path)
    )


def check_whole(path: Path) -> None:
    """Read a file from its beginning to its end.

    :raises InvalidRequest: for its first bad row.
    """
    for _, row in rows_of(path):
        if isinstance(row, BadRow):
            raise row.to_error(shown_name(path))


def is_read_twice(path: Path) -> bool:
    """Tell whether a file can be read more than once: a pipe cannot."""
    return stat.S_ISREG(path.stat().st_mode)


def about_how_many(path: Path) -> int:
    """Count a file's lines without its header: about as many orders are in it."""
    with path.open("rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE), b""))
    return lines - (path.suffix.lower() == CSV)
