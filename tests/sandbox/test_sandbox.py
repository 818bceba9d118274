"""The sandbox as a gateway: what it refuses, grants and sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gatewaypy import Card, Gateway, Money, Outcome
from gatewaypy.platforms import Platform
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.checksum import KEY, RULES, checksum
from gatewaypy.protocol.encode import encode
from gatewaypy.sandbox import MERCHANT, FaultKind, Sandbox
from gatewaypy.sandbox.faults import Faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EUROS = Money("50.00", "EUR")
CARD = Card("4000000000000051", 7, 2030, "745")
ROOT = "/transactionServices/REST/v1"


class Raw:
    """Posts to a sandbox without the checks of the library."""

    def __init__(self, sandbox: Sandbox, http: httpx.AsyncClient) -> None:
        self.sandbox, self.http = sandbox, http

    def body(self, request: requests.Request) -> dict[str, str]:
        wire = encode(
            request, platform=Platform(name="s", base_url="http://localhost"), credentials=MERCHANT
        )
        return dict(httpx.QueryParams(bytes(wire.body).decode()))

    def debit(self, **changes: str | None) -> dict[str, str]:
        request = requests.payment(operations.DEBIT, platform=Platform(name="s", base_url="http://localhost"), credentials=MERCHANT,
                                   amount=EUROS, source=CARD, merchant_transaction_id="ORDER-1")  # fmt: skip
        return {
            name: value
            for name, value in (self.body(request) | changes).items()
            if value is not None
        }

    async def token(self) -> str:
        fields = (
            await self.http.post(
                f"{ROOT}/authToken", data=self.body(requests.merchant_token(MERCHANT))
            )
        ).json()
        return str(fields["AuthToken"])

    async def post(self, path: str, data: dict[str, str], **headers: str) -> Any:
        return (
            await self.http.post(
                f"{ROOT}{path}", data=data, headers={"AuthToken": await self.token(), **headers}
            )
        ).json()


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    """Open a raw client of a sandbox in process."""
    sandbox = Sandbox()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox), base_url="http://localhost"
    ) as http:
        yield Raw(sandbox, http)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"authentication.checksum": "0" * 32}, "checksum is wrong"),
        ({"authentication.checksum": None}, "checksum is wrong"),
        ({"amount": "51.00"}, "checksum is wrong"),
        ({"amount": "50.0"}, "not in its format, or missing: amount"),
        ({"currency": None}, "missing: currency"),
        ({"merchantTransactionId": "A|B"}, "not in its format, or missing: merchantTransactionId"),
        ({"authentication.memberId": "1"}, "memberId or partnerId is unknown"),
        ({"paymentType": "XX"}, "paymentType"),
        ({"paymentType": "RF"}, "paymentType"),
        ({"card.number": None}, "card.number"),
        ({"card.cvv": "12345"}, "card.cvv"),
    ],
)
async def test_sandbox_invalid_request_is_refused(
    raw: Raw, changes: dict[str, str | None], words: str
) -> None:
    """A refused request has a dash as paymentId, and the ledger stays empty."""
    reply = await raw.post("/payments", raw.debit(**changes))
    assert (reply["paymentId"], reply["transactionStatus"], reply["result"]["code"]) == (
        "-",
        "N",
        "20007",
    )
    assert words in reply["result"]["description"]
    assert not raw.sandbox.ledger.records


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[1]", b'{"a": [1'])
async def test_sandbox_unknown_body_is_refused(raw: Raw, content: bytes) -> None:
    """A body that is neither a form nor JSON gets an answer."""
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        response = await raw.http.post(
            f"{ROOT}/payments", content=content, headers={"Content-Type": kind}
        )
        assert response.json()["result"]["code"] == "20007"


@pytest.mark.parametrize("token", [None, "", "made-up"])
async def test_sandbox_invalid_token_is_401(raw: Raw, token: str | None) -> None:
    """Without a valid token nothing is booked."""
    response = await raw.http.post(
        f"{ROOT}/payments",
        data=raw.debit(),
        headers={"AuthToken": token} if token is not None else {},
    )
    assert response.status_code == 401
    assert not raw.sandbox.ledger.records


async def test_sandbox_token_is_valid_for_its_root(raw: Raw) -> None:
    """The merchants' root has its own tokens."""
    fields = (
        await raw.http.post(
            "/merchantServices/api/v1/authToken", data=raw.body(requests.merchant_token(MERCHANT))
        )
    ).json()
    response = await raw.http.post(
        f"{ROOT}/payments", data=raw.debit(), headers={"AuthToken": fields["AuthToken"]}
    )
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/authToken", "/partnerAuthToken", "/regenerateToken"])
async def test_sandbox_wrong_credentials_get_no_token(raw: Raw, path: str) -> None:
    """A refusal has a result and no token."""
    fields = (
        await raw.http.post(
            f"{ROOT}{path}", data={"authentication.partnerId": "4", "authentication.sKey": "x"}
        )
    ).json()
    assert "AuthToken" not in fields
    assert fields["result"]["code"] != "200"


