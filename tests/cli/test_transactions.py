"""``gatewaypy transactions``, as a person runs it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from gatewaypy import Card, Gateway, Money
from gatewaypy.sandbox import MERCHANT, Sandbox

ACCOUNT = {
    "GATEWAYPY_MEMBER_ID": MERCHANT.member_id,
    "GATEWAYPY_PARTNER_ID": MERCHANT.partner_id,
    "GATEWAYPY_USERNAME": MERCHANT.username,
    "GATEWAYPY_SECRET_KEY": MERCHANT.secret_key.reveal(),
}
CARD = Card("4000000000000051", 7, 2030, "745")


async def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A payment made just before midnight is in yesterday's list.
    today = datetime.now(UTC).date()
    command = [
        sys.executable,
        "-c",
        "from gatewaypy.cli import main; main()",
        "transactions",
        "--url",
        url,
    ]
    command += ["--from", (today - timedelta(1)).isoformat(), "--to", today.isoformat(), *arguments]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | ACCOUNT | {"COLUMNS": "200"},
    )


async def test_transactions_lists_and_sums(sandbox: Sandbox) -> None:
    """Rows are a table, CSV or JSON Lines; a statement has one line per currency."""
    async with Gateway(sandbox.base_url, MERCHANT) as gateway:
        paid = await gateway.debit(Money("50.00", "EUR"), CARD, merchant_transaction_id="ORDER-1")
        await gateway.refund(paid.payment_id or "", Money("20.00", "EUR"))
        await gateway.debit(Money(700, "JPY"), CARD, merchant_transaction_id="ORDER-2")
    table = await run(sandbox.base_url)
    assert (table.returncode, "ORDER-1" in table.stdout, "reversed" in table.stdout) == (
        0,
        True,
        True,
    ), table.stderr
    rows = list(
        csv.DictReader(io.StringIO((await run(sandbox.base_url, "--format", "csv")).stdout))
    )
    assert [(row["merchant_transaction_id"], row["amount"], row["refunded"]) for row in rows] == [
        ("ORDER-1", "50.00 EUR", "20.00 EUR"),
        ("ORDER-2", "700 JPY", "0 JPY"),
    ]
    lines = (
        await run(sandbox.base_url, "--format", "json", "--status", "capturesuccess")
    ).stdout.splitlines()
    assert [json.loads(line)["merchant_transaction_id"] for line in lines] == ["ORDER-2"]
    statement = (await run(sandbox.base_url, "--statement")).stdout
    assert statement.splitlines()[1].split() == [
        "EUR",
        "1",
        "50.00",
        "20.00",
        "0.00",
        "0.00",
        "30.00",
    ]
    assert statement.splitlines()[2].split() == [
        "JPY",
        "1",
        "700.00",
        "0.00",
        "0.00",
        "0.00",
        "700.00",
    ]


async def test_transactions_mistake_has_message() -> None:
    """An invalid day and an unreachable gateway end with a message and a non-zero code."""
    wrong = await run("http://127.0.0.1:9", "--from", "2026-13-01")
    assert (wrong.returncode, "2026-13-01" in wrong.stderr) == (2, True)
    gone = await run("http://127.0.0.1:9")
    assert gone.returncode == 1
    assert "NotSent" in gone.stderr
