"""Handlers, checks and inquiries that hang time out or are reported, and the others continue."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy.callbacks import CallbackEvent, Receiver, Router
from gatewaypy.models import Transaction

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

JSON = "application/json"


async def emptied(receiver: Receiver, left: int = 0) -> dict[str, int]:
    assert receiver.inbox is not None
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"] > left:
            await asyncio.sleep(0.01)
    return counts


def order(number: int) -> bytes:
    return signed(fields(paymentId=str(number), merchantTransactionId=f"TX-{number}"))


async def test_handlers_hanging_let_later_events_through(store_url: str) -> None:
    """When all handler slots hang, each handler times out and the next event is handled."""
    router, handled = Router(), []

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        if event.merchant_transaction_id != "TX-9":
            await asyncio.Event().wait()
        handled.append(event.merchant_transaction_id)

    options: dict[str, Any] = {"concurrency": 2, "handler_timeout": 0.05, "max_attempts": 1}
    async with Receiver(router, MERCHANT, inbox=store_url, **options) as receiver:
        for number in (1, 2, 9):
            await receiver.receive(order(number), JSON)
        counts = await emptied(receiver)
        notes = {kept.note for kept in await receiver.inbox.list_entries("parked")}
    assert (handled, counts["parked"]) == (["TX-9"], 2)
    assert all("did not end within 0.05 s" in str(note) for note in notes)


async def test_check_hanging_parks_event(store_url: str) -> None:
    """A check that does not return is a failure and parks its event."""

    async def check(event: CallbackEvent) -> bool:
        await asyncio.Event().wait()
        return True

    options: dict[str, Any] = {"check": check, "handler_timeout": 0.05, "max_attempts": 1}
    async with Receiver(Router(), MERCHANT, inbox=store_url, **options) as receiver:
        await receiver.receive(order(1), JSON)
        assert (await emptied(receiver))["parked"] == 1


async def test_inquiry_hanging_is_repeated(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that does not answer a confirmation is asked again later."""
    monkeypatch.setattr("gatewaypy.callbacks.confirmation._INQUIRY_TIMEOUT", 0.05)

    class Gateway:
        asked = 0

        async def inquire(self, **_: Any) -> Transaction:
            self.asked += 1
            await asyncio.Event().wait()
            raise AssertionError

    gateway = Gateway()
    async with Receiver(
        Router(), MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(order(1), JSON)
        async with asyncio.timeout(10):
            while gateway.asked < 2:
                await asyncio.sleep(0.01)
        assert (await receiver.inbox.counts())["open"] == 1


async def test_thread_handler_hanging_lets_later_events_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain handler cannot be stopped: it is logged, uses no slot and ends its event later."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._CANCEL_GRACE", 0.0)
    router, go, handled = Router(), threading.Event(), []

    @router.on(CallbackEvent)
    def handle(event: CallbackEvent) -> None:
        if event.merchant_transaction_id == "TX-1":
            go.wait(20)
        handled.append(event.merchant_transaction_id)

    options: dict[str, Any] = {"concurrency": 1, "handler_timeout": 0.01}
    async with Receiver(
        router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", **options
    ) as receiver:
        await receiver.receive(order(1), JSON)
        await receiver.receive(order(2), JSON)
        await emptied(receiver, left=1)
        assert handled == ["TX-2"]
        assert "the handler" in caplog.text
        assert "does not end" in caplog.text
        assert "'TX-1'" in caplog.text
        go.set()
        counts = await emptied(receiver)
    assert (handled, counts["done"]) == (["TX-2", "TX-1"], 2)


async def test_handler_ignoring_cancellation_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It blocks neither other events nor closing, and the log names it."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._CANCEL_GRACE", 0.05)
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._HANDLERS_CLOSING", 0.05)
    router, handled, go = Router(), [], asyncio.Event()

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        while event.merchant_transaction_id == "TX-1" and not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                handled.append("cancelled")
        handled.append(event.merchant_transaction_id)

    options: dict[str, Any] = {"concurrency": 1, "handler_timeout": 0.01}
    async with asyncio.timeout(20):
        async with Receiver(
            router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", **options
        ) as receiver:
            await receiver.receive(order(1), JSON)
            await receiver.receive(order(2), JSON)
            await emptied(receiver, left=1)
            assert "TX-2" in handled
        assert "it is abandoned" in caplog.text
        stuck = list(receiver.dispatcher._running.values())
        go.set()
        await asyncio.gather(*(running.task for running in stuck), return_exceptions=True)


async def test_handler_without_inbox_hanging_is_500() -> None:
    """Without an inbox the answer asks the gateway to send the callback again."""
    router = Router()

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        await asyncio.Event().wait()

    async with Receiver(router, MERCHANT, handler_timeout=0.05) as receiver:
        assert (await receiver.receive(order(1), JSON)).status == 500


async def test_thread_handler_without_inbox_hanging_is_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without an inbox a hanging plain handler blocks no request: it is a 500, and logged."""
    router, go = Router(), threading.Event()

    @router.on(CallbackEvent)
    def handle(event: CallbackEvent) -> None:
        go.wait(20)

    async with Receiver(router, MERCHANT, handler_timeout=0.05) as receiver, asyncio.timeout(10):
        answers = await asyncio.gather(
            *(receiver.receive(order(number), JSON) for number in range(50))
        )
    go.set()
    assert {answer.status for answer in answers} == {500}
    assert "did not end within 0.05 s" in caplog.text
