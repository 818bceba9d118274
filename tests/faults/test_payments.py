"""Each fault of the sandbox with each payment operation: none is executed a second time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.transports import KINDS

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
from gatewaypy.models import OperationResult
from gatewaypy.sandbox import FaultKind, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatewaypy import Card
    from gatewaypy.transport import Transport

EUROS = Money("5.00", "EUR")
#: Only the timeouts that a fault exhausts are short: a busy machine must fail no other step.
SHORT = Timeouts(connect=20, read=20, total=30, inquiry=0.6)
PATIENT = Timeouts(connect=20, read=20, total=30, inquiry=10)
WAITS = {
    FaultKind.RESET: SHORT,
    FaultKind.CUT_BEFORE: SHORT,
    FaultKind.STALL: Timeouts(connect=20, read=0.5, total=30, inquiry=10),
    FaultKind.TRICKLE: Timeouts(connect=20, read=20, total=1, inquiry=10),
}
OPERATIONS = ["debit", "preauth", "capture", "reversal", "refund", "payout"]
# The other faults change what is executed, and when, and not the reply; they have their own tests.
SPOILING = [kind for kind in FaultKind if kind.spoils_reply or kind is FaultKind.EXPIRE_TOKENS]
UNEXECUTED = {FaultKind.RESET, FaultKind.CUT_BEFORE}
TOKEN = {FaultKind.REJECT_TOKEN, FaultKind.EXPIRE_TOKENS}


async def prepare(gateway: Gateway, operation: str, card: Card) -> str:
    """Make the payment that an operation acts on."""
    if operation in {"capture", "reversal"}:
        return (
            await gateway.preauth(EUROS, card, merchant_transaction_id="EARLIER")
        ).payment_id or ""
    return (await gateway.debit(EUROS, card, merchant_transaction_id="EARLIER")).payment_id or ""


async def act(gateway: Gateway, operation: str, card: Card, subject: str) -> OperationResult:
    match operation:
        case "debit" | "preauth":
            return await getattr(gateway, operation)(EUROS, card, merchant_transaction_id="ORDER-1")
        case "payout":
            return await gateway.payout(
                EUROS, merchant_transaction_id="ORDER-1", customer=Customer(email="a@shop.example")
            )
        case "reversal":
            return await gateway.reversal(subject)
        case _:
            return await getattr(gateway, operation)(subject, EUROS)


def executed(sandbox: Sandbox, operation: str) -> int:
    """Count the executions of an operation."""
    kinds = {
        "debit": "capture",
        "preauth": "hold",
        "capture": "capture",
        "reversal": "release",
        "refund": "refund",
        "payout": "payout",
    }
    entries = [
        entry
        for entry in sandbox.ledger.entries
        if entry.merchant_transaction_id == "ORDER-1"
        or operation not in {"debit", "preauth", "payout"}
    ]
    return Counter(entry.kind for entry in entries)[kinds[operation]]


def cases() -> Iterator[tuple[str, FaultKind, str]]:
    """Yield each fault with each operation on the default transport, and a third on the others."""
    for turn, kind in enumerate(KINDS):
        for number, fault in enumerate(SPOILING):
            yield from (
                (kind, fault, operation)
                for operation in OPERATIONS[(turn + number) % 3 if turn else 0 :: 3 if turn else 1]
            )


@pytest.mark.parametrize(
    ("kind", "fault", "operation"), list(cases()), ids=lambda value: getattr(value, "name", value)
)
async def test_fault_with_each_payment_operation(
    fault: FaultKind,
    operation: str,
    card: Card,
    certificate: tuple[str, str],
    tls_transport: Transport,
    kind: str,
) -> None:
    """What was executed is reported, the rest is unknown, no transport sends a used id twice."""
    refuse_duplicates = kind in {"httpx", "aiohttp shared"}
    async with Sandbox(refuse_duplicates=refuse_duplicates).serve(
        certfile=certificate[0], keyfile=certificate[1]
    ) as sandbox:
        async with Gateway(
            sandbox.base_url, sandbox.credentials, transport=tls_transport, timeouts=PATIENT
        ) as gateway:
            subject = await prepare(gateway, operation, card)
            gateway._pipeline.timeouts = WAITS.get(fault, PATIENT)
            switch = sandbox.faults.add(fault, operation=operation)
            result: Any
            try:
                result = await act(gateway, operation, card, subject)
            except errors.GatewayError as error:
                result = error
        assert switch.applied == 1
        assert executed(sandbox, operation) == (0 if fault in UNEXECUTED else 1)
        if fault in UNEXECUTED:
            assert isinstance(result, errors.OutcomeUnknown)
        else:
            assert result.outcome is Outcome.SUCCEEDED
            assert result.outcome_source is (
                OutcomeSource.REPLY if fault in TOKEN else OutcomeSource.INQUIRY
            )


@pytest.mark.parametrize("fault", ["cut before", "cut after", "html"])
@pytest.mark.parametrize("operation", ["capture", "refund", "reversal"])
async def test_fault_follow_up_ignores_earlier_one(
    operation: str, fault: str, sandbox: Sandbox, card: Card
) -> None:
    """If an earlier capture, refund or reversal left its status, a lost second one is unknown."""
    async with Gateway(sandbox.base_url, sandbox.credentials, timeouts=SHORT) as gateway:
        subject = await prepare(gateway, operation, card)
        assert (await act(gateway, operation, card, subject)).succeeded
        sandbox.faults.add(fault, operation=operation)
        # A refund of the rest passes the local check; the gateway refuses it, as it allows one
        # refund.
        known = gateway._pipeline.known_payments._known[subject]
        known.authorized = known.captured = EUROS
        with pytest.raises(errors.OutcomeUnknown):
            await act(gateway, operation, card, subject)
    assert executed(sandbox, operation) == 1


@pytest.mark.parametrize("operation", ["payout", "refund"])
async def test_fault_failing_inquiry_is_retried(
    operation: str, sandbox: Sandbox, card: Card
) -> None:
    """If the reply and the first inquiries are lost in any way, the payment is still found."""
    async with Gateway(
        sandbox.base_url,
        sandbox.credentials,
        timeouts=Timeouts(connect=2, read=0.3, total=1, inquiry=8),
    ) as gateway:
        subject = await prepare(gateway, operation, card)
        sandbox.faults.add("cut after", operation=operation)
        for fault in (
            "cut before",
            "html",
            "garbage",
            "server error",
            "half reply",
            "stall",
            "reject token",
            "empty",
        ):
            sandbox.faults.add(fault, operation="inquiry")
        result = await act(gateway, operation, card, subject)
    assert (result.outcome, result.outcome_source) == (Outcome.SUCCEEDED, OutcomeSource.INQUIRY)
    assert executed(sandbox, operation) == 1


@pytest.mark.parametrize("operation", ["debit", "preauth", "payout"])
async def test_fault_late_payment_record_is_found(operation: str, card: Card) -> None:
    """A record that an inquiry finds only after a lag does not make the payment unknown."""
    patient = Timeouts(total=2, inquiry=5)
    async with (
        Sandbox(inquiry_delay=0.5).serve() as sandbox,
        Gateway(sandbox.base_url, sandbox.credentials, timeouts=patient) as gateway,
    ):
        sandbox.faults.add("cut after", operation=operation)
        result = await act(gateway, operation, card, "")
    assert (result.outcome, result.outcome_source) == (Outcome.SUCCEEDED, OutcomeSource.INQUIRY)
    assert executed(sandbox, operation) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_fault_gateway_down_after_payment_is_unknown(
    operation: str, sandbox: Sandbox, card: Card
) -> None:
    """Without a reply and an inquiry the error is OutcomeUnknown: money did move."""
    async with Gateway(sandbox.base_url, sandbox.credentials, timeouts=SHORT) as gateway:
        subject = await prepare(gateway, operation, card)
        sandbox.faults.add("cut after", operation=operation)
        sandbox.faults.add("cut before", operation="inquiry", times=None)
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await act(gateway, operation, card, subject)
    # On a busy machine the deadline may pass before the last inquiry is sent, or before its
    # connection breaks.
    assert unknown.value.inquiry in {
        f"no answer ({why})"
        for why in (
            "the connection broke before the whole reply arrived",
            "the deadline for the whole call passed",
            "NotSent",
        )
    }
    assert executed(sandbox, operation) == 1


@pytest.mark.parametrize("fault", SPOILING, ids=lambda fault: fault.name)
async def test_fault_of_token_call_moves_nothing(
    fault: FaultKind, sandbox: Sandbox, card: Card
) -> None:
    """After any fault of the token call, the payment succeeds with another or is not sent."""
    sandbox.faults.add(fault, operation="token", times=1)
    async with Gateway(
        sandbox.base_url, sandbox.credentials, timeouts=WAITS.get(fault, PATIENT)
    ) as gateway:
        try:
            result = await act(gateway, "debit", card, "")
        except (errors.NotSent, errors.AuthenticationFailed):
            assert executed(sandbox, "debit") == 0
        else:
            assert result.succeeded
            assert executed(sandbox, "debit") == 1


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_fault_refused_connection_with_each_operation(
    operation: str, sandbox: Sandbox, card: Card, transport: Transport
) -> None:
    """While the gateway is down nothing is sent; afterwards the same call succeeds, once."""
    async with Gateway(
        sandbox.base_url, sandbox.credentials, transport=transport, timeouts=SHORT
    ) as gateway:
        subject = await prepare(gateway, operation, card)
        async with sandbox.refusing():
            with pytest.raises(errors.NotSent):
                await act(gateway, operation, card, subject)
        assert (await act(gateway, operation, card, subject)).succeeded
    assert executed(sandbox, operation) == 1


async def test_fault_in_process_counts_as_sent(card: Card) -> None:
    """Without a socket a broken connection is an exception of the application."""
    sandbox = Sandbox()
    async with Gateway(
        "http://localhost",
        sandbox.credentials,
        transport=HttpxTransport(app=sandbox),
        timeouts=SHORT,
    ) as gateway:
        for number, fault in enumerate(("cut after", "half reply", "html")):
            sandbox.faults.add(fault, operation="debit")
            payment = await gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
            assert (payment.outcome, payment.outcome_source) == (
                Outcome.SUCCEEDED,
                OutcomeSource.INQUIRY,
            )
    assert len(sandbox.ledger.entries) == 3