async def test_sandbox_used_id_is_duplicate_or_charged_again(raw: Raw) -> None:
    """20015 names the earlier payment; a gateway that accepts duplicates charges twice."""
    first = await raw.post("/payments", raw.debit())
    second = await raw.post("/payments", raw.debit())
    assert (second["result"]["code"], second["paymentId"]) == ("20015", first["paymentId"])
    raw.sandbox.payments.refuse_duplicates = False
    await raw.post("/payments", raw.debit())
    assert len(raw.sandbox.ledger.executions("ORDER-1")) == 2


async def test_sandbox_unknown_payment_or_currency_is_refused(raw: Raw) -> None:
    """A follow-up needs its payment, in its currency."""
    paid = await raw.post("/payments", raw.debit())
    refund = requests.follow_up(operations.REFUND, paid["paymentId"], Money("1.00", "USD"))
    assert (await raw.post(f"/payments/{paid['paymentId']}", raw.body(refund)))["result"][
        "code"
    ] == "10006"
    missing = requests.follow_up(operations.CAPTURE, "1", EUROS)
    assert (await raw.post("/payments/1", raw.body(missing)))["result"]["code"] == "10005"
    too_much = requests.follow_up(operations.REFUND, paid["paymentId"], Money("51.00", "EUR"))
    assert (await raw.post(f"/payments/{paid['paymentId']}", raw.body(too_much)))["result"][
        "code"
    ] == "10006"
    held = await raw.post("/payments", raw.debit(**{"paymentType": "PA", "merchantTransactionId": "ORDER-2",
                          "authentication.checksum": checksum(RULES["A"], {"memberId": "11344", KEY: MERCHANT.secret_key,
                          "merchantTransactionId": "ORDER-2", "amount": "50.00"})}))  # fmt: skip
    above = requests.follow_up(operations.CAPTURE, held["paymentId"], Money("50.01", "EUR"))
    assert (await raw.post(f"/payments/{held['paymentId']}", raw.body(above)))["result"][
        "code"
    ] == "10005"


async def test_sandbox_payout_needs_one_payee(raw: Raw) -> None:
    """Neither or both of payment and customer are refused."""
    request = requests.payout(credentials=MERCHANT, amount=EUROS, merchant_transaction_id="P-1", payment_id="1", customer=None,
                              notification_url=None, terminal_id=None, extra=None)  # fmt: skip
    both = raw.body(request) | {"customer.email": "a@shop.example"}
    neither = {name: value for name, value in raw.body(request).items() if name != "paymentId"}
    for data in (both, neither):
        assert (await raw.post("/payout", data))["result"]["code"] == "20007"
    assert (await raw.post("/payout", raw.body(request)))["result"]["code"] == "10002"


