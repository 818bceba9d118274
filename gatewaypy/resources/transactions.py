"""The transaction list: every payment and payout between two days, page by page."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from gatewaypy.errors import InvalidRequest, UnreadableReply
from gatewaypy.models import Statement
from gatewaypy.protocol import operations, requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import date

    from gatewaypy.models import Transaction
    from gatewaypy.pipeline.pipeline import Pipeline

_SECOND: Final = 2


def _digest(row: Transaction) -> bytes:
    """Return a short value that two rows share only if they agree in every field."""
    return hashlib.blake2b(
        json.dumps(dict(row.raw), sort_keys=True).encode(), digest_size=16
    ).digest()


class TransactionList:
    """What ``gateway.transactions(…)`` returns: iterate over it, or over its :meth:`pages`, or have it added up.

    Each iteration asks the gateway again. New transactions move rows to a later page while the pages are read. Such a row is
    returned once: it is the same if all of its fields are. Two rows of one payment are two rows. A row that leaves the list
    meanwhile, because ``status`` no longer matches, moves the rows after it to an earlier page, and one of them can be missed:
    for statements list without ``status``, and days that are over.
    """

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        *,
        start: date,
        end: date,
        status: str | None,
        page_size: int,
    ) -> None:
        """Ask nothing yet."""
        if type(page_size) is not int or page_size < 1:
            raise InvalidRequest(
                "pagination.records",
                "an integer of at least 1",
                operation=operations.TRANSACTION_LIST.name,
            )
        self._pipeline = pipeline
        self._start = start
        self._end = end
        self._status = status
        self._page_size = page_size

    async def __aiter__(self) -> AsyncIterator[Transaction]:
        """Give transaction after transaction."""
        async for page in self.pages():
            for transaction in page:
                yield transaction

    async def pages(self) -> AsyncIterator[tuple[Transaction, ...]]:
        """Give page after page, until one is empty: a short page may just be the gateway's own limit.

        :raises UnreadableReply: where a page got no usable answer, or came twice.
        """
        number, seen = 1, set[bytes]()
        last: tuple[bytes, ...] = (b"",)
        while True:
            page = await self._page(number)
            digests = tuple(_digest(row) for row in page)
            if page and digests == last:
                # A gateway that answers past the end with the last page once more has told everything, if that page was short.
                if len(page) < self._page_size and (
                    number > _SECOND or await self._counts_pages(page)
                ):
                    return
                reason = f"page {number} of the list is page {number - 1} once more: the gateway does not count pages as expected"
                raise UnreadableReply(reason, operation=operations.TRANSACTION_LIST.name)
            if not page:
                return
            # Rows of one page that are equal are different rows; a gateway does not list one twice on a page.
            yield tuple(
                row for row, digest in zip(page, digests, strict=True) if digest not in seen
            )
            seen.update(digests)
            number, last = number + 1, digests

    async def statement(self) -> Statement:
        """Add up what was captured, refunded, charged back and paid out, per currency."""
        statement = Statement()
        async for transaction in self:
            statement.add(transaction)
        return statement

    async def _counts_pages(self, page: tuple[Transaction, ...]) -> bool:
        """Tell whether the gateway pages at all, by asking for one row, the second: one that does not gives the first."""
        if len(page) == 1:
            return True
        second = await self._page(_SECOND, 1)
        return [_digest(row) for row in second] == [_digest(page[1])]

    async def _page(self, number: int, page_size: int | None = None) -> tuple[Transaction, ...]:
        pipeline = self._pipeline()
        request = requests.transaction_list(
            platform=pipeline.platform,
            start=self._start,
            end=self._end,
            status=self._status,
            page=number,
            page_size=page_size or self._page_size,
        )
        page: tuple[Transaction, ...] = await pipeline.run(request)
        return page
