"""``gatewaypy inquire``: what the gateway says of a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from gatewaypy.client import Gateway
from gatewaypy.config import Credentials

if TYPE_CHECKING:
    from rich.console import Console

    from gatewaypy.cli.transport import TransportChoice

_SHOWN = (
    "outcome", "status", "transaction_status", "payment_id", "merchant_transaction_id", "amount", "result", "remark", "timestamp",
)  # fmt: skip


async def show_inquiry(
    console: Console, url: str, payment_id: str | None, merchant_transaction_id: str | None, transport: TransportChoice
) -> int:
    """Print the record; the exit code is 1 where there is none."""
    async with Gateway(url, Credentials.from_env(), transport=transport.make()) as gateway:
        transaction = await gateway.inquire(payment_id=payment_id, merchant_transaction_id=merchant_transaction_id)
    table = Table(show_header=False, box=None)
    for name in _SHOWN:
        value = getattr(transaction, name)
        if value is not None:
            table.add_row(name, getattr(value, "name", None) or str(value))
    console.print(table)
    return 0 if transaction.found else 1
