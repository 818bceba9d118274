"""Many rows as one parameter, so that one statement replaces hundreds at little more cost."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_GIVEN: Final = re.compile(r"\{input ([^}]+)\}")
_TABLE_ID: Final = re.compile(r"\{table_id (\w+)\}")
_SHARE: Final = re.compile(r"\{share (\w+)\}")


@frozen(eq=False)
class TableParameter:
    """A parameter of many rows, which each store passes to its database in its own way."""

    rows: list[Sequence[Any]]

    def as_json(self) -> str:
        """Return the rows as one JSON string, an array of arrays."""
        return json.dumps(self.rows)


def table_parameter(rows: Iterable[Sequence[Any]]) -> TableParameter:
    """Create a parameter of many rows.

    Args:
        rows: Tuples of numbers, strings and ``None``, in the order of the columns. The first
            column must not be ``None``.

    Returns:
        The parameter.
    """
    return TableParameter([*rows])


def expand(sql: str, table: Callable[[list[tuple[str, str]]], str]) -> str:
    """Replace ``{input name TYPE, …}`` by a table named ``given``.

    Args:
        sql: The statement.
        table: Returns the query of the table for the names and types of the columns. The query
            must contain exactly one ``?``, for the parameter.

    Returns:
        The statement with the query.
    """

    def replaced(match: re.Match[str]) -> str:
        columns = [column.split(maxsplit=1) for column in match[1].split(", ")]
        return f"({table([(name, kind) for name, kind in columns])}) AS given"

    return _GIVEN.sub(replaced, sql)


def specialized(sql: str, *, table_id: str, share: str) -> str:
    r"""Replace the parts of a statement that differ between databases.

    Args:
        sql: The statement. ``{table_id name}`` is a string that no other table of that name has.
            ``{share name}`` is a lock of a query's rows that only readers share.
        table_id: The SQL of ``{table_id name}``; ``\1`` is replaced by the table's name.
        share: The SQL of ``{share name}``, in the same way.

    Returns:
        The statement in the database's SQL.
    """
    return _SHARE.sub(share, _TABLE_ID.sub(table_id, sql))
