"""The HTTP client that the commands use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.payout_commands import QUICK, run, write

from gatewaypy import AiohttpTransport, HttptoolsTransport, HttpxTransport, PyreqwestTransport
from gatewaypy.cli.options import TransportChoice

if TYPE_CHECKING:
    from pathlib import Path

    from gatewaypy.sandbox import Sandbox


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (TransportChoice.AUTO, HttptoolsTransport),
        (TransportChoice.HTTPTOOLS, HttptoolsTransport),
        (TransportChoice.AIOHTTP, AiohttpTransport),
        (TransportChoice.PYREQWEST, PyreqwestTransport),
        (TransportChoice.HTTPX, HttpxTransport),
        (TransportChoice.HTTPX2, HttpxTransport),
    ],
)
def test_transport_option_selects_the_client(choice: TransportChoice, expected: type) -> None:
    """The default is the fastest client with a send guard at the first byte."""
    assert type(choice.make()) is expected
    assert getattr(choice.make(), "library", choice.value) in {choice.value, "httpx"}


@pytest.mark.parametrize("transport", ["auto", "httpx", "aiohttp", "pyreqwest"])
async def test_payouts_run_on_every_transport(
    transport: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """With any transport, each order is paid once, and the process exits cleanly."""
    orders = write(tmp_path / "orders.csv", "PAYOUT-1,5.00,EUR,Ada", "PAYOUT-2,5.00,EUR,Ada")
    to = (
        "--journal",
        f"sqlite:///{tmp_path}/payouts.db",
        "--url",
        sandbox.base_url,
        *QUICK,
        "--transport",
        transport,
    )
    ended = await run("run", orders, *to)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(entry.merchant_transaction_id for entry in sandbox.ledger.entries) == [
        "PAYOUT-1",
        "PAYOUT-2",
    ]
