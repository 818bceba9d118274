"""One path through each operation: synchronous, asynchronous and by 3-D Secure, in any encoding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import define

from gatewaypy import Address, Card, Customer, Mandate, Money, NetBanking, Outcome, Product, Wallet
from gatewaypy.protocol.operation_types import (
    InquireBy,
    Operation,
    ReplyKind,
)
from gatewaypy.protocol.operations import OPERATIONS

if TYPE_CHECKING:
    from support.payer_browser import PayerBrowser

    from gatewaypy import Gateway, Payment
    from gatewaypy.sandbox import Sandbox

EUROS = Money("50.00", "EUR")
LATER = Money("6090.00", "EUR")
CARD = Card("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")
CARD_3D = Card("4000 0000 0000 0002", 7, 2030, "237", "Ada Lovelace")
ADA = Customer("Ada", "Lovelace", "ada@shop.example", "201234567", "+44", "127.0.0.1")
HOME = Address("GB", "London", "LDN", "W1", "12 St James's Sq")
BACK = "https://shop.example/back?order=1"
SYNC, ASYNC, THREE_D = "sync", "async", "3-D"


def flows_of(operation: Operation) -> tuple[str, ...]:
    """Return the flows of an operation: without a payer there is no page."""
    if operation.reply is ReplyKind.PAGE and operation.required[-1] != "merchantRedirectUrl":
        return SYNC, ASYNC, THREE_D
    if operation.inquire_by is not InquireBy.MERCHANT_TRANSACTION_ID:
        return (SYNC,)
    has_payer = (
        operation.reply is ReplyKind.PAYMENT and operation.fixed.get("recurringType") != "REPEATED"
    )
    return (SYNC, ASYNC, THREE_D) if has_payer else (SYNC, ASYNC)


def bodies_of(operation: Operation) -> tuple[str, ...]:
    """Return the encodings of its request."""
    return (operation.body,) if operation.body else ("form", "json")


def accepts_of(operation: Operation) -> tuple[str, ...]:
    """Return the encodings of its reply: a browser reads the answer to a page."""
    return ("html",) if operation.reply is ReplyKind.PAGE else ("json", "xml")


def ways() -> list[tuple[str, str, str, str]]:
    """List every operation in each of its encodings and flows."""
    return [
        (name, body, accept, flow)
        for name, operation in OPERATIONS.items()
        for body in bodies_of(operation)
        for accept in accepts_of(operation)
        for flow in flows_of(operation)
    ]


@define
class Way:
    """The setting of a walk: a client, its sandbox, the payer's browser, and the flow."""

    gateway: Gateway
    sandbox: Sandbox
    browser: PayerBrowser
    flow: str

    async def finish(self, payment: Any, moved: str) -> Payment:
        """Follow a payment to its end in any flow, and compare the client with the ledger."""
        entries = self.sandbox.ledger.executions(payment.merchant_transaction_id)
        if self.flow == SYNC:
            assert payment.outcome is Outcome.SUCCEEDED
        elif payment.outcome is Outcome.REDIRECT:
            assert not entries
            await self.browser.confirm(payment.redirect.html())
            assert self.browser.form.fields["status"] == "Y"
        else:
            assert (payment.outcome, self.flow) == (Outcome.PENDING, ASYNC)
            await self.sandbox.callback_sender.idle()
        found = await self.gateway.inquire(merchant_transaction_id=payment.merchant_transaction_id)
        assert (found.outcome, found.payment_id, found.amount) == (
            Outcome.SUCCEEDED,
            payment.payment_id,
            payment.amount,
        )
        (entry,) = self.sandbox.ledger.executions(payment.merchant_transaction_id)
        assert (entry.kind, entry.amount, entry.currency) == (
            moved,
            payment.amount.amount,
            payment.amount.currency,
        )
        finished: Payment = payment
        return finished

    async def stored(self) -> str:
        """Store a card; one with 3-D Secure if the flow needs it."""
        stored = await self.gateway.stored_cards.store(CARD_3D if self.flow == THREE_D else CARD)
        assert stored.registration_id is not None
        return stored.registration_id

    async def mandate(self, *, store_card: bool) -> Mandate:
        """Create a mandate."""
        initial = await self.gateway.recurring.initial(
            EUROS, CARD, merchant_transaction_id="INITIAL", store_card=store_card
        )
        return Mandate.from_json(initial.mandate().to_json())


