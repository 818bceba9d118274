"""Stores and event loops: opened on one after another, used on a wrong one, without a writer."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import errors
from gatewaypy.callbacks import CallbackApp, CallbackEvent, Inbox, Router, verify_callback
from gatewaypy.storage import open_store
from gatewaypy.storage.base import StoreUnavailableError
from gatewaypy.storage.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from gatewaypy.storage import Store

SCHEMA = ("CREATE TABLE IF NOT EXISTS notes (id {serial}, text TEXT NOT NULL UNIQUE)",)
ADD = "INSERT INTO notes (text) VALUES (?) RETURNING text"


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work


async def on_another_loop(work: Any) -> Any:
    """Run a coroutine function on its own event loop, in a thread."""
    return await within(20, asyncio.to_thread(lambda: asyncio.run(within(15, work()))))


async def test_store_opens_on_a_second_event_loop(store_url: str) -> None:
    """Opened, used and closed on one event loop after another, a store works on each."""
    store = open_store(store_url)

    async def use() -> Any:
        await store.open(SCHEMA)
        try:
            await asyncio.gather(*(store.run(("SELECT 1", ())) for _ in range(5)))
            return await store.run(("SELECT COUNT(*) FROM notes", ()))
        finally:
            await store.aclose()

    assert [await on_another_loop(use) for _ in range(2)] == [[[(0,)]], [[(0,)]]]


async def test_store_left_open_by_ended_loop_opens_again(tmp_path: Any) -> None:
    """A loop that ended without closing the store does not prevent opening it on the next."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    await on_another_loop(lambda: store.open(SCHEMA))
    await store.open(SCHEMA)
    assert await within(15, store.run((ADD, ("second",)))) == [[("second",)]]
    await store.aclose()


async def test_store_used_on_another_loop_raises(store_url: str) -> None:
    """A transaction on another event loop is refused, and does not wait permanently."""
    store = open_store(store_url)
    await store.open(SCHEMA)
    with pytest.raises(errors.ConfigurationError, match="another event loop"):
        await on_another_loop(lambda: store.run(("SELECT 1", ())))
    await store.aclose()


async def test_inbox_opens_on_a_second_event_loop(store_url: str) -> None:
    """An inbox that stored events on one event loop stores events on the next."""
    inbox = Inbox(store_url)

    async def use() -> int:
        async with inbox:
            ids: dict[str, Any] = {"member_id": "11344", "merchant_transaction_id": None}
            await asyncio.gather(
                *(inbox.watch(payment_id=str(n), delay=0.0, **ids) for n in range(3))
            )
            return len(await inbox.watched("11344", 10, 300.0))

    assert [await on_another_loop(use) for _ in range(2)] == [3, 0]


def break_writer(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the writer of the store die at the next transaction."""

    def die(*_: Any) -> Any:
        raise SystemExit

    async def die_later(*_: Any) -> Any:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    monkeypatch.setattr(store, "_commit", die_later if hasattr(store, "_writer") else die)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_store_dead_writer_fails_every_caller(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All callers of a dead writer get an error; after a new opening the store works."""
    store: Store = open_store(store_url)
    await store.open(SCHEMA)
    with monkeypatch.context() as broken:
        break_writer(store, broken)
        waiting = [store.run((ADD, (f"note {number}",))) for number in range(600)]
        answers = await within(15, asyncio.gather(*waiting, return_exceptions=True))
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    with pytest.raises(StoreUnavailableError, match="writer has ended"):
        await within(15, store.run((ADD, ("later",))))
    await within(15, store.aclose())
    await store.open(SCHEMA)
    assert await within(15, store.run((ADD, ("again",)))) == [[("again",)]]
    await store.aclose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
async def test_store_in_forked_process_raises(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child process has no writer: a transaction fails, and does not wait permanently."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    await store.open(SCHEMA)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(StoreUnavailableError):
        await within(5, store.run(("SELECT 1", ())))
    monkeypatch.undo()
    await store.aclose()


async def test_batcher_cancelled_task_fails_its_callers() -> None:
    """Calls that waited for a cancelled task get an error, and the next call is executed."""
    go, began = asyncio.Event(), asyncio.Event()

    async def act(items: list[int]) -> list[int]:
        began.set()
        await go.wait()
        return items

    together: Batcher[int, int] = Batcher(act, lambda item: item)
    calls = [asyncio.ensure_future(together(1)), asyncio.ensure_future(together(1))]
    await within(5, began.wait())
    assert together._acting is not None
    together._acting.cancel()
    answers = await within(5, asyncio.gather(*calls, return_exceptions=True))
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
    go.set()
    assert await within(5, together(2)) == 2


def test_batcher_works_after_a_stopped_loop() -> None:
    """A loop that ended during a batch leaves nothing that the next loop would wait for."""

    async def act(items: list[int]) -> list[int]:
        if items == [1]:
            await asyncio.Event().wait()
        return items

    together: Batcher[int, int] = Batcher(act, lambda item: item)
    first = asyncio.new_event_loop()
    call = first.create_task(together(1))
    first.run_until_complete(asyncio.sleep(0))
    first.run_until_complete(asyncio.sleep(0))
    try:
        assert asyncio.run(within(5, together(2))) == 2
    finally:
        call.cancel()
        first.run_until_complete(asyncio.gather(call, return_exceptions=True))
        first.close()


@pytest.mark.parametrize("kind", ["app", "receiver", "inbox"])
def test_app_loop_ended_without_close_can_reopen(kind: str, tmp_path: Path) -> None:
    """The first callback on the next loop opens what was left open, and events are handled."""
    handled: list[str | None] = []
    router = Router()
    router.on(CallbackEvent)(lambda event: handled.append(event.payment_id))
    url = f"sqlite:///{tmp_path}/x.db"
    app = CallbackApp(router, MERCHANT, inbox=url)
    opened: Any = {"app": app, "receiver": app.receiver, "inbox": Inbox(url)}[kind]

    async def use(payment_id: str) -> None:
        if kind != "app":
            await opened.__aenter__()
        body = signed(fields(paymentId=payment_id, merchantTransactionId=f"TX-{payment_id}"))
        if kind == "inbox":
            assert await opened.put(verify_callback(body, MERCHANT))
            return
        if kind == "app":
            scope = {
                "type": "http",
                "path": "/",
                "method": "POST",
                "headers": [(b"content-type", b"application/json")],
            }
            sent: list[Any] = []
            await app(scope, ready({"type": "http.request", "body": body}), collect(sent))
            assert sent[0]["status"] == 200
        else:
            assert (await opened.receive(body, "application/json")).status == 200
        async with asyncio.timeout(10):
            while payment_id not in handled:
                await asyncio.sleep(0.01)

    for payment_id in ("1", "2", "3"):
        asyncio.run(use(payment_id))
    asyncio.run(opened.__aexit__(None, None, None))
    assert handled == ([] if kind == "inbox" else ["1", "2", "3"])


def ready(message: Any) -> Any:
    async def receive() -> Any:
        return message

    return receive


def collect(sent: list[Any]) -> Any:
    async def send(message: Any) -> None:
        sent.append(message)

    return send
