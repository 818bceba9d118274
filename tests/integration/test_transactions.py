"""The transaction list page by page, and its sums."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import respx

from gatewaypy import Card, Gateway, HttpxTransport, Money, Outcome, Platform, Timeouts, errors
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CARD = Card("4000000000000051", 7, 2030, "745")
BASE = "https://gateway.example"
DAY = date(2026, 2, 9)


def eur(amount: str) -> Money:
    return Money(amount, "EUR")


async def test_list_reads_every_page(client: Gateway, sandbox: Sandbox) -> None:
    """The gateway's limit of 100 rows a page loses no row with any page size."""
    for number in range(205):
        await client.debit(eur("1.00"), CARD, merchant_transaction_id=f"ORDER-{number}")
    today = datetime.now(UTC).date()
    pages = [
        page
        async for page in client.transactions(today - timedelta(1), today, page_size=150).pages()
    ]
    assert [len(page) for page in pages] == [100, 100, 5]
    assert len({row.payment_id for page in pages for row in page}) == 205
    assert sandbox.requests["transaction list"] == 4


async def test_list_filters_days_and_statuses(sandbox: Sandbox, client: Gateway) -> None:
    """Both days are included, others are not; a status returns only its own rows."""
    payments = [
        await client.debit(eur("1.00"), CARD, merchant_transaction_id=f"ORDER-{number}")
        for number in range(4)
    ]
    for payment, day in zip(payments, (8, 9, 10, 11), strict=True):
        sandbox.ledger.records[payment.payment_id or ""].created = datetime(
            2026, 2, day, 23, 59, tzinfo=UTC
        ).timestamp()
    await client.refund(payments[2].payment_id or "", eur("1.00"))
    both = [row async for row in client.transactions(DAY, DAY + timedelta(1))]
    assert [row.merchant_transaction_id for row in both] == ["ORDER-1", "ORDER-2"]
    refunded = [
        row async for row in client.transactions(DAY, DAY + timedelta(1), status="reversed")
    ]
    assert [(row.payment_id, row.outcome, row.transaction_date) for row in refunded] == [
        (payments[2].payment_id, Outcome.REFUNDED, "2026-02-10 23:59:00")
    ]


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%m/%d/%Y"])
async def test_list_date_format_follows_the_platform(spelling: str) -> None:
    """9 February is not 2 September: the host reads the format of the platform."""
    platform = Platform(name="p", base_url="http://localhost", list_date_format=spelling)
    sandbox = Sandbox(platform=platform)
    async with Gateway(platform, MERCHANT, transport=HttpxTransport(app=sandbox)) as gateway:
        paid = await gateway.debit(eur("1.00"), CARD, merchant_transaction_id="ORDER-1")
        sandbox.ledger.records[paid.payment_id or ""].created = datetime(
            2026, 2, 9, 12, tzinfo=UTC
        ).timestamp()
        assert [row.payment_id async for row in gateway.transactions(DAY, DAY)] == [paid.payment_id]


async def test_statement_sums_every_kind(client: Gateway, sandbox: Sandbox) -> None:
    """Captures, refunds, chargebacks and payouts add up per currency, as in the ledger."""
    paid = [
        await client.debit(eur("50.00"), CARD, merchant_transaction_id=f"ORDER-{number}")
        for number in range(3)
    ]
    await client.refund(paid[0].payment_id or "", eur("20.00"))
    sandbox.settle(paid[1].payment_id or "")
    sandbox.charge_back(paid[1].payment_id or "")
    await client.payout(
        Money(700, "JPY"), merchant_transaction_id="PAYOUT-1", payment_id=paid[2].payment_id
    )
    held = await client.preauth(eur("10.00"), CARD, merchant_transaction_id="HELD")
    today = datetime.now(UTC).date()
    statement = await client.transactions(today - timedelta(1), today).statement()
    euros, yen = statement.by_currency["EUR"], statement.by_currency["JPY"]
    assert (euros.captured, euros.refunded, euros.charged_back, euros.net, euros.count) == (
        150,
        20,
        50,
        80,
        4,
    )
    assert (yen.paid_out, yen.net, yen.count) == (700, -700, 1)
    assert (statement.complete, held.succeeded) == (True, True)


@pytest.fixture
async def wire() -> AsyncIterator[Any]:
    """Answer the list with the test's own pages."""
    with respx.mock(base_url=f"{BASE}/transactionServices/REST/v1") as router:
        router.post("/authToken").mock(
            return_value=httpx.Response(
                200, json={"result": {"code": "200"}, "AuthToken": "a.b.c", "memberId": "1"}
            )
        )
        pages = router.post("/getTransactionList")
        timeouts = Timeouts(total=2, inquiry=0.5)
        async with Gateway(BASE, MERCHANT, timeouts=timeouts) as gateway:

            def answer(*replies: Any) -> Gateway:
                pages.mock(side_effect=[httpx.Response(200, json=reply) for reply in replies])
                return gateway

            yield answer


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "systemPaymentId": str(number),
        "amount": "1.00",
        "currency": "EUR",
        "transactionStatus": "settled",
    } | changes


