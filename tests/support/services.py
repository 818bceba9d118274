"""The brokers and the browser of some tests, by environment variable or in their usual place."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from taskiq import AsyncBroker

REDIS = os.environ.get("GATEWAYPY_TEST_REDIS", "redis://127.0.0.1:6379/0")
CHROMIUM = "/usr/bin/chromium"
RABBITMQ = os.environ.get("GATEWAYPY_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")


def need(url: str, variable: str) -> str:
    """Return the URL of a service; without an answer, skip the test, or fail if it is required."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), 5).close()
    except OSError as error:
        if os.environ.get("GATEWAYPY_REQUIRE_SERVICES"):
            raise
        pytest.skip(
            f"no {parts.scheme} server at {parts.hostname}:{parts.port} (name one with {variable}): {error}"
        )
    return url


def need_redis() -> str:
    return need(REDIS, "GATEWAYPY_TEST_REDIS")


def need_rabbitmq() -> str:
    return need(RABBITMQ, "GATEWAYPY_TEST_RABBITMQ")


def need_chromium() -> str:
    """Return the path of a Chromium; without one, skip the test, or fail if it is required."""
    path = os.environ.get("GATEWAYPY_TEST_CHROMIUM") or CHROMIUM
    if not os.access(path, os.X_OK):
        reason = f"no Chromium at {path} (Debian's package is chromium; name another with GATEWAYPY_TEST_CHROMIUM)"
        if os.environ.get("GATEWAYPY_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def make_broker(url: str, queue: str) -> AsyncBroker:
    """Create a broker with a queue for this test, on Redis Streams or on RabbitMQ."""
    if url.startswith("redis"):
        from taskiq_redis import RedisStreamBroker

        return RedisStreamBroker(
            url,
            queue_name=queue,
            consumer_group_name=queue,
            consumer_id="0",
            xread_count=1,
            xread_block=200,
            idle_timeout=4_000,
        )
    from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

    tasks, dead = (
        Queue(name=queue, type=QueueType.CLASSIC),
        Queue(name=f"{queue}.dead", type=QueueType.CLASSIC),
    )
    return AioPikaBroker(url, qos=8, task_queues=[tasks], dead_letter_queue=dead)
