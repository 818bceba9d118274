"""Run simulated payout jobs from seeds, in every setting, on every core; print failing seeds."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.payout_simulation import SETTINGS, Simulation


def live(story: tuple[int, str]) -> tuple[int, str, list[str]]:
    """Run one simulation; return its seed, its setting and its complaints."""
    seed, name = story
    return seed, name, Simulation(seed, **SETTINGS[name]).run().complaints()


def main() -> int:
    """Run all simulations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many lives, over all settings")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    each = -(-given.seeds // len(SETTINGS))
    stories = itertools.product(range(given.first, given.first + each), SETTINGS)
    started, done, failures = time.monotonic(), 0, 0
    with multiprocessing.Pool() as pool:
        for seed, name, complaints in pool.imap_unordered(live, stories, chunksize=20):
            done += 1
            if complaints:
                failures += 1
                print(f"seed {seed}, {name}: {'; '.join(complaints)}", flush=True)
            if done % 5000 == 0:
                print(
                    f"{done} lives, {failures} failures, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
    print(f"{done} lives, {failures} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
