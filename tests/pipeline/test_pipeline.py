"""The path of a request, against recorded replies."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from gatewaypy import (
    CallEnded,
    Card,
    Customer,
    Gateway,
    HttpxTransport,
    LateResult,
    Limits,
    Money,
    Outcome,
    OutcomeSource,
    Platform,
    Timeouts,
    errors,
)
from gatewaypy.models import ResultCode
from gatewaypy.protocol.wire import WireReply
from gatewaypy.sandbox import MERCHANT, Sandbox

BASE = "https://gateway.example"
API = f"{BASE}/transactionServices/REST/v1"
CARD = Card("4000000000000051", 7, 2030, "745")
EUROS = Money("50.00", "EUR")
VECTORS = Path(__file__).parent.parent / "vectors" / "replies"
#: Only the timeout for what never arrives is short: a busy machine must not look like a silent
#: gateway.
SOON = Timeouts(connect=20, read=20, total=30, inquiry=0.4)


def vector(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return fields


@pytest.fixture
def wire() -> Any:
    """Mock the host of the gateway; every token call succeeds."""
    with respx.mock(assert_all_called=False) as router:
        router.post(f"{API}/authToken", name="token").respond(json=vector("token"))
        yield router


def opened(**options: Any) -> Gateway:
    return Gateway(BASE, MERCHANT, **{"timeouts": SOON, "observer": lambda _: None} | options)


async def debit(gateway: Gateway, merchant_transaction_id: str = "TX-1001") -> Any:
    return await gateway.debit(EUROS, CARD, merchant_transaction_id=merchant_transaction_id)


async def test_pipeline_recorded_payment_is_typed(wire: Any) -> None:
    """The token is a header without a scheme; the recorded reply becomes a payment."""
    route = wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.payment_id, payment.outcome_source) == (
        Outcome.SUCCEEDED,
        "54279",
        OutcomeSource.REPLY,
    )
    assert payment.raise_for_outcome() is payment
    assert route.calls.last.request.headers["authtoken"] == vector("token")["AuthToken"]
    assert "authtoken" not in wire["token"].calls.last.request.headers


async def test_pipeline_decline_is_a_result(wire: Any) -> None:
    """A declined payment is returned; the caller can choose to raise."""
    wire.post(f"{API}/payments").respond(
        json=vector("payment-declined") | {"merchantTransactionId": "TX-1001"}
    )
    async with opened() as gateway:
        payment = await debit(gateway)
    assert payment.outcome is Outcome.FAILED
    with pytest.raises(errors.Declined) as declined:
        payment.raise_for_outcome()
    assert (declined.value.code, declined.value.merchant_transaction_id) == ("11005", "TX-1001")


async def test_pipeline_inquired_decline_has_bank_reason(wire: Any) -> None:
    """The inquiry's "record found" is never the reason of a decline."""
    wire.post(f"{API}/payments").respond(502)
    declined = {
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
        "status": "authfailed",
        "transactionStatus": "N",
    }
    found = vector("inquiry") | declined | {"remark": "Do not honour"}
    wire.post(f"{API}/payments/TX-1001").respond(json=found)
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.result) == (Outcome.FAILED, ResultCode())
    with pytest.raises(errors.Declined, match="Do not honour") as raised:
        payment.raise_for_outcome()
    assert (raised.value.code, raised.value.remark) == ("", "Do not honour")
    assert "found" not in str(raised.value)


@pytest.mark.parametrize(("code", "kept"), [("11005", "11005"), ("00001", ""), ("20015", "")])
async def test_pipeline_inquired_decline_keeps_reply_code(wire: Any, code: str, kept: str) -> None:
    """A doubtful reply keeps its own code if it agrees with the record."""
    reply = vector("payment-declined") | {
        "merchantTransactionId": "TX-1001",
        "transactionStatus": "Z",
    }
    wire.post(f"{API}/payments").respond(
        json=reply | {"result": {"code": code, "description": "words"}}
    )
    declined = {
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
        "status": "authfailed",
        "transactionStatus": "N",
    }
    wire.post(f"{API}/payments/TX-1001").respond(json=vector("inquiry") | declined)
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.result.code) == (Outcome.FAILED, kept)


async def test_pipeline_reply_in_other_currency_is_inquired(wire: Any) -> None:
    """A reply without an amount in another currency is of another payment."""
    reply = {name: value for name, value in vector("payment-sync").items() if name != "amount"} | {
        "currency": "USD"
    }
    wire.post(f"{API}/payments").respond(json=reply)
    wire.post(f"{API}/payments/TX-1001").respond(json=vector("inquiry-not-found"))
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown, match="another currency than EUR"):
            await debit(gateway)


async def test_pipeline_authorized_debit_is_pending(wire: Any) -> None:
    """Reply and inquiry are read the same: the money is held, and not yet taken."""
    wire.post(f"{API}/payments").respond(json=vector("payment-sync") | {"status": "authsuccessful"})
    async with opened() as gateway:
        assert (await debit(gateway)).outcome is Outcome.PENDING


