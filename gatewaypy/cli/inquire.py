"""``gatewaypy inquire``: the gateway's record of a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.cli.output import has_zone, show_table
from gatewaypy.client import Gateway
from gatewaypy.config import Credentials
from gatewaypy.models.results import ResultCode

if TYPE_CHECKING:
    from gatewaypy.cli.options import TransportChoice
    from gatewaypy.cli.output import PlainConsole

_SHOWN = (
    "outcome", "status", "transaction_status", "payment_id", "merchant_transaction_id", "amount",
    "result", "lookup", "remark", "timestamp",
)  # fmt: skip


async def show_inquiry(
    console: PlainConsole,
    url: str,
    payment_id: str | None,
    merchant_transaction_id: str | None,
    transport: TransportChoice,
) -> int:
    """Print the gateway's record; return the exit code, 1 if there is no record."""
    async with Gateway(url, Credentials.from_env(), transport=transport.make()) as gateway:
        transaction = await gateway.inquire(
            payment_id=payment_id, merchant_transaction_id=merchant_transaction_id
        )
    shown = {name: getattr(transaction, name) for name in _SHOWN}
    texts = {
        name: text for name, value in shown.items() if value is not None and (text := _text(value))
    }
    if "timestamp" in texts and not has_zone(texts["timestamp"]):
        texts["timestamp (the gateway's time, no zone)"] = texts.pop("timestamp")
    show_table(console, ("", ""), texts.items())
    return 0 if transaction.found else 1


def _text(value: object) -> str:
    if isinstance(value, ResultCode):
        return f"{value.code} {value.description}".strip()
    return getattr(value, "name", None) or str(value)
