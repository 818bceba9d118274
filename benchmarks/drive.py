"""Repeat a call with a number of calls in flight; report CPU time, rate and memory.

It depends only on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    Opened = AbstractAsyncContextManager[Callable[[], Awaitable[Any]]]


def peak_memory() -> float:
    """Return this process's peak memory in KiB.

    On Linux ``ru_maxrss`` includes the memory of the parent process; ``VmHWM`` does not.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return next(
        float(line.split()[1])
        for line in status.read_text().splitlines()
        if line.startswith("VmHWM:")
    )


async def drive(
    call: Callable[[], Awaitable[Any]], requests: int, in_flight: int
) -> dict[str, float]:
    """Make a number of calls, with a constant number of them in flight.

    Returns:
        ``cpu``, the CPU time of this process for a call, with all threads, in microseconds;
        ``rate``, calls a second; ``peak``, its peak memory in KiB.
    """
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await call()

    # Opens the connections, fetches the token and fills the caches before the measurement.
    await asyncio.gather(*(call() for _ in range(in_flight)))
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    spent, seconds = time.process_time() - cpu, time.perf_counter() - began
    return {"cpu": spent / requests * 1e6, "rate": requests / seconds, "peak": peak_memory()}


#: Thresholds of the garbage collector for a service with thousands of calls in flight. With
#: Python's defaults (700, 10, 10) it often traverses all calls in flight and finds nothing to free.
PATIENT = (50_000, 20, 100)


def measure(
    open_client: Callable[[int, int], Opened],
    port: str,
    requests: str,
    in_flight: str,
    collector: str = "usual",
) -> None:
    """Open a client, drive it, and print the figures as JSON.

    Args:
        open_client: Opens a client for a port and a number of calls in flight.
        port: The server's port.
        requests: Number of calls.
        in_flight: Number of calls in flight.
        collector: ``patient`` for a garbage collector that runs rarely.
    """
    if collector == "patient":
        gc.set_threshold(*PATIENT)

    async def run() -> dict[str, float]:
        async with contextlib.AsyncExitStack() as stack:
            call = await stack.enter_async_context(open_client(int(port), int(in_flight)))
            return await drive(call, int(requests), int(in_flight))

    print(json.dumps(uvloop.run(run())))