@pytest.mark.parametrize(
    ("operation", "status"), [("capture", "capturesuccess"), ("refund", "reversed")]
)
async def test_pipeline_follow_up_ignores_trace_of_another(
    wire: Any, operation: str, status: str
) -> None:
    """If A is lost and B is executed meanwhile, the trace of B does not prove A."""
    before = {"capture": "authsuccessful", "refund": "capturesuccess"}[operation]
    state = vector("inquiry") | {"paymentId": "54304", "amount": "80.00"}
    asked, executed = asyncio.Event(), asyncio.Event()

    async def gateway_of(request: httpx.Request) -> httpx.Response:
        if b"paymentType=IN" in request.content:
            asked.set()
            now = status if executed.is_set() else before
            return httpx.Response(
                200,
                json=state
                | {"status": now, "transactionStatus": "Y" if now != "reversed" else None},
            )
        if b"amount=30.00" in request.content:
            return httpx.Response(502)
        executed.set()
        return httpx.Response(200, json=vector(operation) | {"paymentId": "54304"})

    wire.post(f"{API}/payments/54304").mock(side_effect=gateway_of)
    async with opened(timeouts=Timeouts(connect=20, read=20, total=30, inquiry=20)) as gateway:
        await gateway.inquire(payment_id="54304")
        asked.clear()
        lost = asyncio.create_task(getattr(gateway, operation)("54304", Money("30.00", "EUR")))
        await asked.wait()
        done = await getattr(gateway, operation)("54304", Money("50.00", "EUR"))
        with pytest.raises(errors.OutcomeUnknown, match="may be the work of another"):
            await lost
    assert done.outcome is Outcome.SUCCEEDED


async def test_pipeline_duplicate_follow_up_is_not_resolved(wire: Any) -> None:
    """Code 20015 means that another refund exists, whose trace does not prove this one."""
    before = vector("inquiry") | {"paymentId": "54304", "status": "capturesuccess"}
    answers = [
        before,
        vector("payment-duplicate"),
        before | {"status": "reversed", "transactionStatus": None},
    ]
    wire.post(f"{API}/payments/54304").mock(
        side_effect=[httpx.Response(200, json=answer) for answer in answers]
    )
    async with opened() as gateway:
        await gateway.inquire(payment_id="54304")
        with pytest.raises(errors.OutcomeUnknown, match="may be the work of another") as caught:
            await gateway.refund("54304", Money("1.00", "EUR"))
    assert caught.value.code == "20015"


async def test_pipeline_follow_up_of_other_gateway_is_known(wire: Any) -> None:
    """A capture by one gateway object does not prove a lost one of another object."""
    state = vector("inquiry") | {"paymentId": "54304", "amount": "80.00", "transactionStatus": "Y"}
    answers = [
        httpx.Response(200, json=state | {"status": "authsuccessful"}),
        httpx.Response(200, json=vector("capture") | {"paymentId": "54304"}),
        httpx.Response(502),
        *[httpx.Response(200, json=state | {"status": "capturesuccess"})] * 20,
    ]
    wire.post(f"{API}/payments/54304").mock(side_effect=answers)
    async with opened() as first, opened() as second:
        await first.inquire(payment_id="54304")
        await second.capture("54304", Money("50.00", "EUR"))
        with pytest.raises(errors.OutcomeUnknown, match="may be the work of another"):
            await first.capture("54304", Money("30.00", "EUR"))


@pytest.mark.parametrize("lost_again", [True, False])
async def test_pipeline_second_follow_up_proves_no_first(wire: Any, lost_again: bool) -> None:
    """After a second refund starts, no trace proves either, except by B's own reply."""
    state = vector("inquiry") | {"paymentId": "54304", "amount": "80.00"}
    executed = []

    def gateway_of(request: httpx.Request) -> httpx.Response:
        if b"paymentType=IN" in request.content:
            now = "markedforreversal" if executed else "capturesuccess"
            return httpx.Response(200, json=state | {"status": now, "transactionStatus": None})
        if b"amount=30.00" in request.content:
            return httpx.Response(502)
        executed.append(request)
        return (
            httpx.Response(502)
            if lost_again
            else httpx.Response(200, json=vector("refund") | {"paymentId": "54304"})
        )

    wire.post(f"{API}/payments/54304").mock(side_effect=gateway_of)
    async with opened() as gateway:
        await gateway.inquire(payment_id="54304")
        with pytest.raises(errors.OutcomeUnknown):
            await gateway.refund("54304", Money("30.00", "EUR"))
        if lost_again:
            with pytest.raises(errors.OutcomeUnknown):
                await gateway.refund("54304", Money("50.00", "EUR"))
        else:
            assert (
                await gateway.refund("54304", Money("50.00", "EUR"))
            ).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("operation", "status"), [("capture", "capturesuccess"), ("refund", "reversed")]
)
async def test_pipeline_earlier_trace_proves_nothing(
    wire: Any, operation: str, status: str
) -> None:
    """A trace of another process, seen before, does not resolve a lost follow-up."""
    before = {"capture": "authsuccessful", "refund": "capturesuccess"}[operation]
    shown = [before, status]

    def gateway_of(request: httpx.Request) -> httpx.Response:
        if b"paymentType=IN" not in request.content:
            return httpx.Response(502)
        now = shown.pop(0) if len(shown) > 1 else shown[0]
        return httpx.Response(
            200,
            json=vector("inquiry")
            | {"paymentId": "54304", "status": now, "transactionStatus": None},
        )

    wire.post(f"{API}/payments/54304").mock(side_effect=gateway_of)
    async with opened() as gateway:
        for _ in range(2):
            await gateway.inquire(payment_id="54304")
        with pytest.raises(errors.OutcomeUnknown, match="may be the work of another"):
            await getattr(gateway, operation)("54304", Money("1.00", "EUR"))


