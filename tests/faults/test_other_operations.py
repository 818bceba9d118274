"""Each fault of the sandbox with each operation other than the plain payments."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from gatewaypy import (
    Card,
    Customer,
    Gateway,
    HttpxTransport,
    Money,
    OtherSource,
    Outcome,
    OutcomeSource,
    Timeouts,
    Wallet,
    errors,
)
from gatewaypy.sandbox import FaultKind, Sandbox

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

EUROS = Money("5.00", "EUR")
ADA = Customer("Ada", "Lovelace", "ada@shop.example")
BACK = "https://shop.example/back"
ORDER = {"merchant_transaction_id": "ORDER-1"}
PATIENT = Timeouts(connect=5, read=5, total=10, inquiry=5)

# The other faults change what is executed, and when, and not the reply; they have their own tests.
SPOILING = [kind for kind in FaultKind if kind.spoils_reply or kind is FaultKind.EXPIRE_TOKENS]
UNEXECUTED = {FaultKind.RESET, FaultKind.CUT_BEFORE}
TOKEN = {FaultKind.REJECT_TOKEN, FaultKind.EXPIRE_TOKENS}
each_fault = pytest.mark.parametrize("fault", SPOILING, ids=lambda fault: fault.name)

# Only the timeouts that a fault exhausts are short: a busy machine must fail no other step.
WAITS = {
    FaultKind.RESET: Timeouts(connect=5, read=5, total=10, inquiry=0.5),
    FaultKind.CUT_BEFORE: Timeouts(connect=5, read=5, total=10, inquiry=0.5),
    FaultKind.STALL: Timeouts(connect=5, read=0.5, total=10, inquiry=5),
    FaultKind.TRICKLE: Timeouts(connect=5, read=5, total=1, inquiry=5),
}


@frozen
class Case:
    """An operation: its name in the table, its needs, the call, and the number of executions."""

    operation: str
    prepare: Callable[[Gateway], Awaitable[Any]]
    act: Callable[[Gateway, Any], Awaitable[Any]]
    executed: Callable[[Sandbox], int] = lambda _: 0


def card() -> Card:
    return Card("4000000000000051", 7, 2030, "745", "Ada Lovelace")


async def nothing(_: Gateway) -> None:
    return None


async def mandate(gateway: Gateway) -> Any:
    initial = await gateway.recurring.initial(
        EUROS, card(), merchant_transaction_id="EARLIER", store_card=True
    )
    return initial.mandate()


async def stored(gateway: Gateway) -> str | None:
    return (await gateway.stored_cards.store(card())).registration_id


async def customer(gateway: Gateway) -> str:
    customer_id = (await gateway.customers.sign_up(ADA)).customer_id or ""
    await gateway.stored_cards.store(card(), customer=Customer(customer_id=customer_id))
    return customer_id


async def invoice(gateway: Gateway) -> str | None:
    return (await generate(gateway, "EARLIER")).invoice_id


async def payment(gateway: Gateway) -> str | None:
    return (await gateway.debit(EUROS, card(), merchant_transaction_id="EARLIER")).payment_id


async def generate(gateway: Gateway, own_id: str = "INV-1") -> Any:
    return await gateway.invoices.generate(
        EUROS, merchant_invoice_id=own_id, customer=ADA, redirect_url=BACK
    )


def taken(sandbox: Sandbox, kind: str = "capture") -> int:
    """Count the executions of the order after every payer has approved."""
    for record in sandbox.ledger.records.values():
        if record.awaits_payer:
            sandbox.ledger.approve(record)
    entries = sandbox.ledger.executions("ORDER-1")
    assert {entry.kind for entry in entries} <= {kind}
    return len(entries)


def opened_under_the_id(sandbox: Sandbox) -> int:
    return sum(
        record.merchant_transaction_id == "ORDER-1" for record in sandbox.ledger.records.values()
    )


def held(sandbox: Sandbox) -> int:
    return taken(sandbox, "hold")


def bills(status: str) -> Callable[[Sandbox], int]:
    return lambda sandbox: [
        bill.status for bill in sandbox.payments.invoices.invoices.by_id.values()
    ].count(status)


def repeat(**options: Any) -> Callable[[Gateway, Any], Awaitable[Any]]:
    return lambda gateway, agreed: gateway.recurring.repeat(agreed, EUROS, **ORDER, **options)


def by_stored_card(**options: Any) -> Callable[[Gateway, Any], Awaitable[Any]]:
    return lambda gateway, registration: gateway.stored_cards.pay(
        registration, EUROS, **ORDER, **options
    )


def initial(**options: Any) -> Callable[[Gateway, Any], Awaitable[Any]]:
    return lambda gateway, _: gateway.recurring.initial(EUROS, card(), **ORDER, **options)


MOVES = {
    "recurring initial": Case("recurring initial", nothing, initial(store_card=True), taken),
    "recurring by stored card": Case("recurring by stored card", mandate, repeat(), taken),
    "recurring by payment": Case(
        "recurring by payment", mandate, repeat(by="initial payment"), taken
    ),
    "stored card debit": Case("stored card debit", stored, by_stored_card(cvv="745"), taken),
    "stored card preauth": Case("stored card preauth", stored, by_stored_card(preauth=True), held),
    "debit by wallet": Case(
        "debit", nothing, lambda gateway, _: gateway.debit(EUROS, Wallet("SKRILL"), **ORDER), taken
    ),
}
HOLDS = {
    "recurring initial preauth": Case(
        "recurring initial preauth", nothing, initial(preauth=True), held
    ),
    "recurring by stored card preauth": Case(
        "recurring by stored card preauth", mandate, repeat(preauth=True), held
    ),
    "recurring by payment preauth": Case(
        "recurring by payment preauth", mandate, repeat(by="initial payment", preauth=True), held
    ),
}
CHANGES = {
    case.operation: case
    for case in (
        Case(
            "store card",
            nothing,
            lambda gateway, _: gateway.stored_cards.store(card()),
            lambda sandbox: len(sandbox.payments.invoices.vault.registrations),
        ),
        Case(
            "delete stored card",
            stored,
            lambda gateway, registration: gateway.stored_cards.delete(registration),
            lambda sandbox: sum(
                kept.deleted for kept in sandbox.payments.invoices.vault.registrations.values()
            ),
        ),
        Case(
            "customer sign-up",
            nothing,
            lambda gateway, _: gateway.customers.sign_up(ADA),
            lambda sandbox: len(sandbox.payments.invoices.vault.customers),
        ),
        Case(
            "merchant sign-up",
            nothing,
            lambda gateway, _: gateway.merchants.sign_up(
                "newshop", company_name="New Shop", email="new@shop.example"
            ),
            lambda sandbox: len(sandbox.payments.merchants) - 1,
        ),
        Case(
            "pay by link",
            nothing,
            lambda gateway, _: gateway.links.create(EUROS, order_id="LINK-1", customer=ADA),
            lambda sandbox: len(sandbox.payments.invoices.links.by_id),
        ),
        Case(
            "invoice generate",
            nothing,
            lambda gateway, _: generate(gateway),
            lambda sandbox: len(sandbox.payments.invoices.invoices.mails),
        ),
        Case(
            "invoice regenerate",
            invoice,
            lambda gateway, invoice_id: gateway.invoices.regenerate(invoice_id, redirect_url=BACK),
            lambda sandbox: len(sandbox.payments.invoices.invoices.by_id) - 1,
        ),
        Case(
            "invoice remind",
            invoice,
            lambda gateway, invoice_id: gateway.invoices.remind(invoice_id),
            lambda sandbox: len(sandbox.payments.invoices.invoices.mails) - 1,
        ),
        Case(
            "invoice cancel",
            invoice,
            lambda gateway, invoice_id: gateway.invoices.cancel(invoice_id),
            bills("cancelled"),
        ),
    )
}


async def listed(gateway: Gateway, _: Any) -> Any:
    today = datetime.now(UTC).date()
    return [
        row
        async for row in gateway.transactions(
            today - timedelta(days=1), today + timedelta(days=1), page_size=1
        )
    ]


READS = {
    case.operation: case
    for case in (
        Case(
            "list stored cards",
            customer,
            lambda gateway, customer_id: gateway.stored_cards.list(customer_id),
        ),
        Case("invoice status", invoice, lambda gateway, _: gateway.invoices.status("EARLIER")),
        Case("invoice configuration", nothing, lambda gateway, _: gateway.invoices.configuration()),
        Case("transaction list", payment, listed),
    )
}


@frozen
class Met:
    """How a case ended: the result or error, the requests, the executions and the sandbox."""

    result: Any
    requests: int
    executed: int
    sandbox: Sandbox


@contextlib.asynccontextmanager
async def opened(
    sandbox: Sandbox, timeouts: Timeouts, transport: HttpxTransport | None = None
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Open a gateway with long timeouts for preparations, and one with those of the test."""
    transport = transport or HttpxTransport()
    async with (
        Gateway(
            sandbox.base_url, sandbox.credentials, transport=transport, timeouts=PATIENT
        ) as patient,
        Gateway(
            sandbox.base_url, sandbox.credentials, transport=transport, timeouts=timeouts
        ) as gateway,
    ):
        yield patient, gateway


