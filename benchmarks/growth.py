"""Draw the CPU time and the memory of a call, and of a payout job.

    python benchmarks/growth.py [--peers .venv-peers/bin/python] [--largest 1000000]
        [--folder docs/images]

Calls have 1 to 5,000 in flight; the measures are those of cost.py, once each. Jobs have 1,000 to
1,000,000 payouts, on SQLite, against a gateway that answers at once, as in payouts.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cost import Measure, pythons, run
from server import serving

mpl.use("Agg")
import matplotlib.pyplot as plt

IN_FLIGHT = (1, 10, 100, 1000, 5000)
PAYOUTS = (1_000, 10_000, 100_000, 1_000_000)
#: Maximum number in flight. httpx's pool traverses all connections for each request, so that a
#: measure with more of them takes minutes.
MOST = {"peers httpx": 100, "peers stripe": 100, "peers httpx2": 1000}
HERE = Path(__file__).parent


def by_in_flight(peers: str, file: Path) -> None:
    """Draw CPU and memory against calls in flight, for every transport and peer."""
    figure, (cpu, memory) = plt.subplots(1, 2, figsize=(13, 5.5))
    interpreters = pythons(peers)
    lines = [
        ("ours", client, "usual")
        for client in ("httpx", "httpx2", "aiohttp", "httptools", "pyreqwest")
    ]
    lines += [("ours", client, "patient") for client in ("httpx", "httptools")]
    lines += [
        ("peers", client, "usual")
        for client in ("httpx", "httpx2", "aiohttp", "pyreqwest", "stripe", "stripe-aiohttp")
    ]
    with serving() as port:
        for kind, client, collector in lines:
            places = [
                number
                for number in IN_FLIGHT
                if number <= MOST.get(f"{kind} {client}", IN_FLIGHT[-1])
            ]
            figures = [
                run(
                    Measure(kind, client, number, collector),
                    interpreters[kind],
                    port,
                    max(4 * number, 2000),
                )
                for number in places
            ]
            summary = ", ".join(
                f"{number:,}: {figure['cpu']:.0f} µs"
                for number, figure in zip(places, figures, strict=True)
            )
            print(f"# {kind} {client} ({collector} collector): {summary}", flush=True)
            style: dict[str, Any] = {"marker": "o", "linestyle": "-" if kind == "ours" else "--"}
            style["label"] = (
                f"gateway.payout() on {client}" if kind == "ours" else f"{client} by itself"
            )
            if collector == "patient":
                style |= {"label": f"{style['label']}, patient collector", "linestyle": ":"}
            cpu.plot(places, [figure["cpu"] for figure in figures], **style)
            memory.plot(places, [figure["peak"] / 1024 for figure in figures], **style)
    memory.legend(fontsize=8, loc="upper left")
    save(
        figure,
        file,
        (cpu, "CPU a call", "µs"),
        (memory, "peak memory of the process", "MiB"),
        "calls in flight",
    )


def by_payouts(largest: int, file: Path) -> None:
    """Draw CPU a payout and peak memory against the number of payouts in a job."""
    figure, (cpu, memory) = plt.subplots(1, 2, figsize=(13, 4.5))
    places = [number for number in PAYOUTS if number <= largest]
    figures = []
    for number in places:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                str(HERE / "payouts.py"),
                "--one",
                str(number),
                f"sqlite:///{folder}/payouts.db",
            ]
            figures.append(
                json.loads(
                    subprocess.run(command, capture_output=True, text=True, check=True).stdout
                )
            )
        print(
            f"# a job of {number:,}: {figures[-1]['cpu']:.0f} µs CPU a payout, {figures[-1]['peak'] / 1024:.0f} MiB",
            flush=True,
        )
    cpu.plot(places, [figure["cpu"] for figure in figures], marker="o")
    memory.plot(places, [figure["peak"] / 1024 for figure in figures], marker="o")
    for axes in (cpu, memory):
        axes.set_ylim(bottom=0)
    save(
        figure,
        file,
        (cpu, "CPU a payout", "µs"),
        (memory, "peak memory of the process", "MiB"),
        "payouts in a job",
    )


def save(
    figure: Any,  # noqa: ANN401
    file: Path,
    left: tuple[Any, str, str],
    right: tuple[Any, str, str],
    along: str,
) -> None:
    """Label the axes and write the image."""
    for axes, title, unit in (left, right):
        is_log = "in flight" in along
        axes.set(
            xscale="log",
            yscale="log" if is_log else "linear",
            xlabel=along,
            ylabel=unit,
            title=title,
        )
        axes.grid(visible=True, which="both", alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peers", default=".venv-peers/bin/python", help="the interpreter that has the peers"
    )
    parser.add_argument("--largest", type=int, default=1_000_000, help="the largest job")
    parser.add_argument("--folder", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    by_in_flight(options.peers, options.folder / "cost-by-calls-in-flight.png")
    by_payouts(options.largest, options.folder / "cost-by-payouts.png")


if __name__ == "__main__":
    main()