async def test_pipeline_redirect_has_every_parameter(wire: Any) -> None:
    """The recorded 3-D reply becomes a redirect with its empty parameter."""
    wire.post(f"{API}/payments").respond(json=vector("payment-3d"))
    async with opened() as gateway:
        payment = await debit(gateway, "TX-1002")
    assert payment.outcome is Outcome.REDIRECT
    assert payment.redirect.parameters == (("xid", "a+b/c=="), ("accountId", "11863"), ("flag", ""))
    assert payment.raise_for_outcome() is payment


async def test_pipeline_duplicate_is_the_earlier_payment(wire: Any) -> None:
    """20015 is neither a second payment nor a failure: the inquiry returns the first."""
    wire.post(f"{API}/payments").respond(json=vector("payment-duplicate"))
    found = vector("inquiry") | {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
    }
    wire.post(f"{API}/payments/TX-1001").respond(json=found)
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.payment_id, payment.duplicate) == (
        Outcome.SUCCEEDED,
        "54279",
        True,
    )


async def test_pipeline_duplicate_with_server_error_raises(wire: Any) -> None:
    """20015 means that an earlier payment has the id, with any HTTP status."""
    wire.post(f"{API}/payments").respond(500, json=vector("payment-duplicate"))
    found = vector("inquiry") | {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
    }
    wire.post(f"{API}/payments/TX-1001").respond(json=found)
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.duplicate) == (Outcome.SUCCEEDED, True)


async def test_pipeline_duplicate_during_close_keeps_code(wire: Any) -> None:
    """If the gateway closes during the inquiry, the error still has the code 20015."""
    asked = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    wire.post(f"{API}/payments").respond(json=vector("payment-duplicate"))
    wire.post(f"{API}/payments/TX-1001").mock(side_effect=never)
    async with opened() as gateway:
        paying = asyncio.create_task(debit(gateway))
        await asked.wait()
        await gateway._pipeline.slots.drain(0.0)
        with pytest.raises(errors.OutcomeUnknown, match="closed before the reply") as caught:
            await paying
    assert caught.value.code == "20015"


async def test_pipeline_duplicate_of_other_amount_raises(wire: Any) -> None:
    """An earlier payment of another amount with the id is raised with what was found."""
    wire.post(f"{API}/payments").respond(json=vector("payment-duplicate"))
    found = vector("inquiry") | {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "amount": "80.00",
    }
    route = wire.post(f"{API}/payments/TX-1001").respond(json=found)
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await debit(gateway)
    assert (unknown.value.payment_id, unknown.value.status) == ("54279", "capturesuccess")
    assert "another amount: 80.00, not 50.00" in str(unknown.value)
    assert route.call_count == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 500, "json": vector("payment-declined")},
        {"status_code": 503, "html": "<h1>Sorry</h1>"},
        {"status_code": 429, "json": vector("payment-declined")},
        {"status_code": 302, "headers": {"Location": "https://elsewhere.example"}},
        {"status_code": 404, "html": "<h1>Not found</h1>"},
        {"json": vector("payment-sync") | {"merchantTransactionId": "TX-9"}},
        {"json": vector("payment-sync") | {"amount": "5.00"}},
        {"json": vector("payment-sync") | {"paymentId": "-"}},
        {
            "json": {
                name: value for name, value in vector("payment-sync").items() if name != "currency"
            }
            | {"amount": "5.00"}
        },
        {"json": vector("payment-sync") | {"amount": "fifty"}},
        {
            "json": vector("payment-3d")
            | {"merchantTransactionId": "TX-1001", "redirect": {"url": "https://["}}
        },
        {"status_code": 401, "json": vector("payment-sync")},
        {"status_code": 401, "json": {"transactionStatus": ["Y"], "paymentId": {}}},
        {
            "json": vector("payment-3d")
            | {"merchantTransactionId": "TX-1001", "redirect": {"url": "http://evil.example"}}
        },
    ],
    ids=range(14),
)
async def test_pipeline_doubtful_answer_is_inquired(wire: Any, answer: dict[str, Any]) -> None:
    """An error page, another payment's reply or no id: an inquiry decides, no second send."""
    route = wire.post(f"{API}/payments").respond(**answer)
    inquiry = wire.post(f"{API}/payments/TX-1001")
    inquiry.respond(
        json=vector("inquiry") | {"merchantTransactionId": "TX-1001", "amount": "50.00"}
    )
    async with opened() as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.outcome_source, payment.payment_id) == (
        Outcome.SUCCEEDED,
        OutcomeSource.INQUIRY,
        "10617",
    )
    assert route.call_count == 1


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError, RuntimeError],
)
async def test_pipeline_lost_answer_is_inquired_until_deadline(
    wire: Any, error: type[Exception]
) -> None:
    """If no inquiry finds the payment, the error has its id and says not to resend."""
    route = wire.post(f"{API}/payments").mock(side_effect=error("cut"))
    inquiry = wire.post(f"{API}/payments/TX-1001").respond(json=vector("inquiry-not-found"))
    async with opened(timeouts=Timeouts(connect=20, read=20, total=30, inquiry=3)) as gateway:
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await debit(gateway)
    assert unknown.value.merchant_transaction_id == "TX-1001"
    # On a busy machine the deadline may pass before the last inquiry is sent.
    assert unknown.value.inquiry in {"record not found", "no answer (NotSent)"}
    assert route.call_count == 1
    assert inquiry.call_count > 1


