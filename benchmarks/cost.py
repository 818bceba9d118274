"""Compare the CPU time of a payout with that of other clients: ``name ratio target ok|short``.

    python benchmarks/cost.py [--rounds 5] [--requests 6000] [--peers .venv-peers/bin/python]

A small server in its own process stands for the gateway. Each measure runs in its own process, on
uvloop; its figure is the CPU time of that process with all threads. The rounds of all measures are
interleaved, and a ratio is the median of the rounds' ratios. If the machine's speed changes between
rounds, both sides of a ratio change.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from server import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
PAUSE = 0.5
MANY = 5000
#: Calls for each call in flight. Many are needed, because the first and the last wave are not full.
WAVES = 20


@frozen
class Measure:
    """One figure: ours or a peer's, with a number of calls in flight."""

    kind: str
    client: str
    in_flight: int
    collector: str = "usual"

    @property
    def name(self) -> str:
        """Name of the figure."""
        collector = "" if self.collector == "usual" else f", {self.collector} collector"
        return f"{'payout on' if self.kind == 'ours' else 'peer'} {self.client}, {self.in_flight:,} in flight{collector}"


def run(measure: Measure, python: str, port: int, requests: int) -> dict[str, float]:
    """Run one measure in its own process."""
    numbers = map(str, (port, requests, measure.in_flight))
    command = [
        python,
        str(HERE / f"{measure.kind}.py"),
        measure.client,
        *numbers,
        measure.collector,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{measure.name} failed:\n{done.stderr}{done.stdout}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def versions(python: str, names: Sequence[str]) -> str:
    """Return the versions that an interpreter has of some packages."""
    code = f"from importlib.metadata import version\nprint(*(f'{{n}} {{version(n)}}' for n in {list(names)!r}), sep=', ')"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def say(name: str, ratio: float, target: float, *, at_least: bool = False) -> None:
    """Print one line."""
    good = ratio >= target if at_least else ratio <= target
    print(f"{name} {ratio:.2f} {target} {'ok' if good else 'short'}", flush=True)


def pythons(peers: str) -> dict[str, str]:
    """Return the interpreter of each kind of measure."""
    return {"ours": sys.executable, "peers": peers}


def compare(options: argparse.Namespace, port: int) -> None:
    """Measure and print each ratio that has a target."""
    fast = options.fastest
    ours_fast, ours_100 = Measure("ours", fast, 1000), Measure("ours", fast, 100)
    default_1, default_10, default_100, default_1000 = (
        Measure("ours", "httpx", number) for number in (1, 10, 100, 1000)
    )
    aiohttp, httpx_1 = Measure("peers", "aiohttp", 1000), Measure("peers", "httpx", 1)
    stripe, stripe_aiohttp = (
        Measure("peers", "stripe", 100),
        Measure("peers", "stripe-aiohttp", 100),
    )
    measures = (
        *(ours_fast, ours_100, default_1, default_10, default_100, default_1000),
        *(aiohttp, httpx_1, stripe, stripe_aiohttp),
    )
    costs: dict[Measure, list[float]] = {measure: [] for measure in measures}
    interpreters = pythons(options.peers)
    for _ in range(options.rounds):
        for measure in measures:
            requests = (
                options.requests // 3
                if measure in (stripe, default_1, httpx_1)
                else options.requests
            )
            costs[measure].append(run(measure, interpreters[measure.kind], port, requests)["cpu"])
    for measure, figures in costs.items():
        rounds = ", ".join(f"{figure:.0f}" for figure in figures)
        print(f"# {measure.name:40} {statistics.median(figures):8.0f} µs CPU (rounds: {rounds})")

    def ratio(one: Measure, other: Measure) -> float:
        return statistics.median(
            mine / theirs for mine, theirs in zip(costs[one], costs[other], strict=True)
        )

    say("fast-vs-aiohttp", ratio(ours_fast, aiohttp), 1.0)
    say("fast-vs-stripe", ratio(ours_100, stripe_aiohttp), 0.3)
    say("default-vs-stripe", ratio(default_100, stripe), 0.2)
    say("default-flat", ratio(default_1000, default_10), 1.25)
    say("default-vs-bare", ratio(default_1, httpx_1), 1.0)


def latency_bound(options: argparse.Namespace) -> None:
    """Measure the throughput with 5,000 calls in flight and answers after 0.5 s.

    The ideal is 10,000 calls a second. The ratio is of a process with the garbage collector's
    thresholds of `drive.PATIENT`. The rate with Python's defaults is printed too.
    """
    measures = [
        Measure("ours", options.fastest, MANY, collector) for collector in ("usual", "patient")
    ]
    with serving(PAUSE) as port:
        rounds = [
            [run(measure, sys.executable, port, WAVES * MANY) for measure in measures]
            for _ in range(max(options.rounds // 2, 1))
        ]
    for measure, results in zip(measures, zip(*rounds, strict=True), strict=True):
        rates = ", ".join(f"{one['rate']:.0f}/s at {one['cpu']:.0f} µs" for one in results)
        print(f"# {measure.name}, answers after {PAUSE:g} s: {rates}")
    say(
        "latency-bound",
        statistics.median(results[-1]["rate"] for results in rounds) * PAUSE / MANY,
        0.85,
        at_least=True,
    )


def main() -> None:
    """Measure, and print each ratio with its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument(
        "--peers", default=".venv-peers/bin/python", help="the interpreter that has the peers"
    )
    parser.add_argument(
        "--fastest", default="httptools", help="the transport that counts as the fastest"
    )
    options = parser.parse_args()
    if not Path(options.peers).is_file():
        print(
            f"# skipped: every measure against a peer: {options.peers} is not there (make .venv-peers/.ready)"
        )
        return
    print(
        f"# Python {platform.python_version()}, {platform.machine()}, {versions(sys.executable, ('uvloop', 'httpx'))}"
    )
    print(
        f"# peers: {versions(options.peers, ('aiohttp', 'httpx', 'httpx2', 'pyreqwest', 'stripe'))}"
    )
    with serving() as port:
        compare(options, port)
    latency_bound(options)


if __name__ == "__main__":
    main()
