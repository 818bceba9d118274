"""A payout job against a sandbox: what it pays, how it stops and how it resumes, on both stores."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support.stores import postgres_schema

from gatewaypy import Customer, Gateway, Money, Outcome, Timeouts, errors
from gatewaypy.callbacks import CallbackEvent, Inbox, Reconciler
from gatewaypy.callbacks.events import read_event
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, PayoutUpdate, State
from gatewaypy.protocol.decode import transaction
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

ADA = Customer("Ada", "Lovelace", "ada@shop.example")
QUICK = Timeouts(connect=2, read=1, total=3, inquiry=1)


def order(number: int, amount: Any = "5.00", **options: Any) -> PayoutOrder:
    payee = {} if {"payment_id", "stored_card"} & set(options) else {"customer": ADA}
    return PayoutOrder(
        merchant_transaction_id=f"PAYOUT-{number}", amount=Money(amount, "EUR"), **payee, **options
    )


@pytest.fixture
async def gateway(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway with short timeouts."""
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK) as opened:
        yield opened


async def run(
    gateway: Gateway, journal: Any, orders: Any = (), **options: Any
) -> tuple[list[Any], Any]:
    """Run a job to its end; return its results and its report."""
    options = {
        "concurrency": 20,
        "quiet_period": 0.4,
        "resend_unknown": True,
        "pending_timeout": 3.0,
    } | options
    async with PayoutJob(gateway, journal=journal, **options) as job:
        results = [result async for result in job.run(orders)]
        return results, await job.report()


async def stream(orders: list[PayoutOrder]) -> AsyncIterator[PayoutOrder]:
    for one in orders:
        await asyncio.sleep(0)
        yield one


@pytest.mark.parametrize("kind", [iter, stream, list], ids=["iterator", "async iterator", "list"])
async def test_job_reports_every_order(
    gateway: Gateway, sandbox: Sandbox, store_url: str, kind: Callable[..., Any]
) -> None:
    """Paid and declined orders are yielded as they end, and add up per currency and code."""
    orders = [order(number, "6051.00" if number % 10 == 9 else "5.00") for number in range(60)]
    results, report = await run(gateway, store_url, kind(orders))
    assert Counter(result.state for result in results) == {State.SUCCEEDED: 54, State.FAILED: 6}
    assert {result.result.result.code for result in results if result.state is State.FAILED} == {
        "11051"
    }
    assert (report.total, report.succeeded, report.failed, report.planned) == (60, 54, 6, 0)
    assert (report.by_currency["EUR"].paid, report.by_code) == (270, {"00001": 54, "11051": 6})
    assert len(sandbox.ledger.entries) == 54