async def ended(call: Awaitable[Any]) -> Any:
    """Return the result of a call, or an error of the library; any other error fails the test."""
    try:
        return await call
    except errors.GatewayError as error:
        return error


async def meet(
    cases: Mapping[str, Case],
    arrange: Callable[[Sandbox, Case], object],
    *,
    timeouts: Timeouts = PATIENT,
    refuse_duplicates: bool = True,
) -> dict[str, Met]:
    """Run all cases at once, each against its own sandbox with the configured faults."""
    transport, ready = HttpxTransport(), asyncio.Barrier(len(cases))

    async def carry(case: Case) -> Met:
        async with Sandbox(refuse_duplicates=refuse_duplicates).serve() as sandbox:
            async with opened(sandbox, timeouts, transport) as (patient, gateway):
                subject = await case.prepare(patient)
                await ready.wait()
                before = sandbox.requests.get(case.operation, 0)
                arrange(sandbox, case)
                result = await ended(case.act(gateway, subject))
            assert all(switch.applied for switch in sandbox.faults.switches)
            return Met(
                result, sandbox.requests[case.operation] - before, case.executed(sandbox), sandbox
            )

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(carry(case)) for name, case in cases.items()}
    return {name: task.result() for name, task in tasks.items()}


async def run_with_fault(
    cases: Mapping[str, Case], fault: FaultKind, *, times: int | None = 1, **options: Any
) -> dict[str, Met]:
    """Run all cases while a fault is triggered."""

    def arrange(sandbox: Sandbox, case: Case) -> None:
        sandbox.faults.add(fault, operation=case.operation, times=times)

    return await meet(cases, arrange, timeouts=WAITS.get(fault, PATIENT), **options)


