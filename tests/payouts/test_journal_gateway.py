"""A journal pays at one gateway: an order that was paid at another would be unknown there, and be paid again."""

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
    """Start a second gateway, which knows nothing of what was paid at the first."""
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
def test_normalize_address_makes_one_text_of_all_spellings(url: str, address: str) -> None:
    """A host's case, a default port and a final slash make no other gateway."""
    assert normalize_address(url) == address


async def test_journal_at_another_gateway_is_refused(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """A payout whose answer was lost is not paid at a second gateway too, which does not know it."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, MEMBER) as journal:
        (row,) = await journal.plan([order(2)])
        assert await journal.record_intent(row) == 1
    with pytest.raises(errors.ConfigurationError) as refused:
        await run(other, store_url)
    assert refusal(sandbox, other) in str(refused.value)
    assert "change-gateway" in str(refused.value)
    assert (other.ledger.entries, "inquiry" in other.requests) == ([], False)
    # Whoever only looks needs no gateway.
    async with Journal(store_url, MEMBER, read_only=True) as journal:
        assert [row.state for row in await journal.list_entries()] == [
            State.SUCCEEDED,
            State.SENDING,
        ]


async def test_journal_another_spelling_is_the_same_gateway(
    sandbox: Sandbox, store_url: str
) -> None:
    """A final slash makes no other gateway."""
    await run(sandbox, store_url, [order(1)])
    async with (
        Gateway(f"{sandbox.base_url}/", MERCHANT) as gateway,
        PayoutJob(gateway, journal=store_url) as job,
    ):
        assert (await job.report()).succeeded == 1


async def test_gateway_that_moved_is_taken_on_a_persons_word(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """The new address is taken with a reason alone, which is kept, and the old one is refused from then on."""
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


async def test_running_job_stops_where_the_gateway_changes(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """A job that was opened before the change is refused when it is run: so is each further chunk of a worker."""
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


async def test_reconcile_at_another_gateway_is_refused(
    sandbox: Sandbox, other: Sandbox, store_url: str
) -> None:
    """Another gateway is not asked about pending rows: it may have another payout under the same id."""
    await run(sandbox, store_url, [order(1)])
    async with Gateway(other.base_url, MERCHANT) as gateway, Journal(store_url, MEMBER) as journal:
        with pytest.raises(errors.ConfigurationError, match="pays at"):
            await journal.reconcile(gateway)


async def test_client_without_an_address_is_refused(sandbox: Sandbox, store_url: str) -> None:
    """A client that does not say where it pays cannot be compared with a journal that knows."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, MEMBER) as journal:
        with pytest.raises(errors.ConfigurationError, match="must have a platform with a base_url"):
            await journal.check_gateway(object())


async def test_merchants_in_one_journal_have_gateways_of_their_own(
    sandbox: Sandbox, store_url: str
) -> None:
    """What one merchant's orders are paid at says nothing of another's."""
    await run(sandbox, store_url, [order(1)])
    async with Journal(store_url, "another") as journal:
        await journal.change_gateway("https://other.example/", "its own")
    assert (await run(sandbox, store_url)).succeeded == 1


async def test_mistyped_url_is_put_right_where_nothing_was_sent(
    sandbox: Sandbox, quiet_port: int, tmp_path: Path
) -> None:
    """A journal of which nothing can have been paid takes the right URL without a person's word."""
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
    """A restored journal may lack what was paid: that it holds nothing sent lets it pay at no other gateway."""
    url = f"sqlite:///{tmp_path}/payouts.db"
    await run(sandbox, url)
    async with Journal(url, MEMBER) as journal:
        await journal.distrust("the backup of Monday was restored")
    with pytest.raises(errors.ConfigurationError, match="pays at"):
        await run(other, url)