async def test_job_second_run_pays_nothing_again(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """Equal orders are equal rows; the same id with another amount is reported and not sent."""
    orders = [order(number) for number in range(20)]
    await run(gateway, store_url, orders)
    results, report = await run(gateway, store_url, [*orders, order(3, "6.00"), order(20)])
    assert {(result.order.merchant_transaction_id, result.state) for result in results} == {
        ("PAYOUT-3", None),
        ("PAYOUT-20", State.SUCCEEDED),
    }
    assert len(results) == 2
    assert (report.total, len(sandbox.ledger.entries)) == (21, 21)


async def test_job_pays_every_kind_of_payee(
    gateway: Gateway, sandbox: Sandbox, card: Any, store_url: str
) -> None:
    """Earlier payers, customers and stored cards are paid; a payment never captured is refused."""
    paid = await gateway.debit(Money("50.00", "EUR"), card, merchant_transaction_id="SALE")
    held = await gateway.preauth(Money("50.00", "EUR"), card, merchant_transaction_id="HOLD")
    stored = await gateway.stored_cards.store(card)
    orders = [
        order(1, payment_id=paid.payment_id),
        order(2),
        order(3, stored_card=stored.registration_id),
        order(4, payment_id=held.payment_id),
        order(5, stored_card="REG999"),
        order(6, payment_id="no such/id"),
    ]
    results, _ = await run(gateway, store_url, orders)
    states = {result.order.merchant_transaction_id[-1]: result.state for result in results}
    assert {number: state.name for number, state in states.items()} == {
        "1": "SUCCEEDED",
        "2": "SUCCEEDED",
        "3": "SUCCEEDED",
        "4": "FAILED",
        "5": "FAILED",
        "6": "FAILED",
    }
    refused = next(
        result for result in results if result.order.merchant_transaction_id == "PAYOUT-6"
    )
    assert "paymentId" in (refused.evidence or "")
    assert sandbox.requests["payout"] == 5


@pytest.mark.parametrize("fault", ["cut after", "garbage", "html", "half reply", "server error"])
async def test_job_lost_answer_is_resolved(
    gateway: Gateway, sandbox: Sandbox, store_url: str, fault: str
) -> None:
    """A payout that the client finds by inquiry is recorded as paid."""
    sandbox.faults.add(fault, operation="payout", times=10)
    results, report = await run(gateway, store_url, [order(number) for number in range(15)])
    assert (
        {result.state for result in results},
        report.succeeded,
        len(sandbox.ledger.entries),
    ) == ({State.SUCCEEDED}, 15, 15)


@pytest.mark.parametrize("resends", [True, False])
async def test_job_unknown_payout_is_resent_or_reviewed(
    gateway: Gateway, sandbox: Sandbox, store_url: str, resends: bool
) -> None:
    """A payout that never arrived is sent again after the quiet period if that is safe."""
    sandbox.faults.add("cut before", operation="payout", times=3)
    results, report = await run(
        gateway, store_url, [order(number) for number in range(10)], resend_unknown=resends
    )
    if resends:
        assert (report.succeeded, len(sandbox.ledger.entries)) == (10, 10)
        return
    assert (report.succeeded, report.review, len(sandbox.ledger.entries)) == (7, 3, 7)
    reviewed = [result for result in results if result.state is State.REVIEW]
    assert len(reviewed) == 3
    assert all(
        "not found for" in result.evidence and "attempt 1" in result.evidence for result in reviewed
    )


async def test_review_decision_ends_the_order(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """A reviewed order is decided once, as paid, not paid or resend, and the reason is stored."""
    sandbox.faults.add("cut before", operation="payout", times=3)
    await run(gateway, store_url, [order(number) for number in range(3)], resend_unknown=False)
    async with Journal(store_url, MERCHANT.member_id) as journal:
        assert await journal.resolve("PAYOUT-0", State.SUCCEEDED, "the bank's statement has it")
        assert await journal.resolve("PAYOUT-1", State.FAILED, "the bank's statement has it not")
        assert await journal.resolve("PAYOUT-2", State.PLANNED, "the gateway says: send it again")
        assert not await journal.resolve("PAYOUT-2", State.FAILED, "twice")
        assert not await journal.resolve("PAYOUT-9", State.FAILED, "who?")
        evidence = {
            row.merchant_transaction_id: row.evidence for row in await journal.list_entries()
        }
    assert "decided: the bank's statement has it" in (evidence["PAYOUT-0"] or "")
    _, report = await run(gateway, store_url, resend_unknown=False)
    assert (report.succeeded, report.failed, len(sandbox.ledger.entries)) == (2, 1, 1)


async def test_job_polls_pending_payouts(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """A payout decided later ends; one never decided is yielded as pending for the next run."""
    results, report = await run(
        gateway, store_url, [order(1, "6090.00"), order(2, "6091.00")], pending_timeout=1.0
    )
    assert {result.order.merchant_transaction_id: result.state for result in results} == {
        "PAYOUT-1": State.SUCCEEDED,
        "PAYOUT-2": State.PENDING,
    }
    assert (report.succeeded, report.pending) == (1, 1)
    sandbox.ledger.approve(
        next(record for record in sandbox.ledger.records.values() if record.amount == 6091)
    )
    results, report = await run(gateway, store_url)
    assert ([result.state for result in results], report.succeeded) == ([State.SUCCEEDED], 2)


def event(number: int, status: str, amount: str | None = "5.00", **extra: Any) -> CallbackEvent:
    member = extra.pop("member_id", MERCHANT.member_id)
    short = {"payoutfailed": "N", "payoutstarted": "P"}.get(status, "Y")
    fields = {
        "paymentId": "77",
        "merchantTransactionId": f"PAYOUT-{number}",
        "status": status,
        "transactionStatus": short,
    }
    fields |= {"amount": amount, "currency": "EUR"} | extra
    return read_event(
        {name: value for name, value in fields.items() if value is not None},
        signed=True,
        member_id=member,
    )


async def test_callback_only_moves_rows_forward(store_url: str) -> None:
    """A callback settles an open row, never undoes one, and a contradiction goes to review."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        for row in await journal.plan([order(number) for number in range(3)]):
            await journal.record_intent(row)
            await journal.record(
                row.order.merchant_transaction_id, PayoutUpdate(state=State.UNKNOWN), attempt=1
            )
        assert await journal.handle_event(event(0, "payoutstarted")) is State.PENDING
        assert await journal.handle_event(event(0, "payoutsuccessful")) is State.SUCCEEDED
        assert await journal.handle_event(event(0, "payoutstarted")) is State.SUCCEEDED
        assert await journal.handle_event(event(0, "payoutfailed")) is State.REVIEW
        assert await journal.handle_event(event(1, "payoutfailed")) is State.FAILED
        assert await journal.handle_event(event(1, "payoutfailed")) is State.FAILED
        assert await journal.handle_event(event(2, "payoutstarted")) is State.PENDING
        assert await journal.handle_event(event(2, "payoutsuccessful", "6.00")) is State.REVIEW
        assert await journal.handle_event(event(9, "payoutsuccessful")) is None
        evidence = {
            row.merchant_transaction_id: row.evidence
            for row in await journal.list_entries(state=State.REVIEW)
        }
    assert "callback says failed" in (evidence["PAYOUT-0"] or "")
    assert "another amount: 6.00, not 5.00" in (evidence["PAYOUT-2"] or "")


async def test_callback_of_order_never_sent_goes_to_review(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """A callback does not settle a planned order: its id was used, so it is not sent."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        await journal.plan([order(1), order(2)])
        assert await journal.handle_event(event(1, "payoutsuccessful")) is State.REVIEW
    _, report = await run(gateway, store_url)
    assert (report.succeeded, report.review) == (1, 1)
    assert [entry.merchant_transaction_id for entry in sandbox.ledger.entries] == ["PAYOUT-2"]


@pytest.mark.parametrize("status", ["payoutsuccessful", "payoutfailed", "capturesuccess"])
@pytest.mark.parametrize("sent", [True, False])
async def test_callback_of_other_merchant_or_kind_is_ignored(
    store_url: str, status: str, sent: bool
) -> None:
    """A signed callback of another merchant or of a payment with the same id changes no row."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        if sent:
            await journal.record_intent(row)
            await journal.record("PAYOUT-1", PayoutUpdate(state=State.UNKNOWN), attempt=1)
        member = MERCHANT.member_id if status == "capturesuccess" else "777"
        assert await journal.handle_event(event(1, status, member_id=member)) is None
        (listed,) = await journal.list_entries()
        assert listed.state is (State.UNKNOWN if sent else State.PLANNED)


@pytest.mark.parametrize(
    "values",
    [
        {"amount": "1.00", "currency": None},
        {"currency": "USD"},
        {"amount": None, "currency": "USD"},
    ],
)
async def test_callback_with_other_amount_goes_to_review(
    store_url: str, values: dict[str, Any]
) -> None:
    """Amounts are always compared as text, and currencies if both are present."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record(
            "PAYOUT-1", PayoutUpdate(state=State.SUCCEEDED, payment_id="77"), attempt=1
        )
        assert await journal.handle_event(event(1, "payoutsuccessful", **values)) is State.REVIEW


async def test_callback_unsigned_changes_nothing(store_url: str) -> None:
    """An event that no key signed and no inquiry confirmed may come from any client."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=State.UNKNOWN), attempt=1)
        unsigned = read_event(dict(event(1, "payoutsuccessful").raw), signed=False, member_id=None)
        assert await journal.handle_event(unsigned) is None
        (listed,) = await journal.list_entries()
        assert listed.state is State.UNKNOWN


async def test_inquiry_without_amount_changes_nothing(store_url: str) -> None:
    """A record without an amount settles no row, as it settles no payout in a job."""
    fields = {
        "paymentId": "77",
        "merchantTransactionId": "PAYOUT-1",
        "status": "payoutsuccessful",
        "result": {"code": "00026"},
    }
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=State.PENDING), attempt=1)
        assert await journal.handle_event(transaction(fields)) is None
        assert (
            await journal.handle_event(transaction(fields | {"amount": "5.00"})) is State.SUCCEEDED
        )


async def test_callback_of_a_payment_changes_nothing(
    gateway: Gateway, store_url: str, card: Any
) -> None:
    """The result of a debit under the id of a payout says nothing about the payout."""
    payment = await gateway.debit(Money("5.00", "EUR"), card, merchant_transaction_id="PAYOUT-1")
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=State.UNKNOWN), attempt=1)
        assert await journal.handle_event(payment) is None  # type: ignore[arg-type]


async def test_reconcile_with_closed_gateway_raises(sandbox: Sandbox, store_url: str) -> None:
    """A gateway object that cannot inquire is an error, not a gateway without an answer."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=State.PENDING), attempt=1)
        with pytest.raises(errors.ConfigurationError, match="not open"):
            await journal.reconcile(Gateway(sandbox.base_url, MERCHANT))
        wrong = attrs.evolve(MERCHANT, secret_key="w" * 32)
        async with Gateway(sandbox.base_url, wrong, timeouts=QUICK) as refused:
            with pytest.raises(errors.AuthenticationFailed):
                await journal.reconcile(refused)


async def test_callback_currency_in_any_case_settles_row(store_url: str) -> None:
    """A callback whose currency is in lower case or missing belongs to the same payout."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        for row in await journal.plan([order(1), order(2)]):
            await journal.record_intent(row)
            await journal.record(
                row.order.merchant_transaction_id, PayoutUpdate(state=State.UNKNOWN), attempt=1
            )
        assert (
            await journal.handle_event(event(1, "payoutsuccessful", currency="eur"))
            is State.SUCCEEDED
        )
        assert (
            await journal.handle_event(event(2, "payoutsuccessful", currency=None))
            is State.SUCCEEDED
        )


@pytest.mark.parametrize("first", [State.SUCCEEDED, State.PENDING])
async def test_second_payment_id_goes_to_review(store_url: str, first: State) -> None:
    """A success under another payment id may be a second payment."""
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=first, payment_id="76"), attempt=1)
        assert await journal.handle_event(event(1, "payoutsuccessful")) is State.REVIEW
        (listed,) = await journal.list_entries()
        assert "payment 76" in (listed.evidence or "")
        assert "payment 77" in (listed.evidence or "")


async def test_payout_in_progress_is_pending(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """A record that can still become the end of a payout is polled, not reviewed."""
    results, _ = await run(gateway, store_url, [order(1, "6091.00")], pending_timeout=0.0)
    assert [result.state for result in results] == [State.PENDING]
    record = sandbox.ledger.by_merchant_id(MERCHANT.member_id, "PAYOUT-1")
    record.status = "begun"
    results, report = await run(gateway, store_url, pending_timeout=0.3)
    assert ([result.state for result in results], report.review) == ([State.PENDING], 0)


@pytest.mark.parametrize("answered", [True, False], ids=["inquiry answers", "inquiry fails"])
async def test_duplicate_of_first_attempt_goes_to_review(
    gateway: Gateway, sandbox: Sandbox, store_url: str, answered: bool
) -> None:
    """An id that the gateway knows before the first attempt is not booked as paid."""
    await gateway.payout(Money("5.00", "EUR"), merchant_transaction_id="PAYOUT-1", customer=ADA)
    if not answered:
        sandbox.faults.add("garbage", operation="inquiry by merchantTransactionId", times=100)
    results, report = await run(gateway, store_url, [order(1)])
    assert [(result.state, result.outcome) for result in results] == [
        (State.REVIEW, Outcome.UNKNOWN)
    ]
    assert "20015" in results[0].evidence
    assert (report.succeeded, report.review) == (0, 1)
    sandbox.faults.clear()
    assert (await run(gateway, store_url))[1].review == 1, "another run books nothing either"


async def test_reconcile_payment_under_the_id_goes_to_review(
    gateway: Gateway, store_url: str, card: Any
) -> None:
    """A captured payment with its id does not settle a pending payout."""
    await gateway.debit(Money("5.00", "EUR"), card, merchant_transaction_id="PAYOUT-1")
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.plan([order(1)])
        await journal.record_intent(row)
        await journal.record("PAYOUT-1", PayoutUpdate(state=State.PENDING), attempt=1)
        await journal.reconcile(gateway)
        (listed,) = await journal.list_entries()
        assert listed.state is State.REVIEW
        assert "another kind" in (listed.evidence or "")


async def test_journal_of_other_merchant_raises(gateway: Gateway, store_url: str) -> None:
    """A gateway pays and looks up only the orders of its own merchant."""
    async with Journal(store_url, "777") as journal:
        with pytest.raises(errors.ConfigurationError, match="777"):
            await journal.reconcile(gateway)
        with pytest.raises(errors.ConfigurationError, match="777"):
            PayoutJob(gateway, journal=journal)


async def test_job_stop_finishes_sent_payouts(
    sandbox: Sandbox, gateway: Gateway, store_url: str
) -> None:
    """After stop() no payout starts; what was sent is recorded; the next run does the rest."""
    sandbox.reply_delay = 0.05
    async with PayoutJob(gateway, journal=store_url, concurrency=10, quiet_period=0.4) as job:
        seen = 0
        async for _ in job.run(order(number) for number in range(200)):
            seen += 1
            if seen == 20:
                job.stop()
        report = await job.report()
        assert (report.sending, report.unknown) == (0, 0)
        assert report.succeeded == len(sandbox.ledger.entries) < 60
        assert [result async for result in job.run()] == []
    sandbox.reply_delay = 0.0
    _, report = await run(gateway, store_url, (order(number) for number in range(200)))
    assert (report.succeeded, len(sandbox.ledger.entries)) == (200, 200)


async def test_job_left_loop_finishes_sent_payouts(
    sandbox: Sandbox, gateway: Gateway, store_url: str
) -> None:
    """Leaving the loop ends the run like stop(): no request is aborted."""
    sandbox.reply_delay = 0.02
    async with PayoutJob(gateway, journal=store_url, concurrency=10) as job:
        results = job.run(order(number) for number in range(100))
        await anext(results)
        await results.aclose()
        report = await job.report()
    assert (report.sending, report.unknown) == (0, 0)
    assert report.succeeded == len(sandbox.ledger.entries) < 60


async def test_job_abandoned_loop_drains_sent_payouts(
    sandbox: Sandbox, gateway: Gateway, store_url: str
) -> None:
    """After a break, leaving the job waits for what was sent, and the journal has it."""
    sandbox.reply_delay = 0.05
    async with PayoutJob(gateway, journal=store_url, concurrency=10) as job:
        results = job.run(order(number) for number in range(100))
        async for _ in results:
            break
    async with Journal(store_url, MERCHANT.member_id) as journal:
        sums = {state: count for state, _, _, count, _ in await journal.sums()}
    assert set(sums) == {"planned", "succeeded"}
    assert sums["succeeded"] == len(sandbox.ledger.entries) < 60
    await results.aclose()


async def test_job_stop_does_not_wait_for_stream(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """A stopped job ends even if its source of orders blocks permanently."""
    silence = asyncio.Event()

    async def endless() -> AsyncIterator[PayoutOrder]:
        yield order(1)
        await silence.wait()

    async with PayoutJob(gateway, journal=store_url) as job, asyncio.timeout(20):
        async for result in job.run(endless()):
            assert result.state is State.SUCCEEDED
            job.stop()
    assert len(sandbox.ledger.entries) == 1


async def test_job_stream_cancelled_from_within_raises(gateway: Gateway, store_url: str) -> None:
    """Orders that were never read are not skipped silently."""

    async def broken() -> AsyncIterator[PayoutOrder]:
        yield order(1)
        raise asyncio.CancelledError

    async with PayoutJob(gateway, journal=store_url) as job, asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="the rest of them was not read"):
            [result async for result in job.run(broken())]


async def test_job_failure_after_break_raises_on_exit(gateway: Gateway, store_url: str) -> None:
    """If the loop is left early, leaving the job raises the failure of the run."""

    def breaking() -> Iterator[PayoutOrder]:
        yield from (order(number) for number in range(40))
        raise OSError("the disk is gone")

    async def leave_early() -> None:
        async with PayoutJob(gateway, journal=store_url, concurrency=10) as job:
            results = job.run(breaking())
            async for _ in results:
                break
            while job._run is not None and job._run.failure is None:
                await asyncio.sleep(0.01)
            await results.aclose()

    with pytest.raises(OSError, match="the disk is gone"):
        await leave_early()


class Stranger:
    """A gateway of which one call fails in a way of the test."""

    def __init__(self, gateway: Gateway, call: str, error: BaseException) -> None:
        self.credentials, self.payout, self.inquire = (
            gateway.credentials,
            gateway.payout,
            gateway.inquire,
        )
        self.calls = 0

        async def fail(*_: Any, **__: Any) -> Any:
            self.calls += 1
            raise error

        setattr(self, call, fail)


@pytest.mark.parametrize(
    "error",
    [
        errors.AuthenticationFailed("the key is not taken any more"),
        errors.ConfigurationError("no such platform"),
    ],
    ids=["credentials", "configuration"],
)
async def test_job_refused_inquiry_ends_the_run(
    gateway: Gateway, sandbox: Sandbox, store_url: str, error: errors.GatewayError
) -> None:
    """If the gateway refuses inquiries by this caller, the run raises, and the order is unknown."""
    sandbox.faults.add("cut before", operation="payout")
    asked = Stranger(gateway, "inquire", error)
    async with PayoutJob(asked, journal=store_url) as job, asyncio.timeout(20):
        with pytest.raises(type(error), match=str(error)):
            [result async for result in job.run([order(1)])]
        assert ((await job.report()).unknown, asked.calls) == (1, 1)


@pytest.mark.parametrize("call", ["payout", "inquire"])
async def test_job_cancellation_by_client_ends_the_run(
    gateway: Gateway, sandbox: Sandbox, store_url: str, call: str
) -> None:
    """If the client raises a cancellation of its own, the run fails; no worker ends silently."""
    sandbox.faults.add("cut before", operation="payout")
    astray = Stranger(gateway, call, asyncio.CancelledError())
    async with PayoutJob(astray, journal=store_url, concurrency=2) as job, asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="cancelled"):
            [result async for result in job.run([order(1)])]
    async with Journal(store_url, MERCHANT.member_id) as journal:
        (row,) = await journal.list_entries()
    assert row.state in {State.SENDING, State.UNKNOWN}


async def test_job_rejected_credentials_end_the_run(sandbox: Sandbox, store_url: str) -> None:
    """If the gateway rejects the key, the run raises, and every order stays planned."""
    stranger = type(MERCHANT)(
        member_id=MERCHANT.member_id,
        partner_id=MERCHANT.partner_id,
        username="shop",
        secret_key="another key, as long as it must be",
    )
    async with (
        Gateway(sandbox.base_url, stranger, timeouts=QUICK) as gateway,
        PayoutJob(gateway, journal=store_url) as job,
    ):
        with pytest.raises(errors.AuthenticationFailed):
            [result async for result in job.run(order(number) for number in range(30))]
        report = await job.report()
    assert (report.planned, report.total, sandbox.ledger.entries) == (
        report.total,
        report.total,
        [],
    )
    assert report.total >= 1


async def test_job_failing_source_raises_after_sent_payouts(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """An error of the caller's iterable is raised once the sent payouts have ended."""

    def breaking() -> Iterator[PayoutOrder]:
        yield from (order(number) for number in range(300))
        raise OSError("the disk is gone")

    async with PayoutJob(gateway, journal=store_url, concurrency=10) as job:
        with pytest.raises(OSError, match="the disk is gone"):
            [result async for result in job.run(breaking())]
        report = await job.report()
    assert (report.sending, report.succeeded) == (0, len(sandbox.ledger.entries))


async def test_job_waits_while_gateway_is_down(
    sandbox: Sandbox, gateway: Gateway, store_url: str
) -> None:
    """Orders stay planned while the gateway is unreachable, and are paid when it is back."""
    async with sandbox.refusing():
        results, report = await run(
            gateway,
            store_url,
            [order(number) for number in range(8)],
            max_attempts=2,
            failure_threshold=4,
        )
        assert (results, report.planned) == ([], 8)
    _, report = await run(gateway, store_url)
    assert (report.succeeded, len(sandbox.ledger.entries)) == (8, 8)


async def test_job_per_second_limits_starts(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """At any concurrency, no more payouts start in a second than allowed."""
    clock = asyncio.get_running_loop().time
    started = clock()
    await run(gateway, store_url, [order(number) for number in range(30)], per_second=50)
    # The first five may start at once.
    assert clock() - started >= (30 - 5) / 50
    assert len(sandbox.ledger.entries) == 30
    for wrong in (0, -1, True):
        with pytest.raises(errors.ConfigurationError):
            await run(gateway, store_url, [order(1)], per_second=wrong)


async def test_job_second_run_at_once_raises(
    gateway: Gateway, sandbox: Sandbox, store_url: str, tmp_path: Path
) -> None:
    """A second run of a job, and a second process on the same file, are clear errors."""
    async with PayoutJob(gateway, journal=store_url) as job:
        first = job.run([order(1), order(2)])
        await anext(first)
        with pytest.raises(errors.ConfigurationError, match="one run at a time"):
            await anext(job.run())
        await first.aclose()
    url = f"sqlite:///{tmp_path}/locked.db"
    async with Journal(url, MERCHANT.member_id):
        with pytest.raises(errors.ConfigurationError, match="another process runs this journal"):
            await Journal(url, MERCHANT.member_id).__aenter__()
    async with Journal(url, MERCHANT.member_id):
        pass


async def test_job_restored_backup_inquires_before_sending(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A journal older than what was sent from it looks up every open order before sending."""
    path = tmp_path / "payouts.db"
    url = f"sqlite:///{path}"
    async with Journal(url, MERCHANT.member_id) as journal:
        await journal.plan([order(number) for number in range(20)])
    backup = path.read_bytes()
    _, report = await run(gateway, url)
    assert report.succeeded == 20
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(backup)
    async with Journal(url, MERCHANT.member_id) as journal:
        assert journal.restored
        assert {row.state for row in await journal.list_entries()} == {State.UNKNOWN}
    sandbox.payments.refuse_duplicates = False
    _, report = await run(gateway, url, resend_unknown=False)
    assert (report.succeeded, len(sandbox.ledger.entries)) == (20, 20)
    async with Journal(url, MERCHANT.member_id) as journal:
        assert journal.restored


@pytest.mark.parametrize("moment", ["planning", "sending"])
async def test_job_full_disk_loses_nothing(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path, moment: str
) -> None:
    """Without a written intent nothing is sent, and the next run resolves the rest."""
    url = f"sqlite:///{tmp_path}/payouts.db"
    async with PayoutJob(gateway, journal=url, concurrency=5) as job:
        if moment == "sending":
            await job.journal.plan([order(number) for number in range(400)])
        ((pages,),) = (await job.journal._store.run(("PRAGMA page_count", ())))[0]
        await job.journal._store.run((f"PRAGMA max_page_count = {pages + 2}", ()))
        with pytest.raises(sqlite3.OperationalError, match="full"):
            [result async for result in job.run(order(number) for number in range(2000))]
    _, report = await run(gateway, url, (order(number) for number in range(600)))
    assert (report.total, report.succeeded, len(sandbox.ledger.entries)) == (
        report.succeeded,
        report.total,
        report.total,
    )
    assert report.total >= 400


async def test_job_wall_clock_jump_changes_nothing(
    gateway: Gateway, sandbox: Sandbox, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps an hour or a day back or forth does not affect the job."""
    jumps, real = random.Random(4), time.time
    monkeypatch.setattr(
        time, "time", lambda: real() + jumps.choice((0, 3600, -3600, 86400, -86400))
    )
    sandbox.faults.add("cut before", operation="payout", times=5)
    _, report = await run(gateway, store_url, [order(number) for number in range(40)])
    assert (report.succeeded, len(sandbox.ledger.entries)) == (40, 40)


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_card_numbers_are_encrypted_or_refused(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A card number in ``extra`` is stored encrypted or refused; a CVV is always refused."""
    with pytest.raises(errors.InvalidRequest, match="must not be a CVV"):
        order(1, extra={"card.cvv": "123"})
    to_card = order(1, extra={"card.number": "4000000000000051"})
    plain = f"sqlite:///{tmp_path}/plain.db"
    results, report = await run(gateway, plain, [to_card, order(2)])
    by_id = {result.order.merchant_transaction_id: result for result in results}
    assert (
        by_id["PAYOUT-1"].state,
        "encrypt" in by_id["PAYOUT-1"].evidence,
        by_id["PAYOUT-2"].state,
        report.total,
    ) == (
        None,
        True,
        State.SUCCEEDED,
        1,
    )
    flip = bytes(range(255, -1, -1))
    path = tmp_path / "encrypted.db"
    hooks = {
        "encrypt": lambda text: text.translate(flip),
        "decrypt": lambda text: text.translate(flip),
    }
    _, report = await run(
        gateway, Journal(f"sqlite:///{path}", MERCHANT.member_id, **hooks), [to_card]
    )
    assert report.succeeded == 1
    assert b"4000000000000051" not in on_disk(tmp_path)
    with pytest.raises(errors.ConfigurationError, match="must be set together"):
        Journal(plain, "1", encrypt=hooks["encrypt"])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "5.001"}, "amount"),
        ({"merchant_transaction_id": "a|b"}, "merchantTransactionId"),
        ({"customer": None}, "payee"),
        ({"payment_id": "1"}, "payee"),
        ({"colour": "red"}, "colour"),
        ({"customer": {"shoe": "42"}}, "customer.shoe"),
        ({"customer": {"email": 1}}, "customer.email"),
        ({"customer": {"birth_date": "31.12.1990"}}, "customer.birth_date"),
        ({"customer": "Ada"}, "customer"),
        ({"currency": ""}, "currency"),
    ],
)
def test_order_invalid_field_raises(fields: dict[str, Any], named: str) -> None:
    """An order that cannot be paid is refused at construction, with the name of the field."""
    usual = {
        "merchant_transaction_id": "P-1",
        "amount": "5.00",
        "currency": "EUR",
        "customer": {"email": "a@b.example"},
    }
    with pytest.raises(errors.InvalidRequest) as refused:
        PayoutOrder.from_fields(
            {name: value for name, value in (usual | fields).items() if value is not None}
        )
    assert refused.value.field == named


def test_order_json_round_trip_keeps_every_field() -> None:
    """Every field is read back, and the fingerprint covers only the amount and the payee."""
    whole = PayoutOrder.from_fields(
        {
            "merchant_transaction_id": "P-1",
            "amount": "5.00",
            "currency": "EUR",
            "customer": {"email": "a@b.example", "birth_date": "1990-12-31"},
            "terminal_id": "1106",
            "extra": {"account": "DE09100100101234567893"},
        }
    )
    again = PayoutOrder.from_json(whole.to_json())
    assert again == whole
    assert "DE09" not in repr(whole)
    key = b"k" * 32
    other_terminal = PayoutOrder.from_fields(json.loads(whole.to_json()) | {"terminal_id": "9"})
    other_amount = PayoutOrder.from_fields(json.loads(whole.to_json()) | {"amount": "5.01"})
    assert (
        whole.fingerprint(key) == other_terminal.fingerprint(key) != other_amount.fingerprint(key)
    )
    assert whole.fingerprint(key) != whole.fingerprint(b"other")


async def test_two_merchants_share_a_journal(store_url: str) -> None:
    """The same id of two merchants is two orders."""
    for member in ("1", "2"):
        async with Journal(store_url, member) as journal:
            (planned,) = await journal.plan([order(1)])
            assert planned is not None
            assert len(await journal.list_entries()) == 1


async def test_reconciler_polls_journals(
    gateway: Gateway, sandbox: Sandbox, store_url: str, tmp_path: Path
) -> None:
    """The receiver's process looks up a pending payout without a callback on a schedule."""
    await run(gateway, store_url, [order(1, "6091.00"), order(2, "6091.00")], pending_timeout=0.0)
    sandbox.ledger.approve(sandbox.ledger.by_merchant_id(MERCHANT.member_id, "PAYOUT-1"))
    async with (
        Journal(store_url, MERCHANT.member_id) as journal,
        Inbox(f"sqlite:///{tmp_path}/inbox.db") as inbox,
        Reconciler(gateway, inbox, initial_delay=0.1, poll_interval=0.02, journals=[journal]),
    ):
        while (await journal.list_entries())[0].state is not State.SUCCEEDED:
            await asyncio.sleep(0.02)
        assert [row.state for row in await journal.list_entries()] == [
            State.SUCCEEDED,
            State.PENDING,
        ]


async def cut(killer: Any, pid: int, after: float) -> None:
    await asyncio.sleep(after)
    await killer.execute("SELECT pg_terminate_backend($1)", pid)


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
async def test_job_cut_database_connection_ends_the_run(
    gateway: Gateway, sandbox: Sandbox, after: float
) -> None:
    """If PostgreSQL fails during commits, the run ends, and the next one resolves the rest."""
    asyncpg = pytest.importorskip("asyncpg")
    orders = [order(number) for number in range(400)]
    async for url in postgres_schema():
        killer = await asyncpg.connect(url)
        async with PayoutJob(gateway, journal=url, concurrency=20, quiet_period=0.4) as job:
            cutting = asyncio.ensure_future(
                cut(killer, job.journal._store._connection.get_server_pid(), after)
            )
            # Nothing is lost between two commits, and the store reconnects by itself.
            with contextlib.suppress(
                asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError
            ):
                [result async for result in job.run(orders)]
            await cutting
        await killer.close()
        _, report = await run(gateway, url, orders)
        assert (report.total, report.succeeded) == (400, 400)
        assert (
            Counter(entry.merchant_transaction_id for entry in sandbox.ledger.entries).most_common(
                1
            )[0][1]
            == 1
        )


async def test_journal_has_no_secret(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file and no log has keys, tokens or checksums after any failure."""
    caplog.set_level("DEBUG")
    for fault in ("cut after", "html", "garbage", "expire tokens", "reject token"):
        sandbox.faults.add(fault, operation="payout", times=2)
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK) as gateway:
        await run(
            gateway, f"sqlite:///{tmp_path}/payouts.db", [order(number) for number in range(30)]
        )
        token = (await gateway.tokens.merchant()).value.reveal()
    everything = on_disk(tmp_path) + caplog.text.encode()
    assert len(everything) > 10_000
    for secret in (
        MERCHANT.secret_key.reveal(),
        token,
        *(known for _, known in sandbox.tokens._grants),
    ):
        assert secret.encode() not in everything


async def test_amount_has_one_text(gateway: Gateway, sandbox: Sandbox, store_url: str) -> None:
    """However an amount is written, it is the same order, and it can be read back."""
    spellings = ["12.50", "12.5", Decimal("1.25E+1"), Decimal("12.500")]
    for spelling in spellings:
        results, report = await run(gateway, store_url, [order(1, spelling)])
        assert all(result.state is State.SUCCEEDED for result in results)
    assert (report.total, len(sandbox.ledger.entries)) == (1, 1)
    async with Journal(store_url, MERCHANT.member_id) as journal:
        await journal.plan([order(2, Decimal("1E+2"))])
    _, report = await run(gateway, store_url)
    assert report.succeeded == 2


@pytest.mark.parametrize(
    "statement", ["claim", "owned_rows", "list_entries", "handle_event", "record_intent"]
)
async def test_journal_queries_use_indexes(tmp_path: Path, statement: str) -> None:
    """Every query of a job finds its rows by an index, however many orders have ended."""
    async with Journal(f"sqlite:///{tmp_path}/plan.db", MERCHANT.member_id) as journal:
        await journal.plan([order(number) for number in range(50)])
        (row, *_) = await journal.claim(State.PLANNED)
        store, seen = journal._store, []

        async def explaining(*statements: Any) -> Any:
            for sql, values in statements:
                (plan,) = await type(store).run(store, (f"EXPLAIN QUERY PLAN {sql}", values))
                seen.extend(line[-1] for line in plan)
            return await type(store).run(store, *statements)

        store.run = explaining  # type: ignore[method-assign]
        work: dict[str, Callable[[], Any]] = {
            "claim": lambda: journal.claim(State.PLANNED, after=3),
            "owned_rows": lambda: journal.owned_rows(State.UNKNOWN),
            "list_entries": lambda: journal.list_entries(state=State.REVIEW),
            "handle_event": lambda: journal.handle_event(event(1, "payoutsuccessful")),
            "record_intent": lambda: journal.record_intent(row),
        }
        await work[statement]()
    assert seen
    assert not [
        line for line in seen if line.startswith(("SCAN gatewaypy_payouts", "SCAN payout"))
    ], seen