async def test_pipeline_record_that_appears_late_is_found(wire: Any) -> None:
    """Not found, then an error page, then found: the result is the record."""
    wire.post(f"{API}/payments").mock(side_effect=httpx.ReadTimeout("slow"))
    found = vector("inquiry") | {"merchantTransactionId": "TX-1001", "amount": "50.00"}
    wire.post(f"{API}/payments/TX-1001").mock(
        side_effect=[
            httpx.Response(200, json=vector("inquiry-not-found")),
            httpx.Response(503),
            httpx.Response(200, json=found | {"merchantTransactionId": "TX-2"}),
            httpx.Response(200, json=found),
        ]
    )
    async with opened(timeouts=Timeouts(inquiry=5)) as gateway:
        payment = await debit(gateway)
    assert (payment.outcome, payment.outcome_source) == (Outcome.SUCCEEDED, OutcomeSource.INQUIRY)


async def test_pipeline_inquiry_without_answer_is_in_error(wire: Any) -> None:
    """The failure of the last inquiry is in the error."""
    wire.post(f"{API}/payments").mock(side_effect=httpx.ReadTimeout("slow"))
    wire.post(f"{API}/payments/TX-1001").mock(side_effect=httpx.ConnectError("down"))
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await debit(gateway)
    assert unknown.value.inquiry == "no answer (NotSent)"


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
async def test_pipeline_connect_failure_is_not_sent(wire: Any, error: type[Exception]) -> None:
    """An unsent payment is safe to repeat, and no inquiry is made."""
    wire.post(f"{API}/payments").mock(side_effect=error("down"))
    async with opened() as gateway:
        with pytest.raises(errors.NotSent) as not_sent:
            await debit(gateway)
    assert (not_sent.value.operation, not_sent.value.merchant_transaction_id) == (
        "debit",
        "TX-1001",
    )


async def test_pipeline_rejected_token_is_renewed_once(wire: Any) -> None:
    """A 401 moved no money: a new token is requested and the call repeated."""
    route = wire.post(f"{API}/payments").mock(
        side_effect=[httpx.Response(401), httpx.Response(200, json=vector("payment-sync"))]
    )
    async with opened() as gateway:
        assert (await debit(gateway)).succeeded
    assert (route.call_count, wire["token"].call_count) == (2, 2)


async def test_pipeline_second_401_raises(wire: Any) -> None:
    """The second 401 ends the call; no payment was made, and no inquiry is needed."""
    wire.post(f"{API}/payments").respond(401)
    async with opened() as gateway:
        with pytest.raises(errors.AuthenticationFailed) as failed:
            await debit(gateway)
    assert (failed.value.http_status, failed.value.merchant_transaction_id) == (401, "TX-1001")
    assert wire["token"].call_count == 2


async def test_pipeline_xml_without_extra_is_doubtful(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that needs a missing extra is doubtful, not a configuration error after sending."""
    monkeypatch.setitem(__import__("sys").modules, "xmltodict", None)
    wire.post(f"{API}/payments").respond(text="<error>busy</error>", content_type="text/xml")
    wire.post(f"{API}/payments/TX-1001").respond(
        json=vector("inquiry") | {"merchantTransactionId": "TX-1001", "amount": "50.00"}
    )
    async with opened() as gateway:
        assert (await debit(gateway)).outcome_source is OutcomeSource.INQUIRY


async def test_pipeline_transport_error_counts_as_sent() -> None:
    """A custom transport that raises any error counts as having sent."""

    class Broken(HttpxTransport):
        async def send(self, request: Any, **options: Any) -> Any:
            if b"merchant.username" in request.body:
                return WireReply(200, "application/json", json.dumps(vector("token")).encode())
            raise RuntimeError("broken")

    async with opened(transport=Broken()) as gateway:
        with pytest.raises(errors.OutcomeUnknown, match="failed with RuntimeError"):
            await debit(gateway)


async def test_pipeline_deadline_before_send_is_not_sent(wire: Any) -> None:
    """If the loop was busy past the deadline, the call ends unsent, without an inquiry."""
    route = wire.post(f"{API}/payments").respond(json={})
    async with opened(timeouts=Timeouts(connect=20, read=20, total=2)) as gateway:
        await gateway.tokens.merchant()
        paying = asyncio.ensure_future(
            gateway.debit(EUROS, CARD, merchant_transaction_id="TX-1001")
        )
        await asyncio.sleep(0)
        # The application keeps the event loop busy.
        time.sleep(2.1)  # noqa: ASYNC251
        with pytest.raises(errors.NotSent, match="the deadline passed before the request was sent"):
            await paying
    assert not route.called


async def test_pipeline_hanging_inquiry_leaves_time_for_next(wire: Any) -> None:
    """The first inquiry hangs; the second is made, and answers."""
    wire.post(f"{API}/payments").mock(side_effect=httpx.ReadTimeout("slow"))
    found = vector("inquiry") | {"merchantTransactionId": "TX-1001", "amount": "50.00"}
    asked = 0

    async def hang_once(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return httpx.Response(200, json=found)

    wire.post(f"{API}/payments/TX-1001").mock(side_effect=hang_once)
    async with opened(timeouts=Timeouts(inquiry=3)) as gateway:
        assert (await debit(gateway)).outcome_source is OutcomeSource.INQUIRY
    assert asked == 2


async def test_pipeline_rejected_credentials_reach_caller(wire: Any) -> None:
    """The code and text of a rejected login reach the caller with the payment's id."""
    wire["token"].respond(
        json={"result": {"code": "10002", "description": "Authentication failed"}}
    )
    async with opened() as gateway:
        with pytest.raises(errors.AuthenticationFailed, match="check the credentials") as failed:
            await debit(gateway)
        assert (failed.value.code, failed.value.merchant_transaction_id) == ("10002", "TX-1001")
        with pytest.raises(errors.AuthenticationFailed):
            await gateway.tokens.merchant()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401),
        httpx.Response(503),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("down"),
    ],
)
async def test_pipeline_without_token_sends_nothing(wire: Any, answer: Any) -> None:
    """Without a token, for any reason, the payment is not sent or rejected, never unknown."""
    wire["token"].mock(
        side_effect=lambda _: (
            (_ for _ in ()).throw(answer) if isinstance(answer, Exception) else answer
        )
    )
    route = wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
    async with opened() as gateway:
        with pytest.raises((errors.NotSent, errors.AuthenticationFailed)):
            await debit(gateway)
    assert route.call_count == 0


