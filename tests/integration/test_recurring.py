"""Recurring payments: a mandate from the first payment, and what later ones may do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.payer_browser import PayerBrowser

from gatewaypy import Card, Mandate, Money, Outcome, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy import Gateway
    from gatewaypy.sandbox import Sandbox

    Euros = Callable[[str], Money]


async def test_mandate_json_is_enough_to_repeat(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """The stored text has no card data, and later payments need nothing else."""
    first = await client.recurring.initial(
        euros("9.90"), card, merchant_transaction_id="MONTH-1", store_card=True
    )
    kept = first.mandate().to_json()
    assert not {"number", "cvv", "holder", "card"} & set(json.loads(kept))
    for secret in (card.number.reveal(), "0051", "Lovelace"):
        assert secret not in kept
    for month in range(2, 5):
        later = await client.recurring.repeat(
            Mandate.from_json(kept), euros("9.90"), merchant_transaction_id=f"MONTH-{month}"
        )
        assert (later.outcome, later.payment_id != first.payment_id) == (Outcome.SUCCEEDED, True)
    assert sandbox.ledger.balances()["EUR"].captured == Money("39.60", "EUR").amount


@pytest.mark.parametrize(("store", "by"), [(True, None), (True, "initial payment"), (False, None)])
async def test_repeat_needs_no_payer_or_cvv(
    client: Gateway, sandbox: Sandbox, three_d_card: Card, euros: Euros, store: bool, by: str | None
) -> None:
    """The first payment uses 3-D Secure; its inquiry gives the mandate, repeats need no payer."""
    first = await client.recurring.initial(
        euros("9.90"),
        three_d_card,
        merchant_transaction_id="MONTH-1",
        store_card=store,
        redirect_url="https://shop.example/back",
    )
    with pytest.raises(errors.InvalidRequest, match="must be of a successful payment"):
        first.mandate()
    async with PayerBrowser() as browser:
        await browser.confirm(first.redirect.html())
    mandate = (await client.inquire(payment_id=first.payment_id)).mandate()
    assert (mandate.registration_id is not None) is store
    later = await client.recurring.repeat(
        mandate, euros("5.00"), merchant_transaction_id="MONTH-2", by=by
    )
    assert later.outcome is Outcome.SUCCEEDED
    record = sandbox.ledger.records[later.payment_id or ""]
    assert record.fields["recurringType"] == "REPEATED"
    assert not any(name.startswith("card.") for name in record.fields)


async def test_repeat_declined_is_a_result(client: Gateway, card: Card, euros: Euros) -> None:
    """A decline of a later payment is a result like any other."""
    mandate = (
        await client.recurring.initial(euros("1.00"), card, merchant_transaction_id="A")
    ).mandate()
    later = await client.recurring.repeat(mandate, euros("6051.00"), merchant_transaction_id="B")
    assert (later.outcome, later.result.code) == (Outcome.FAILED, "11051")


async def test_repeat_invalid_raises(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """Another currency, a missing stored card or an invalid mandate sends nothing."""
    mandate = (
        await client.recurring.initial(euros("1.00"), card, merchant_transaction_id="A")
    ).mandate()
    before = dict(sandbox.requests)
    for arguments, field in (
        ((mandate, Money(1, "USD")), "currency"),
        ((mandate, euros("1.00"), "stored card"), "by"),
        ((mandate, euros("1.00"), "magic"), "by"),
        (("54279", euros("1.00")), "mandate"),
    ):
        what, amount, by = (*arguments, None)[:3]
        with pytest.raises(errors.InvalidRequest) as refused:
            await client.recurring.repeat(what, amount, merchant_transaction_id="B", by=by)
        assert refused.value.field == field
    assert sandbox.requests == before


async def test_repeat_of_plain_payment_is_refused(
    client: Gateway, card: Card, euros: Euros
) -> None:
    """The gateway refuses to repeat a payment whose payer did not agree to repeats."""
    paid = await client.debit(euros("1.00"), card, merchant_transaction_id="A")
    refused = await client.recurring.repeat(
        Mandate.of(paid), euros("1.00"), merchant_transaction_id="B"
    )
    assert (refused.outcome, refused.result.code) == (Outcome.FAILED, "10002")


async def test_repeat_can_be_a_preauthorization(client: Gateway, card: Card, euros: Euros) -> None:
    """A series may start with a hold, and repeats may be holds."""
    first = await client.recurring.initial(
        euros("1.00"), card, merchant_transaction_id="A", preauth=True
    )
    held = await client.recurring.repeat(
        first.mandate(), euros("8.00"), merchant_transaction_id="B", preauth=True
    )
    with pytest.raises(errors.InvalidRequest):
        await client.capture(held.payment_id or "", euros("8.01"))
    assert (await client.capture(held.payment_id or "", euros("8.00"))).succeeded
    assert (await client.reversal(first.payment_id or "")).succeeded
