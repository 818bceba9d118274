"""A taskiq worker that is killed: ``python worker_process.py BROKER QUEUE JOURNAL BASE_URL``.

It is what ``taskiq worker`` starts as its child, and prints ``ready`` when it listens.
"""

from __future__ import annotations

import sys
from typing import Any

from support.services import make_broker
from taskiq import TaskiqEvents
from taskiq.cli.worker.args import WorkerArgs
from taskiq.cli.worker.run import start_listen

from gatewaypy import Gateway, Timeouts
from gatewaypy.payouts import sender
from gatewaypy.payouts.distributed import PayoutWorker
from gatewaypy.sandbox import MERCHANT

OPTIONS: Any = {"quiet_period": 1.0, "resend_unknown": True}
QUICK = Timeouts(connect=5, read=5, total=20, inquiry=0.5)


def main(url: str, queue: str, journal: str, base_url: str) -> None:
    # The lifetime of an intent must be much shorter than the quiet period, as it is by default.
    sender.MAX_INTENT_AGE = 0.4  # type: ignore[misc]
    broker = make_broker(url, queue)
    PayoutWorker(
        broker,
        lambda: Gateway(base_url, MERCHANT, timeouts=QUICK),
        journal=journal,
        concurrency=20,
        **OPTIONS,
    )
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, lambda _: print("ready", flush=True))  # noqa: T201 - the test waits
    start_listen(WorkerArgs(broker=broker, modules=[], max_async_tasks=8, log_level="WARNING"))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
