"""Unsigned callbacks, which any client can send."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy.callbacks import CallbackEvent, Receiver, Router
from gatewaypy.callbacks.dispatcher import _Allowance
from gatewaypy.callbacks.unsigned import reduced
from gatewaypy.protocol import decode

if TYPE_CHECKING:
    from gatewaypy.models import Transaction

JSON = "application/json"


class Gateway:
    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = list(records)
        self.asked: list[dict[str, Any]] = []

    async def inquire(self, **by: Any) -> Transaction:
        self.asked.append(by)
        record = self.records.pop(0) if len(self.records) > 1 else self.records[0]
        return decode.transaction(
            record if record is MISSING else {**record, "result": {"code": "00026"}}
        )


MISSING = {"result": {"code": "10026", "description": "Record not found"}}


def unsigned(**changes: Any) -> bytes:
    return json.dumps(fields(**changes)).encode()


async def emptied(receiver: Receiver) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (fields(), {name: text for name, text in fields().items() if isinstance(text, str)}),
        ({"paymentId": "7", "remark": "x" * 60_000, "card": {"bin": "400000"}}, {"paymentId": "7"}),
        ({"paymentId": "7\n\x1b[2J", "merchantTransactionId": "A" * 101}, {}),
        (
            {"paymentId": "7", "status": "onhold\n", "transactionStatus": "Y"},
            {"paymentId": "7", "transactionStatus": "Y"},
        ),
        ({"amount": "9" * 400, "currency": "EURO"}, {}),
        (
            {"amount": "12.50", "currency": "eur", "checksum": "x"},
            {"amount": "12.50", "currency": "eur"},
        ),
    ],
    ids=range(6),
)
def test_reduced_keeps_only_inquiry_fields(sent: dict[str, Any], kept: dict[str, str]) -> None:
    """Only ids in their format, known statuses, amount and currency are kept."""
    assert reduced(sent) == kept


async def test_unsigned_body_is_stored_reduced(store_url: str) -> None:
    """A body of 60 KB leaves a row of a few hundred bytes, deleted soon after its refusal."""
    async with Receiver(Router(), MERCHANT, inbox=store_url, confirm=Gateway(MISSING)) as receiver:
        await receiver.receive(unsigned(remark="x" * 60_000), JSON)
        assert (await emptied(receiver))["refused"] == 1
        (kept,) = await receiver.inbox.list_entries("refused")
        assert len(json.dumps(kept.fields)) < 400
        assert await receiver.inbox.forget_refused(10.0) == 0
        assert await receiver.inbox.forget_refused(-1.0) == 1


async def test_unsigned_contradictions_are_refused(store_url: str) -> None:
    """Neither a different amount nor a state that cannot follow goes to review."""
    gateway = Gateway(fields("capturesuccess"), fields("capturesuccess"), fields("authfailed", "N"))
    async with Receiver(
        Router(),
        MERCHANT,
        inbox=store_url,
        confirm=gateway,
        confirm_when="unsigned_only",
        unsigned_per_second=1000.0,
    ) as receiver:
        for body in (unsigned(), unsigned(amount="1.00"), unsigned(status="authfailed", short="N")):
            await receiver.receive(body, JSON)
            await emptied(receiver)
        counts = await receiver.inbox.counts()
    assert (counts["done"], counts["refused"], counts["review"]) == (1, 2, 0)


async def test_unsigned_events_reach_review_once_a_payment(store_url: str) -> None:
    """What the shop's check refuses is stored once, however many bodies arrive for that payment."""
    gateway = Gateway(fields("capturesuccess"))
    options: dict[str, Any] = {
        "confirm": gateway,
        "check": lambda _: False,
        "unsigned_per_second": 1000.0,
    }
    async with Receiver(Router(), MERCHANT, inbox=store_url, **options) as receiver:
        for status in ("capturesuccess", "settled", "authstarted"):
            await receiver.receive(unsigned(status=status), JSON)
            await emptied(receiver)
        counts = await receiver.inbox.counts()
    assert (counts["review"], counts["refused"]) == (1, 2)


async def test_signed_event_passes_waiting_unsigned_ones(store_url: str) -> None:
    """With an unsigned backlog, even of its own payment, a signed event is handled at once."""
    events: list[CallbackEvent] = []
    router, gateway = Router(), Gateway(fields("capturesuccess"))
    router.on(CallbackEvent)(events.append)
    options: dict[str, Any] = {"confirm": gateway, "unsigned_per_second": 0.001}
    async with Receiver(router, MERCHANT, inbox=store_url, **options) as receiver:
        for number in range(20):
            await receiver.receive(unsigned(amount=f"{number}.00"), JSON)
        await receiver.receive(signed(fields()), JSON)
        async with asyncio.timeout(10):
            while not events:
                await asyncio.sleep(0.01)
        assert await receiver.inbox.waiting(unsigned_only=True) >= 19
    assert len(gateway.asked) <= 2


async def test_unsigned_events_beyond_limit_are_503(store_url: str) -> None:
    """The number of waiting unsigned events is limited; a signed one is still accepted."""
    gateway = Gateway(MISSING)
    options: dict[str, Any] = {"confirm": gateway, "max_unsigned": 2, "unsigned_per_second": 0.001}
    async with Receiver(Router(), MERCHANT, inbox=store_url, **options) as receiver:
        receiver._counted(2, 2)
        assert (await receiver.receive(unsigned(), JSON)).status == 503
        assert (await receiver.receive(signed(fields()), JSON)).status == 200


async def test_unsigned_event_without_confirm_is_not_claimed(store_url: str) -> None:
    """A process that cannot confirm leaves the unsigned events of another process alone."""
    events: list[CallbackEvent] = []
    router = Router()
    router.on(CallbackEvent)(events.append)
    async with Receiver(
        router, MERCHANT, inbox=store_url, confirm=Gateway(MISSING), unsigned_per_second=0.001
    ) as receiver:
        receiver.dispatcher._allowance.use(1)
        await receiver.receive(unsigned(), JSON)
    async with Receiver(router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields(paymentId="8", merchantTransactionId="TX-8")), JSON)
        async with asyncio.timeout(10):
            while not events:
                await asyncio.sleep(0.01)
        assert await receiver.inbox.waiting(unsigned_only=True) == 1
    assert len(events) == 1


def test_allowance_limits_rate() -> None:
    """Five a second, with at most the allowance of one second saved up."""
    allowance = _Allowance(5.0)
    assert allowance.left(100.0) == 1
    allowance.use(1)
    assert (allowance.left(100.1), allowance.left(100.2), allowance.left(200.0)) == (0, 1, 5)
