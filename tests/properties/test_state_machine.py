"""Random sequences of all operations, valid and invalid: sandbox and client always agree."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from gatewaypy import (
    Card,
    Customer,
    Gateway,
    HttpxTransport,
    Mandate,
    Money,
    Outcome,
    Timeouts,
    Wallet,
    errors,
)
from gatewaypy.protocol.transitions import Transition, classify_transition
from gatewaypy.sandbox import MERCHANT, Sandbox
from gatewaypy.sandbox.ledger import ImpossibleMoveError

GOOD, DECLINED, CHALLENGED = "4000000000000051", "4000000000000077", "4000000000000002"
AMOUNTS = st.sampled_from(["1.00", "10.00", "49.99", "50.00", "50.01", "80.00"])
CURRENCIES = st.sampled_from(["EUR", "EUR", "JPY"])
# In process there is no socket to break: these change the reply after the request was executed, or
# its record.
FAULTS = st.sampled_from([None, None, None, "garbage", "empty", "html", "server error"])
ADA = Customer("Ada", "Lovelace", "ada@shop.example")


def money(amount: str, currency: str) -> Money:
    return Money(str(int(Decimal(amount))) if currency == "JPY" else amount, currency)


@define(eq=False)
class Known:
    """The expected state of a payment by the protocol, not by the code of the sandbox."""

    own_id: str
    payment_id: str
    kind: str
    amount: Money
    state: str
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    charged_back: Decimal = Decimal(0)
    mandate: Mandate | None = None
    registration_id: str | None = None
    history: list[str] = field(factory=list)

    def move(self, state: str) -> None:
        self.history.append(state)
        self.state = state


class BothBooks(RuleBasedStateMachine):
    """Each rule is an operation: its result is predicted, then compared with client and ledger."""

    payments = Bundle("payments")
    cards = Bundle("cards")

    @initialize(body=st.sampled_from(["form", "json"]), accept=st.sampled_from(["json", "xml"]))
    def open(self, body: Any, accept: Any) -> None:
        self.runner = asyncio.Runner()
        self.sandbox = Sandbox(approval_delay=0.0)
        transport = HttpxTransport(app=self.sandbox)
        self.gateway = Gateway(
            "http://localhost",
            MERCHANT,
            transport=transport,
            body=body,
            accept=accept,
            timeouts=Timeouts(total=5, inquiry=0.3),
        )
        self.runner.run(self.gateway.__aenter__())
        self.known: list[Known] = []
        self.touched: Known | None = None
        self.paid_out: dict[str, Decimal] = {}
        self.numbers = 0

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.gateway.aclose())
            self.runner.run(self.sandbox.callback_sender.aclose())
            self.runner.close()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def own_id(self) -> str:
        self.numbers += 1
        return f"ORDER-{self.numbers}"

    def booked(self, own_id: str, kind: str, amount: Money, payment: Any) -> Any:
        """Record a payment that the gateway has accepted, with any outcome."""
        state = {
            "Y": "capturesuccess" if kind == "DB" else "authsuccessful",
            "N": "authfailed",
            "P": "authstarted",
        }
        short = {Outcome.SUCCEEDED: "Y", Outcome.FAILED: "N"}.get(payment.outcome, "P")
        known = Known(own_id, payment.payment_id, kind, amount, state[short])
        if known.state == "capturesuccess":
            known.captured = amount.amount
        known.registration_id = getattr(payment, "registration_id", None)
        self.known.append(known)
        self.touched = known
        return known

    # Payments

    @rule(
        target=payments,
        kind=st.sampled_from(["DB", "PA"]),
        number=st.sampled_from([GOOD, GOOD, GOOD, DECLINED, CHALLENGED]),
        amount=AMOUNTS,
        currency=CURRENCIES,
        initial=st.booleans(),
        store=st.booleans(),
        fault=FAULTS,
    )
    def pay(
        self,
        kind: str,
        number: str,
        amount: str,
        currency: str,
        *,
        initial: bool,
        store: bool,
        fault: Any,
    ) -> Any:
        own_id, value = self.own_id(), money(amount, currency)
        name = {"DB": "debit", "PA": "preauth"}[kind]
        if initial:
            name = {"DB": "recurring initial", "PA": "recurring initial preauth"}[kind]
        if fault:
            self.sandbox.faults.add(fault, operation=name)
        card = Card(number, 7, 2030, "745")
        if initial:
            work = self.gateway.recurring.initial(
                value, card, merchant_transaction_id=own_id, preauth=kind == "PA", store_card=store
            )
        else:
            begin = self.gateway.debit if kind == "DB" else self.gateway.preauth
            work = begin(value, card, merchant_transaction_id=own_id, store_card=store)
        payment = self.run(work)
        expected = {
            GOOD: Outcome.SUCCEEDED,
            DECLINED: Outcome.FAILED,
            CHALLENGED: Outcome.REDIRECT,
        }[number]
        if fault and expected is Outcome.REDIRECT:
            # The inquiry reports that the payment waits, and not where its payer must go.
            expected = Outcome.PENDING
        assert payment.outcome is expected
        known = self.booked(own_id, kind, value, payment)
        if number == CHALLENGED:
            known.state = "3d authstarted"
        if initial and payment.succeeded:
            known.mandate = Mandate.from_json(payment.mandate().to_json())
            assert (known.mandate.registration_id is not None) is store
        return known

    @rule(target=payments, amount=AMOUNTS)
    def pay_by_wallet(self, amount: str) -> Any:
        own_id = self.own_id()
        payment = self.run(
            self.gateway.debit(
                money(amount, "EUR"), Wallet("SKRILL"), merchant_transaction_id=own_id
            )
        )
        assert payment.outcome is Outcome.REDIRECT
        return self.booked(own_id, "DB", money(amount, "EUR"), payment)

    @rule(payment=payments, approves=st.booleans())
    def payer_answers(self, payment: Known, *, approves: bool) -> None:
        record = self.sandbox.ledger.records[payment.payment_id]
        if payment.state not in {"3d authstarted", "authstarted"}:
            assert not record.awaits_payer
            return
        if approves:
            self.sandbox.ledger.approve(record)
            payment.move("capturesuccess" if payment.kind == "DB" else "authsuccessful")
            payment.captured = payment.amount.amount if payment.kind == "DB" else Decimal(0)
        else:
            self.sandbox.ledger.decline(record, "11005", "no")
            payment.move("authfailed")
        self.touched = payment

    @rule(payment=payments)
    def use_an_id_again(self, payment: Known) -> None:
        again = self.run(
            self.gateway.debit(
                payment.amount, Card(GOOD, 7, 2030, "745"), merchant_transaction_id=payment.own_id
            )
        )
        assert (again.duplicate, again.payment_id) == (True, payment.payment_id)
        self.touched = payment

    # Follow-ups

    def follow_up(self, payment: Known, work: Any, *, legal: bool, fault: Any) -> bool:
        """Run a follow-up; return whether it was executed. A doubtful result must not deny it."""
        self.touched = payment
        before = len(self.sandbox.ledger.entries)
        try:
            result = self.run(work)
        except errors.InvalidRequest:
            assert not legal
            assert len(self.sandbox.ledger.entries) == before
            self.sandbox.faults.clear()
            return False
        except errors.OutcomeUnknown:
            assert fault
            return legal
        assert result.succeeded is legal, result
        return legal

    @rule(payment=payments, amount=AMOUNTS, fault=FAULTS)
    def capture(self, payment: Known, amount: str, fault: Any) -> None:
        value = money(amount, payment.amount.currency)
        legal = payment.state == "authsuccessful" and value.amount <= payment.amount.amount
        if fault:
            self.sandbox.faults.add(fault, operation="capture")
        if self.follow_up(
            payment, self.gateway.capture(payment.payment_id, value), legal=legal, fault=fault
        ):
            payment.move("capturesuccess")
            payment.captured = value.amount

    @rule(payment=payments, fault=FAULTS)
    def reverse(self, payment: Known, fault: Any) -> None:
        if fault:
            self.sandbox.faults.add(fault, operation="reversal")
        legal = payment.state == "authsuccessful"
        if self.follow_up(
            payment, self.gateway.reversal(payment.payment_id), legal=legal, fault=fault
        ):
            payment.move("authcancelled")

    @rule(payment=payments, amount=AMOUNTS, fault=FAULTS)
    def refund(self, payment: Known, amount: str, fault: Any) -> None:
        value = money(amount, payment.amount.currency)
        legal = payment.state in {"capturesuccess", "settled"} and value.amount <= payment.captured
        if fault:
            self.sandbox.faults.add(fault, operation="refund")
        if self.follow_up(
            payment, self.gateway.refund(payment.payment_id, value), legal=legal, fault=fault
        ):
            payment.move("reversed")
            payment.refunded = value.amount

    @rule(payment=payments, event=st.sampled_from(["settle", "charge_back"]))
    def bank_acts(self, payment: Known, event: str) -> None:
        legal = {
            "settle": {"capturesuccess"},
            "charge_back": {"capturesuccess", "settled", "reversed"},
        }[event]
        if payment.state not in legal:
            with pytest.raises(ImpossibleMoveError):
                getattr(self.sandbox, event)(payment.payment_id)
            return
        getattr(self.sandbox, event)(payment.payment_id)
        payment.move({"settle": "settled", "charge_back": "chargeback"}[event])
        if event == "charge_back":
            payment.charged_back = payment.captured - payment.refunded
        self.touched = payment

    # Recurring and stored cards

    @rule(
        target=payments,
        payment=payments,
        amount=AMOUNTS,
        by=st.sampled_from(["stored card", "initial payment", None]),
    )
    def repeat(self, payment: Known, amount: str, by: Any) -> Any:
        if payment.mandate is None:
            return multiple()
        own_id, value = self.own_id(), money(amount, payment.amount.currency)
        work = self.gateway.recurring.repeat(
            payment.mandate, value, merchant_transaction_id=own_id, by=by
        )
        has_card = payment.mandate.registration_id is not None
        if by == "stored card" and not has_card:
            with pytest.raises(errors.InvalidRequest):
                self.run(work)
            return multiple()
        repeated = self.run(work)
        by_card = has_card and by != "initial payment"
        legal = by_card or payment.state in {"capturesuccess", "authsuccessful", "settled"}
        if by_card:
            legal = (
                self.sandbox.payments.invoices.vault.find(
                    MERCHANT.member_id, payment.mandate.registration_id or ""
                )
                is not None
            )
        assert repeated.succeeded is legal
        return self.booked(own_id, "DB", value, repeated) if legal else multiple()

    @rule(target=cards)
    def store(self) -> Any:
        return self.run(
            self.gateway.stored_cards.store(Card(GOOD, 7, 2030, "745"), customer=ADA)
        ).registration_id

    @rule(card=consumes(cards))
    def delete(self, card: str) -> None:
        assert self.run(self.gateway.stored_cards.delete(card)).succeeded
        refused = self.run(
            self.gateway.stored_cards.pay(
                card, money("1.00", "EUR"), merchant_transaction_id=self.own_id()
            )
        )
        assert (refused.outcome, refused.payment_id) == (Outcome.FAILED, None)

    @rule(target=payments, card=cards, amount=AMOUNTS, preauth=st.booleans())
    def pay_with_stored(self, card: str, amount: str, *, preauth: bool) -> Any:
        own_id, value = self.own_id(), money(amount, "EUR")
        payment = self.run(
            self.gateway.stored_cards.pay(
                card, value, merchant_transaction_id=own_id, preauth=preauth
            )
        )
        assert payment.succeeded
        return self.booked(own_id, "PA" if preauth else "DB", value, payment)

    # Payouts, invoices, lists

    @rule(amount=AMOUNTS, currency=CURRENCIES, payment=payments)
    def pay_out(self, amount: str, currency: str, payment: Known) -> None:
        own_id, value = self.own_id(), money(amount, currency)
        work = self.gateway.payout(
            value, merchant_transaction_id=own_id, payment_id=payment.payment_id
        )
        payout = self.run(work)
        assert payout.succeeded is (payment.state in {"capturesuccess", "settled"})
        if payout.succeeded:
            self.paid_out[currency] = self.paid_out.get(currency, Decimal(0)) + value.amount

    @rule(cancels=st.booleans(), fault=FAULTS)
    def invoice(self, fault: Any, *, cancels: bool) -> None:
        own_id, value = self.own_id(), money("20.00", "EUR")
        if fault:
            self.sandbox.faults.add(fault, operation="invoice generate")
        invoice = self.run(
            self.gateway.invoices.generate(
                value,
                merchant_invoice_id=own_id,
                customer=ADA,
                redirect_url="https://shop.example/back",
            )
        )
        assert (invoice.succeeded, invoice.amount) == (True, value)
        assert self.run(self.gateway.invoices.status(own_id)).status == "unpaid"
        if cancels:
            assert self.run(self.gateway.invoices.cancel(invoice.invoice_id)).succeeded
            assert (
                self.run(self.gateway.invoices.remind(invoice.invoice_id)).outcome is Outcome.FAILED
            )

    @precondition(lambda self: self.known)
    @rule()
    def list_all(self) -> None:
        from datetime import UTC, datetime, timedelta

        today = datetime.now(UTC).date()
        statement = self.run(
            self.gateway.transactions(today - timedelta(1), today, page_size=7).statement()
        )
        for currency, totals in statement.by_currency.items():
            of_it = [known for known in self.known if known.amount.currency == currency]
            assert totals.captured == sum(known.captured for known in of_it)
            assert totals.refunded == sum(known.refunded for known in of_it)
            assert totals.charged_back == sum(known.charged_back for known in of_it)
            assert totals.paid_out == self.paid_out.get(currency, 0)
        assert statement.complete

    # Invariants

    @invariant()
    def the_touched_payment_is_seen_alike(self) -> None:
        known = getattr(self, "touched", None)
        if known is None:
            return
        record = self.sandbox.ledger.records[known.payment_id]
        seen = self.run(self.gateway.inquire(payment_id=known.payment_id))
        assert (seen.status, record.status.casefold()) == (record.status, known.state)
        assert (seen.amount, seen.merchant_transaction_id) == (known.amount, known.own_id)
        assert (record.captured, record.refunded) == (known.captured, known.refunded)
        for earlier, later in zip(known.history, known.history[1:], strict=False):
            assert classify_transition(earlier, later) is Transition.FORWARD

    @invariant()
    def the_sums_agree(self) -> None:
        if not hasattr(self, "sandbox"):
            return
        for currency, balance in self.sandbox.ledger.balances().items():
            of_it = [known for known in self.known if known.amount.currency == currency]
            assert balance.captured == sum(known.captured for known in of_it)
            assert balance.refunded == sum(known.refunded for known in of_it)
            assert balance.charged_back == sum(known.charged_back for known in of_it)
            assert balance.held == sum(
                known.amount.amount for known in of_it if known.state == "authsuccessful"
            )
            assert balance.paid_out == self.paid_out.get(currency, 0)


@pytest.mark.untraced
class TestBothBooks(BothBooks.TestCase):
    """Hypothesis looks for a sequence after which the two sides disagree."""

    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

    def runTest(self) -> None:  # noqa: N802 - the name that unittest knows
        """In any order of operations, the client and the ledger agree."""
        super().runTest()