# What moves money


@each_fault
@pytest.mark.parametrize(
    "refuse_duplicates", [True, False], ids=["refuses-duplicates", "takes-duplicates"]
)
async def test_fault_money_moves_once_and_is_reported(
    fault: FaultKind, *, refuse_duplicates: bool
) -> None:
    """Executed operations are reported as done, others as unknown; each was sent once."""
    met = await run_with_fault(MOVES, fault, refuse_duplicates=refuse_duplicates)
    sent, done = (2 if fault in TOKEN else 1), (0 if fault in UNEXECUTED else 1)
    assert {name: (one.requests, one.executed) for name, one in met.items()} == dict.fromkeys(
        MOVES, (sent, done)
    )
    assert {name: opened_under_the_id(one.sandbox) for name, one in met.items()} == dict.fromkeys(
        MOVES, done
    )
    assert {name: one.result.merchant_transaction_id for name, one in met.items()} == dict.fromkeys(
        MOVES, "ORDER-1"
    )
    if fault in UNEXECUTED:
        assert {name: type(one.result) for name, one in met.items()} == dict.fromkeys(
            MOVES, errors.OutcomeUnknown
        )
        return
    outcome_source = OutcomeSource.REPLY if fault in TOKEN else OutcomeSource.INQUIRY
    # The redirect to the wallet was in the lost reply: the payment that an inquiry finds waits for
    # the payer.
    by_wallet = Outcome.REDIRECT if fault in TOKEN else Outcome.PENDING
    assert {
        name: (one.result.outcome, one.result.outcome_source, one.result.amount)
        for name, one in met.items()
    } == {
        name: (by_wallet if name == "debit by wallet" else Outcome.SUCCEEDED, outcome_source, EUROS)
        for name in MOVES
    }


