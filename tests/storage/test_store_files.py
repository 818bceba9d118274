"""An SQLite store whose file is deleted, replaced or locked while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Money
from gatewaypy.callbacks import Receiver, Router
from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts import PayoutOrder
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.states import State
from gatewaypy.storage import open_store, sqlite
from gatewaypy.storage.base import StoreUnavailableError

SCHEMA = ("CREATE TABLE IF NOT EXISTS notes (id {serial}, text TEXT NOT NULL UNIQUE)",)
ADD = "INSERT INTO notes (text) VALUES (?)"


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def callback(own_id: str) -> bytes:
    return signed(fields("capturesuccess", merchantTransactionId=own_id))


@pytest.mark.parametrize("lose", [delete, replace, delete_log])
async def test_receiver_with_deleted_inbox_is_503(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lose: Any
) -> None:
    """If the file of the inbox is deleted or replaced no callback gets a 200, and it is logged."""
    path = tmp_path / "inbox.db"
    async with Receiver(Router(), MERCHANT, inbox=f"sqlite:///{path}") as receiver:
        before = await receiver.receive(callback("TX-1"), "application/json")
        lose(path)
        with caplog.at_level(logging.ERROR, "gatewaypy.callbacks"):
            after = [
                await receiver.receive(callback(f"TX-{number}"), "application/json")
                for number in (2, 3)
            ]
    assert (before.status, [answer.status for answer in after]) == (200, [503, 503])
    assert "put the file back, and start again" in caplog.text


@pytest.mark.parametrize("lose", [delete, replace])
async def test_journal_with_deleted_file_writes_no_intent(tmp_path: Path, lose: Any) -> None:
    """If the file of the journal is deleted or replaced no intent counts, so nothing is sent."""
    path = tmp_path / "payouts.db"
    async with Journal(f"sqlite:///{path}", MERCHANT.member_id) as journal:
        await journal.plan(
            [
                PayoutOrder(
                    merchant_transaction_id=f"P-{n}", amount=Money("5.00", "EUR"), payment_id="7"
                )
                for n in range(2)
            ]
        )
        first, second = await journal.claim(State.PLANNED)
        assert await journal.record_intent(first) == 1
        lose(path)
        with pytest.raises(StoreUnavailableError, match="deleted or replaced"):
            await journal.record_intent(second)


async def test_store_lock_timeouts_run_in_parallel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions that wait for a locked file fail together, after one timeout."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.5)
    tries = 0
    as_one = sqlite._as_one

    def counted(*given: Any) -> Any:
        nonlocal tries
        tries += 1
        return as_one(*given)

    monkeypatch.setattr(sqlite, "_as_one", counted)
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    await store.open(SCHEMA)
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        failures = await asyncio.gather(
            *(store.run((ADD, (f"note {n}",))) for n in range(100)), return_exceptions=True
        )
        # One by one, as after a bad statement, they would be tried a hundred times.
        assert tries < 50
        other.execute("COMMIT")
    assert {type(answer) for answer in failures} == {StoreUnavailableError}
    await store.run((ADD, ("after",)))
    assert await store.run(("SELECT text FROM notes", ())) == [[("after",)]]
    await store.aclose()


async def test_store_lock_released_in_time_is_no_error(tmp_path: Path) -> None:
    """A lock that is released in time causes no error."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    await store.open(SCHEMA)
    with contextlib.closing(
        sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.ensure_future(store.run((ADD, (f"note {n}",)))) for n in range(3)]
        await asyncio.wait(waiting, timeout=0.3)
        assert not any(task.done() for task in waiting)
        other.execute("COMMIT")
    assert await asyncio.gather(*waiting) == [[[]]] * 3
    await store.aclose()


async def test_receiver_with_locked_inbox_is_503_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callbacks to a locked inbox are answered 503 after one timeout each, without a retry."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.3)
    path = tmp_path / "inbox.db"
    async with Receiver(Router(), MERCHANT, inbox=f"sqlite:///{path}") as receiver:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            calls = [receiver.receive(callback(f"TX-{n}"), "application/json") for n in range(60)]
            async with asyncio.timeout(10):
                answers = await asyncio.gather(*calls)
            other.execute("COMMIT")
        assert {answer.status for answer in answers} == {503}
        assert (await receiver.receive(callback("TX-0"), "application/json")).status == 200


async def test_store_at_a_directory_raises(tmp_path: Path) -> None:
    """A directory always has several links: the error says that it is a directory."""
    with pytest.raises(ConfigurationError, match=r"must be a file$"):
        await open_store(f"sqlite:///{tmp_path}").open(SCHEMA)
