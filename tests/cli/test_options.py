"""Which HTTP client the commands go by."""

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
def test_each_choice_makes_its_transport(choice: TransportChoice, expected: type) -> None:
    """By itself a command takes the fastest that asks at the first byte; it takes what it is told to."""
    assert type(choice.make()) is expected
    assert getattr(choice.make(), "library", choice.value) in {choice.value, "httpx"}


@pytest.mark.parametrize("transport", ["auto", "httpx", "aiohttp", "pyreqwest"])
async def test_a_job_runs_on_the_transport_that_it_is_given(
    transport: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whatever the transport, each order is paid once, and the process ends well."""
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