async def test_fault_late_record_is_found() -> None:
    """A record that an inquiry finds only after a lag does not make the payment unknown."""

    def arrange(sandbox: Sandbox, case: Case) -> None:
        sandbox.payments.inquiry_delay = 0.4
        sandbox.faults.add("cut after", operation=case.operation)

    met = await meet(MOVES | HOLDS, arrange)
    assert {name: (one.requests, one.executed) for name, one in met.items()} == dict.fromkeys(
        met, (1, 1)
    )
    assert {name: (one.result.outcome, one.result.outcome_source) for name, one in met.items()} == {
        name: (
            Outcome.PENDING if name == "debit by wallet" else Outcome.SUCCEEDED,
            OutcomeSource.INQUIRY,
        )
        for name in met
    }


async def test_fault_gateway_down_afterwards_is_unknown() -> None:
    """Without a reply and an inquiry the error names the order: money did move."""

    def arrange(sandbox: Sandbox, case: Case) -> None:
        sandbox.faults.add("cut after", operation=case.operation)
        sandbox.faults.add("cut before", operation="inquiry", times=None)

    met = await meet(
        MOVES | HOLDS, arrange, timeouts=Timeouts(connect=5, read=5, total=10, inquiry=0.3)
    )
    assert {name: (one.requests, one.executed) for name, one in met.items()} == dict.fromkeys(
        met, (1, 1)
    )
    for name, one in met.items():
        assert isinstance(one.result, errors.OutcomeUnknown), name
        assert (one.result.operation, one.result.merchant_transaction_id) == (
            (MOVES | HOLDS)[name].operation,
            "ORDER-1",
        )
        assert "merchant_transaction_id='ORDER-1'" in str(one.result)


@pytest.mark.parametrize("name", MOVES)
async def test_fault_used_id_is_the_earlier_payment(name: str) -> None:
    """A second call under the id returns the first payment as a duplicate, and moves nothing."""
    case = MOVES[name]
    async with Sandbox().serve() as sandbox:
        async with opened(sandbox, PATIENT) as (patient, gateway):
            subject = await case.prepare(patient)
            first = await case.act(gateway, subject)
            again = await case.act(gateway, subject)
        assert (first.duplicate, again.duplicate, again.payment_id) == (
            False,
            True,
            first.payment_id,
        )
        assert case.executed(sandbox) == 1


async def test_fault_lost_initial_payment_has_mandate() -> None:
    """Its registration is made once, and the found record has it: repeats are possible."""
    async with Sandbox().serve() as sandbox:
        async with opened(sandbox, PATIENT) as (_, gateway):
            sandbox.faults.add("half reply", operation="recurring initial")
            first = await gateway.recurring.initial(
                EUROS, card(), merchant_transaction_id="ORDER-0", store_card=True
            )
            repeated = await gateway.recurring.repeat(first.mandate(), EUROS, **ORDER)
        assert first.outcome_source is OutcomeSource.INQUIRY
        assert list(sandbox.payments.invoices.vault.registrations) == [
            first.mandate().registration_id
        ]
        assert repeated.succeeded
        assert sandbox.requests["recurring by stored card"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "999.00"),
        ("currency", "JPY"),
        ("merchantTransactionId", "ANOTHER"),
        ("merchantRedirectUrl", "https://e.example"),
    ],
)
async def test_fault_source_with_field_of_library_raises(field: str, value: str) -> None:
    """A source whose fields name one of the library's is refused: the call counts."""
    async with Sandbox().serve() as sandbox:
        async with opened(sandbox, Timeouts(inquiry=0.3)) as (_, gateway):
            result = await ended(
                gateway.debit(
                    EUROS, OtherSource("EW", "SKRILL", {field: value}), redirect_url=BACK, **ORDER
                )
            )
        assert [record.amount for record in sandbox.ledger.records.values()] == []
        assert isinstance(result, errors.InvalidRequest)
        assert result.field == field


