"""What each inbox statement reads on PostgreSQL, with an empty inbox and with 30,000 events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed
from support.statement_costs import prepare, prepared_costs, recorded
from support.stores import postgres_schema

from gatewaypy.callbacks import Inbox, verify_callback
from gatewaypy.callbacks.payment_progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MOST_ROWS = 300
MOST_BUFFERS = 1000
WAITING = {
    "due": ("'[\"payment ' || n || '\"]'", "0"),
    "one payment's": ("'[\"one\"]'", "0"),
    "not due": ("'[\"payment ' || n || '\"]'", "extract(epoch from now()) + 3000 + n"),
    "behind another": (
        "'[\"payment ' || n / 2 || '\"]'",
        "(n % 2) * (extract(epoch from now()) + 3000)",
    ),
}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async for made in postgres_schema():
        yield made


def event(number: int) -> Any:
    return verify_callback(
        signed(fields("capturesuccess", merchantTransactionId=f"TX-{number}")), MERCHANT
    )


async def statements_of(inbox: Inbox) -> list[Any]:
    """Call each method of an inbox once, and return its statements."""
    await inbox.put(event(1))
    await inbox.put(event(2))
    first, second = await inbox.claim(10)
    work: list[Callable[[], Awaitable[object]]] = [
        lambda: inbox.put(event(1)),
        lambda: inbox.claim(32),
        lambda: inbox.renew([first.id, second.id]),
        lambda: inbox.finish(first, "done", progress=Progress(first.names, "capturesuccess")),
        lambda: inbox.rename(second, second.names),
        lambda: inbox.has_kept(second.names),
        lambda: inbox.claim(32, signed=False),
        lambda: inbox.retry_later(second, 60.0, note="a handler failed"),
        lambda: inbox.progress_of(first.names),
        inbox.list_entries,
        lambda: inbox.replay(first.id),
        lambda: inbox.watch(
            member_id="11344", payment_id="7", merchant_transaction_id="TX-1", delay=0.0
        ),
        lambda: inbox.watched("11344", 20, 300.0),
        lambda: inbox.unwatch("x"),
    ]
    statements = []
    for do in work:
        statements += await recorded(inbox._store, do)
    return statements


async def fill(connection: Any, payment: str, due: str) -> None:
    await connection.execute(
        "INSERT INTO gatewaypy_inbox (key, payment, member, signed, fields, state, due, received_at)"  # noqa: S608 - the test's own
        f" SELECT 'key ' || n, {payment}, '11344', 1, '{{}}', 'open', {due}, now() FROM generate_series(1, 30000) AS n"
    )
    await connection.execute(
        "INSERT INTO gatewaypy_watched (name, member, payment_id, due)"  # noqa: S608 - see above
        f" SELECT 'payment ' || n, '11344', n, {due} FROM generate_series(1, 30000) AS n"
    )


@pytest.mark.parametrize(
    ("waiting", "first"),
    [("due", "SELECT 1"), *((waiting, "VACUUM ANALYZE") for waiting in WAITING)],
)
async def test_inbox_statements_never_read_backlog(url: str, waiting: str, first: str) -> None:
    """With any backlog, analyzed or not, a statement reads only the rows that it is for."""
    asyncpg = pytest.importorskip("asyncpg")
    async with Inbox(url) as inbox:
        statements = await statements_of(inbox)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("DELETE FROM gatewaypy_inbox")
            await connection.execute("DELETE FROM gatewaypy_watched")
            await connection.execute(first)
            await prepare(connection, statements)
            await fill(connection, *WAITING[waiting])
            costs = await prepared_costs(connection, statements)
            await connection.execute("DISCARD PLANS")
            costs += await prepared_costs(connection, statements)
            await connection.execute("ANALYZE")
            costs += await prepared_costs(connection, statements)
        finally:
            await connection.close()
    for cost in costs:
        assert cost.rows <= MOST_ROWS, (
            f"{cost.sql}\n{cost.rows} rows, {cost.buffers} buffers\n{cost.plan}"
        )
        assert cost.buffers <= MOST_BUFFERS, (
            f"{cost.sql}\n{cost.rows} rows, {cost.buffers} buffers\n{cost.plan}"
        )
