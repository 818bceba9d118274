"""What a statement costs PostgreSQL: the rows and buffers that its plan reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from gatewaypy.storage import postgres
from gatewaypy.storage.table_parameter import TableParameter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatewaypy.storage import Statement, Store

EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"


async def recorded(store: Store, work: Callable[[], Awaitable[object]]) -> list[Statement]:
    """Run a function, and return its statements."""
    seen: list[Statement] = []
    run = store.run

    async def record(*statements: Statement) -> Any:
        seen.extend(statements)
        return await run(*statements)

    store.run = record  # type: ignore[method-assign]
    try:
        await work()
    finally:
        del store.run
    return seen


async def prepare(connection: Any, statements: list[Statement]) -> None:
    """Prepare statements like a connection of a store, and plan each once on the current tables."""
    for name, value in postgres._SETTINGS.items():
        await connection.execute(f"SET {name} = '{value}'")
    for number, (sql, _) in enumerate(statements):
        await connection.execute(f"PREPARE statement_{number} AS {postgres._dialect(sql)}")
    await prepared_costs(connection, statements)


@frozen
class Cost:
    """The most rows that a step of the plan read, and the pages that all steps read."""

    sql: str
    rows: int
    buffers: int
    plan: str


async def prepared_costs(connection: Any, statements: list[Statement]) -> list[Cost]:
    """Explain each prepared statement, and roll it back."""
    costs = []
    for number, (sql, parameters) in enumerate(statements):
        arguments = ", ".join(map(_literal, parameters))
        transaction = connection.transaction()
        await transaction.start()
        try:
            explained = await connection.fetchval(
                f"{EXPLAIN} EXECUTE statement_{number}{f'({arguments})' if arguments else ''}"
            )
        finally:
            await transaction.rollback()
        plan = json.loads(explained)[0]["Plan"]
        buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        costs.append(Cost(sql, _rows(plan), buffers, _shown(plan)))
    return costs


def _shown(plan: dict[str, Any], depth: int = 0) -> str:
    said = " ".join(
        str(plan[name])
        for name in ("Node Type", "Index Name", "Actual Rows", "Actual Loops")
        if name in plan
    )
    return "\n".join(
        [f"{'  ' * depth}{said}", *(_shown(step, depth + 1) for step in plan.get("Plans", ()))]
    )


def _rows(plan: dict[str, Any]) -> int:
    """Return the most rows that any step of a plan read."""
    removed = sum(number for name, number in plan.items() if name.startswith("Rows Removed by"))
    own: int = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return max([own, *(_rows(step) for step in plan.get("Plans", ()))])


def _literal(value: Any) -> str:
    if isinstance(value, TableParameter):
        value = value.as_json()
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"
