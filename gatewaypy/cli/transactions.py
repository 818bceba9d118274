"""``gatewaypy transactions``: payments and payouts between two days, listed or added up."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs

from gatewaypy.cli.output import CsvWriter, show_table
from gatewaypy.client import Gateway
from gatewaypy.config import Credentials
from gatewaypy.platforms import Platform

if TYPE_CHECKING:
    from datetime import date

    from gatewaypy.cli.options import TransportChoice
    from gatewaypy.cli.output import PlainConsole
    from gatewaypy.models import Statement, Transaction

_COLUMNS: Final = (
    "transaction_date",
    "payment_id",
    "merchant_transaction_id",
    "status",
    "outcome",
    "amount",
    "captured",
    "refunded",
    "charged_back",
    "paid_out",
    "remark",
)
# The gateway's time has no zone, and the column's name must state that.
_NAMES: Final = tuple(
    "transaction_date_without_zone" if name == "transaction_date" else name for name in _COLUMNS
)
_HEADS: Final = tuple(name.replace("_", " ") for name in _NAMES)
_SUMS: Final = (
    "currency",
    "transactions",
    "captured",
    "refunded",
    "charged back",
    "paid out",
    "net",
)


@attrs.frozen(kw_only=True)
class Query:
    """The options of a list."""

    url: str
    start: date
    end: date
    status: str | None
    date_format: str
    form: str
    add_up: bool
    transport: TransportChoice


async def show_transactions(console: PlainConsole, query: Query) -> int:
    """Print the rows as they arrive; the exit code is 1 if a statement leaves out transactions."""
    platform = Platform(name="custom", base_url=query.url, list_date_format=query.date_format)
    async with Gateway(
        platform, Credentials.from_env(), transport=query.transport.make()
    ) as gateway:
        listed = gateway.transactions(query.start, query.end, status=query.status)
        if query.add_up:
            return _show_statement(console, await listed.statement())
        if query.form == "table":
            show_table(console, _HEADS, [_cells(transaction) async for transaction in listed])
            return 0
        rows = CsvWriter(sys.stdout)
        if query.form == "csv":
            rows.write(_NAMES)
        async for transaction in listed:
            if query.form == "csv":
                rows.write(_cells(transaction))
            else:
                print(json.dumps(dict(zip(_NAMES, _cells(transaction), strict=True))))  # noqa: T201 - a command's output
    return 0


def _cells(transaction: Transaction) -> list[str]:
    return [_text(getattr(transaction, name)) for name in _COLUMNS]


def _text(value: Any) -> str:  # noqa: ANN401 - any attribute
    return "" if value is None else str(getattr(value, "name", value))


def _show_statement(console: PlainConsole, statement: Statement) -> int:
    rows = []
    for currency, totals in sorted(statement.by_currency.items()):
        sums = (totals.captured, totals.refunded, totals.charged_back, totals.paid_out, totals.net)
        rows.append((currency, str(totals.count), *(f"{amount:.2f}" for amount in sums)))
    show_table(console, _SUMS, rows, numbers=_SUMS[1:])
    if statement.complete:
        return 0
    console.say(f"not added up, as their amounts cannot be read: {', '.join(statement.unreadable)}")
    return 1
