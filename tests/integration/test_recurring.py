"""Recurring payments against the sandbox: a mandate from the first, and what later ones may and may not do."""

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


async def test_a_mandate_survives_as_json(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """What is kept between the months is text without card data, and later payments need nothing else."""
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
async def test_a_repeat_asks_for_no_payer_and_no_cvv(
    client: Gateway, sandbox: Sandbox, three_d_card: Card, euros: Euros, store: bool, by: str | None
) -> None:
    """The first payment goes through 3-D Secure; the mandate is made once an inquiry knows of it; repeats need nobody."""
    first = await client.recurring.initial(
        euros("9.90"),
        three_d_card,
        merchant_transaction_id="MONTH-1",
        store_card=store,
        redirect_url="https://shop.example/back",
    )
    with pytest.raises(errors.InvalidRequest, match="succeeded"):
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


async def test_a_repeat_that_the_bank_declines_is_a_result(
    client: Gateway, card: Card, euros: Euros
) -> None:
    """A decline months later is a decline like any other."""
    mandate = (
        await client.recurring.initial(euros("1.00"), card, merchant_transaction_id="A")
    ).mandate()
    later = await client.recurring.repeat(mandate, euros("6051.00"), merchant_transaction_id="B")
    assert (later.outcome, later.result.code) == (Outcome.FAILED, "11051")


async def test_what_no_repeat_may_be(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """Another currency, a stored card that is not there, something that is no mandate: nothing is sent."""
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


async def test_only_an_initial_payment_can_be_repeated(
    client: Gateway, card: Card, euros: Euros
) -> None:
    """The gateway refuses to repeat a payment whose payer agreed to nothing more."""
    paid = await client.debit(euros("1.00"), card, merchant_transaction_id="A")
    refused = await client.recurring.repeat(
        Mandate.of(paid), euros("1.00"), merchant_transaction_id="B"
    )
    assert (refused.outcome, refused.result.code) == (Outcome.FAILED, "10002")


async def test_a_repeat_can_hold_and_be_captured(client: Gateway, card: Card, euros: Euros) -> None:
    """A series may begin with a hold, and its repeats may be holds that are captured or reversed."""
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
