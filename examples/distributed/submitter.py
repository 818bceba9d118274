"""Submit a file of payouts to the workers, and wait until they are done.

Run ``python submitter.py 2026-11-23 payouts.csv``. The first argument names the batch. If it was
interrupted, run it again with the same file, or without a file to submit what is left of the batch.
It reads the same environment variables as worker.py, and sends nothing to the gateway.
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
                print(f"{await resubmit(job, broker)} chunks submitted again")
            else:
                # The first bad row raises an error. The rows before it are submitted.
                print(await submit(job, broker, orders=read_orders(file, strict=True)))
            while left := await remaining(job):
                print(f"{left} left")
                await asyncio.sleep(2)
            report = await job.report()
            ended = f"{report.succeeded} paid, {report.failed} refused"
            print(f"{ended}, {report.pending} pending, {report.review} on the review list")
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
