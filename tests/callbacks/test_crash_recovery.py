"""A killed receiver keeps every acknowledged event, handles each once and accepts no forgery."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Self

import pytest
from support.callback_bodies import fields, signed

from gatewaypy.callbacks import Inbox

pytestmark = [pytest.mark.heavy, pytest.mark.untraced]
TESTS = Path(__file__).parent.parent
DISTINCT, REPEATED, FORGED, KILLS, SENDERS = 8_000, 2_000, 100, 3, 24


class Process:
    """The receiver's process, restarted each time it is killed."""

    def __init__(self, port: int, inbox: str, effects: Path) -> None:
        self.arguments = [
            sys.executable,
            str(TESTS / "support" / "receiver_process.py"),
            str(port),
            inbox,
            str(effects),
        ]
        self.environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        self.environ.pop("COVERAGE_PROCESS_START", None)
        self.environ.pop("COVERAGE_PROCESS_CONFIG", None)
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, env=self.environ, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert await asyncio.wait_for(self.process.stdout.readline(), 30) == b"ready\n"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


async def post(
    port: int, bodies: list[tuple[str, bytes]], statuses: dict[str, set[int]], sent: list[int]
) -> None:
    """Post bodies one after the other on one connection, each until it is answered."""
    reader = writer = None
    for name, body in bodies:
        while True:
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % len(body)
                    + body
                )
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                reader, writer = None, await closed(writer)
                await asyncio.sleep(0.02)
                continue
            status = int(head.split(b" ")[1])
            statuses[name].add(status)
            sent[0] += 1
            if status != 503:
                break
    await closed(writer)


async def closed(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_receiver_killed_three_times_handles_each_event_once(
    store_url: str, tmp_path: Path, quiet_port: int
) -> None:
    """After three SIGKILLs each acknowledged event is stored and handled once, no forged one."""
    seeded = random.Random(11)
    events = {
        f"TX-{number}": signed(fields(merchantTransactionId=f"TX-{number}", paymentId=str(number)))
        for number in range(DISTINCT)
    }
    bodies = list(events.items()) + [
        (name, events[name]) for name in seeded.choices(list(events), k=REPEATED)
    ]
    bodies += [
        (
            f"forged-{n}",
            signed(fields(merchantTransactionId=f"F-{n}")).replace(b'"50.00"', b'"500.00"'),
        )
        for n in range(FORGED)
    ]
    seeded.shuffle(bodies)
    statuses: dict[str, set[int]] = {name: set() for name, _ in bodies}
    sent, effects = [0], tmp_path / "effects.db"
    parts = [bodies[start::SENDERS] for start in range(SENDERS)]
    senders = [asyncio.create_task(post(quiet_port, part, statuses, sent)) for part in parts]
    kill_at = sorted(seeded.sample(range(500, 9_000), KILLS))
    for at in kill_at:
        async with Process(quiet_port, store_url, effects):
            while sent[0] < at:
                await asyncio.sleep(0.005)
    async with Process(quiet_port, store_url, effects), Inbox(store_url) as inbox:
        await asyncio.gather(*senders)
        async with asyncio.timeout(60):
            while (counts := await inbox.counts())["open"]:
                await asyncio.sleep(0.05)
        (rows,) = await inbox._store.run(("SELECT fields FROM gatewaypy_inbox", ()))
    with contextlib.closing(sqlite3.connect(effects)) as shop:
        happened = shop.execute("SELECT own_id, calls FROM effects").fetchall()
    assert {
        name for name, seen in statuses.items() if name.startswith("TX") and seen - {200, 503}
    } == set()
    assert all(seen == {401} for name, seen in statuses.items() if name.startswith("forged"))
    assert counts["done"] == len(rows) == DISTINCT
    assert len(happened) == len({own_id for own_id, _ in happened}) == DISTINCT
    # After a kill between a handler's effect and its record in the inbox, the handler runs again
    # with the same key.
    again = sum(calls - 1 for _, calls in happened)
    assert again <= KILLS * 64
