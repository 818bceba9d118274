"""What ``import gatewaypy`` costs against importing the libraries it is built on: ``import-time ratio target ok|short``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

OURS = "gatewaypy"
PEERS = "httpx, attrs, cattrs, anyio"
TIMED = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"


def seconds(modules: str) -> float:
    """Return the CPU seconds of an import in a fresh interpreter."""
    command = [sys.executable, "-c", TIMED.format(modules)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure both in turn, and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    pairs = [(seconds(OURS), seconds(PEERS)) for _ in range(rounds)]
    ours, peers = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"# import {OURS}: {ours * 1e3:.0f} ms, import {PEERS}: {peers * 1e3:.0f} ms")
    print(f"import-time {ours / peers:.2f} 1.2 {'ok' if ours / peers <= 1.2 else 'short'}")


if __name__ == "__main__":
    main()
