"""A journal pays at one gateway, because another one would not know its orders and pay again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import Customer, Gateway, Money, Timeouts, errors
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, State
from gatewaypy.payouts.journal.gateway_address import normalize_address
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MEMBER = MERCHANT.member_id
QUICK = Timeouts(connect=10, read=20, total=30, inquiry=5)


def order(number: int) -> PayoutOrder:
    return PayoutOrder(
        merchant_transaction_id=f"P-{number}",
        amount=Money("5.00", "EUR"),
        customer=Customer(email="a@b.example"),
    )


@pytest.fixture
async def other() -> AsyncIterator[Sandbox]:
    """Start a second gateway, which does not know the payments of the first."""
    async with Sandbox().serve() as started:
        yield started


async def run(at: Sandbox, journal: str, orders: Any = (), **options: Any) -> Any:
    options = {"quiet_period": 0.3, "pending_timeout": 0.0, "resend_unknown": True} | options
    async with (
        Gateway(at.base_url, MERCHANT, timeouts=QUICK) as gateway,
        PayoutJob(gateway, journal=journal, **options) as job,
    ):
        async for _ in job.run(orders):
            pass
        return await job.report()


def refusal(journal: Sandbox, given: Sandbox) -> str:
    return f"pays at {journal.base_url}, and this gateway is {given.base_url}"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://Secure.Example.com:443/", "https://secure.example.com"),
        ("https://secure.example.com.", "https://secure.example.com"),
        ("https://secure.example.com:8443/pay/", "https://secure.example.com:8443/pay"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://127.0.0.1:8600", "http://127.0.0.1:8600"),
    ],
)
def test_normalize_address_unifies_spellings(url: str, address: str) -> None:
    """Letter case, a default port and a final slash do not make another gateway."""
    assert normalize_address(url) == address


async def test_journal_at_other_gateway_raises(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """A payout whose answer was lost is not paid at a second gateway."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, MEMBER) as journal:
        (row,) = await journal.plan([order(2)])
        assert await journal.record_intent(row) == 1
    with pytest.raises(errors.ConfigurationError) as refused:
        await run(other, store_url)
    assert refusal(sandbox, other) in str(refused.value)
    assert "change-gateway" in str(refused.value)
    assert (other.ledger.entries, "inquiry" in other.requests) == ([], False)
    # A report needs no gateway.
    async with Journal(store_url, MEMBER, read_only=True) as journal:
        assert [row.state for row in await journal.list_entries()] == [
            State.SUCCEEDED,
            State.SENDING,
        ]


async def test_journal_other_spelling_is_same_gateway(sandbox: Sandbox, store_url: str) -> None:
    """A final slash does not make another gateway."""
    await run(sandbox, store_url, [order(1)])
    async with (
        Gateway(f"{sandbox.base_url}/", MERCHANT) as gateway,
        PayoutJob(gateway, journal=store_url) as job,
    ):
        assert (await job.report()).succeeded == 1


async def test_gateway_move_requires_a_reason(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """The new address is accepted only with a stored reason; the old one is refused afterwards."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, MEMBER) as journal:
        for url, reason in ((other.base_url, ""), ("no URL", "moved")):
            with pytest.raises(errors.InvalidRequest):
                await journal.change_gateway(url, reason)
        await journal.change_gateway(other.base_url, "the vendor wrote so", person="ada")
        (entry,) = await journal.history()
        assert (other.base_url in entry.event, entry.reason, entry.person) == (
            True,
            "the vendor wrote so",
            "ada",
        )
    assert (await run(other, store_url, [order(2)])).succeeded == 2
    with pytest.raises(errors.ConfigurationError, match="pays at"):
        await run(sandbox, store_url)


async def test_job_stops_after_gateway_change(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """A job opened before the change is refused at its run, as is each chunk of a worker."""
    async with (
        Gateway(sandbox.base_url, MERCHANT) as gateway,
        PayoutJob(gateway, journal=store_url) as job,
    ):
        await job.journal.change_gateway(other.base_url, "the vendor wrote so")
        await job.journal.plan([order(1)])
        await job.journal._store.run(("UPDATE gatewaypy_payouts SET state = 'review'", ()))
        with pytest.raises(errors.ConfigurationError, match="pays at"):
            [result async for result in job.run([order(2)])]
    assert sandbox.ledger.entries == []


async def test_reconcile_at_other_gateway_raises(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """Another gateway may have a different payout under the id, so it is not asked."""
    await run(sandbox, store_url, [order(1)])
    async with Gateway(other.base_url, MERCHANT) as gateway, Journal(store_url, MEMBER) as journal:
        with pytest.raises(errors.ConfigurationError, match="pays at"):
            await journal.reconcile(gateway)


async def test_client_without_address_raises(sandbox: Sandbox, store_url: str) -> None:
    """A client without a known address cannot be compared with the journal."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, MEMBER) as journal:
        with pytest.raises(errors.ConfigurationError, match="must have a platform with a base_url"):
            await journal.check_gateway(object())


async def test_merchants_of_journal_have_own_gateways(sandbox: Sandbox, store_url: str) -> None:
    """The gateway of one merchant says nothing about that of another."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, "another") as journal:
        await journal.change_gateway("https://other.example/", "its own")
    assert (await run(sandbox, store_url)).succeeded == 1


async def test_mistyped_url_is_replaced_if_nothing_was_sent(
    sandbox: Sandbox, quiet_port: int, tmp_path: Path
) -> None:
    """An unused journal accepts the correct URL without a reason."""
    url = f"sqlite:///{tmp_path}/payouts.db"
    mistyped = Gateway(
        f"http://127.0.0.1:{quiet_port}", MERCHANT, timeouts=Timeouts(connect=0.2, total=1)
    )
    async with mistyped as gateway, PayoutJob(gateway, journal=url, max_attempts=1) as job:
        async for _ in job.run([order(1)]):
            pass
        assert (await job.report()).planned == 1
    assert (await run(sandbox, url)).succeeded == 1


async def test_restored_journal_keeps_its_gateway(
    sandbox: Sandbox, other: Sandbox, tmp_path: Path
) -> None:
    """A restored journal without sent rows is not accepted at another gateway."""
    url = f"sqlite:///{tmp_path}/payouts.db"
    await run(sandbox, url)
    async with Journal(url, MEMBER) as journal:
        await journal.distrust("the backup of Monday was restored")
    with pytest.raises(errors.ConfigurationError, match="pays at"):
        await run(other, url)
