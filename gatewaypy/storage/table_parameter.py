"""Many rows as one parameter: one statement does then what hundreds would, and costs little more than one of them."""

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
    """The one parameter for rows, which each database is handed in its own way."""

    rows: list[Sequence[Any]]

    def as_json(self) -> str:
        """Return the rows as one text, an array of arrays."""
        return json.dumps(self.rows)


def table_parameter(rows: Iterable[Sequence[Any]]) -> TableParameter:
    """Return the one parameter for rows: each a tuple of numbers, texts and ``None`` in the order of the columns.

    The first column is never ``None``.
    """
    return TableParameter([*rows])


def expand(sql: str, table: Callable[[list[tuple[str, str]]], str]) -> str:
    """Replace ``{input name TYPE, …}``, a table named ``given``, by what a database makes a table of the parameter with.

    :param table: makes that of the columns' names and types; it must hold the one ``?`` of the parameter.
    """

    def replaced(match: re.Match[str]) -> str:
        columns = [column.split(maxsplit=1) for column in match[1].split(", ")]
        return f"({table([(name, kind) for name, kind in columns])}) AS given"

    return _GIVEN.sub(replaced, sql)


def specialized(sql: str, *, table_id: str, share: str) -> str:
    r"""Replace what databases have in their own ways.

    Args:
        sql: A statement with ``{table_id name}``, a text that another table of that name does not
            have, and ``{share name}``, a lock of a query's rows that only readers share.
        table_id: The SQL of the first; ``\1`` stands for the table's name.
        share: The SQL of the second, in the same way.
    """
    return _SHARE.sub(share, _TABLE_ID.sub(table_id, sql))