# What changes something


@each_fault
@pytest.mark.parametrize(
    "operations", [list(CHANGES)[:5], list(CHANGES)[5:]], ids=["parties-and-links", "invoices"]
)
async def test_fault_change_is_executed_at_most_once(
    operations: list[str], fault: FaultKind
) -> None:
    """Without an answer the error says that it may be done; a made invoice is found."""
    met = await run_with_fault({name: CHANGES[name] for name in operations}, fault)
    sent, done = (2 if fault in TOKEN else 1), (0 if fault in UNEXECUTED else 1)
    assert {name: (one.requests, one.executed) for name, one in met.items()} == dict.fromkeys(
        operations, (sent, done)
    )
    for name, one in met.items():
        if fault in TOKEN:
            assert (one.result.outcome, one.result.outcome_source) == (
                Outcome.SUCCEEDED,
                OutcomeSource.REPLY,
            ), name
        elif name == "invoice generate" and fault not in UNEXECUTED:
            assert (one.result.outcome, one.result.outcome_source) == (
                Outcome.SUCCEEDED,
                OutcomeSource.INQUIRY,
            )
            assert list(one.sandbox.payments.invoices.invoices.by_id) == [one.result.invoice_id]
        else:
            assert isinstance(one.result, errors.UnreadableReply), name
            assert one.result.operation == name
            assert "may have been executed" in str(one.result)


@pytest.mark.parametrize("fault", ["cut before", "garbage", "server error", "empty"])
async def test_fault_invoice_without_status_may_be_done(fault: str) -> None:
    """With the reply and every inquiry lost, the error says that it may be done: it was, once."""
    async with Sandbox().serve() as sandbox:
        async with opened(sandbox, Timeouts(connect=5, read=5, total=10, inquiry=0.3)) as (
            _,
            gateway,
        ):
            sandbox.faults.add("cut after", operation="invoice generate")
            sandbox.faults.add(fault, operation="invoice status", times=None)
            with pytest.raises(errors.UnreadableReply, match="may have been executed"):
                await generate(gateway)
        assert len(sandbox.payments.invoices.invoices.by_id) == 1
        assert sandbox.requests["invoice generate"] == 1


async def test_fault_invoice_status_is_retried() -> None:
    """Inquiries that fail in every way are repeated, and the invoice is found."""
    async with Sandbox().serve() as sandbox:
        async with opened(sandbox, Timeouts(connect=5, read=0.3, total=10, inquiry=10)) as (
            _,
            gateway,
        ):
            sandbox.faults.add("cut after", operation="invoice generate")
            for fault in ("cut before", "html", "stall", "reject token", "empty"):
                sandbox.faults.add(fault, operation="invoice status")
            made = await generate(gateway)
        assert (made.outcome, made.outcome_source, made.merchant_invoice_id) == (
            Outcome.SUCCEEDED,
            OutcomeSource.INQUIRY,
            "INV-1",
        )
        assert len(sandbox.payments.invoices.invoices.by_id) == 1


async def test_fault_other_invoice_of_same_id_is_not_accepted() -> None:
    """An earlier invoice of another amount is not the result: the error says it may be done."""
    async with Sandbox().serve() as sandbox, opened(sandbox, PATIENT) as (_, gateway):
        await generate(gateway, "INV-1")
        sandbox.faults.add("cut after", operation="invoice generate")
        with pytest.raises(errors.UnreadableReply, match="may have been executed"):
            await gateway.invoices.generate(
                Money("8.00", "EUR"), merchant_invoice_id="INV-1", customer=ADA, redirect_url=BACK
            )
        assert len(sandbox.payments.invoices.invoices.by_id) == 1


async def test_fault_cancelled_invoice_is_not_a_success() -> None:
    """A lost refusal for the id of a cancelled invoice never becomes a success."""
    async with Sandbox().serve() as sandbox, opened(sandbox, Timeouts(inquiry=0.3)) as (_, gateway):
        earlier = await generate(gateway, "INV-1")
        assert (await gateway.invoices.cancel(earlier.invoice_id or "")).succeeded
        sandbox.faults.add("cut after", operation="invoice generate")
        result = await ended(generate(gateway, "INV-1"))
        assert isinstance(result, errors.UnreadableReply) or result.outcome is not Outcome.SUCCEEDED


