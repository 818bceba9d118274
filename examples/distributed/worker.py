"""A payout worker for RabbitMQ, on any number of machines.

Run ``taskiq worker worker:broker --workers 2 --max-async-tasks 8``. It reads BROKER, JOURNAL,
TOKENS (optional: a Redis for the shared token), GATEWAY_URL, and the account in
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY.
"""

import os

from taskiq_aio_pika import AioPikaBroker, Queue

from gatewaypy import Credentials, Gateway, RedisTokens
from gatewaypy.payouts.distributed import PayoutWorker

credentials = Credentials.from_env()
# One queue per merchant, because a worker pays for one account. qos is --max-async-tasks.
queue = Queue(name=f"payouts-{credentials.member_id}")
broker = AioPikaBroker(os.environ["BROKER"], qos=8, task_queues=[queue])


def make_gateway() -> Gateway:
    tokens = os.environ.get("TOKENS")
    return Gateway(
        os.environ["GATEWAY_URL"], credentials, token_store=RedisTokens(tokens) if tokens else None
    )


worker = PayoutWorker(
    broker,
    make_gateway,
    journal=os.environ["JOURNAL"],
    concurrency=200,
    # Longer than the gateway can still execute a request whose answer was lost.
    quiet_period=float(os.environ.get("QUIET_PERIOD", "120")),
    # True only if the platform refuses a used id (result code 20015).
    resend_unknown=False,
)