async def test_pipeline_token_timeout_is_not_sent(wire: Any) -> None:
    """The total deadline covers the wait for a token."""
    never = asyncio.Event()

    async def wait(_: httpx.Request) -> httpx.Response:
        await never.wait()
        return httpx.Response(200)

    wire["token"].mock(side_effect=wait)
    async with opened(timeouts=Timeouts(total=1)) as gateway:
        with pytest.raises(errors.NotSent, match="no token"):
            await debit(gateway)


@pytest.mark.parametrize(
    ("name", "operation", "inquiry", "outcome"),
    [
        ("capture", "capture", "capturesuccess", Outcome.SUCCEEDED),
        ("refund", "refund", "reversed", Outcome.SUCCEEDED),
        ("reversal", "reversal", "authcancelled", Outcome.SUCCEEDED),
        ("refund", "refund", "markedforreversal", Outcome.PENDING),
    ],
)
async def test_pipeline_follow_up_is_inquired_by_payment_id(
    wire: Any, name: str, operation: str, inquiry: str, outcome: Outcome
) -> None:
    """A follow-up is decided by its code, or by the payment's status if the reply is lost."""
    before = "capturesuccess" if operation == "refund" else "authsuccessful"
    states = [
        vector("inquiry")
        | {"paymentId": "54304", "status": status, "transactionStatus": None, "amount": "80.00"}
        for status in (before, inquiry)
    ]
    route = wire.post(f"{API}/payments/54304")
    async with opened() as gateway:
        arguments = ("54304",) if operation == "reversal" else ("54304", EUROS)
        route.mock(side_effect=[httpx.Response(200, json=answer) for answer in (vector(name),)])
        plain = await getattr(gateway, operation)(*arguments)
    async with opened() as gateway:
        answers = [
            httpx.Response(200, json=states[0]),
            httpx.Response(502),
            httpx.Response(200, json=states[1]),
        ]
        route.mock(side_effect=answers)
        await gateway.inquire(payment_id="54304")
        doubtful = await getattr(gateway, operation)(*arguments)
    assert (plain.outcome, plain.payment_id, plain.outcome_source) == (
        Outcome.SUCCEEDED,
        "54304",
        OutcomeSource.REPLY,
    )
    assert plain.amount == (None if operation == "reversal" else EUROS)
    assert (doubtful.outcome, doubtful.outcome_source, doubtful.amount) == (
        outcome,
        OutcomeSource.INQUIRY,
        None,
    )
    assert route.call_count == 4


@pytest.mark.parametrize(
    ("operation", "status"),
    [("capture", "capturesuccess"), ("capture", "capturefailed"), ("refund", "reversed")],
)
async def test_pipeline_trace_on_unknown_payment_proves_nothing(
    wire: Any, operation: str, status: str
) -> None:
    """A status of a payment that was not known before may be from an earlier follow-up."""
    state = vector("inquiry") | {"paymentId": "54304", "status": status, "transactionStatus": None}
    wire.post(f"{API}/payments/54304").mock(
        side_effect=[httpx.Response(502), httpx.Response(200, json=state)]
    )
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown, match="may be the work of another"):
            await getattr(gateway, operation)("54304", EUROS)


@pytest.mark.parametrize(
    "change", [{"paymentId": "99"}, {"amount": "5.00"}, {"amount": "5.00", "currency": "EUR"}]
)
async def test_pipeline_follow_up_reply_of_other_is_inquired(
    wire: Any, change: dict[str, str]
) -> None:
    """A capture reply with another payment or amount is looked up."""
    state = vector("inquiry") | {"paymentId": "54304", "status": "authsuccessful"}
    replies = iter([vector("capture") | change])
    wire.post(f"{API}/payments/54304").mock(
        side_effect=lambda _: httpx.Response(200, json=next(replies, state))
    )
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown, match="another"):
            await gateway.capture("54304", EUROS)