def _amount(way: Way) -> Money:
    return LATER if way.flow == ASYNC else EUROS


def _first(name: str, moved: str) -> Callable[[Way], Awaitable[None]]:
    """Follow a payment with its payer: by card, by wallet or bank, by a card with 3-D Secure."""

    async def walk(way: Way) -> None:
        wallet = Wallet("APPLEPAY") if moved == "capture" else NetBanking("IDEAL")
        source = {SYNC: CARD, ASYNC: wallet, THREE_D: CARD_3D}[way.flow]
        options: Any = {
            "customer": ADA,
            "shipping": HOME,
            "redirect_url": BACK,
            "merchant_transaction_id": "ORDER 1",
        }
        gateway = way.gateway
        if name.startswith("recurring"):
            initial = await gateway.recurring.initial(
                EUROS, source, preauth=moved == "hold", **options
            )
            await way.finish(initial, moved)
            found = await gateway.inquire(payment_id=initial.payment_id)
            assert found.mandate().payment_id == initial.payment_id
        else:
            begin = gateway.debit if moved == "capture" else gateway.preauth
            await way.finish(await begin(EUROS, source, **options), moved)

    return walk


def _by_stored_card(moved: str) -> Callable[[Way], Awaitable[None]]:
    async def walk(way: Way) -> None:
        registration_id = await way.stored()
        payment = await way.gateway.stored_cards.pay(
            registration_id,
            _amount(way),
            merchant_transaction_id="ORDER-2",
            cvv="745",
            preauth=moved == "hold",
            redirect_url=BACK,
            customer=ADA,
        )
        await way.finish(payment, moved)

    return walk


def _repeat(by: Any, moved: str) -> Callable[[Way], Awaitable[None]]:
    async def walk(way: Way) -> None:
        mandate = await way.mandate(store_card=by == "stored card")
        payment = await way.gateway.recurring.repeat(
            mandate, _amount(way), merchant_transaction_id="MONTH-2", by=by, preauth=moved == "hold"
        )
        await way.finish(payment, moved)

    return walk


async def _capture(way: Way) -> None:
    held = await way.gateway.preauth(EUROS, CARD, merchant_transaction_id="ORDER-1")
    taken = await way.gateway.capture(held.payment_id or "", Money("30.00", "EUR"))
    assert (taken.outcome, taken.amount) == (Outcome.SUCCEEDED, Money("30.00", "EUR"))
    assert way.sandbox.ledger.balances()["EUR"].captured == 30


async def _reversal(way: Way) -> None:
    held = await way.gateway.preauth(EUROS, CARD, merchant_transaction_id="ORDER-1")
    assert (await way.gateway.reversal(held.payment_id or "")).succeeded
    assert (await way.gateway.inquire(payment_id=held.payment_id)).outcome is Outcome.CANCELLED
    assert way.sandbox.ledger.balances()["EUR"].held == 0


async def _refund(way: Way) -> None:
    paid = await way.gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")
    assert (await way.gateway.refund(paid.payment_id or "", Money("20.00", "EUR"))).succeeded
    assert (await way.gateway.inquire(payment_id=paid.payment_id)).outcome is Outcome.REFUNDED
    assert way.sandbox.ledger.balances()["EUR"].refunded == 20


async def _payout(way: Way) -> None:
    await way.finish(
        await way.gateway.payout(_amount(way), merchant_transaction_id="PAYOUT-1", customer=ADA),
        "payout",
    )


async def _inquiry_by_payment_id(way: Way) -> None:
    paid = await way.gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")
    found = await way.gateway.inquire(payment_id=paid.payment_id)
    assert (found.found, found.status, found.merchant_transaction_id) == (
        True,
        "capturesuccess",
        "ORDER-1",
    )


async def _inquiry_by_own_id(way: Way) -> None:
    paid = await way.gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER 1")
    assert (
        await way.gateway.inquire(merchant_transaction_id="ORDER 1")
    ).payment_id == paid.payment_id
    assert not (await way.gateway.inquire(merchant_transaction_id="ORDER 2")).found


