"""Errors before a request is sent: orders return to planned, and the run raises the reason."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import pytest

from gatewaypy import Customer, Gateway, Money, Timeouts, errors
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, State
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.payouts.journal.rows import JournalEntry

QUICK = Timeouts(connect=2, read=1, total=3, inquiry=1)
ORDERS = [
    PayoutOrder(
        merchant_transaction_id=f"P-{number}", amount=Money("5.00", "EUR"), customer=Customer("Ada")
    )
    for number in range(30)
]


class Client:
    """A client of the library with a payout method of the test."""

    def __init__(self, gateway: Gateway, payout: Callable[..., Any]) -> None:
        self.credentials, self.inquire, self.payout = gateway.credentials, gateway.inquire, payout


async def fail(gateway: Any, url: str, error: type[Exception], words: str) -> list[JournalEntry]:
    """Run a job that must fail; return the rows of the journal."""
    async with (
        PayoutJob(gateway, journal=url, concurrency=3, quiet_period=0.2) as job,
        asyncio.timeout(30),
    ):
        with pytest.raises(error, match=words):
            [result async for result in job.run(ORDERS)]
    async with Journal(url, MERCHANT.member_id) as journal:
        return await journal.list_entries()


async def test_job_gateway_not_open_returns_orders(sandbox: Sandbox, store_url: str) -> None:
    """A gateway object that was never opened sends nothing: no order is unknown."""
    rows = await fail(
        Gateway(sandbox.base_url, MERCHANT),
        store_url,
        errors.ConfigurationError,
        "this Gateway is not open",
    )
    assert {row.state for row in rows} == {State.PLANNED}
    assert any("not open" in (row.evidence or "") for row in rows)


async def test_job_gateway_closed_during_run_returns_orders(
    sandbox: Sandbox, store_url: str
) -> None:
    """What was sent before is paid; the rest is planned, and the next run pays it."""
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK) as gateway:

        async def payout(*arguments: Any, **options: Any) -> Any:
            paid = await gateway.payout(*arguments, **options)
            await gateway.aclose()
            return paid

        rows = await fail(
            Client(gateway, payout),
            store_url,
            errors.ConfigurationError,
            "this Gateway is not open",
        )
    assert {row.state for row in rows} == {State.PLANNED, State.SUCCEEDED}
    assert sum(row.state is State.SUCCEEDED for row in rows) == len(sandbox.ledger.entries)
    async with (
        Gateway(sandbox.base_url, MERCHANT) as again,
        PayoutJob(again, journal=store_url) as job,
    ):
        [result async for result in job.run(ORDERS)]
        report = await job.report()
    assert (report.succeeded, report.total, len(sandbox.ledger.entries)) == (30, 30, 30)


async def test_job_gateway_of_other_loop_returns_orders(sandbox: Sandbox, store_url: str) -> None:
    """A gateway that was opened on another event loop sends nothing."""
    gateway = Gateway(sandbox.base_url, MERCHANT)
    other = asyncio.new_event_loop()
    await asyncio.to_thread(other.run_until_complete, gateway.__aenter__())
    try:
        rows = await fail(gateway, store_url, errors.ConfigurationError, "event loop")
    finally:
        await asyncio.to_thread(other.run_until_complete, gateway.aclose())
        other.close()
    assert {row.state for row in rows} == {State.PLANNED}


class BrokenTokens:
    """A token store that raises any error."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get(self, *_: Any, **__: Any) -> Any:
        raise KeyError("token")


async def test_job_failing_token_store_returns_orders(sandbox: Sandbox, store_url: str) -> None:
    """Without a token nothing is sent, and the orders stay planned."""
    async with Gateway(
        sandbox.base_url, MERCHANT, timeouts=QUICK, token_store=BrokenTokens()
    ) as gateway:
        with pytest.raises(errors.NotSent, match=r"no token: the token store failed with KeyError"):
            await gateway.payout(
                Money("5.00", "EUR"), merchant_transaction_id="X", customer=Customer("Ada")
            )
        async with (
            PayoutJob(gateway, journal=store_url, max_attempts=1) as job,
            asyncio.timeout(30),
        ):
            assert [result async for result in job.run(ORDERS)] == []
            assert (await job.report()).planned == 30


async def test_job_foreign_error_leaves_order_unknown(sandbox: Sandbox, store_url: str) -> None:
    """An error of other code may follow a sent payout: the row is not returned, the run fails."""

    async def payout(*_: Any, **__: Any) -> Any:
        raise KeyError("tenant")

    rows = await fail(
        Client(Gateway(sandbox.base_url, MERCHANT), payout), store_url, KeyError, "tenant"
    )
    assert State.SENDING in {row.state for row in rows}
    assert {row.state for row in rows} <= {State.SENDING, State.PLANNED}
