"""Shared parts of the tests of ``gatewaypy payouts``: commands in processes, and files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gatewaypy.sandbox import MERCHANT

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = {
    "GATEWAYPY_MEMBER_ID": MERCHANT.member_id,
    "GATEWAYPY_PARTNER_ID": MERCHANT.partner_id,
    "GATEWAYPY_USERNAME": MERCHANT.username,
    "GATEWAYPY_SECRET_KEY": MERCHANT.secret_key.reveal(),
}
HEAD = "merchant_transaction_id,amount,currency,given_name\n"
CANARY = "4929123456789012"
COMMAND = [sys.executable, "-c", "from gatewaypy.cli import main; main()", "payouts"]
QUICK = (
    "--quiet-period",
    "0.3",
    "--timeout",
    "5",
    "--inquiry-timeout",
    "0.2",
    "--pending-timeout",
    "0",
    "--progress-interval",
    "0.5",
)


def call(
    *arguments: str, code: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    command = COMMAND if code is None else [sys.executable, "-c", code, "payouts"]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | ACCOUNT | {"COLUMNS": "200"} | environ,
        cwd=ROOT,
    )


async def run(*arguments: str, **environ: Any) -> subprocess.CompletedProcess[str]:
    """Run a command while the sandbox answers."""
    return await asyncio.to_thread(call, *arguments, **environ)


def write(path: Path, *rows: str) -> str:
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
    return str(path)
