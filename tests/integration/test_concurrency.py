"""Many callers at once: expired tokens, 1,000 debits, cancellations, a gateway that is down."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from gatewaypy import Gateway, HttpxTransport, LateResult, Limits, Money, Outcome, Timeouts, errors

if TYPE_CHECKING:
    from gatewaypy import Card
    from gatewaypy.sandbox import Sandbox
    from gatewaypy.transport import Transport

EUROS = Money("5.00", "EUR")
PATIENT = Timeouts(connect=20, read=30, total=60, inquiry=10)


async def test_callers_with_expired_token_make_one_token_call(
    sandbox: Sandbox, card: Card, transport: Transport
) -> None:
    """All hundred are rejected with the old token, and continue with one new token."""
    async with Gateway(
        sandbox.base_url, sandbox.credentials, transport=transport, timeouts=PATIENT
    ) as gateway:
        await gateway.debit(EUROS, card, merchant_transaction_id="ORDER-0")
        assert sandbox.tokens.granted == 1
        sandbox.tokens.expire_all()
        payments = await asyncio.gather(
            *(
                gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
                for number in range(1, 101)
            )
        )
    assert {payment.outcome for payment in payments} == {Outcome.SUCCEEDED}
    assert sandbox.tokens.granted == 2
    assert len(sandbox.ledger.entries) == 101


async def test_callers_thousand_debits_succeed(
    sandbox: Sandbox, card: Card, transport: Transport
) -> None:
    """The default limits serve a thousand callers without a pool error, each payment once."""
    async with Gateway(
        sandbox.base_url, sandbox.credentials, transport=transport, timeouts=PATIENT
    ) as gateway:
        payments = await asyncio.gather(
            *(
                gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
                for number in range(1000)
            )
        )
    assert {payment.outcome for payment in payments} == {Outcome.SUCCEEDED}
    assert len({payment.payment_id for payment in payments}) == len(sandbox.ledger.entries) == 1000


async def test_callers_cancelled_leave_every_slot_usable(
    sandbox: Sandbox, card: Card, transport: Transport
) -> None:
    """Callers cancelled at any stage lose nothing: sent requests end and are reported."""
    events: list[object] = []
    seeded, slots = random.Random(7), 8
    async with Gateway(
        sandbox.base_url,
        sandbox.credentials,
        transport=transport,
        timeouts=PATIENT,
        limits=Limits(max_in_flight=slots),
        observer=events.append,
    ) as gateway:
        done: set[str] = set()

        async def pay(number: int) -> None:
            await gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
            done.add(f"ORDER-{number}")

        tasks = [asyncio.create_task(pay(number)) for number in range(400)]
        # One caller is always cancelled after its payment was made and before it knows; the others
        # are cancelled at random.
        while not sandbox.ledger.entries:
            await asyncio.sleep(0)
        tasks[
            int(sandbox.ledger.entries[0].merchant_transaction_id.removeprefix("ORDER-"))
        ].cancel()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            for task in seeded.sample(tasks, 2):
                task.cancel()
        while gateway._pipeline.slots._tasks:
            await asyncio.wait(gateway._pipeline.slots._tasks)
        late = {event.merchant_transaction_id for event in events if isinstance(event, LateResult)}
        assert late
        executed = {entry.merchant_transaction_id for entry in sandbox.ledger.entries}
        assert executed == done | late
        assert len(sandbox.ledger.entries) == len(executed)
        sandbox.reply_delay = 1.0
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(pay(number) for number in range(1000, 1000 + slots)))
        assert asyncio.get_running_loop().time() - started < 1.0 * slots
        if isinstance(transport, HttpxTransport):
            assert len(transport._idle) <= slots


async def test_callers_of_down_gateway_are_not_sent(
    sandbox: Sandbox, client: Gateway, card: Card
) -> None:
    """While connections are refused no payment is sent; afterwards the same ids succeed."""
    await client.debit(EUROS, card, merchant_transaction_id="ORDER-0")
    async with sandbox.refusing():
        results = await asyncio.gather(
            *(
                client.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
                for number in range(1, 21)
            ),
            return_exceptions=True,
        )
        assert {type(result) for result in results} == {errors.NotSent}
    again = await asyncio.gather(
        *(
            client.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
            for number in range(1, 21)
        )
    )
    assert all(payment.succeeded and not payment.duplicate for payment in again)
