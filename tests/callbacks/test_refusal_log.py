"""What the log has about callbacks: refusals, failures and events without a handler."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy.callbacks import CallbackEvent, PaymentSucceeded, Receiver, Router
from gatewaypy.callbacks.repeated_log import RepeatedLog

if TYPE_CHECKING:
    from pathlib import Path

JSON = "application/json"
SECRET_BODY = signed(fields(remark="a word of the body")).replace(b"50.00", b"51.00")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (SECRET_BODY, JSON, "answered 401: its signature does not match"),
        (b'{"paymentId": "7"}', JSON, "answered 401: it is not signed"),
        (b"{", JSON, "answered 400"),
        (b"x" * 70_000, JSON, "answered 413"),
        (b"<a/>", "text/xml", "answered 415"),
    ],
    ids=range(5),
)
async def test_refused_callback_is_logged(
    body: bytes, kind: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The WARNING has the reason and the address of the sender, and not the body."""
    async with Receiver(Router(), MERCHANT) as receiver:
        await receiver.receive(body, kind, source="192.0.2.7\n")
        (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert words in record.getMessage()
    assert "'192.0.2.7\\n'" in record.getMessage()
    assert "a word of the body" not in caplog.text


def test_repeated_reasons_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """One line per reason in 10 s; the next has the count of skipped ones, as has closing."""
    now = [0.0]
    summed = RepeatedLog(lambda: now[0])
    for time in (0.0, 1.0, 9.9, 10.0, 11.0):
        now[0] = time
        summed.warn("401", "refused")
    summed.warn("400", "broken")
    summed.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "refused", "refused (2 more like it since the last line)", "broken", "401: 1 more",
    ]  # fmt: skip


def test_repeated_log_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """However many reasons occur, only a few are kept in memory."""
    summed = RepeatedLog(lambda: 0.0)
    for number in range(1000):
        summed.warn(str(number), "refused")
    assert len(caplog.records) == 65


async def test_failing_handler_is_logged_with_its_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback, the order, the status and the attempt."""
    router = Router()

    @router.on(CallbackEvent)
    async def broken(event: CallbackEvent) -> None:
        raise RuntimeError("the shop is down")

    options: dict[str, Any] = {"max_attempts": 2, "initial_delay": 0.01}
    async with Receiver(
        router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", **options
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        async with asyncio.timeout(10):
            while (await receiver.inbox.counts())["open"]:
                await asyncio.sleep(0.01)
    first, last = [record for record in caplog.records if "event 1" in record.getMessage()]
    assert (
        "('capturesuccess' of 'TX-1001'): PaymentSucceeded: attempt 1 failed" in first.getMessage()
    )
    assert "parked after 2 attempts" in last.getMessage()
    assert caplog.text.count('raise RuntimeError("the shop is down")') == 2


@pytest.mark.parametrize("inbox", [True, False])
async def test_event_without_handler_is_logged(
    inbox: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A chargeback without a handler is a warning; the log names such types at the opening."""
    router = Router()

    @router.on(PaymentSucceeded)
    async def handle(event: PaymentSucceeded) -> None: ...

    caplog.set_level(logging.INFO, "gatewaypy.callbacks")
    async with Receiver(
        router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db" if inbox else None
    ) as receiver:
        await receiver.receive(signed(fields("chargeback", "N")), JSON)
        async with asyncio.timeout(10):
            while (
                "is a ChargedBack" not in caplog.text
                and "registered for ChargedBack of" not in caplog.text
            ):
                await asyncio.sleep(0.01)
    (opening,) = [
        record
        for record in caplog.records
        if "no handler is registered for ChargedBack, " in record.getMessage()
    ]
    assert "PaymentSucceeded" not in opening.getMessage()


async def test_unknown_field_name_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A field name with a line break and an escape is not logged, and adds no line per field."""
    async with Receiver(Router(), MERCHANT) as receiver:
        for number in range(100):
            name = f"\\u001b[31m{number}\\n fake id" if number % 2 else f"n{number}.id"
            body = b'{"result":{},"' + name.encode() + b'":"\xe9"}'
            assert (await receiver.receive(body, JSON)).status == 400
        (record,) = caplog.records
    assert "fake" not in caplog.text
    assert "\x1b" not in record.getMessage()


@pytest.mark.parametrize("inbox", [True, False])
async def test_handler_error_text_is_printable(
    inbox: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that quotes the callback adds no line break or escape to the log."""
    router = Router()

    @router.on(CallbackEvent)
    async def broken(event: CallbackEvent) -> None:
        raise ValueError("no such order") from LookupError(event.remark)

    options: dict[str, Any] = (
        {"inbox": f"sqlite:///{tmp_path}/x.db", "max_attempts": 1} if inbox else {}
    )
    async with Receiver(router, MERCHANT, **options) as receiver:
        await receiver.receive(signed(fields(remark="x\nCRITICAL forged \x1b[2J")), JSON)
        async with asyncio.timeout(10):
            while "no such order" not in caplog.text:
                await asyncio.sleep(0.01)
    assert "\x1b" not in caplog.text
    assert "\nCRITICAL" not in caplog.text
    assert "in broken" in caplog.text
