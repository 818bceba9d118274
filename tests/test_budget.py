"""What one payout may cost in function calls and memory: counts, which no machine's mood changes. The budget is in budget.toml."""

from __future__ import annotations

import gc
import json
import sys
import tomllib
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from gatewaypy import Credentials, Customer, Gateway, Money
from gatewaypy.payouts import PayoutJob, PayoutOrder
from gatewaypy.protocol.wire import WireReply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.untraced
BUDGET = tomllib.loads((Path(__file__).parent / "budget.toml").read_text())
MERCHANT = Credentials(member_id="11344", partner_id="4", username="shop", secret_key="budgetKey0000000000000000")
ADA = Customer("Ada", "Lovelace", "ada@shop.example")
FIVE = Money("5.00", "EUR")


class Answers:
    """A transport that answers at once: what is counted is the library's own."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, request: Any, *, about_to_send: Callable[[], bool], **_: Any) -> WireReply:
        if request.url.endswith("authToken"):
            return WireReply(200, "application/json", b'{"result": {"code": "200"}, "AuthToken": "a.b.c", "memberId": "11344"}')
        assert about_to_send()
        own = bytes(request.body).partition(b"merchantTransactionId=")[2].partition(b"&")[0].decode()
        told = {"paymentId": "7", "merchantTransactionId": own, "transactionStatus": "Y", "status": "payoutsuccessful",
                "amount": "5.00", "currency": "EUR", "result": {"code": "00001", "description": "ok"}}  # fmt: skip
        return WireReply(200, "application/json", json.dumps(told).encode())


@pytest.fixture
async def pay() -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Give what pays out a number of times, warmed up."""
    made = 0
    async with Gateway("https://gateway.example", MERCHANT, transport=Answers()) as gateway:

        async def paying(times: int) -> None:
            nonlocal made
            for _ in range(times):
                made += 1
                assert (await gateway.payout(FIVE, merchant_transaction_id=f"P-{made}", customer=ADA)).succeeded

        await paying(50)
        yield paying


def counting(counted: dict[str, int]) -> Callable[..., None]:
    """Make a profiler that counts calls of Python functions by whose they are: this library's, and everybody's."""

    def profile(frame: Any, event: str, _: object) -> None:
        if event == "call":
            counted["all"] += 1
            counted["ours"] += f"{'/'}gatewaypy{'/'}" in frame.f_code.co_filename

    return profile


def within(figure: float, budget: float) -> bool:
    """Tell whether a figure is within its budget, and not so far below that the budget guards nothing and must be lowered."""
    return budget / 2 <= figure <= budget


async def test_a_payout_makes_no_more_calls_than_its_budget(pay: Callable[[int], Awaitable[None]]) -> None:
    """The number of Python function calls a payout stays within the budget."""
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    sys.setprofile(counting(counted))
    try:
        await pay(100)
    finally:
        sys.setprofile(before)
    assert within(counted["all"] / 100, BUDGET["payout"]["calls"]), counted


async def test_a_payout_leaves_nothing_behind(pay: Callable[[int], Awaitable[None]]) -> None:
    """The memory that a payout takes is within the budget at its peak, and none of it stays."""
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


async def test_a_journalled_payout_makes_no_more_calls_than_its_budget(tmp_path: Path) -> None:
    """The number of Python function calls a payout of a job, its journal on SQLite included, stays within the budget."""
    counted, before = {"all": 0, "ours": 0}, sys.getprofile()
    orders = [PayoutOrder(merchant_transaction_id=f"P-{n}", amount=FIVE, customer=ADA) for n in range(1000)]
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