class Shop:
    """Receives callbacks, and answers as configured."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.statuses = [200]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.received.append(json.loads(body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, str]]:
    """Serve a shop on a socket."""
    from gatewaypy.sandbox.server import bind, listen, make_server

    application = Shop()
    listener = listen(bind("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/gateway"
    server = make_server(application, certfile=None, keyfile=None)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0)
    yield application, url
    server.should_exit = server.force_exit = True
    await task


async def test_sandbox_callbacks_are_signed_and_delivered(
    client: Gateway, sandbox: Sandbox, shop: tuple[Shop, str]
) -> None:
    """Each change of a payment is posted to its notification URL with a valid signature."""
    application, url = shop
    paid = await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-1", notification_url=url)
    await client.refund(paid.payment_id or "", EUROS)
    await sandbox.callback_sender.idle()
    assert Counter(callback["status"] for callback in application.received) == {
        "capturesuccess": 1,
        "reversed": 1,
    }
    for callback in application.received:
        values = {name: callback[name] for name in ("paymentId", "merchantTransactionId", "amount")}
        values["status"] = callback["transactionStatus"]
        assert callback["checksum"] == checksum(RULES["S"], {**values, KEY: MERCHANT.secret_key})
        assert callback["card"]["lastFourDigits"] == callback["card"]["last4Digits"] == "0051"
    assert [delivery.answers for delivery in sandbox.callback_sender.deliveries] == [[200], [200]]


async def test_sandbox_callback_is_retried(shop: tuple[Shop, str]) -> None:
    """It is sent until the shop answers 2xx or the attempts end; each answer is recorded."""
    application, url = shop
    application.statuses = [500, 200]
    from gatewaypy.sandbox.callbacks import CallbackSender, CallbackStyle

    callback_sender = CallbackSender(
        random.Random(1), CallbackStyle(pauses=(0.01, 0.01), signed=False)
    )
    callback_sender.send(url, {"n": 1}, MERCHANT)
    await callback_sender.idle()
    callback_sender.send("http://127.0.0.1:1/", {"n": 2}, MERCHANT)
    await callback_sender.idle()
    assert [delivery.answers for delivery in callback_sender.deliveries] == [
        [500, 200],
        ["ConnectError"] * 3,
    ]
    assert [delivery.delivered for delivery in callback_sender.deliveries] == [True, False]


async def test_sandbox_close_cancels_callbacks(sandbox: Sandbox, client: Gateway) -> None:
    """Undelivered callbacks end with the sandbox."""
    await client.debit(
        EUROS, CARD, merchant_transaction_id="ORDER-1", notification_url="http://127.0.0.1:1/"
    )
    assert len(sandbox.callback_sender.deliveries) == 1


async def test_sandbox_control_api_reads_and_sets_faults(client: Gateway, sandbox: Sandbox) -> None:
    """Another process can read the ledger and the deliveries, and set faults."""
    async with httpx.AsyncClient(base_url=sandbox.base_url, trust_env=False) as http:
        assert (
            await http.post("/sandbox/faults", json={"kind": "cut after", "operation": "debit"})
        ).json() == {"switches": 1}
        assert (await http.post("/sandbox/faults", json={"kind": "meteor"})).status_code == 400
        assert (await http.post("/sandbox/faults", json={"king": "reset"})).status_code == 400
        paid = await client.debit(
            EUROS, CARD, merchant_transaction_id="ORDER-1", notification_url="http://127.0.0.1:1/"
        )
        ledger = (await http.get("/sandbox/ledger")).json()
        deliveries = (await http.get("/sandbox/deliveries")).json()
        assert (await http.delete("/sandbox/faults")).json() == {"switches": 0}
        assert (await http.get("/elsewhere")).status_code == 404
    assert paid.outcome is Outcome.SUCCEEDED
    assert ledger["balances"]["EUR"] == {
        "held": "0.00",
        "captured": "50.00",
        "refunded": "0.00",
        "charged_back": "0.00",
        "paid_out": "0.00",
    }
    assert [entry["kind"] for entry in ledger["entries"]] == ["capture"]
    assert ledger["records"][0]["status"] == "capturesuccess"
    assert deliveries[0]["fields"]["status"] == "capturesuccess"


def test_sandbox_faults_follow_their_schedule() -> None:
    """A fault skips, repeats and triggers at random as configured, repeatably by its seed."""
    faults = Faults(random.Random(1))
    faults.add("reset", operation="debit", times=2, after=1)
    applied = [faults.next_fault(name) for name in ("debit", "refund", "debit", "debit", "debit")]
    assert [fault and fault.kind for fault in applied] == [
        None, None, FaultKind.RESET, FaultKind.RESET, None,
    ]  # fmt: skip
    faults.clear()
    sometimes = faults.add(FaultKind.STALL, times=None, probability=0.5)
    times = sum(faults.next_fault("debit") is not None for _ in range(1000))
    assert 400 < times < 600
    assert sometimes.applied == times


async def test_sandbox_faults_for_duplicates_and_late_records(raw: Raw) -> None:
    """A used id is executed again or refused, and one record stays hidden for a while."""
    raw.sandbox.faults.add("late record", operation="debit", seconds=60)
    raw.sandbox.faults.add("accept duplicate", operation="debit")
    raw.sandbox.faults.add("refuse duplicate", operation="debit")
    first = await raw.post("/payments", raw.debit())
    inquiry = requests.inquiry(payment_id=first["paymentId"])
    assert (await raw.post(f"/payments/{first['paymentId']}", raw.body(inquiry)))["result"][
        "code"
    ] == "10026"
    assert (await raw.post("/payments", raw.debit()))["result"]["code"] == "00001"
    raw.sandbox.payments.refuse_duplicates = False
    assert (await raw.post("/payments", raw.debit()))["result"]["code"] == "20015"
    assert len(raw.sandbox.ledger.executions("ORDER-1")) == 2


async def test_sandbox_fault_refuses_connections_for_a_while(
    client: Gateway, sandbox: Sandbox
) -> None:
    """After the request that triggers it, no client can connect until its time ends."""
    from gatewaypy import errors

    async def accepts() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(sandbox.base_url).port)
        except ConnectionRefusedError:
            return False
        except ConnectionError:
            # The connection is closing: it was accepted a moment ago.
            return True
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    sandbox.faults.add("refuse", operation="debit", seconds=1.0)
    assert (await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")).succeeded
    while await accepts():
        await asyncio.sleep(0.01)
    with pytest.raises(errors.NotSent):
        await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-2")
    while not await accepts():
        await asyncio.sleep(0.01)
    assert (await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-2")).succeeded
    assert len(sandbox.ledger.entries) == 2


async def test_sandbox_refusing_keeps_its_port(client: Gateway, sandbox: Sandbox) -> None:
    """No other process can bind the port meanwhile, and the sandbox answers there afterwards."""
    address = ("127.0.0.1", httpx.URL(sandbox.base_url).port)
    async with sandbox.refusing():
        async with sandbox.refusing():
            pass
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
    assert (await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")).succeeded


async def test_sandbox_merchants_are_separate() -> None:
    """One merchant does not see the payments of another."""
    from gatewaypy import Credentials, HttpxTransport

    other = Credentials(member_id="2", partner_id="5", username="other", secret_key="o" * 32)
    transport = HttpxTransport(app=Sandbox((MERCHANT, other)))
    async with (
        Gateway("http://localhost", MERCHANT, transport=transport) as mine,
        Gateway("http://localhost", other, transport=transport) as theirs,
    ):
        paid = await mine.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")
        assert not (await theirs.inquire(payment_id=paid.payment_id)).found
        assert not (await theirs.inquire(merchant_transaction_id="ORDER-1")).found
        assert (await theirs.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")).succeeded


async def test_sandbox_serves_ipv6_address() -> None:
    """The base URL of an IPv6 address has its brackets."""
    async with Sandbox().serve(host="::1") as sandbox:
        assert sandbox.base_url.startswith("http://[::1]:")
        async with Gateway(sandbox.base_url, sandbox.credentials) as gateway:
            assert not (await gateway.inquire(payment_id="1")).found


@pytest.mark.parametrize(
    ("style", "statuses"),
    [
        ({"repeat": 3}, [200, 200, 200]),
        ({"delay": 0.05, "shuffle": 0.05}, [200]),
        ({"drop": 1.0}, []),
        ({"corrupt": 1.0, "pauses": ()}, [401]),
        ({"status": "long"}, [200]),
        ({"body": "form"}, [200]),
        ({"signed": False, "pauses": ()}, [401]),
    ],
)
async def test_sandbox_callback_faults_reach_the_receiver(
    client: Gateway, sandbox: Sandbox, style: dict[str, Any], statuses: list[int]
) -> None:
    """Repeated, delayed, dropped or badly signed: the receiver answers each correctly."""
    from gatewaypy.callbacks import CallbackApp, PaymentSucceeded, Router
    from gatewaypy.sandbox import CallbackStyle
    from gatewaypy.sandbox.server import serving

    router, received = Router(), []

    @router.on(PaymentSucceeded)
    async def handle(event: PaymentSucceeded) -> None:
        received.append(event.merchant_transaction_id)

    sandbox.callback_sender.style = CallbackStyle(**style)
    async with serving(CallbackApp(router, MERCHANT), "127.0.0.1", 0) as url:
        await client.debit(EUROS, CARD, merchant_transaction_id="ORDER-1", notification_url=url)
        await sandbox.callback_sender.idle()
    assert [
        answer for delivery in sandbox.callback_sender.deliveries for answer in delivery.answers
    ] == statuses
    assert received == ["ORDER-1"] * statuses.count(200)
