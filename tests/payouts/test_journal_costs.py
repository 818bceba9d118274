"""What each journal statement reads on PostgreSQL, with no open order and with 30,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.statement_costs import prepare, prepared_costs, recorded
from support.stores import postgres_schema

from gatewaypy import Customer, Money
from gatewaypy.payouts import Journal, PayoutOrder, State
from gatewaypy.payouts.journal.rows import Scope
from gatewaypy.payouts.journal.updates import PayoutUpdate
from gatewaypy.sandbox import MERCHANT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PAGE = 20
# A page of each of the seven states, and as many rows of a chunk or of known ids.
MOST_ROWS = 7 * PAGE
MOST_BUFFERS = 700
MEMBER, BATCH = MERCHANT.member_id, "monday"
OPEN = {
    "planned": (MEMBER, BATCH, "planned", "gone"),
    "planned of a run": (MEMBER, BATCH, "planned", None),
    "sending": (MEMBER, BATCH, "sending", "gone"),
    "unknown": (MEMBER, BATCH, "unknown", None),
    "unknown of another run": (MEMBER, BATCH, "unknown", "another"),
    "pending of another run": (MEMBER, BATCH, "pending", "another"),
    "on review": (MEMBER, BATCH, "review", "gone"),
    "paid": (MEMBER, BATCH, "succeeded", "gone"),
    "of another batch": (MEMBER, "tuesday", "planned", "gone"),
    "of another member": ("4711", BATCH, "planned", "gone"),
}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async for made in postgres_schema():
        yield made


def order(number: int) -> PayoutOrder:
    return PayoutOrder(
        merchant_transaction_id=f"P-{number}",
        amount=Money("5.00", "EUR"),
        customer=Customer(email="a@b.example"),
    )


async def statements_of(journal: Journal) -> list[Any]:
    """Call each method of a journal and a chunk for orders once, and return the statements."""
    planned = await journal.plan([order(number) for number in range(10)], batch=BATCH)
    first, last = planned[0].id, planned[-1].id  # type: ignore[union-attr]
    chunk, batch = (journal.with_scope(Scope(BATCH, *limits)) for limits in ((first, last), ()))
    (row, *_) = await journal.claim(State.PLANNED, limit=PAGE)

    async def cut() -> None:
        async for _ in batch.split(PAGE, *State):
            break

    paid = PayoutUpdate(state=State.SUCCEEDED, outcome_source="answer", payment_id="1")
    failed = PayoutUpdate(state=State.FAILED, outcome_source="callback")
    doubled = PayoutUpdate(state=State.SUCCEEDED, outcome_source="callback", payment_id="2")
    reviewed = PayoutUpdate(state=State.REVIEW, evidence="callback: of another amount")
    work: list[Callable[[], Awaitable[object]]] = [
        *(
            lambda state=state, one=one: one.claim(state, limit=PAGE)
            for state in State
            for one in (journal, chunk, batch)
        ),
        *(
            lambda state=state, one=one: one.owned_rows(state, limit=PAGE)
            for state in (State.UNKNOWN, State.PENDING)
            for one in (journal, chunk)
        ),
        *(
            lambda state=state: journal.list_entries(limit=PAGE, state=state)
            for state in (None, *State)
        ),
        lambda: journal.plan([order(1), order(11)], batch=BATCH),
        lambda: journal.record_intent(row),
        lambda: journal.mark_unsent(row, "no byte left"),
        lambda: journal.mark_refused(row, "too long"),
        lambda: journal.record("P-1", paid, attempt=1),
        lambda: journal.record("P-1", failed),
        lambda: journal.record("P-1", doubled),
        lambda: journal.record("P-1", reviewed),
        lambda: journal.move_to_review(row, "not found", is_absent=True),
        lambda: journal.record_not_found(row, 1.0),
        lambda: journal.clear_not_found(row),
        lambda: journal.replan(row, "not found"),
        lambda: journal.resolve("P-1", State.FAILED, "the bank confirmed it"),
        lambda: journal.ended([row.id, row.id + 1]),
        chunk.count_remaining,
        cut,
        journal.restored_because,
        journal._trust.begin,
    ]
    statements = []
    for do in work:
        statements += await recorded(journal._store, do)
    return list({sql: (sql, parameters) for sql, parameters in statements}.values())


async def fill(connection: Any, member: str, batch: str, state: str, owner: str) -> None:
    await connection.execute(
        "INSERT INTO gatewaypy_payouts (member, merchant_transaction_id, batch, fingerprint, amount, currency, details, state, owner)"  # noqa: S608 - the test's own
        f" SELECT '{member}', 'Q-' || n, '{batch}', 'x', '5.00', 'EUR', repeat('x', 200), '{state}', '{owner}'"
        " FROM generate_series(1, 30000) AS n"
    )


@pytest.mark.parametrize("first", ["SELECT 1", "VACUUM ANALYZE"])
@pytest.mark.parametrize("kind", OPEN)
async def test_journal_statements_never_read_backlog(url: str, kind: str, first: str) -> None:
    """With any backlog, analyzed or not, a statement reads only the rows that it is for."""
    asyncpg = pytest.importorskip("asyncpg")
    member, batch, state, owner = OPEN[kind]
    async with Journal(url, MEMBER) as journal:
        statements = await statements_of(journal)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("DELETE FROM gatewaypy_payouts")
            await connection.execute(first)
            await prepare(connection, statements)
            await fill(connection, member, batch, state, journal.owner if owner is None else owner)
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
