"""Hand a file of payouts to the workers, and wait until they are done: ``python submitter.py 2026-11-23 payouts.csv``.

The first argument names the batch. Run it again with the same file after it was interrupted, or without a file to hand over once
more whatever is left of the batch. It reads the same environment as worker.py, and sends nothing to the gateway.
"""

import asyncio
import os
import sys

from worker import broker, make_gateway

from gatewaypy.payouts import PayoutJob, read_orders
from gatewaypy.payouts.distributed import remaining, resubmit, submit


async def main(batch: str, file: str | None = None) -> None:
    job = PayoutJob(make_gateway(), journal=os.environ["JOURNAL"], batch=batch)
    await broker.startup()
    try:
        async with job:
            if file is None:
                print(f"{await resubmit(job, broker)} chunks handed over once more")
            else:
                # A file with a line that is no order is refused there; the lines before it are submitted.
                print(await submit(job, broker, orders=read_orders(file, strict=True)))
            while left := await remaining(job):
                print(f"{left} left")
                await asyncio.sleep(2)
            report = await job.report()
            print(
                f"{report.succeeded} paid, {report.failed} refused, {report.pending} pending, {report.review} for a person"
            )
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
