"""Stored cards against the sandbox: both ways to store, paying, listing, deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.payer_browser import PayerBrowser

from gatewaypy import AchAccount, Customer, Money, Outcome, SepaAccount, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy import Card, Gateway
    from gatewaypy.sandbox import Sandbox

    Euros = Callable[[str], Money]
IBAN, BIC = "DE09100100101234567893", "PBNKDEFFXXX"


async def test_stored_card_from_payment_has_registration(
    client: Gateway, card: Card, three_d_card: Card, euros: Euros
) -> None:
    """The reply has the registration; with 3-D Secure the later inquiry has it."""
    paid = await client.debit(euros("1.00"), card, merchant_transaction_id="A", store_card=True)
    assert paid.registration_id is not None
    again = await client.stored_cards.pay(
        paid.registration_id, euros("2.00"), merchant_transaction_id="B"
    )
    assert again.succeeded
    challenged = await client.debit(
        euros("3.00"),
        three_d_card,
        merchant_transaction_id="C",
        store_card=True,
        redirect_url="https://shop.example/back",
    )
    assert challenged.registration_id is None
    async with PayerBrowser() as browser:
        await browser.confirm(challenged.redirect.html())
        returned = browser.form.fields["registrationId"]
    assert (await client.inquire(payment_id=challenged.payment_id)).registration_id == returned


async def test_stored_card_of_declined_payment_is_none(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros
) -> None:
    """A declined payment stores no card."""
    declined = await client.debit(
        euros("6051.00"), card, merchant_transaction_id="A", store_card=True
    )
    assert (declined.outcome, declined.registration_id) == (Outcome.FAILED, None)
    assert not any(
        registration.is_active
        for registration in sandbox.payments.invoices.vault.registrations.values()
    )


@pytest.mark.parametrize("cvv", [None, "745"])
async def test_stored_card_cvv_is_sent_but_not_stored(
    client: Gateway, sandbox: Sandbox, card: Card, euros: Euros, cvv: str | None
) -> None:
    """A CVV that the payer entered is sent, and is in no ledger."""
    stored = await client.stored_cards.store(card)
    paid = await client.stored_cards.pay(
        stored.registration_id or "", euros("5.00"), merchant_transaction_id="A", cvv=cvv
    )
    assert (paid.outcome, paid.card.last_four) == (Outcome.SUCCEEDED, "0051")
    assert "card.cvv" not in sandbox.ledger.records[paid.payment_id or ""].fields


async def test_stored_card_invalid_cvv_or_id_raises(
    client: Gateway, sandbox: Sandbox, euros: Euros
) -> None:
    """A CVV of letters and an id with a slash are not sent."""
    for registration_id, cvv, field in (
        ("REG201", "7a5", "card.cvv"),
        ("../payments", None, "registrationId"),
    ):
        with pytest.raises(errors.InvalidRequest) as refused:
            await client.stored_cards.pay(
                registration_id, euros("5.00"), merchant_transaction_id="A", cvv=cvv
            )
        assert refused.value.field == field
        assert "7a5" not in str(refused.value)
    assert not sandbox.requests


async def test_stored_cards_and_accounts_are_listed(client: Gateway, card: Card) -> None:
    """The customer's cards and accounts are listed masked; those of others are not."""
    customer_id = (
        await client.customers.sign_up(Customer("Zoë", "Müller", "zoe@shop.example"))
    ).customer_id or ""
    zoe = Customer(customer_id=customer_id)
    empty = await client.stored_cards.list(customer_id)
    assert (empty.outcome, empty.cards, empty.accounts) == (Outcome.SUCCEEDED, (), ())
    of_card = await client.stored_cards.store(card, customer=zoe)
    of_sepa = await client.stored_cards.store(SepaAccount(IBAN, BIC), customer=zoe)
    of_ach = await client.stored_cards.store(
        AchAccount("9876543210", "011000028", "CHECKING"), customer=zoe
    )
    await client.stored_cards.store(card, customer=Customer(customer_id="1"))
    listed = await client.stored_cards.list(customer_id)
    assert [entry.registration_id for entry in listed.cards] == [of_card.registration_id]
    assert [entry.registration_id for entry in listed.accounts] == [
        of_sepa.registration_id,
        of_ach.registration_id,
    ]
    assert (listed.accounts[0].iban, listed.accounts[0].bic) == ("DE09***7893", BIC)
    assert IBAN not in repr(listed)
    await client.stored_cards.delete(of_card.registration_id or "")
    assert (await client.stored_cards.list(customer_id)).cards == ()
    unknown = await client.stored_cards.list("999")
    assert (unknown.outcome, unknown.result.code) == (Outcome.FAILED, "10026")


async def test_stored_card_deleted_cannot_pay(client: Gateway, card: Card, euros: Euros) -> None:
    """After the deletion the gateway refuses, and no payment exists."""
    stored = await client.stored_cards.store(card)
    assert (await client.stored_cards.delete(stored.registration_id or "")).succeeded
    refused = await client.stored_cards.pay(
        stored.registration_id or "", euros("5.00"), merchant_transaction_id="A"
    )
    assert (refused.outcome, refused.result.code, refused.payment_id) == (
        Outcome.FAILED,
        "10002",
        None,
    )


async def test_stored_card_can_need_three_d_secure(
    client: Gateway, three_d_card: Card, euros: Euros
) -> None:
    """The reply redirects the payer, and the payer's answer decides."""
    stored = await client.stored_cards.store(three_d_card)
    payment = await client.stored_cards.pay(
        stored.registration_id or "",
        euros("5.00"),
        merchant_transaction_id="A",
        redirect_url="https://shop.example/back",
    )
    assert payment.outcome is Outcome.REDIRECT
    async with PayerBrowser() as browser:
        await browser.confirm(payment.redirect.html(), "decline")
        assert browser.form.fields["status"] == "N"
    assert (await client.inquire(payment_id=payment.payment_id)).outcome is Outcome.FAILED
