"""The hosted pages as a payer uses them: checkout, card registration, invoices, links, wallets."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import attrs
import pytest
from support.every_operation import ADA, BACK
from support.payer_browser import PayerBrowser

from gatewaypy import (
    AchAccount,
    Credentials,
    Gateway,
    Money,
    NetBanking,
    OtherSource,
    Outcome,
    Product,
    SepaAccount,
    Upi,
    Voucher,
    Wallet,
    errors,
)
from gatewaypy.callbacks import read_registration_return, read_return

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gatewaypy import PaymentSource
    from gatewaypy.sandbox import Sandbox

    Euros = Callable[[str], Money]


@pytest.fixture
async def browser() -> AsyncIterator[PayerBrowser]:
    """Open a payer's browser."""
    async with PayerBrowser() as opened:
        yield opened


def body(browser: PayerBrowser) -> bytes:
    """Return the body that the browser would post to the shop."""
    return urlencode(browser.form.fields).encode()


@pytest.mark.parametrize(
    ("typed", "outcome", "kinds"),
    [
        ({**PayerBrowser.CARD, "answer": "pay"}, Outcome.SUCCEEDED, ["capture"]),
        ({**PayerBrowser.CARD, "number": "4000000000000077", "answer": "pay"}, Outcome.FAILED, []),
        ({"answer": "cancel"}, Outcome.CANCELLED, []),
    ],
)
async def test_checkout_ends_with_signed_return(
    client: Gateway,
    sandbox: Sandbox,
    browser: PayerBrowser,
    typed: dict[str, str],
    outcome: Outcome,
    kinds: list[str],
) -> None:
    """Paid, declined or cancelled: the verified return agrees with inquiry and ledger."""
    form = await client.checkout.form(
        Money("50.00", "EUR"), merchant_transaction_id="ORDER-1", redirect_url=BACK
    )
    browser.show(form.html())
    await browser.submit()
    await browser.submit(**typed)
    assert browser.form.action == BACK
    returned = read_return(body(browser), sandbox.credentials)
    assert (returned.outcome, returned.verified, returned.amount) == (
        outcome,
        True,
        Money("50.00", "EUR"),
    )
    assert (await client.inquire(merchant_transaction_id="ORDER-1")).outcome is outcome
    assert [entry.kind for entry in sandbox.ledger.entries] == kinds


async def test_checkout_can_preauthorize(
    client: Gateway, sandbox: Sandbox, browser: PayerBrowser
) -> None:
    """A preauthorization by the hosted page is captured later."""
    form = await client.checkout.form(
        Money("50.00", "EUR"),
        merchant_transaction_id="ORDER-1",
        redirect_url=BACK,
        preauth=True,
        shown_amount=Money("55.00", "USD"),
    )
    browser.show(form.html())
    await browser.submit()
    assert "55.00 USD" in browser.page
    await browser.submit(**browser.CARD, answer="pay")
    held = await client.inquire(merchant_transaction_id="ORDER-1")
    assert held.status == "authsuccessful"
    assert (await client.capture(held.payment_id or "", Money("50.00", "EUR"))).succeeded
    assert sandbox.ledger.balances()["EUR"].captured == 50


@pytest.mark.parametrize(
    "change", [{"amount": "1.00"}, {"memberId": "1"}, {"totype": "Other"}, {"checksum": "0" * 32}]
)
async def test_checkout_changed_form_is_refused(
    client: Gateway, sandbox: Sandbox, browser: PayerBrowser, change: dict[str, str]
) -> None:
    """A payer who edits the amount or the merchant of the form cannot pay."""
    form = await client.checkout.form(
        Money("50.00", "EUR"), merchant_transaction_id="ORDER-1", redirect_url=BACK
    )
    fields = dict(form.inputs()) | change
    changed = attrs.evolve(form, fields=tuple(fields.items()))
    browser.show(changed.html())
    await browser.submit()
    assert (browser.status, sandbox.ledger.records) == (400, {})


