"""The table of operations."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any

from attrs import asdict

from gatewaypy.protocol import operations
from gatewaypy.protocol.operation_types import Operation
from gatewaypy.protocol.operations import OPERATIONS

VECTOR = Path(__file__).parent.parent / "vectors" / "operations.json"


def spell(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    return list(value) if isinstance(value, tuple) else value


def row(operation: Operation) -> dict[str, Any]:
    return {name: spell(value) for name, value in asdict(operation, recurse=False).items()}


def test_operations_table_equals_vector() -> None:
    """No row changes by accident: each value decides how money is sent, signed or resolved."""
    assert {name: row(o) for name, o in OPERATIONS.items()} == json.loads(VECTOR.read_text())


def test_operations_table_has_every_operation() -> None:
    """Each constant is a row of the table, under a name of its own."""
    rows = [value for value in vars(operations).values() if isinstance(value, Operation)]
    assert list(OPERATIONS.values()) == rows
    assert len({row.name for row in rows}) == len(rows)
