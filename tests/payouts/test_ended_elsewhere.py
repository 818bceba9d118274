"""Orders that other processes end during a run: the run yields each once, with its result."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.stores import postgres_schema

from gatewaypy import Customer, Gateway, Money, Outcome, Timeouts, errors
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, PayoutUpdate, State
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK = Timeouts(connect=2, read=1, total=3, inquiry=0.1)
ENDS = [
    (PayoutUpdate(state=State.SUCCEEDED, outcome_source="callback"), Outcome.SUCCEEDED),
    (PayoutUpdate(state=State.FAILED, outcome_source="callback"), Outcome.FAILED),
]


def orders(*amounts: str) -> list[PayoutOrder]:
    return [
        PayoutOrder(
            merchant_transaction_id=f"P-{number}",
            amount=Money(amount, "EUR"),
            customer=Customer("Ada"),
        )
        for number, amount in enumerate(amounts)
    ]


class Client:
    """A gateway object whose payouts are a function of the test."""

    def __init__(self, gateway: Gateway, payout: Any) -> None:
        self.credentials, self.inquire, self.payout = gateway.credentials, gateway.inquire, payout


@pytest.fixture
async def gateway(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway with short timeouts."""
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK) as opened:
        yield opened


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """Return the URL of an empty PostgreSQL journal, which two processes can share."""
    async for url in postgres_schema():
        yield url


def count_results(results: list[Any]) -> Counter[tuple[str, Any, Any]]:
    return Counter((one.order.merchant_transaction_id, one.state, one.outcome) for one in results)


@pytest.mark.parametrize(("finding", "outcome"), ENDS, ids=["paid", "declined"])
async def test_run_yields_pending_order_ended_by_callback_once(
    gateway: Gateway, store_url: str, finding: PayoutUpdate, outcome: Outcome
) -> None:
    """A pending order that a callback ends is yielded as ended, and not as pending too."""
    results = []
    async with (
        PayoutJob(gateway, journal=store_url, pending_timeout=60) as job,
        asyncio.timeout(30),
    ):

        async def call_back() -> None:
            while not (await job.report()).pending:
                await asyncio.sleep(0.01)
            await job.journal.record("P-0", finding)

        calling = asyncio.ensure_future(call_back())
        results = [result async for result in job.run(orders("6091.00", "5.00"))]
        await calling
    assert count_results(results) == {
        ("P-0", finding.state, outcome): 1,
        ("P-1", State.SUCCEEDED, Outcome.SUCCEEDED): 1,
    }


@pytest.mark.parametrize(("finding", "outcome"), ENDS, ids=["paid", "declined"])
async def test_run_yields_doubtful_order_ended_by_callback_once(
    gateway: Gateway, store_url: str, finding: PayoutUpdate, outcome: Outcome
) -> None:
    """An order whose callback arrives before its doubt is resolved is yielded once."""
    jobs: list[PayoutJob] = []

    async def payout(*_: Any, merchant_transaction_id: str, **__: Any) -> Any:
        await jobs[0].journal.record(merchant_transaction_id, finding)
        raise errors.OutcomeUnknown("no answer", merchant_transaction_id=merchant_transaction_id)

    async with PayoutJob(Client(gateway, payout), journal=store_url) as job, asyncio.timeout(30):
        jobs.append(job)
        results = [result async for result in job.run(orders("5.00", "6.00"))]
    assert count_results(results) == {
        (f"P-{number}", finding.state, outcome): 1 for number in range(2)
    }


async def test_run_yields_order_ended_by_other_process_once(
    gateway: Gateway, postgres_url: str
) -> None:
    """An order that another process claimed and ended is yielded by the run that read it, once."""

    async def payout(*_: Any, merchant_transaction_id: str, **__: Any) -> Any:
        raise errors.OutcomeUnknown("no answer", merchant_transaction_id=merchant_transaction_id)

    async def take_over() -> None:
        async with Journal(postgres_url, MERCHANT.member_id) as other:
            while not (rows := await other.claim(State.UNKNOWN)):
                await asyncio.sleep(0.01)
            await other.move_to_review(rows[0], "not found by another", is_absent=True)

    async with (
        PayoutJob(Client(gateway, payout), journal=postgres_url, quiet_period=60) as job,
        asyncio.timeout(30),
    ):
        taking = asyncio.ensure_future(take_over())
        results = [result async for result in job.run(orders("5.00"))]
        await taking
    assert count_results(results) == {("P-0", State.REVIEW, Outcome.UNKNOWN): 1}
    assert results[0].evidence == "not found by another"


async def test_run_yields_claimed_unknown_order_once(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """An unknown order of an earlier run that a callback ends meanwhile is yielded once."""

    async def payout(*_: Any, merchant_transaction_id: str, **__: Any) -> Any:
        raise errors.OutcomeUnknown("no answer", merchant_transaction_id=merchant_transaction_id)

    async with (
        PayoutJob(Client(gateway, payout), journal=store_url, quiet_period=60) as job,
        asyncio.timeout(30),
    ):

        async def stop() -> None:
            while (await job.report()).unknown < 3:
                await asyncio.sleep(0.01)
            job.stop()

        stopping = asyncio.ensure_future(stop())
        assert [result async for result in job.run(orders("5.00", "5.00", "5.00"))] == []
        await stopping
    async with PayoutJob(gateway, journal=store_url, quiet_period=60) as job, asyncio.timeout(30):
        asked = sandbox.requests.get("inquiry", 0)

        async def call_back() -> None:
            while sandbox.requests.get("inquiry", 0) == asked:
                await asyncio.sleep(0.01)
            for number in range(3):
                await job.journal.record(f"P-{number}", ENDS[0][0])

        calling = asyncio.ensure_future(call_back())
        results = [result async for result in job.run()]
        await calling
    assert count_results(results) == {
        (f"P-{number}", State.SUCCEEDED, Outcome.SUCCEEDED): 1 for number in range(3)
    }