async def _transactions(way: Way) -> None:
    for number in range(5):
        await way.gateway.debit(
            EUROS, CARD, merchant_transaction_id=f"ORDER-{number}", customer=ADA
        )
    today = datetime.now(UTC).date()
    rows = [row async for row in way.gateway.transactions(today - timedelta(1), today, page_size=2)]
    assert [row.merchant_transaction_id for row in rows] == [
        f"ORDER-{number}" for number in range(5)
    ]
    assert {(row.outcome, row.amount, row.captured, row.customer["email"]) for row in rows} == {
        (Outcome.SUCCEEDED, EUROS, EUROS, "ada@shop.example")
    }


async def _store(way: Way) -> None:
    stored = await way.gateway.stored_cards.store(CARD, customer=ADA, address=HOME)
    assert (stored.outcome, stored.payment_brand) == (Outcome.SUCCEEDED, "VISA")
    assert stored.registration_id in way.sandbox.payments.invoices.vault.registrations


async def _delete(way: Way) -> None:
    registration_id = await way.stored()
    assert (await way.gateway.stored_cards.delete(registration_id)).succeeded
    assert (await way.gateway.stored_cards.delete(registration_id)).outcome is Outcome.FAILED
    assert not way.sandbox.payments.invoices.vault.registrations[registration_id].is_active


async def _accounts(way: Way) -> None:
    customer_id = (await way.gateway.customers.sign_up(ADA)).customer_id or ""
    stored = await way.gateway.stored_cards.store(CARD, customer=Customer(customer_id=customer_id))
    accounts = await way.gateway.stored_cards.list(customer_id)
    assert [card.registration_id for card in accounts.cards] == [stored.registration_id]
    assert [(card.bin, card.last_four, card.brand) for card in accounts.cards] == [
        ("400000", "0051", "VISA")
    ]
    assert (accounts.accounts, accounts.customer_id) == ((), customer_id)


async def _sign_up(way: Way) -> None:
    customer = await way.gateway.customers.sign_up(ADA, address=HOME)
    assert customer.customer_id in way.sandbox.payments.invoices.vault.customers
    assert (await way.gateway.customers.sign_up(ADA)).result.code == "10024"


async def _sign_up_merchant(way: Way) -> None:
    merchant = await way.gateway.merchants.sign_up(
        "branch", company_name="Branch & Sons", email="b@shop.example", country="GB"
    )
    assert merchant.member_id == way.sandbox.payments.merchants[-1].member_id
    assert (
        await way.gateway.merchants.sign_up("branch", company_name="B", email="b@shop.example")
    ).result.code == "10016"


async def _link(way: Way) -> None:
    link = await way.gateway.links.create(
        EUROS, order_id="ORDER-1", customer=ADA, description="Tea & biscuits"
    )
    await way.browser.visit(link.url or "")
    assert "Tea &amp; biscuits" in way.browser.page
    await way.browser.submit(**way.browser.CARD, answer="pay")
    assert (await way.gateway.inquire(merchant_transaction_id="ORDER-1")).succeeded


async def _invoice(way: Way) -> Any:
    return await way.gateway.invoices.generate(
        EUROS,
        merchant_invoice_id="INV-1",
        customer=ADA,
        redirect_url=BACK,
        products=[
            Product("Tea", Money("10.00", "EUR"), 3),
            Product("Biscuits", Money("20.00", "EUR")),
        ],
        expires_after=10,
        description="Goods",
    )


async def _generate(way: Way) -> None:
    invoice = await _invoice(way)
    assert (invoice.outcome, invoice.amount, invoice.merchant_invoice_id) == (
        Outcome.SUCCEEDED,
        EUROS,
        "INV-1",
    )
    (bill,) = way.sandbox.payments.invoices.invoices.by_id.values()
    assert bill.fields["product[1].productTotal"] == "20.00"
    await way.browser.visit(invoice.payment_url)
    await way.browser.submit(**way.browser.CARD, answer="pay")
    assert (await way.gateway.invoices.status("INV-1")).status == "paid"


async def _regenerate(way: Way) -> None:
    first = await _invoice(way)
    second = await way.gateway.invoices.regenerate(first.invoice_id, redirect_url=BACK)
    assert second.succeeded
    assert second.payment_url != first.payment_url
    await way.browser.visit(first.payment_url)
    assert way.browser.status == 410


async def _invoice_status(way: Way) -> None:
    invoice = await _invoice(way)
    status = await way.gateway.invoices.status("INV-1")
    assert (status.invoice_id, status.amount, status.status) == (
        invoice.invoice_id,
        EUROS,
        "unpaid",
    )
    assert (await way.gateway.invoices.status("INV-2")).result.code == "10026"


