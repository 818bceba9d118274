"""The transaction list: all payments and payouts between two days, page by page."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from gatewaypy.errors import InvalidRequest, UnreadableReply
from gatewaypy.models import Statement
from gatewaypy.protocol import operations, requests
from gatewaypy.resources.resource import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import date

    from gatewaypy.models import Transaction
    from gatewaypy.pipeline.pipeline import Pipeline

_SECOND_PAGE: Final = 2


def _digest(row: Transaction) -> bytes:
    """Return a digest that two rows share only if all of their fields are equal."""
    return hashlib.blake2b(
        json.dumps(dict(row.raw), sort_keys=True).encode(), digest_size=16
    ).digest()


class TransactionList(Resource):
    """The result of ``gateway.transactions(...)``: iterate over it, or call `pages` or `statement`.

    Each iteration requests the list again. New transactions move rows to later pages while the
    pages are read. Such a row is returned once: it is the same row if all of its fields are
    equal. Two different rows of one payment are both returned.

    With ``status``, a row that no longer matches leaves the list. It moves the rows after it to
    earlier pages, and one of them can be missed. For statements, list days that are over, without
    ``status``.
    """

    def __init__(
        self,
        get_pipeline: Callable[[], Pipeline],
        *,
        start: date,
        end: date,
        status: str | None,
        page_size: int,
    ) -> None:
        super().__init__(get_pipeline)
        if type(page_size) is not int or page_size < 1:
            raise InvalidRequest(
                "pagination.records",
                "must be an integer of at least 1",
                operation=operations.TRANSACTION_LIST.name,
            )
        self._start = start
        self._end = end
        self._status = status
        self._page_size = page_size

    async def __aiter__(self) -> AsyncIterator[Transaction]:
        """Iterate over the transactions."""
        async for page in self.pages():
            for transaction in page:
                yield transaction

    async def pages(self) -> AsyncIterator[tuple[Transaction, ...]]:
        """Iterate over the pages, up to the first empty one.

        A short page does not end the list: the gateway may have a limit of its own.

        Yields:
            The new rows of each page.

        Raises:
            UnreadableReply: A page had no usable answer, or was returned twice.
        """
        number, seen = 1, set[bytes]()
        last: tuple[bytes, ...] = (b"",)
        while True:
            page = await self._page(number)
            digests = tuple(_digest(row) for row in page)
            if page and digests == last:
                # Some gateways return the last page again after the end. If it was short, the
                # list is complete.
                if len(page) < self._page_size and (
                    number > _SECOND_PAGE or await self._has_pages(page)
                ):
                    return
                reason = (
                    f"page {number} of the list repeats page {number - 1}; "
                    "the gateway does not number pages as expected"
                )
                raise UnreadableReply(reason, operation=operations.TRANSACTION_LIST.name)
            if not page:
                return
            # Equal rows of one page are different transactions: a gateway does not list one twice
            # on a page.
            yield tuple(
                row for row, digest in zip(page, digests, strict=True) if digest not in seen
            )
            seen.update(digests)
            number, last = number + 1, digests

    async def statement(self) -> Statement:
        """Add up the captured, refunded, charged back and paid out amounts, per currency.

        Returns:
            The sums.

        Raises:
            UnreadableReply: As in `pages`.
        """
        statement = Statement()
        async for transaction in self:
            statement.add(transaction)
        return statement

    async def _has_pages(self, page: tuple[Transaction, ...]) -> bool:
        """Request the second row alone: a gateway that ignores page numbers returns the first."""
        if len(page) == 1:
            return True
        second = await self._page(_SECOND_PAGE, 1)
        return [_digest(row) for row in second] == [_digest(page[1])]

    async def _page(self, number: int, page_size: int | None = None) -> tuple[Transaction, ...]:
        request = requests.transaction_list(
            platform=self._get_pipeline().platform,
            start=self._start,
            end=self._end,
            status=self._status,
            page=number,
            page_size=page_size or self._page_size,
        )
        page: tuple[Transaction, ...] = await self._run(request)
        return page
