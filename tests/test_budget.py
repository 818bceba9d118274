"""Limits on function calls and memory per payout and callback, equal on every machine."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tomllib
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.bare_server import answer_each, listening, send

from gatewaypy import Credentials, Customer, Gateway, HttptoolsTransport, Limits, Money
from gatewaypy.callbacks import CallbackApp, PaymentSucceeded, Router, sign_callback
from gatewaypy.payouts import PayoutJob, PayoutOrder
from gatewaypy.protocol.wire import WireReply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.untraced
BUDGET = tomllib.loads((Path(__file__).parent / "budget.toml").read_text())
MERCHANT = Credentials(
    member_id="11344", partner_id="4", username="shop", secret_key="budgetKey0000000000000000"
)
ADA = Customer("Ada", "Lovelace", "ada@shop.example")
FIVE = Money("5.00", "EUR")


class Answers:
    """A transport that answers at once, so that only the work of the library is counted."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, request: Any, *, send_guard: Callable[[], bool], **_: Any) -> WireReply:
        if request.url.endswith("authToken"):
            return WireReply(
                200,
                "application/json",
                b'{"result": {"code": "200"}, "AuthToken": "a.b.c", "memberId": "11344"}',
            )
        assert send_guard()
        own = (
            bytes(request.body).partition(b"merchantTransactionId=")[2].partition(b"&")[0].decode()
        )
        fields = {"paymentId": "7", "merchantTransactionId": own, "transactionStatus": "Y", "status": "payoutsuccessful",
                "amount": "5.00", "currency": "EUR", "result": {"code": "00001", "description": "ok"}}  # fmt: skip
        return WireReply(200, "application/json", json.dumps(fields).encode())


class Holds(Answers):
    """A transport that answers only token calls until it is released."""

    def __init__(self) -> None:
        self.held, self.go = 0, asyncio.Event()

    async def send(self, request: Any, **options: Any) -> WireReply:
        if request.token is not None:
            self.held += 1
            await self.go.wait()
        return await super().send(request, **options)


@pytest.fixture
async def pay() -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Return a function that makes a number of payouts, after a warm-up."""
    made = 0
    async with Gateway("https://gateway.example", MERCHANT, transport=Answers()) as gateway:

        async def paying(times: int) -> None:
            nonlocal made
            for _ in range(times):
                made += 1
                assert (
                    await gateway.payout(FIVE, merchant_transaction_id=f"P-{made}", customer=ADA)
                ).succeeded

        await paying(50)
        yield paying


def counting(counted: dict[str, int], part: str = "") -> Callable[..., None]:
    """Build a profiler that counts Python calls of this library or a part of it, and others."""

    def profile(frame: Any, event: str, _: object) -> None:
        if event == "call":
            counted["all"] += 1
            file = frame.f_code.co_filename
            counted["ours"] += f"{'/'}gatewaypy{'/'}" in file and part in file

    return profile


def within(figure: float, budget: float) -> bool:
    """Check that a figure is within its budget, and not so far below that the budget must drop."""
    return budget / 2 <= figure <= budget


async def test_payout_calls_stay_within_budget(
    pay: Callable[[int], Awaitable[None]],
) -> None:
    """The number of Python function calls a payout stays within the budget."""
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    sys.setprofile(counting(counted))
    try:
        await pay(100)
    finally:
        sys.setprofile(before)
    assert within(counted["all"] / 100, BUDGET["payout"]["calls"]), counted


async def test_payout_memory_is_released(pay: Callable[[int], Awaitable[None]]) -> None:
    """The peak memory of a payout is within the budget, and all of it is released."""
    tracemalloc.start()
    try:
        await pay(200)
        gc.collect()
        tracemalloc.reset_peak()
        kept, _ = tracemalloc.get_traced_memory()
        await pay(200)
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert within((peak - kept) / 1024, BUDGET["payout"]["peak_kib"]), (peak, kept, after)
    assert (after - kept) / 200 <= BUDGET["payout"]["kept_bytes"]


async def test_payout_in_flight_has_few_objects() -> None:
    """The number of objects that the garbage collector visits per payout is within the budget."""
    transport = Holds()
    async with Gateway(
        "https://gateway.example", MERCHANT, transport=transport, limits=Limits(max_in_flight=500)
    ) as gateway:
        await gateway.tokens.merchant()
        gc.collect()
        before = len(gc.get_objects())
        payouts = [
            gateway.payout(FIVE, merchant_transaction_id=f"P-{number}", customer=ADA)
            for number in range(500)
        ]
        paying = asyncio.gather(*payouts)
        while transport.held < len(payouts):
            await asyncio.sleep(0)
        gc.collect()
        held = len(gc.get_objects()) - before
        transport.go.set()
        await paying
    assert within(held / len(payouts), BUDGET["in flight"]["objects"])


async def test_request_calls_stay_within_budget() -> None:
    """The fastest transport's own function calls per request stay within the budget."""
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    async with listening(answer_each) as port, HttptoolsTransport() as transport:
        await send(transport, port)
        sys.setprofile(counting(counted, "httptools"))
        try:
            for _ in range(100):
                await send(transport, port)
        finally:
            sys.setprofile(before)
    assert within(counted["ours"] / 100, BUDGET["httptools"]["calls"]), counted


async def test_journaled_payout_calls_stay_within_budget(tmp_path: Path) -> None:
    """The function calls of a payout in a job with an SQLite journal stay within the budget."""
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    orders = [
        PayoutOrder(merchant_transaction_id=f"P-{n}", amount=FIVE, customer=ADA)
        for n in range(1000)
    ]
    async with (
        Gateway("https://gateway.example", MERCHANT, transport=Answers()) as gateway,
        PayoutJob(gateway, journal=f"sqlite:///{tmp_path}/budget.db", concurrency=100) as job,
    ):
        sys.setprofile(counting(counted))
        try:
            assert len([result async for result in job.run(orders)]) == 1000
        finally:
            sys.setprofile(before)
    assert within(counted["all"] / 1000, BUDGET["journalled"]["calls"]), counted


async def test_callback_calls_stay_within_budget() -> None:
    """The library's calls from the bytes of a callback to its answer stay within the budget."""
    router, handled = Router(), []

    @router.on(PaymentSucceeded)
    async def handle(event: PaymentSucceeded) -> None:
        handled.append(event)

    app = CallbackApp(router, MERCHANT)
    fields = json.loads(
        (
            Path(__file__).parent / "vectors" / "callbacks" / "payment-captured-long-status.json"
        ).read_text()
    )
    body = json.dumps(fields | {"checksum": sign_callback(fields, MERCHANT)}).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-type", b"application/json")],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200

    await app(scope, receive, send)
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    sys.setprofile(counting(counted))
    try:
        for _ in range(100):
            await app(scope, receive, send)
    finally:
        sys.setprofile(before)
    assert len(handled) == 101
    assert within(counted["ours"] / 100, BUDGET["callback"]["calls"]), counted