async def _remind(way: Way) -> None:
    invoice = await _invoice(way)
    assert (await way.gateway.invoices.remind(invoice.invoice_id)).succeeded
    assert (
        way.sandbox.payments.invoices.invoices.mails
        == [("ada@shop.example", invoice.invoice_id)] * 2
    )


async def _cancel(way: Way) -> None:
    invoice = await _invoice(way)
    assert (await way.gateway.invoices.cancel(invoice.invoice_id, redirect_url=BACK)).succeeded
    assert (await way.gateway.invoices.cancel(invoice.invoice_id)).result.code == "10012"


async def _configuration(way: Way) -> None:
    configuration = await way.gateway.invoices.configuration()
    assert configuration.extra["invoiceConfiguration"]["currency"] == "EUR"


async def _checkout(way: Way) -> None:
    form = await way.gateway.checkout.form(
        EUROS,
        merchant_transaction_id="ORDER-1",
        redirect_url=BACK,
        description='Tea "& biscuits"',
        mode="EW" if way.flow == ASYNC else None,
        brand="SKRILL" if way.flow == ASYNC else None,
        customer=ADA,
        address=HOME,
    )
    browser = way.browser
    browser.show(form.html())
    await browser.submit()
    typed = {SYNC: browser.CARD, ASYNC: {}, THREE_D: browser.CARD_3D}[way.flow]
    await browser.submit(**typed, answer="pay")
    if way.flow != SYNC:
        assert not way.sandbox.ledger.entries
        await browser.submit()
        await browser.submit(answer="approve")
    assert (browser.form.action, browser.form.fields["status"]) == (BACK, "Y")
    assert (await way.gateway.inquire(merchant_transaction_id="ORDER-1")).succeeded
    assert [entry.kind for entry in way.sandbox.ledger.entries] == ["capture"]


async def _card_registration(way: Way) -> None:
    way.browser.show((await way.gateway.checkout.card_registration_form(redirect_url=BACK)).html())
    await way.browser.submit()
    await way.browser.submit(**way.browser.CARD, answer="pay")
    registration_id = way.browser.form.fields["registrationId"]
    paid = await way.gateway.stored_cards.pay(
        registration_id, EUROS, merchant_transaction_id="ORDER-1"
    )
    assert paid.succeeded


async def _token(way: Way) -> None:
    assert (await way.gateway.tokens.merchant()).member_id == way.sandbox.credentials.member_id


async def _partner_token(way: Way) -> None:
    assert (
        await way.gateway.tokens.partner()
    ).login_name == way.sandbox.credentials.partner_username


async def _regenerated_token(way: Way) -> None:
    old = await way.gateway.tokens.merchant()
    assert (await way.gateway.tokens.regenerate(old)).value != old.value


WALKS: dict[str, Callable[[Way], Awaitable[None]]] = {
    "token": _token,
    "partner token": _partner_token,
    "token regeneration": _regenerated_token,
    "debit": _first("debit", "capture"),
    "preauth": _first("preauth", "hold"),
    "recurring initial": _first("recurring initial", "capture"),
    "recurring initial preauth": _first("recurring initial preauth", "hold"),
    "recurring by stored card": _repeat("stored card", "capture"),
    "recurring by stored card preauth": _repeat("stored card", "hold"),
    "recurring by payment": _repeat("initial payment", "capture"),
    "recurring by payment preauth": _repeat("initial payment", "hold"),
    "stored card debit": _by_stored_card("capture"),
    "stored card preauth": _by_stored_card("hold"),
    "capture": _capture,
    "reversal": _reversal,
    "refund": _refund,
    "payout": _payout,
    "inquiry by paymentId": _inquiry_by_payment_id,
    "inquiry by merchantTransactionId": _inquiry_by_own_id,
    "transaction list": _transactions,
    "store card": _store,
    "delete stored card": _delete,
    "list stored cards": _accounts,
    "customer sign-up": _sign_up,
    "merchant sign-up": _sign_up_merchant,
    "pay by link": _link,
    "invoice generate": _generate,
    "invoice regenerate": _regenerate,
    "invoice status": _invoice_status,
    "invoice remind": _remind,
    "invoice cancel": _cancel,
    "invoice configuration": _configuration,
    "hosted checkout": _checkout,
    "hosted card registration": _card_registration,
}