class Bent(Sandbox):
    """A sandbox that changes its replies on one path, like a proxy or a broken gateway."""

    path = "/none"
    answer: Callable[[bytes], tuple[int, str, bytes]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""

        async def keep(message: Message) -> None:
            nonlocal body
            body += message.get("body", b"")

        if not scope["path"].endswith(self.path):
            await super().__call__(scope, receive, send)
            return
        await super().__call__(scope, receive, keep)
        status, kind, body = self.answer(body)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind.encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})


on_paths = pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("store card", "/registrations"),
        ("customer sign-up", "/customerSignup"),
        ("pay by link", "/generatePayByLink"),
        ("invoice generate", "/generate"),
        ("invoice remind", "/remind"),
    ],
    ids=["store card", "customer sign-up", "pay by link", "invoice generate", "invoice remind"],
)


async def bent(operation: str, path: str, answer: Callable[[bytes], tuple[int, str, bytes]]) -> Met:
    """Run a change whose replies are modified."""
    case = CHANGES[operation]
    async with Bent().serve() as sandbox:
        async with opened(sandbox, PATIENT) as (patient, gateway):
            subject = await case.prepare(patient)
            before = sandbox.requests.get(operation, 0)
            sandbox.path, sandbox.answer = path, answer
            result = await ended(case.act(gateway, subject))
        return Met(result, sandbox.requests[operation] - before, case.executed(sandbox), sandbox)


def check_doubted(operation: str, met: Met) -> None:
    assert (met.requests, met.executed) == (1, 1)
    if operation == "invoice generate":
        assert (met.result.outcome, met.result.outcome_source) == (
            Outcome.SUCCEEDED,
            OutcomeSource.INQUIRY,
        )
    else:
        assert isinstance(met.result, errors.UnreadableReply)
        assert "may have been executed" in str(met.result)


