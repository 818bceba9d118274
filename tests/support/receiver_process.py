"""A receiver in a process that is killed: ``python receiver_process.py PORT INBOX EFFECTS``.

Its handler writes an effect, keyed by the event, into a database file of the shop.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys

from support.callback_bodies import MERCHANT

from gatewaypy.callbacks import CallbackApp, EventContext, PaymentSucceeded, Router
from gatewaypy.sandbox.server import serving


def make_router(effects: str) -> Router:
    router = Router()
    shop = sqlite3.connect(effects, isolation_level=None, timeout=30, check_same_thread=False)
    shop.execute("PRAGMA journal_mode=WAL")
    shop.execute("PRAGMA synchronous=OFF")  # only the process is killed, not the machine
    shop.execute(
        "CREATE TABLE IF NOT EXISTS effects (key TEXT PRIMARY KEY, own_id TEXT, calls INTEGER NOT NULL)"
    )

    @router.on(PaymentSucceeded)
    async def ship(event: PaymentSucceeded, context: EventContext) -> None:
        shop.execute(
            "INSERT INTO effects VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET calls = calls + 1",
            (context.key, event.merchant_transaction_id),
        )

    return router


async def main(port: int, inbox: str, effects: str) -> None:
    callbacks = CallbackApp(make_router(effects), MERCHANT, inbox=inbox, concurrency=64)
    callbacks.receiver.inbox.lease = 1.0
    async with callbacks, serving(callbacks, "127.0.0.1", port):
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
