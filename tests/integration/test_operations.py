"""Every operation against the sandbox over a real TLS socket, on every transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import (
    Customer,
    Gateway,
    HttpxTransport,
    Money,
    Outcome,
    OutcomeSource,
    Timeouts,
    errors,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gatewaypy import Card
    from gatewaypy.sandbox import Sandbox
    from gatewaypy.transport import Transport

    Euros = Callable[[str], Money]


async def test_tokens_are_granted(tls_client: Gateway, tls_sandbox: Sandbox) -> None:
    """Merchant, partner and regenerated tokens are granted, and their ``exp`` is read."""
    merchant = await tls_client.tokens.merchant()
    assert 3590 <= merchant.lifetime <= 3600
    assert merchant.member_id == tls_sandbox.credentials.member_id
    assert (await tls_client.tokens.partner()).login_name == "partner"
    regenerated = await tls_client.tokens.regenerate(merchant)
    assert regenerated.value != merchant.value
    assert tls_sandbox.tokens.granted == 3


async def test_debit_is_refunded_in_part_once(
    tls_client: Gateway, tls_sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """A debit is captured at once; a part of it is refunded, once."""
    payment = await tls_client.debit(euros("50.00"), card, merchant_transaction_id="ORDER-1")
    assert (payment.outcome, payment.outcome_source) == (Outcome.SUCCEEDED, OutcomeSource.REPLY)
    refund = await tls_client.refund(payment.payment_id or "", euros("20.00"))
    assert (refund.outcome, refund.amount) == (Outcome.SUCCEEDED, euros("20.00"))
    again = await tls_client.refund(payment.payment_id or "", euros("5.00"))
    assert (again.outcome, again.result.code) == (Outcome.FAILED, "10006")
    assert [(entry.kind, str(entry.amount)) for entry in tls_sandbox.ledger.entries] == [
        ("capture", "50.00"),
        ("refund", "20.00"),
    ]


async def test_preauthorization_is_captured_or_reversed_once(
    tls_client: Gateway, tls_sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """A hold can be captured whole, in part, or released; never twice."""
    ids = []
    for number in range(3):
        held = await tls_client.preauth(
            euros("80.00"), card, merchant_transaction_id=f"ORDER-{number}"
        )
        assert held.succeeded
        ids.append(held.payment_id or "")
    assert (await tls_client.capture(ids[0], euros("80.00"))).succeeded
    assert (await tls_client.capture(ids[1], euros("30.00"))).succeeded
    assert (await tls_client.reversal(ids[2])).succeeded
    assert (await tls_client.reversal(ids[1])).outcome is Outcome.FAILED
    assert (await tls_client.capture(ids[2], euros("1.00"))).outcome is Outcome.FAILED
    balance = tls_sandbox.ledger.balances()["EUR"]
    assert (balance.held, balance.captured) == (0, 110)


async def test_payouts_reach_payers_and_customers(
    tls_client: Gateway, tls_sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """An earlier payer and a customer are paid, a payment never captured is refused."""
    payment = await tls_client.debit(euros("50.00"), card, merchant_transaction_id="ORDER-1")
    held = await tls_client.preauth(euros("50.00"), card, merchant_transaction_id="ORDER-2")
    to_payer = await tls_client.payout(
        Money(100, "JPY"), merchant_transaction_id="PAYOUT-1", payment_id=payment.payment_id
    )
    to_customer = await tls_client.payout(
        euros("7.00"), merchant_transaction_id="PAYOUT-2", customer=Customer(email="a@shop.example")
    )
    refused = await tls_client.payout(
        euros("7.00"), merchant_transaction_id="PAYOUT-3", payment_id=held.payment_id
    )
    assert (to_payer.outcome, to_payer.status, to_payer.amount) == (
        Outcome.SUCCEEDED,
        "payoutsuccessful",
        Money(100, "JPY"),
    )
    assert to_customer.succeeded
    assert (refused.outcome, refused.result.code, refused.payment_id) == (
        Outcome.FAILED,
        "10002",
        None,
    )
    assert {
        currency: balance.paid_out for currency, balance in tls_sandbox.ledger.balances().items()
    } == {"EUR": 7, "JPY": 100}


async def test_inquiry_by_either_id_returns_the_record(
    tls_client: Gateway, card: Card, euros: Euros
) -> None:
    """Both ids lead to the same record; an unknown one to none."""
    payment = await tls_client.debit(euros("50.00"), card, merchant_transaction_id="ORDER 1.A-b")
    by_own = await tls_client.inquire(merchant_transaction_id="ORDER 1.A-b")
    by_id = await tls_client.inquire(payment_id=payment.payment_id)
    assert (by_own.payment_id, by_own.outcome, by_own.status) == (
        payment.payment_id,
        Outcome.SUCCEEDED,
        "capturesuccess",
    )
    assert by_id.merchant_transaction_id == "ORDER 1.A-b"
    assert not (await tls_client.inquire(merchant_transaction_id="ORDER-2")).found


async def test_payment_asynchronous_settles_later(
    tls_client: Gateway, tls_sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """P is pending, and an inquiry returns the final state."""
    payment = await tls_client.debit(euros("6090.00"), card, merchant_transaction_id="ORDER-1")
    assert payment.outcome is Outcome.PENDING
    await tls_sandbox.callback_sender.idle()
    assert (
        await tls_client.inquire(merchant_transaction_id="ORDER-1")
    ).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("amount", "outcome", "outcome_source"),
    [
        ("6005.00", Outcome.FAILED, OutcomeSource.REPLY),
        ("6007.00", Outcome.FAILED, OutcomeSource.REPLY),
        ("6051.00", Outcome.FAILED, OutcomeSource.REPLY),
        ("6091.00", Outcome.PENDING, OutcomeSource.REPLY),
        ("6097.00", Outcome.SUCCEEDED, OutcomeSource.INQUIRY),
        ("6098.00", Outcome.SUCCEEDED, OutcomeSource.INQUIRY),
        ("6099.00", Outcome.FAILED, OutcomeSource.INQUIRY),
    ],
)
async def test_magic_amounts_give_declines_and_faults(
    tls_client: Gateway,
    card: Card,
    euros: Euros,
    amount: str,
    outcome: Outcome,
    outcome_source: OutcomeSource,
) -> None:
    """Declines are results; a false or missing reply is resolved by inquiry."""
    payment = await tls_client.debit(euros(amount), card, merchant_transaction_id="ORDER-1")
    payout = await tls_client.payout(
        euros(amount), merchant_transaction_id="PAYOUT-1", customer=Customer(email="a@shop.example")
    )
    assert (payment.outcome, payment.outcome_source) == (outcome, outcome_source)
    assert (payout.outcome, payout.outcome_source) == (outcome, outcome_source)


@pytest.mark.parametrize("body", ["form", "json"])
@pytest.mark.parametrize("accept", ["json", "xml"])
async def test_every_body_and_reply_format_works(tls_sandbox: Sandbox, tls_transport: Transport, card: Card, euros: Euros,
                                           body: str, accept: str) -> None:  # fmt: skip
    """Form and JSON requests with JSON and XML replies are equal, 3-D redirects included."""
    async with Gateway(
        tls_sandbox.base_url,
        tls_sandbox.credentials,
        transport=tls_transport,
        body=body,
        accept=accept,
    ) as gateway:
        payment = await gateway.debit(
            euros("50.00"),
            card,
            merchant_transaction_id="ORDER-1",
            customer=Customer(given_name="Zoë & Co"),
        )
        challenged = await gateway.debit(
            euros("50.00"), card, merchant_transaction_id="ORDER-2", three_d="only3D"
        )
        held = await gateway.preauth(euros("50.00"), card, merchant_transaction_id="ORDER-3")
        results = [
            payment,
            held,
            await gateway.refund(payment.payment_id or "", euros("5.00")),
            await gateway.capture(held.payment_id or "", euros("5.00")),
            await gateway.payout(
                euros("5.00"), merchant_transaction_id="PAYOUT-1", payment_id=held.payment_id
            ),
            await gateway.inquire(merchant_transaction_id="ORDER-3"),
            await gateway.reversal(challenged.payment_id or ""),
        ]
    assert [result.outcome.name for result in results] == ["SUCCEEDED"] * 6 + ["FAILED"]
    assert all(result.outcome_source is OutcomeSource.REPLY for result in results)
    assert challenged.redirect is not None
    assert dict(challenged.redirect.parameters)["flag"] == ""


async def test_sandbox_in_process_works(card: Card, euros: Euros) -> None:
    """A sandbox can be called without a socket, on the ASGI transports of both libraries."""
    from gatewaypy.sandbox import Sandbox

    sandbox = Sandbox()
    async with Gateway(
        "http://localhost", sandbox.credentials, transport=HttpxTransport(app=sandbox)
    ) as gateway:
        assert (
            await gateway.debit(euros("50.00"), card, merchant_transaction_id="ORDER-1")
        ).succeeded
    assert len(sandbox.ledger.entries) == 1


async def test_pytest_plugin_fixtures_work(
    gateway: Gateway, gateway_sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """The pytest plugin of the package provides a sandbox and a client of it."""
    assert (await gateway.debit(euros("1.00"), card, merchant_transaction_id="ORDER-1")).succeeded
    assert gateway_sandbox.ledger.executions("ORDER-1")


async def test_token_that_expires_is_renewed(
    certificate: tuple[str, str], trusting: ssl.SSLContext, card: Card, euros: Euros
) -> None:
    """With tokens that live for 1 s, no payment fails."""
    import asyncio

    from gatewaypy.sandbox import Sandbox

    async with Sandbox(token_lifetime=1.0).serve(
        certfile=certificate[0], keyfile=certificate[1]
    ) as sandbox:
        transport = HttpxTransport(ssl_context=trusting)
        async with Gateway(
            sandbox.base_url, sandbox.credentials, transport=transport, timeouts=Timeouts(inquiry=2)
        ) as gateway:
            loop = asyncio.get_running_loop()
            end, number = loop.time() + 2.5, 0
            while loop.time() < end:
                number += 1
                assert (
                    await gateway.debit(
                        euros("1.00"), card, merchant_transaction_id=f"ORDER-{number}"
                    )
                ).succeeded
    assert sandbox.tokens.granted >= 3


@pytest.mark.parametrize("operation", ["refund", "reversal"])
async def test_follow_up_ignores_earlier_trace(
    client: Gateway, sandbox: Sandbox, card: Card, operation: str
) -> None:
    """After a done and a refused follow-up, a third with an unreadable answer is unknown."""
    begin = client.debit if operation == "refund" else client.preauth
    payment = await begin(Money("50.00", "EUR"), card, merchant_transaction_id=f"TWICE-{operation}")

    async def follow_up() -> Any:
        amount = (Money("10.00", "EUR"),) if operation == "refund" else ()
        return await getattr(client, operation)(payment.payment_id, *amount)

    assert (await follow_up()).succeeded
    assert not (await follow_up()).succeeded
    sandbox.faults.add("garbage", operation=operation)
    with pytest.raises(errors.OutcomeUnknown):
        await follow_up()