async def test_pipeline_unresolved_follow_up_error_has_payment(wire: Any) -> None:
    """The error of a lost refund has the payment's id and its last status."""
    state = vector("inquiry") | {"paymentId": "54304", "status": "capturesuccess"}
    wire.post(f"{API}/payments/54304").mock(
        side_effect=lambda r: httpx.Response(502 if b"RF" in r.content else 200, json=state)
    )
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await gateway.refund("54304", Money("1.00", "EUR"))
    assert (unknown.value.payment_id, unknown.value.status) == ("54304", "capturesuccess")
    assert "inquire(payment_id='54304')" in str(unknown.value)


async def test_pipeline_payout_needs_both_statuses(wire: Any) -> None:
    """The recorded payout succeeds; a contradicting long status is looked up."""
    good = vector("payout")
    bad = good | {"status": "payoutfailed"}
    wire.post(f"{API}/payout").mock(
        side_effect=[httpx.Response(200, json=good), httpx.Response(200, json=bad)]
    )
    wire.post(f"{API}/payments/Payout-JPY-1").respond(
        json=bad | {"transactionStatus": "N", "result": {"code": "00026"}}
    )
    async with opened() as gateway:
        arguments = {
            "merchant_transaction_id": "Payout-JPY-1",
            "customer": Customer(email="ada@shop.example"),
        }
        paid = await gateway.payout(Money(100, "JPY"), **arguments)
        failed = await gateway.payout(Money(100, "JPY"), **arguments)
    assert (paid.outcome, paid.payment_id) == (Outcome.SUCCEEDED, "18608029")
    assert (failed.outcome, failed.outcome_source) == (Outcome.FAILED, OutcomeSource.INQUIRY)


async def test_pipeline_inquiry_is_retried(wire: Any) -> None:
    """An inquiry moves no money and is made three times; then it is unreadable."""
    route = wire.post(f"{API}/payments/10617").mock(
        side_effect=[
            httpx.Response(503),
            httpx.Response(200, html="<p>?</p>"),
            httpx.Response(200, json=vector("inquiry")),
        ]
    )
    async with opened() as gateway:
        assert (await gateway.inquire(payment_id="10617")).succeeded
        route.mock(side_effect=None, return_value=httpx.Response(503))
        with pytest.raises(errors.UnreadableReply, match="HTTP 503") as unreadable:
            await gateway.inquire(payment_id="10617")
    assert unreadable.value.http_status == 503


async def test_pipeline_inquiry_with_other_record_raises(wire: Any) -> None:
    """The answer of an inquiry about another id is refused."""
    wire.post(f"{API}/payments/1").respond(json=vector("inquiry"))
    async with opened() as gateway:
        with pytest.raises(errors.UnreadableReply, match="another payment"):
            await gateway.inquire(payment_id="1")


async def test_pipeline_unknown_state_can_raise(wire: Any) -> None:
    """A record with an unknown status is returned with its text, or raised as unknown."""
    wire.post(f"{API}/payments/10617").respond(json=vector("inquiry") | {"status": "onhold"})
    async with opened() as gateway:
        transaction = await gateway.inquire(payment_id="10617")
    assert (transaction.outcome, transaction.status) == (Outcome.UNKNOWN, "onhold")
    with pytest.raises(errors.OutcomeUnknown):
        transaction.raise_for_outcome()


async def test_pipeline_partner_and_regenerated_tokens_work(wire: Any) -> None:
    """Each token call has its own path and fields; a regenerated token is used next."""
    partner = {"partnerId": "4", "result": {"code": "200"}, "AuthToken": "partner-token"}
    wire.post(f"{API}/partnerAuthToken").respond(json=partner)
    wire.post(f"{API}/regenerateToken", name="regenerate").respond(
        json=partner | {"AuthToken": "second"}
    )
    route = wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
    async with opened() as gateway:
        assert (await gateway.tokens.partner()).value.reveal() == "partner-token"
        first = await gateway.tokens.merchant()
        await gateway.tokens.regenerate(first)
        await debit(gateway)
    assert route.calls.last.request.headers["authtoken"] == "second"
    assert vector("token")["AuthToken"] in wire["regenerate"].calls.last.request.content.decode()


async def test_pipeline_partner_token_without_login_raises() -> None:
    """Credentials without a partner login raise an error that names it."""
    from gatewaypy import Credentials

    alone = Credentials(member_id="1", partner_id="4", username="shop", secret_key="k" * 32)
    async with Gateway(BASE, alone) as gateway:
        with pytest.raises(errors.ConfigurationError, match="partner_username"):
            await gateway.tokens.partner()


async def test_pipeline_invalid_request_makes_no_call(wire: Any) -> None:
    """An amount over the limit or a malformed field costs no token and no request."""
    wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
    async with opened() as gateway:
        with pytest.raises(errors.InvalidRequest):
            await debit(gateway, "TX|1")
        assert wire["token"].call_count == 0
        payment = await debit(gateway)
        with pytest.raises(errors.InvalidRequest, match=r"must not exceed 50\.00 EUR") as refused:
            await gateway.refund(payment.payment_id, Money("50.01", "EUR"))
    assert (refused.value.field, refused.value.operation) == ("amount", "refund")


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), ValueError("of its own")],
    ids=["a cancellation", "an error"],
)
async def test_pipeline_failing_observer_loses_no_result(wire: Any, error: BaseException) -> None:
    """An observer that raises, even a cancellation, does not hide the result."""

    def fail(_: object) -> None:
        raise error

    wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with opened(observer=fail) as gateway, asyncio.timeout(5):
        assert (await debit(gateway)).succeeded


