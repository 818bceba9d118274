"""A gateway that asks to wait: 429 and ``Retry-After``, on real sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.bare_server import PATIENT, listening, read_request

from gatewaypy import Card, Customer, Gateway, Money, Timeouts, errors
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, State
from gatewaypy.platforms import Platform
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADA = Customer("Ada", "Lovelace", "ada@shop.example")
FIVE = Money("5.00", "EUR")
TOKEN = {
    "result": {"code": "200", "description": "ok"},
    "AuthToken": "a.b.c",
    "memberId": MERCHANT.member_id,
}
PAID = {
    "paymentId": "7",
    "merchantTransactionId": "TX-1",
    "transactionStatus": "Y",
    "status": "capturesuccess",
    "amount": "5.00",
    "currency": "EUR",
    "result": {"code": "00026", "description": "found"},
}


def reply(fields: Any, status: int = 200, head: str = "") -> bytes:
    body = json.dumps(fields).encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode()
        + body
    )


def slow_down(seconds: float, status: int = 429) -> bytes:
    return reply({}, status, f"Retry-After: {seconds:g}\r\n")


class Scripted:
    """A gateway with a list of answers for each kind of request; the last one repeats."""

    def __init__(self, **answers: list[bytes]) -> None:
        self.answers = {"token": [reply(TOKEN)], **answers}
        self.asked: dict[str, int] = {}

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            kind = (
                "token"
                if b"authToken" in head
                else "inquiry"
                if b"paymentType=IN" in body
                else "payment"
            )
            self.asked[kind] = self.asked.get(kind, 0) + 1
            answers = self.answers[kind]
            writer.write(answers.pop(0) if len(answers) > 1 else answers[0])


@pytest.fixture
def card() -> Iterator[Card]:
    """Return a card."""
    return Card("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")


@pytest.mark.parametrize("status", [429, 503])
async def test_debit_inquiry_waits_as_requested(card: Card, status: int) -> None:
    """A debit whose inquiry gets a 429 is looked up again after that delay."""
    gateway_side = Scripted(payment=[reply({}, 500)], inquiry=[slow_down(1, status), reply(PAID)])
    async with (
        listening(gateway_side) as port,
        Gateway(f"http://127.0.0.1:{port}", MERCHANT, timeouts=PATIENT) as gateway,
    ):
        payment = await gateway.debit(FIVE, card, merchant_transaction_id="TX-1")
    assert payment.succeeded
    assert gateway_side.asked == {"token": 1, "payment": 1, "inquiry": 2}


async def test_debit_inquiry_long_delay_ends_at_deadline(card: Card) -> None:
    """A delay beyond the deadline is cut: there is one last inquiry."""
    gateway_side = Scripted(payment=[slow_down(3600)], inquiry=[slow_down(3600)])
    timeouts = Timeouts(connect=5, read=5, total=10, inquiry=2)
    async with (
        listening(gateway_side) as port,
        Gateway(f"http://127.0.0.1:{port}", MERCHANT, timeouts=timeouts) as gateway,
    ):
        with pytest.raises(errors.OutcomeUnknown):
            await gateway.debit(FIVE, card, merchant_transaction_id="TX-1")
    assert gateway_side.asked["payment"] == 1
    assert gateway_side.asked["inquiry"] == 1


async def test_inquiry_delay_beyond_deadline_is_not_sent() -> None:
    """An inquiry that must wait past its deadline fails at once with the delay."""
    gateway_side = Scripted(inquiry=[slow_down(300)])
    async with (
        listening(gateway_side) as port,
        Gateway(f"http://127.0.0.1:{port}", MERCHANT, timeouts=PATIENT) as gateway,
    ):
        for _ in range(3):
            with pytest.raises(errors.UnreadableReply, match="asked to wait") as refused:
                await gateway.inquire(merchant_transaction_id="TX-1")
            assert refused.value.retry_after is not None
            assert 200 < refused.value.retry_after <= 300
        assert 200 < gateway.retry_delay <= 300
    assert gateway_side.asked["inquiry"] == 1
    assert gateway.retry_delay == 0.0


async def test_inquiry_slow_downs_are_not_attempts() -> None:
    """An inquiry that is delayed more often than it is tried gets its answer."""
    gateway_side = Scripted(inquiry=[*[slow_down(0)] * 5, reply(PAID)])
    async with (
        listening(gateway_side) as port,
        Gateway(f"http://127.0.0.1:{port}", MERCHANT, timeouts=PATIENT) as gateway,
    ):
        with pytest.raises(errors.UnreadableReply):
            await gateway.inquire(merchant_transaction_id="TX-1")
        gateway_side.answers["inquiry"] = [*[reply({}, 429)] * 4, reply(PAID)]
        assert (await gateway.inquire(merchant_transaction_id="TX-1")).found


async def test_token_call_waits_as_requested(card: Card) -> None:
    """A delayed token call succeeds, and the payment is sent with its token."""
    gateway_side = Scripted(
        token=[slow_down(1), reply(TOKEN)],
        payment=[reply({**PAID, "status": "", "result": {"code": "00001"}})],
    )
    async with (
        listening(gateway_side) as port,
        Gateway(f"http://127.0.0.1:{port}", MERCHANT, timeouts=PATIENT) as gateway,
    ):
        assert (await gateway.debit(FIVE, card, merchant_transaction_id="TX-1")).succeeded
    assert gateway_side.asked == {"token": 2, "payment": 1}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, errors.NotProcessed),
        ({"paymentId": "7"}, errors.OutcomeUnknown),
        ({"transactionStatus": "Y"}, errors.OutcomeUnknown),
    ],
)
async def test_debit_unprocessed_status_is_retryable(
    card: Card, body: dict[str, str], error: type[Exception]
) -> None:
    """If the 429 of a platform means "not processed", only its body can make it doubtful."""
    gateway_side = Scripted(
        payment=[reply(body, 429, "Retry-After: 1\r\n")],
        inquiry=[reply({"result": {"code": "10026"}})],
    )
    timeouts = Timeouts(connect=5, read=5, total=10, inquiry=0.5)
    async with listening(gateway_side) as port:
        platform = Platform(
            name="mine", base_url=f"http://127.0.0.1:{port}", unprocessed_statuses=frozenset({429})
        )
        async with Gateway(platform, MERCHANT, timeouts=timeouts) as gateway:
            with pytest.raises(error) as refused:
                await gateway.debit(FIVE, card, merchant_transaction_id="TX-1")
    if error is errors.NotProcessed:
        assert (refused.value.retry_after, gateway_side.asked) == (1.0, {"token": 1, "payment": 1})
        assert "was not processed: the gateway answered HTTP 429; it is safe to call again" in str(
            refused.value
        )


@pytest.mark.parametrize(
    "statuses", [{429}, frozenset({200}), frozenset({500}), frozenset({"429"})]
)
def test_platform_unprocessed_statuses_must_be_refusals(statuses: Any) -> None:
    """Only statuses that can mean a refusal are accepted."""
    with pytest.raises(errors.InvalidRequest, match="unprocessed_statuses"):
        Platform(name="mine", base_url="https://gateway.example", unprocessed_statuses=statuses)


async def paid_by(
    sandbox: Sandbox, tmp_path: Path, prepare: Callable[[Sandbox], None], **facts: Any
) -> dict[State | None, int]:
    platform = Platform(name="limited", base_url=sandbox.base_url, **facts)
    orders = [
        PayoutOrder(merchant_transaction_id=f"P-{number}", amount=FIVE, customer=ADA)
        for number in range(40)
    ]
    states: dict[State | None, int] = {}
    timeouts = Timeouts(connect=20, read=20, total=30, inquiry=2)
    prepare(sandbox)
    async with Gateway(platform, MERCHANT, timeouts=timeouts) as gateway:
        journal = Journal(f"sqlite:///{tmp_path}/slow.db", MERCHANT.member_id)
        async with PayoutJob(gateway, journal=journal, quiet_period=1.0) as job:
            async for result in job.run(orders):
                states[result.state] = states.get(result.state, 0) + 1
    assert sandbox.rate_limits.refused
    return states


async def test_job_limited_payouts_all_succeed(tmp_path: Path) -> None:
    """40 payouts to a gateway that takes 5 a second succeed if a 429 means "not processed"."""
    async with Sandbox(rate_limits={"payout": 5}).serve() as sandbox:
        states = await paid_by(
            sandbox, tmp_path, lambda _: None, unprocessed_statuses=frozenset({429})
        )
        assert sandbox.requests.get("payout") == 40 + sandbox.rate_limits.refused["payout"]
    assert states == {State.SUCCEEDED: 40}


async def test_job_limited_inquiries_all_succeed(tmp_path: Path) -> None:
    """A 429 to an inquiry or a token call never sends a payout to review."""

    def lose_replies(sandbox: Sandbox) -> None:
        sandbox.faults.add("cut after", operation="payout", times=40)

    async with Sandbox(rate_limits={"inquiry": 5, "token": 1}).serve() as sandbox:
        assert await paid_by(sandbox, tmp_path, lose_replies) == {State.SUCCEEDED: 40}