async def test_checkout_invalid_card_books_nothing(
    client: Gateway, sandbox: Sandbox, browser: PayerBrowser
) -> None:
    """An invalid or expired card books nothing, and the payer may try again."""
    form = await client.checkout.form(
        Money("50.00", "EUR"), merchant_transaction_id="ORDER-1", redirect_url=BACK
    )
    browser.show(form.html())
    await browser.submit()
    page, url = browser.page, browser.url
    for wrong in ({"number": "1234"}, {"year": "2020"}, {"month": "13"}, {"cvv": "x"}):
        browser.page, browser.url = page, url
        await browser.submit(**(browser.CARD | wrong), answer="pay")
        assert (browser.status, sandbox.ledger.records) == (400, {})
    browser.page, browser.url = page, url
    await browser.submit(**browser.CARD, answer="pay")
    assert len(sandbox.ledger.entries) == 1
    browser.page, browser.url = page, url
    await browser.submit(**browser.CARD, answer="pay")
    assert (browser.status, len(sandbox.ledger.entries)) == (404, 1)


async def test_checkout_invalid_field_is_refused(client: Gateway) -> None:
    """A long URL or description, or a missing partner name, is refused."""
    euros = Money("50.00", "EUR")
    for arguments, field in (
        ({"redirect_url": "https://shop.example/" + "x" * 80}, "merchantRedirectUrl"),
        (
            {"redirect_url": BACK, "notification_url": "https://shop.example/" + "x" * 80},
            "notificationUrl",
        ),
        ({"redirect_url": BACK, "description": "x" * 256}, "orderDescription"),
        ({"redirect_url": "shop"}, "merchantRedirectUrl"),
    ):
        with pytest.raises(errors.InvalidRequest) as refused:
            await client.checkout.form(euros, merchant_transaction_id="A", **arguments)
        assert refused.value.field == field


async def test_page_without_partner_name_raises(sandbox: Sandbox) -> None:
    """Credentials without partner_name cannot build a form, and the error says what is missing."""
    known = sandbox.credentials
    nameless = Credentials(
        member_id=known.member_id,
        partner_id=known.partner_id,
        username=known.username,
        secret_key=known.secret_key,
    )
    async with Gateway(sandbox.base_url, nameless) as gateway:
        with pytest.raises(errors.ConfigurationError, match="partner_name"):
            await gateway.checkout.card_registration_form(redirect_url=BACK)


async def test_card_registration_returns_registration(
    client: Gateway, sandbox: Sandbox, browser: PayerBrowser
) -> None:
    """The return is verified by rule P', and its registration pays; a cancelled one has none."""
    for answer, outcome in (("pay", Outcome.SUCCEEDED), ("cancel", Outcome.FAILED)):
        browser.url = ""
        browser.show(
            (
                await client.checkout.card_registration_form(redirect_url=BACK, customer_id="10279")
            ).html()
        )
        await browser.submit()
        await browser.submit(**(browser.CARD if answer == "pay" else {}), answer=answer)
        returned = read_registration_return(body(browser), [sandbox.credentials])
        assert (returned.outcome, returned.registration_id is not None) == (
            outcome,
            answer == "pay",
        )
    with pytest.raises(errors.SignatureMismatch):
        read_registration_return(
            body(browser).replace(b"status=N", b"status=Y"), sandbox.credentials
        )
    with pytest.raises(errors.SignatureMismatch):
        read_registration_return(b"status=Y%7C&checksum=" + b"0" * 32, sandbox.credentials)


@pytest.fixture
async def invoice(client: Gateway) -> str:
    """Send an invoice, and return its link."""
    sent = await client.invoices.generate(
        Money("50.00", "EUR"),
        merchant_invoice_id="INV-1",
        customer=ADA,
        redirect_url=BACK,
        products=[Product("Tea", Money("50.00", "EUR"))],
    )
    return sent.payment_url or ""


