"""Benchmarks without one of their tools: the measure is skipped with a line, the others run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["receiver.py"],
            "# skipped: receiver-verify, receiver-durable: wrk is not on this machine",
        ),
        (
            ["cost.py", "--peers", "no/such/python"],
            "# skipped: every measure against a peer: no/such/python is not there",
        ),
    ],
    ids=["wrk", "peers"],
)
def test_benchmark_missing_tool_is_skipped(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """A measure whose tool is missing reports it and exits with 0, so `make bench` continues."""
    command = [sys.executable, str(BENCHMARKS / arguments[0]), *arguments[1:]]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert (done.returncode, words in done.stdout) == (0, True), done.stderr
