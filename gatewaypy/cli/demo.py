"""``gatewaypy demo``: every kind of payment against a sandbox on a real socket.

At the end the client's totals are compared with the gateway's ledger.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import anyio
import httpx
from attrs import define, field

from gatewaypy.callbacks import CallbackApp, CallbackEvent, PaymentSucceeded, Router
from gatewaypy.cards import Card
from gatewaypy.cli.output import show_table
from gatewaypy.client import Gateway
from gatewaypy.models import Customer, Outcome
from gatewaypy.money import Money
from gatewaypy.payouts import BadRow, OrderFile
from gatewaypy.sandbox import Sandbox
from gatewaypy.sandbox.server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from gatewaypy.cli.output import PlainConsole
    from gatewaypy.models import OperationResult, Redirect

_INPUT: Final = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
_ACTION: Final = re.compile(r'<form action="([^"]*)"')

VISA: Final = ("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")
VISA_3D: Final = ("4000 0000 0000 0002", 7, 2030, "237", "Ada Lovelace")


@define
class Books:
    """The client's totals of one currency."""

    held: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    paid_out: Decimal = Decimal(0)


@define
class Demo:
    """A run of the demo, which prints each step."""

    console: PlainConsole
    payouts: Path | None
    books: defaultdict[str, Books] = field(factory=lambda: defaultdict(Books))
    complaints: list[str] = field(factory=list)
    events: list[CallbackEvent] = field(factory=list)
    notification_url: str = ""

    async def run(self) -> int:
        """Run it; the exit code is 1 if the client's totals and the gateway's ledger differ."""
        async with (
            Sandbox().serve() as sandbox,
            Gateway(sandbox.base_url, sandbox.credentials) as gateway,
            httpx.AsyncClient(trust_env=False) as browser,
            anyio.TemporaryDirectory() as folder,
            CallbackApp(
                self._router(),
                sandbox.credentials,
                inbox=f"sqlite:///{folder}/callbacks.db",
                confirm=gateway,
            ) as callbacks,
            serving(callbacks, "127.0.0.1", 0) as self.notification_url,
        ):
            self.say(f"The sandbox listens on {sandbox.base_url}")
            token = await gateway.tokens.merchant()
            self.say(
                f"Token for {token.login_name}, good for {token.lifetime:.0f} s: {token.value}"
            )
            await self._sale_and_refund(gateway)
            await self._preauthorizations(gateway)
            await self._three_d(gateway, browser)
            await self._pay_out(gateway)
            await sandbox.callback_sender.idle()
            await self._receive(callbacks)
            return self._compare(sandbox)

    def _router(self) -> Router:
        router = Router()

        @router.on(CallbackEvent)
        async def note(event: CallbackEvent) -> None:
            self.events.append(event)

        return router

    async def _receive(self, callbacks: CallbackApp) -> None:
        """Show the events that the handlers received, once the inbox has no open event."""
        inbox = callbacks.receiver.inbox
        with anyio.fail_after(10):
            while (await inbox.counts())["open"]:  # noqa: ASYNC110 - another process might empty it
                await anyio.sleep(0.02)
        self.say("Callbacks, verified, stored, confirmed by inquiry, and handled by the shop:")
        for event in self.events:
            kind, outcome = type(event).__name__, event.outcome.name
            self.say(
                f"  {kind:34} {outcome:10} payment {event.payment_id:8} {event.merchant_transaction_id}"
            )
        if not any(
            isinstance(event, PaymentSucceeded) and event.merchant_transaction_id == "ORDER-1005"
            for event in self.events
        ):
            self.complaints.append("no callback reported the success of the 3-D payment ORDER-1005")

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.say(text)

    def book(self, kind: str, amount: Money | None, result: OperationResult) -> None:
        """Add a result's amount to the client's totals."""
        if result.succeeded and amount is not None:
            books = self.books[amount.currency]
            setattr(books, kind, getattr(books, kind) + amount.amount)

    def report(self, title: str, result: OperationResult, *expected: Outcome) -> None:
        """Print a result, and record a complaint if it is not as expected."""
        code = f"{result.result.code} {result.result.description}"
        self.say(
            f"  {title:34} {result.outcome.name:10} payment {result.payment_id or '-':8} {code}"
        )
        if result.outcome not in expected:
            self.complaints.append(
                f"{title}: {result.outcome.name}, expected {' or '.join(o.name for o in expected)}"
            )

    async def _sale_and_refund(self, gateway: Gateway) -> None:
        self.say("A sale, and a part of it refunded:")
        debit = await gateway.debit(
            Money("50.00", "EUR"),
            Card(*VISA),
            merchant_transaction_id="ORDER-1001",
            notification_url=self.notification_url,
        )
        self.report("debit 50.00 EUR", debit, Outcome.SUCCEEDED)
        refund = await gateway.refund(debit.payment_id or "", Money("20.00", "EUR"))
        self.report("refund 20.00 EUR", refund, Outcome.SUCCEEDED)
        again = await gateway.refund(debit.payment_id or "", Money("5.00", "EUR"))
        self.report("refund again (only once is allowed)", again, Outcome.FAILED)
        declined = await gateway.debit(
            Money("6051.00", "EUR"), Card(*VISA), merchant_transaction_id="ORDER-1002"
        )
        self.report("debit 6051.00 EUR (declines)", declined, Outcome.FAILED)
        for payment in (debit, declined):
            self.book("captured", payment.amount, payment)
        for given_back in (refund, again):
            self.book("refunded", given_back.amount, given_back)

    async def _preauthorizations(self, gateway: Gateway) -> None:
        self.say("Two preauthorizations, one captured in part, one reversed:")
        held = await gateway.preauth(
            Money("80.00", "EUR"), Card(*VISA), merchant_transaction_id="ORDER-1003"
        )
        self.report("preauth 80.00 EUR", held, Outcome.SUCCEEDED)
        taken = await gateway.capture(held.payment_id or "", Money("30.00", "EUR"))
        self.report("capture 30.00 EUR of it", taken, Outcome.SUCCEEDED)
        other = await gateway.preauth(
            Money("40.00", "USD"), Card(*VISA), merchant_transaction_id="ORDER-1004"
        )
        self.report("preauth 40.00 USD", other, Outcome.SUCCEEDED)
        undone = await gateway.reversal(other.payment_id or "")
        self.report("reversal of it", undone, Outcome.SUCCEEDED)
        for hold in (held, other):
            self.book("held", hold.amount, hold)
        # A capture releases the rest of its hold, so that nothing of either hold is left.
        self.book("captured", taken.amount, taken)
        self.book("held", None if held.amount is None else -held.amount, taken)
        self.book("held", None if other.amount is None else -other.amount, undone)

    async def _three_d(self, gateway: Gateway, browser: httpx.AsyncClient) -> None:
        self.say("A debit with 3-D Secure, the payer's browser played by a script:")
        payment = await gateway.debit(
            Money("75.00", "EUR"),
            Card(*VISA_3D),
            merchant_transaction_id="ORDER-1005",
            customer=Customer(given_name="Ada", surname="Lovelace", email="ada@example.com"),
            redirect_url="https://shop.example/back?order=1005",
            notification_url=self.notification_url,
        )
        self.report("debit 75.00 EUR", payment, Outcome.REDIRECT)
        if payment.redirect is not None:
            returned = await self._answer_challenge(browser, payment.redirect)
            self.say(f"  the payer approved and came back with status {returned.get('status')}")
        now = await gateway.inquire(merchant_transaction_id="ORDER-1005")
        self.report("inquiry", now, Outcome.SUCCEEDED)
        self.book("captured", now.amount, now)

    async def _answer_challenge(
        self, browser: httpx.AsyncClient, redirect: Redirect
    ) -> dict[str, str]:
        page = await browser.request(redirect.method, redirect.url, data=dict(redirect.parameters))
        form = _ACTION.search(page.text)
        if form is None:
            self.complaints.append("the challenge page has no form")
            return {}
        way_back = await browser.post(
            httpx.URL(redirect.url).join(html.unescape(form[1])), data={"answer": "approve"}
        )
        return {
            html.unescape(name): html.unescape(value)
            for name, value in _INPUT.findall(way_back.text)
        }

    async def _pay_out(self, gateway: Gateway) -> None:
        if self.payouts is None:
            self.say("No payouts: name a CSV file with --payouts to run some.")
            return
        self.say(f"Payouts of {self.payouts.name}:")
        for _, order in OrderFile(self.payouts):
            if isinstance(order, BadRow):
                raise order.to_error(self.payouts.name)
            paid = await gateway.payout(**order.arguments(), notification_url=self.notification_url)
            self.report(
                f"{order.merchant_transaction_id} {order.amount}",
                paid,
                Outcome.SUCCEEDED,
                Outcome.FAILED,
            )
            self.book("paid_out", paid.amount, paid)

    def _compare(self, sandbox: Sandbox) -> int:
        columns = ("currency", "held", "captured", "refunded", "paid out", "closing balance")
        rows = []
        ledger = sandbox.ledger.balances()
        for currency in sorted({*ledger, *self.books}):
            theirs, ours = ledger.get(currency), self.books[currency]
            sums = {
                name: getattr(theirs, name, Decimal(0))
                for name in ("held", "captured", "refunded", "paid_out")
            }
            closing = sums["captured"] - sums["refunded"] - sums["paid_out"]
            rows.append(
                (currency, *(f"{amount:,.2f}" for amount in sums.values()), f"{closing:,.2f}")
            )
            for name, amount in sums.items():
                if amount != getattr(ours, name):
                    self.complaints.append(
                        f"{currency} {name}: the ledger says {amount}, the client {getattr(ours, name)}"
                    )
        self.say("The gateway's ledger:")
        show_table(self.console, columns, rows, numbers=columns[1:])
        for complaint in self.complaints:
            self.say(f"DIFFERENT: {complaint}")
        if not self.complaints:
            self.say("The client's results and the gateway's ledger agree.")
        return 1 if self.complaints else 0