@on_paths
async def test_fault_xml_page_without_extra_is_not_an_answer(
    operation: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not a configuration error, because the change was sent and executed."""
    monkeypatch.setitem(sys.modules, "xmltodict", None)
    check_doubted(
        operation, await bent(operation, path, lambda _: (200, "text/xml", b"<error>busy</error>"))
    )


@on_paths
async def test_fault_401_with_result_is_not_a_rejected_token(operation: str, path: str) -> None:
    """A 401 whose body reports the change as done is doubtful, and nothing is sent again."""
    check_doubted(
        operation, await bent(operation, path, lambda body: (401, "application/json", body))
    )


def of_another(**changes: str) -> Callable[[bytes], tuple[int, str, bytes]]:
    """Change a reply to be about another invoice or customer."""

    def answer(body: bytes) -> tuple[int, str, bytes]:
        fields = json.loads(body)
        fields.get("invoiceDetails", fields).update(changes)
        return 200, "application/json", json.dumps(fields).encode()

    return answer


@pytest.mark.parametrize(
    "changes", [{"merchantInvoiceId": "ANOTHER"}, {"amount": "999.00"}], ids=["id", "amount"]
)
async def test_fault_reply_about_other_invoice_is_ignored(changes: dict[str, str]) -> None:
    """If the reply has another id or amount, the status of the invoice decides."""
    check_doubted(
        "invoice generate", await bent("invoice generate", "/generate", of_another(**changes))
    )


# What reads


@each_fault
async def test_fault_read_is_retried(fault: FaultKind) -> None:
    """A read is repeated until its deadline; one that never ends has no usable answer."""
    met = await run_with_fault(READS, fault)
    for name, one in met.items():
        if fault is FaultKind.TRICKLE:
            assert isinstance(one.result, errors.UnreadableReply), name
            assert "may have been executed" not in str(one.result)
        elif name == "transaction list":
            assert [row.merchant_transaction_id for row in one.result] == ["EARLIER"]
        else:
            assert (one.result.outcome, one.result.outcome_source) == (
                Outcome.SUCCEEDED,
                OutcomeSource.REPLY,
            ), name


@each_fault
async def test_fault_read_failing_always_raises(fault: FaultKind) -> None:
    """If every attempt fails the result is an error, never an empty list."""
    met = await run_with_fault(READS, fault, times=None)
    for name, one in met.items():
        assert isinstance(
            one.result, errors.AuthenticationFailed if fault in TOKEN else errors.UnreadableReply
        ), name
        assert one.result.operation == name
        assert "may have been executed" not in str(one.result)


@pytest.mark.parametrize(
    ("operation", "path", "changes"),
    [
        ("invoice status", "/inquiry", {"merchantInvoiceId": "ANOTHER"}),
        ("list stored cards", "/getCardsAndAccounts", {"customerId": "99999"}),
    ],
    ids=["invoice status", "list stored cards"],
)
async def test_fault_record_of_other_id_is_not_accepted(
    operation: str, path: str, changes: dict[str, str]
) -> None:
    """An answer about another invoice or customer is not the requested one."""
    case = READS[operation]
    async with Bent().serve() as sandbox, opened(sandbox, PATIENT) as (patient, gateway):
        subject = await case.prepare(patient)
        sandbox.path, sandbox.answer = path, of_another(**changes)
        result = await ended(case.act(gateway, subject))
    assert isinstance(result, errors.UnreadableReply)


@pytest.mark.parametrize("fault", ["cut after", "half reply", "html", "empty", "server error"])
async def test_fault_list_never_ends_early(fault: str) -> None:
    """A page without a usable answer ends the list with an error, after the earlier rows."""
    today = datetime.now(UTC).date()
    rows: list[str | None] = []

    async def take() -> None:
        async for row in gateway.transactions(
            today - timedelta(days=1), today + timedelta(days=1), page_size=1
        ):
            rows.append(row.merchant_transaction_id)  # noqa: PERF401 - the next row may raise

    async with Sandbox().serve() as sandbox, opened(sandbox, PATIENT) as (_, gateway):
        for number in range(3):
            await gateway.debit(EUROS, card(), merchant_transaction_id=f"ORDER-{number}")
        sandbox.faults.add(fault, operation="transaction list", times=None, after=2)
        with pytest.raises(errors.UnreadableReply):
            await take()
    assert rows == ["ORDER-0", "ORDER-1"]


# What never left


@pytest.mark.parametrize(
    "cases", [MOVES | HOLDS, CHANGES, READS], ids=["moves", "changes", "reads"]
)
async def test_fault_refused_connection_is_not_sent(cases: Mapping[str, Case]) -> None:
    """While the gateway is down nothing is sent; afterwards the same call succeeds, once."""
    transport = HttpxTransport()

    async def carry(case: Case) -> None:
        async with (
            Sandbox().serve() as sandbox,
            opened(sandbox, PATIENT, transport) as (patient, gateway),
        ):
            subject = await case.prepare(patient)
            before = sandbox.requests.get(case.operation, 0)
            async with sandbox.refusing():
                with pytest.raises(errors.NotSent) as not_sent:
                    await case.act(gateway, subject)
            assert not_sent.value.operation == case.operation
            assert sandbox.requests.get(case.operation, 0) == before
            assert await case.act(gateway, subject)
            if cases is not READS:
                assert case.executed(sandbox) == sandbox.requests[case.operation] - before == 1

    await asyncio.gather(*(carry(case) for case in cases.values()))


@pytest.mark.parametrize(
    "name",
    ["recurring initial", "store card", "merchant sign-up", "pay by link", "invoice generate"],
)
async def test_fault_without_token_nothing_is_sent(name: str) -> None:
    """Without a token, for any root and login, the operation is not sent."""
    case = (MOVES | CHANGES)[name]
    async with Sandbox().serve() as sandbox, opened(sandbox, PATIENT) as (_, gateway):
        sandbox.faults.add("server error", operation="token", times=None)
        with pytest.raises(errors.NotSent):
            await case.act(gateway, None)
        assert case.executed(sandbox) == 0
        assert set(sandbox.requests) == {"token"}
