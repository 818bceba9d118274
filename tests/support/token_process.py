"""Gateways that share tokens: ``python token_process.py BASE_URL REDIS PREFIX GATEWAYS``.

It prints ``ready``, waits for a line, makes one payout with each gateway at the same time, and
prints the results.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from gatewaypy import Customer, Gateway, Money, RedisTokens
from gatewaypy.sandbox import MERCHANT


async def main(base_url: str, redis: str, prefix: str, number: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(
                Gateway(base_url, MERCHANT, token_store=RedisTokens(redis, prefix=prefix))
            )
            for _ in range(number)
        ]
        for turn in range(2):
            print("ready", flush=True)  # noqa: T201 - the test waits for it
            await asyncio.to_thread(sys.stdin.readline)
            paid = await asyncio.gather(
                *(
                    gateway.payout(
                        Money("5.00", "EUR"),
                        merchant_transaction_id=f"P-{os.getpid()}-{turn}-{at}",
                        customer=Customer(email="a@b.example"),
                    )
                    for at, gateway in enumerate(gateways)
                )
            )
            print(sum(payout.succeeded for payout in paid), flush=True)  # noqa: T201 - see above


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