async def test_pipeline_success_without_our_id_is_inquired(wire: Any) -> None:
    """A reply that fits any payment is not accepted, even if it reports a success."""
    reply = vector("payment-sync")
    del reply["merchantTransactionId"]
    wire.post(f"{API}/payments").respond(json=reply)
    asked = wire.post(f"{API}/payments/TX-1001").respond(json=vector("inquiry-not-found"))
    async with opened() as gateway:
        with pytest.raises(errors.OutcomeUnknown, match="has no merchantTransactionId"):
            await debit(gateway)
    assert asked.called


class TestCancelling:
    """A cancelled caller, and a closed gateway."""

    async def test_pipeline_cancelled_caller_request_continues(self, wire: Any) -> None:
        """The observer gets the late result; the caller gets only its cancellation."""
        asked, go = asyncio.Event(), asyncio.Event()

        async def slow(_: httpx.Request) -> httpx.Response:
            asked.set()
            await go.wait()
            return httpx.Response(200, json=vector("payment-sync"))

        wire.post(f"{API}/payments").mock(side_effect=slow)
        events: list[object] = []
        async with opened(observer=events.append) as gateway:
            task = asyncio.create_task(debit(gateway))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()
        late = next(event for event in events if isinstance(event, LateResult))
        assert (late.merchant_transaction_id, late.payment_id, late.error) == (
            "TX-1001",
            "54279",
            None,
        )
        ended = next(
            event for event in events if isinstance(event, CallEnded) and event.operation == "debit"
        )
        assert (ended.outcome, ended.http_status, ended.requests) == (Outcome.SUCCEEDED, 200, 1)

    async def test_pipeline_cancelled_waiter_leaves_its_slot(self, wire: Any) -> None:
        """A call that waits for a slot has no effect, and its place goes to the next."""
        go = asyncio.Event()

        async def slow(_: httpx.Request) -> httpx.Response:
            await go.wait()
            return httpx.Response(200, json=vector("payment-sync"))

        route = wire.post(f"{API}/payments").mock(side_effect=slow)
        async with opened(limits=Limits(max_in_flight=1)) as gateway:
            first = asyncio.create_task(debit(gateway))
            await asyncio.sleep(0.01)
            second = asyncio.create_task(debit(gateway))
            await asyncio.sleep(0.01)
            second.cancel()
            go.set()
            assert (await first).succeeded
            assert second.cancelled() or second.cancelling()
            assert (await debit(gateway)).succeeded
        assert route.call_count == 2

    async def test_pipeline_slot_timeout_is_not_sent(self, wire: Any) -> None:
        """The total deadline covers the wait for a slot."""
        go = asyncio.Event()

        async def slow(_: httpx.Request) -> httpx.Response:
            await go.wait()
            return httpx.Response(200, json=vector("payment-sync"))

        wire.post(f"{API}/payments").mock(side_effect=slow)
        wire.post(f"{API}/payments/TX-1001").respond(json=vector("inquiry-not-found"))
        async with opened(
            limits=Limits(max_in_flight=1), timeouts=Timeouts(total=2, inquiry=0.3)
        ) as gateway:
            await gateway.tokens.merchant()
            first = asyncio.create_task(debit(gateway))
            await asyncio.sleep(0)
            with pytest.raises(errors.NotSent, match="no free slot among 1"):
                await debit(gateway)
            go.set()
            with pytest.raises(errors.OutcomeUnknown):
                await first

    async def test_pipeline_close_waits_for_sent_requests(self, wire: Any) -> None:
        """Aclose waits for sent requests, cancels waiting ones, and reports those it abandoned."""
        asked = []

        async def stuck(_: httpx.Request) -> httpx.Response:
            asked.append(1)
            await asyncio.Event().wait()
            return httpx.Response(200)

        wire.post(f"{API}/payments").mock(side_effect=stuck)
        async with opened(
            limits=Limits(max_in_flight=1), timeouts=Timeouts(total=3, inquiry=0.1)
        ) as gateway:
            await gateway.tokens.merchant()
            tasks = [asyncio.create_task(debit(gateway, f"TX-{number}")) for number in range(4)]
            while not asked:
                assert not tasks[0].done()
                await asyncio.sleep(0)
            await gateway.aclose()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [
            errors.OutcomeUnknown,
            *[errors.NotSent] * 3,
        ]
        assert len(asked) == 1

    async def test_pipeline_close_before_start_is_not_sent(self, wire: Any) -> None:
        """A call closed between its slot and its first step raises NotSent, not a cancellation."""
        route = wire.post(f"{API}/payments").respond(json=vector("payment-sync"))
        async with opened() as gateway:
            await gateway.tokens.merchant()
            task = asyncio.create_task(debit(gateway))
            await asyncio.sleep(0)
            for carrying in gateway._pipeline.slots._tasks:
                carrying.cancel()
            with pytest.raises(errors.NotSent, match="closed"):
                await task
        assert route.call_count == 0

    async def test_pipeline_abandoned_after_send_is_unknown(self, wire: Any) -> None:
        """A request in flight when its time ended is never reported as unsent."""
        asked = asyncio.Event()

        async def stuck(_: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            return httpx.Response(200)

        wire.post(f"{API}/payments").mock(side_effect=stuck)
        async with opened() as gateway:
            task = asyncio.create_task(debit(gateway))
            await asked.wait()
            await gateway._pipeline.slots.drain(0.0)
            with pytest.raises(errors.OutcomeUnknown, match="closed before the reply"):
                await task

    async def test_pipeline_cancelled_close_can_be_repeated(self, wire: Any) -> None:
        """A second close continues where the first was cancelled; no connection is left."""
        asked, go = asyncio.Event(), asyncio.Event()

        async def slow(_: httpx.Request) -> httpx.Response:
            asked.set()
            await go.wait()
            return httpx.Response(200, json=vector("payment-sync"))

        wire.post(f"{API}/payments").mock(side_effect=slow)
        transport = HttpxTransport()
        gateway = opened(transport=transport)
        await gateway.__aenter__()
        task = asyncio.create_task(debit(gateway))
        await asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gateway.aclose(), 0.01)
        with pytest.raises(errors.ConfigurationError, match="not open"):
            await debit(gateway)
        go.set()
        await gateway.aclose()
        assert (await task).succeeded
        assert (transport._users, len(transport._idle)) == (0, 0)

    async def test_pipeline_in_process_cancelled_payment_is_reported(self) -> None:
        """Without a socket a request counts as sent at once, and its end is reported."""
        sandbox = Sandbox(reply_delay=0.2)
        events: list[object] = []
        transport = HttpxTransport(app=sandbox)
        async with Gateway(
            "http://localhost", MERCHANT, transport=transport, observer=events.append
        ) as gateway:
            await gateway.tokens.merchant()
            task = asyncio.create_task(debit(gateway))
            await asyncio.sleep(0.1)
            task.cancel()
        assert [event.payment_id for event in events if isinstance(event, LateResult)] == ["54279"]

    async def test_gateway_closed_raises(self) -> None:
        """Outside of its 'async with' a gateway refuses to work, and it cannot be opened twice."""
        gateway = opened()
        with pytest.raises(errors.ConfigurationError, match="not open"):
            await debit(gateway)
        async with gateway:
            with pytest.raises(errors.ConfigurationError, match="already open"):
                await gateway.__aenter__()
            with pytest.raises(errors.ConfigurationError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, debit(gateway))
        await gateway.aclose()
        with pytest.raises(errors.ConfigurationError, match="not open"):
            await gateway.inquire(payment_id="1")


