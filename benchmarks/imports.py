"""Compare the time of ``import gatewaypy`` with that of the libraries that it uses.

It prints ``import-time ratio target ok|short``. Both sides have bytecode, as installed packages do.
With ``PYTHONDONTWRITEBYTECODE`` a checkout would have none and would be compiled each time. The
line before the figure has the time with a gateway opened, because some modules are lazy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

OURS = "import gatewaypy"
PEERS = "import httpx, attrs, cattrs, anyio"
OPENED = """
import asyncio, gatewaypy
account = gatewaypy.Credentials(member_id="1", partner_id="1", username="shop", secret_key="0123456789abcdef")
async def opened():
    async with gatewaypy.Gateway("https://gateway.example", account):
        pass
asyncio.run(opened())
"""
TIMED = "import time; began = time.process_time()\n{}\nprint(time.process_time() - began)"


def seconds(code: str, bytecode: str) -> float:
    """Return the CPU seconds of code in a new interpreter that stores bytecode in a folder."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    command = [sys.executable, "-c", TIMED.format(code)]
    return float(
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    )


def main() -> None:
    """Measure in interleaved rounds, and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    codes = (OURS, PEERS, OPENED)
    with tempfile.TemporaryDirectory() as bytecode:
        for code in codes:
            seconds(code, bytecode)
        measured = [[seconds(code, bytecode) for code in codes] for _ in range(rounds)]
    ours, peers, opened = (statistics.median(column) for column in zip(*measured, strict=True))
    print(
        f"# {OURS}: {ours * 1e3:.0f} ms, {PEERS}: {peers * 1e3:.0f} ms; with a gateway opened: {opened * 1e3:.0f} ms"
    )
    print(f"import-time {ours / peers:.2f} 1.2 {'ok' if ours / peers <= 1.2 else 'short'}")


if __name__ == "__main__":
    main()