def page(*rows: Any) -> dict[str, Any]:
    return {"result": {"code": "00026", "description": "found"}, "transaction": list(rows)}


EMPTY = {"result": {"code": "10026", "description": "Record not found"}}


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([EMPTY], []),
        ([page(row(1), row(2)), page(row(3)), EMPTY], ["1", "2", "3"]),
        ([page(row(1), row(2)), page(row(2), row(3)), EMPTY], ["1", "2", "3"]),
        ([page(row(1)), page(row(1))], ["1"]),
        ([{"result": {"code": "00026"}, "transaction": row(1)}, EMPTY], ["1"]),
        ([{"result": {"code": "00026"}}], []),
    ],
    ids=[
        "nothing",
        "pages",
        "a row that slipped",
        "the last page again",
        "one row as an object",
        "no rows",
    ],
)
async def test_list_overlapping_pages_repeat_no_row(
    wire: Callable[..., Gateway], replies: list[Any], expected: list[str]
) -> None:
    """No row is returned twice or lost, and the list ends."""
    gateway = wire(*replies)
    assert [
        found.payment_id async for found in gateway.transactions(DAY, DAY, page_size=2)
    ] == expected


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        (
            [page(row(1), row(2)), page(row(2, transactionStatus="reversed"), row(3)), EMPTY],
            ["1", "2", "2", "3"],
        ),
        (
            [page(row(1), row(1, desc="b")), page(row(1, desc="c"), row(1, desc="d")), EMPTY],
            ["1", "1", "1", "1"],
        ),
        (
            [page(row(1), row(2)), page(row(3), row(1)), page(row(2), row(4)), EMPTY],
            ["1", "2", "3", "4"],
        ),
        ([page(row(1), row(1)), EMPTY], ["1", "1"]),
        (
            [
                page({"amount": "1.00"}, {"amount": "2.00"}),
                page({"amount": "2.00"}, {"amount": "3.00"}),
                EMPTY,
            ],
            [None] * 3,
        ),
    ],
    ids=[
        "another row of it",
        "a page of one payment",
        "moved by more than a page",
        "equal on one page",
        "rows without an id",
    ],
)
async def test_list_rows_are_equal_only_as_a_whole(
    wire: Callable[..., Gateway], replies: list[Any], expected: list[Any]
) -> None:
    """Two rows of a payment at a page edge are both returned; a row that moved is returned once."""
    gateway = wire(*replies)
    assert [
        found.payment_id async for found in gateway.transactions(DAY, DAY, page_size=2)
    ] == expected


async def test_statement_counts_both_rows_at_page_edge(wire: Callable[..., Gateway]) -> None:
    """A payment's second row on the next page is in the sums."""
    first, second = row(1, captureamount="1.00"), row(1, captureamount="2.00")
    gateway = wire(page(row(2, captureamount="4.00"), first), page(second), EMPTY)
    statement = await gateway.transactions(DAY, DAY, page_size=2).statement()
    assert (statement.by_currency["EUR"].captured, statement.by_currency["EUR"].count) == (7, 3)


async def test_list_gateway_without_paging_raises(wire: Callable[..., Gateway]) -> None:
    """The same full page again means missing rows: an error, not a short list."""
    full = page(row(1), row(2))
    gateway = wire(full, full)
    pages = gateway.transactions(DAY, DAY, page_size=2).pages()
    assert len(await anext(pages)) == 2
    with pytest.raises(errors.UnreadableReply, match="page 2 of the list repeats page 1"):
        await anext(pages)


async def test_statement_names_unreadable_amounts(wire: Callable[..., Gateway]) -> None:
    """A row whose amount the library cannot read is in no sum, and its id is reported."""
    gateway = wire(page(row(1), row(2, amount="1.005"), row(3, refundamount="?")), EMPTY)
    statement = await gateway.transactions(DAY, DAY).statement()
    assert (statement.unreadable, statement.complete, statement.by_currency["EUR"].count) == (
        ["2", "3"],
        False,
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((DAY, DAY - timedelta(1)), "pagination.todate"),
        ((datetime(2026, 2, 9, tzinfo=UTC), DAY), "pagination.fromdate"),
        (("2026-02-09", DAY), "pagination.fromdate"),
    ],
    ids=range(3),
)
async def test_list_invalid_days_raise(
    client: Gateway, sandbox: Sandbox, arguments: Any, field: str
) -> None:
    """Days in reverse, with a time, or as text are refused before anything is sent."""
    with pytest.raises(errors.InvalidRequest) as refused:
        [found async for found in client.transactions(*arguments)]
    assert (refused.value.field, sandbox.requests) == (field, {})
    with pytest.raises(errors.InvalidRequest):
        client.transactions(DAY, DAY, page_size=0)


def test_list_row_keeps_unknown_fields() -> None:
    """A field that the library does not know is carried."""
    from gatewaypy.protocol.operations import TRANSACTION_LIST
    from gatewaypy.protocol.records import record

    (found,) = record(TRANSACTION_LIST, page(row(1, colour="red")))
    assert (found.extra["colour"], attrs.asdict(found, recurse=False)["payment_id"]) == ("red", "1")