@pytest.mark.parametrize("options", [{"body": "xml"}, {"accept": "text"}])
def test_gateway_unknown_format_raises(options: dict[str, Any]) -> None:
    """A gateway sends form or JSON, and reads JSON or XML."""
    with pytest.raises(errors.InvalidRequest):
        opened(**options)


async def test_gateway_xml_without_extra_raises_on_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing extra is named at the opening, not at the first payment."""
    monkeypatch.setitem(__import__("sys").modules, "xmltodict", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[xml\]"):
        async with opened(accept="xml"):
            pass


def test_gateway_retries_are_spread() -> None:
    """Each pipeline has its own randomness: two gateways do not retry in step."""
    assert random.Random().random() != random.Random().random()


async def test_call_wrong_base_url_names_url_and_status(sandbox: Sandbox) -> None:
    """If another server answers 404, the error has the status, the URL and the setting."""
    base = f"{sandbox.base_url}/elsewhere"
    async with Gateway(base, MERCHANT, timeouts=Timeouts(total=5, inquiry=1)) as gateway:
        for call in (
            gateway.inquire(payment_id="54281"),
            gateway.capture("54281", Money("1.00", "EUR")),
        ):
            with pytest.raises(errors.NotSent) as refused:
                await call
            assert f"HTTP 404 from {base}/transactionServices/REST/v1/authToken" in str(
                refused.value
            )
            assert "check the base URL" in str(refused.value)
            assert "54281" not in refused.value.reason


async def test_call_html_page_names_url_and_status(sandbox: Sandbox) -> None:
    """A page instead of an API answer is reported with its status and URL."""
    timeouts = Timeouts(total=5, inquiry=0.5)
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=timeouts) as gateway:
        await gateway.tokens.merchant()
        sandbox.faults.add("html", times=None)
        place = f"from {sandbox.base_url}/transactionServices/REST/v1/payments"
        with pytest.raises(errors.UnreadableReply) as unread:
            await gateway.inquire(payment_id="54281")
        assert f"{place}/{{id}}); check the base URL" in str(unread.value)
        with pytest.raises(errors.OutcomeUnknown) as unknown:
            await gateway.payout(
                Money("1.00", "EUR"), merchant_transaction_id="A-1", payment_id="54281"
            )
        assert f"from {sandbox.base_url}/transactionServices/REST/v1/payout" in unknown.value.reason
        assert place in (unknown.value.inquiry or "")


async def test_token_configuration_error_is_not_retryable(sandbox: Sandbox) -> None:
    """If the configuration allows no token, the error does not claim that a retry is safe."""
    platform = Platform(
        name="mine",
        base_url=sandbox.base_url,
        operations={"token": {"required": ("authentication.pin",)}},
    )
    async with Gateway(platform, MERCHANT) as gateway:
        with pytest.raises(errors.ConfigurationError, match="no token: authentication") as refused:
            await debit(gateway)
    assert "safe" not in str(refused.value)
    assert (refused.value.merchant_transaction_id, sandbox.requests) == ("TX-1001", {})