async def test_invoice_is_paid_once(
    client: Gateway, sandbox: Sandbox, browser: PayerBrowser, invoice: str
) -> None:
    """A declined card leaves the invoice open, a good one pays it and closes its link."""
    await browser.visit(invoice)
    await browser.submit(**(browser.CARD | {"number": "4000000000000077"}), answer="pay")
    assert (await client.invoices.status("INV-1")).status == "unpaid"
    await browser.visit(invoice)
    await browser.submit(**browser.CARD_3D, answer="pay")
    assert (await client.invoices.status("INV-1")).status == "being paid"
    await browser.submit()
    await browser.submit(answer="approve")
    assert browser.form.action == BACK
    assert (await client.invoices.status("INV-1")).status == "paid"
    await browser.visit(invoice)
    assert (browser.status, len(sandbox.ledger.entries)) == (410, 1)
    assert (await client.invoices.remind("1746")).result.code == "10013"


async def test_invoice_guessed_link_shows_nothing(
    sandbox: Sandbox, browser: PayerBrowser, invoice: str
) -> None:
    """An invoice number alone, or with another token, shows nothing."""
    for link in (invoice[:-1] + "z", f"{sandbox.base_url}/transaction/PayInvoice?inv=1746"):
        await browser.visit(link)
        assert browser.status == 404


async def test_invoice_number_is_used_once(client: Gateway, sandbox: Sandbox, invoice: str) -> None:
    """A second invoice under the number is refused, and no second letter is sent."""
    again = await client.invoices.generate(
        Money("50.00", "EUR"), merchant_invoice_id="INV-1", customer=ADA, redirect_url=BACK
    )
    assert (again.outcome, again.result.code) == (Outcome.FAILED, "10011")
    assert len(sandbox.payments.invoices.invoices.mails) == 1
    assert invoice


async def test_invoice_product_in_other_currency_raises(client: Gateway, sandbox: Sandbox) -> None:
    """A price in another currency is refused before anything is sent."""
    with pytest.raises(errors.InvalidRequest, match="EUR"):
        await client.invoices.generate(
            Money("50.00", "EUR"),
            merchant_invoice_id="INV-1",
            customer=ADA,
            redirect_url=BACK,
            products=[Product("Tea", Money("50.00", "USD"))],
        )
    assert not sandbox.requests


SOURCES: list[PaymentSource] = [
    Wallet("APPLEPAY"),
    Wallet("GOOGLEPAY"),
    NetBanking("SOFORT"),
    Voucher("PAYSAFECARD"),
    SepaAccount("DE09100100101234567893", "PBNKDEFFXXX"),
    AchAccount("9876543210", "011000028"),
    Upi("ada@bank"),
    OtherSource("BT", "BIZUM", {"customer.nickname": "ada"}),
]


@pytest.mark.parametrize(
    "source", SOURCES, ids=[f"{source.mode}-{source.brand}" for source in SOURCES]
)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("approve", Outcome.SUCCEEDED), ("decline", Outcome.FAILED), ("abandon", Outcome.PENDING)],
)
async def test_wallet_redirects_the_payer(
    client: Gateway,
    sandbox: Sandbox,
    browser: PayerBrowser,
    source: PaymentSource,
    answer: str,
    outcome: Outcome,
) -> None:
    """Other sources redirect the payer by GET with the query; the payer's answer decides."""
    payment = await client.debit(
        Money("5.00", "EUR"), source, merchant_transaction_id="ORDER-1", redirect_url=BACK
    )
    assert (payment.outcome, payment.redirect.method) == (Outcome.REDIRECT, "GET")
    record = sandbox.ledger.records[payment.payment_id or ""]
    assert (record.fields["paymentMode"], record.fields["paymentBrand"]) == (
        source.mode,
        source.brand,
    )
    assert not any("bankAccount" in name for name in record.fields)
    await browser.confirm(payment.redirect.html(), answer)
    assert (await client.inquire(payment_id=payment.payment_id)).outcome is outcome
    assert len(sandbox.ledger.entries) == (1 if answer == "approve" else 0)
