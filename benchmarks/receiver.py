"""Measure callbacks a second, without and with an inbox: ``name ratio target ok|short``.

    python benchmarks/receiver.py [--rounds 3] [--seconds 5]

A callback is verified and dispatched, or verified and stored. The ratio is to a bare Starlette
route that only reads the body. Each application runs in its own process under uvicorn, with
httptools and uvloop. wrk sends distinct, signed callbacks over 64 connections. Rounds are
interleaved, and the medians are compared. Without wrk (Debian: `apt-get install wrk`) the measures
are skipped.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from gatewaypy import Credentials
from gatewaypy.callbacks import sign_callback

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="benchmarkKey00000000000000000000",  # noqa: S106
)
BODIES = 60_000
VECTOR = json.loads(
    (
        Path(__file__).parent.parent / "tests/vectors/callbacks/payment-captured-long-status.json"
    ).read_text()
)

APPS = """
from gatewaypy import Credentials
from gatewaypy.callbacks import CallbackApp, CallbackEvent, Router
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

merchant = Credentials(member_id="11344", partner_id="4", username="shop", secret_key="benchmarkKey00000000000000000000")
router = Router()

@router.on(CallbackEvent)
async def handle(event: CallbackEvent) -> None:
    pass

async def read(request):
    await request.body()
    return PlainTextResponse("OK")

bare = Starlette(routes=[Route("/", read, methods=["POST"])])
verify = CallbackApp(router, merchant)
durable = CallbackApp(router, merchant, inbox="sqlite:///inbox.db", max_open=10_000_000)
"""

SCRIPT = """
local bodies = {}
for line in io.lines("bodies.txt") do bodies[#bodies + 1] = line end
local at, step = 0, 1
local threads = 0
function setup(thread) thread:set("first", threads); threads = threads + 1 end
function init() at = first * 30000 end
function request()
  at = at % #bodies + 1
  return wrk.format("POST", "/", {["Content-Type"] = "application/json"}, bodies[at])
end
"""


def write_bodies(folder: Path) -> None:
    """Write distinct, signed callbacks, one a line."""
    with (folder / "bodies.txt").open("w") as file:
        for number in range(BODIES):
            fields = VECTOR | {"paymentId": str(number), "merchantTransactionId": f"TX-{number}"}
            file.write(json.dumps({**fields, "checksum": sign_callback(fields, MERCHANT)}) + "\n")


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(name: str, folder: Path, seconds: int) -> float:
    """Run one application with wrk; return its requests a second."""
    for left in folder.glob("inbox.db*"):
        left.unlink()
    port = free_port()
    options = [
        "--port",
        str(port),
        "--http",
        "httptools",
        "--loop",
        "uvloop",
        "--log-level",
        "error",
        "--no-access-log",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"apps:{name}", *options], cwd=folder
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        wrk = ["wrk", "-t2", "-c64", f"-d{seconds}s", "-s", "post.lua", f"http://127.0.0.1:{port}/"]
        output = subprocess.run(wrk, cwd=folder, capture_output=True, text=True, check=True).stdout
    finally:
        server.terminate()
        server.wait(30)
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"{name}: {output}")
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", output)[1])  # type: ignore[index]


def main() -> int:
    """Measure, and print each ratio with its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print(
            "# skipped: receiver-verify, receiver-durable: wrk is not on this machine (Debian: apt-get install wrk)"
        )
        return 0
    rates: dict[str, list[float]] = {"bare": [], "verify": [], "durable": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        (folder / "apps.py").write_text(APPS)
        (folder / "post.lua").write_text(SCRIPT)
        write_bodies(folder)
        for _ in range(options.rounds):
            for app, figures in rates.items():
                figures.append(measure(app, folder, options.seconds))
    versions = ", ".join(
        f"{package} {version(package)}"
        for package in ("uvicorn", "starlette", "httptools", "uvloop")
    )
    print(f"Python {platform.python_version()}, {platform.machine()}, {versions}")
    medians = {name: statistics.median(figures) for name, figures in rates.items()}
    for name, median in medians.items():
        print(
            f"{name:8} {median:8.0f} requests/s (rounds: {', '.join(f'{figure:.0f}' for figure in rates[name])})"
        )
    for name, app, target in (
        ("receiver-verify", "verify", 1.0),
        ("receiver-durable", "durable", 0.7),
    ):
        ratio = medians[app] / medians["bare"]
        print(f"{name} {ratio:.2f} {target:.2f} {'ok' if ratio >= target else 'short'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
