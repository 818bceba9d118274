"""What the dispatcher verifies and never loses under unlucky or hostile orders of events."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from support.callback_bodies import MERCHANT, fields, signed

import gatewaypy
from gatewaypy import Credentials, errors
from gatewaypy.callbacks import (
    CallbackEvent,
    EventContext,
    Inbox,
    PaymentAuthorized,
    Receiver,
    Reconciler,
    Router,
    verify_callback,
)
from gatewaypy.callbacks.payment_progress import Progress
from gatewaypy.models import Outcome, Payment
from gatewaypy.protocol import decode

if TYPE_CHECKING:
    from pathlib import Path

    from gatewaypy.models import Transaction

JSON = "application/json"
OTHER = Credentials(member_id="2", partner_id="4", username="other", secret_key="o" * 32)


class Gateway:
    """Answers inquiries with its next record, and repeats the last one."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = list(records)
        self.asked = 0

    async def inquire(self, **_: Any) -> Transaction:
        self.asked += 1
        return decode.transaction(self.records.pop(0) if len(self.records) > 1 else self.records[0])


def record(status: str, short: str = "Y", **changes: Any) -> dict[str, Any]:
    return fields(status, short, **changes) | {"result": {"code": "00026", "description": "found"}}


class Shop:
    def __init__(self) -> None:
        self.events: list[CallbackEvent] = []
        self.router = Router()

        @self.router.on(CallbackEvent)
        async def handle(event: CallbackEvent) -> None:
            self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def unsigned(made: dict[str, Any]) -> bytes:
    return json.dumps(made).encode()


async def emptied(receiver: Receiver) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


@pytest.mark.parametrize("is_signed", [True, False])
async def test_confirmed_event_never_has_inquiry_code(store_url: str, is_signed: bool) -> None:
    """A confirmed decline has the code of the callback, never the inquiry's "record found"."""
    shop, declined = (
        Shop(),
        fields("authfailed", "N", result={"code": "11051", "description": "Insufficient funds"}),
    )
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=Gateway(record("authfailed", "N"))
    ) as receiver:
        await receiver.receive(signed(declined) if is_signed else unsigned(declined), JSON)
        await emptied(receiver)
    assert [event.result.code for event in shop.events] == ["11051" if is_signed else ""]


async def test_inquiry_behind_signed_event_is_repeated(store_url: str) -> None:
    """While the gateway says pending, the success waits; it is handled when the inquiry agrees."""
    shop, gateway = (
        Shop(),
        Gateway(
            record("3D Authstarted", "3D"), record("3D Authstarted", "3D"), record("capturesuccess")
        ),
    )
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert (shop.names, gateway.asked) == (["PaymentSucceeded"], 3)


async def test_inquiry_never_agreeing_goes_to_review(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed event that the gateway never confirms goes to review, with finite look-ups."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._MOST_ASKED", 3)
    shop, gateway = Shop(), Gateway(record("authstarted", "P"))
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        assert (await emptied(receiver))["review"] == 1
        (kept,) = await receiver.inbox.list_entries()
    assert (shop.names, gateway.asked) == ([], 3)
    assert "the gateway still authstarted" in (kept.note or "")


async def test_unsigned_event_never_replaces_signed_one(store_url: str) -> None:
    """After an early unsigned chargeback, handlers still get the signed event."""
    shop, gateway = Shop(), Gateway(record("settled"), record("chargeback", "N"))
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(unsigned(fields("chargeback", "N")), JSON)
        await emptied(receiver)
        await receiver.receive(signed(fields("chargeback", "N")), JSON)
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded", "ChargedBack"]


async def test_event_with_invalid_id_is_not_inquired(store_url: str) -> None:
    """An id outside its format is never looked up: unsigned is refused, signed goes to review."""
    shop = Shop()
    async with (
        gatewaypy.Gateway("http://127.0.0.1:9", MERCHANT) as gateway,
        Receiver(
            shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
        ) as receiver,
    ):
        for body in (b"{}", unsigned({"merchantTransactionId": "bad_1", "transactionStatus": "Y"})):
            assert (await receiver.receive(body, JSON)).status == 401
        await receiver.receive(
            signed(fields(paymentId="", merchantTransactionId="old_shop_7")), JSON
        )
        counts = await emptied(receiver)
        (kept,) = await receiver.inbox.list_entries()
    assert (counts["refused"], counts["review"], shop.names) == (0, 1, [])
    assert "InvalidRequest: merchantTransactionId" in (kept.note or "")


async def test_receiver_unsigned_events_fill_half_of_inbox(store_url: str) -> None:
    """Unsigned callbacks fill at most half of the inbox; signed ones are still accepted."""
    gateway = Gateway(record("capturesuccess"))
    async with Receiver(
        Shop().router, MERCHANT, inbox=store_url, confirm=gateway, max_open=4
    ) as receiver:
        for body, status in ((unsigned(fields()), 503), (signed(fields()), 200)):
            receiver._counted(2, 0)
            assert (await receiver.receive(body, JSON)).status == status


async def test_confirmed_event_has_only_confirmed_values(store_url: str) -> None:
    """What the inquiry leaves out is not filled from the callback."""
    bare = {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "transactionStatus": "Y",
        "result": {"code": "00026"},
    }
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url, confirm=Gateway(bare)) as receiver:
        await receiver.receive(
            unsigned(fields("chargeback", "Y", amount="9999.00", remark="forged")), JSON
        )
        await emptied(receiver)
    (event,) = shop.events
    assert isinstance(event, PaymentAuthorized)
    assert (event.amount, event.remark, event.confirmed is not None) == (None, None, True)


async def test_settled_after_captured_is_not_handled_again(store_url: str) -> None:
    """A payment succeeds once for handlers, under any status, with or without a gateway id."""
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        for made in (
            fields("capturesuccess"),
            fields("settled"),
            fields("settled", paymentId="-"),
            fields("reversed"),
        ):
            await receiver.receive(signed(made), JSON)
            await emptied(receiver)
    assert shop.names == ["PaymentSucceeded", "PaymentRefunded"]


async def test_callback_and_inquiry_of_payment_handled_once(store_url: str) -> None:
    """The reconciler's result and the callback reach the handlers once, in either order."""
    shop, gateway = Shop(), Gateway(record("capturesuccess"))
    gateway.credentials = MERCHANT  # type: ignore[attr-defined]
    payment = Payment(
        outcome=Outcome.PENDING, payment_id="54279", merchant_transaction_id="TX-1001"
    )
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        async with Reconciler(
            gateway, receiver.inbox, initial_delay=0.001, poll_interval=0.01
        ) as reconciler:
            await reconciler.watch(payment)
            while not shop.events:
                await asyncio.sleep(0.01)
            with pytest.raises(errors.InvalidRequest):
                await reconciler.watch(Payment(outcome=Outcome.PENDING))
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded"]


async def test_worker_with_lost_lease_changes_nothing(store_url: str) -> None:
    """A process that returns late neither ends the event again nor undoes the payment."""
    async with Inbox(store_url, lease=0.05) as late, Inbox(store_url) as other:
        await late.put(verify_callback(signed(fields("authsuccessful")), MERCHANT))
        (mine,) = await late.claim(1)
        taken: list[Any] = []
        async with asyncio.timeout(10):
            while not (taken := await other.claim(1)):
                await asyncio.sleep(0.01)
        await other.finish(taken[0], "done", progress=Progress(mine.names, "authsuccessful"))
        await other.put(verify_callback(signed(fields("capturesuccess")), MERCHANT))
        (captured,) = await other.claim(1)
        await other.finish(captured, "done", progress=Progress(mine.names, "capturesuccess"))
        await late.finish(mine, "parked", progress=Progress(mine.names, "authsuccessful"))
        assert {known.state for known in await other.progress_of(mine.names)} == {"capturesuccess"}
        assert (await other.counts())["done"] == 2


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "x" * 10_000], ids=range(3))
async def test_handler_error_with_any_text_parks_event(store_url: str, text: str) -> None:
    """An error text may hold anything: the event is parked with what the database can store."""
    router = Router()

    @router.on(CallbackEvent)
    async def broken(event: CallbackEvent) -> None:
        raise ValueError(text)

    async with Receiver(router, MERCHANT, inbox=store_url, max_attempts=1) as receiver:
        await receiver.receive(signed(fields()), JSON)
        assert (await emptied(receiver))["parked"] == 1


@pytest.mark.parametrize("value", ["\ud800", "a\0b"], ids=range(2))
async def test_callback_with_unpaired_surrogate_is_refused(store_url: str, value: str) -> None:
    """What a database cannot store is refused, escaped in JSON or in a form."""
    shop = Shop()
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=Gateway(record("settled"))
    ) as receiver:
        assert (await receiver.receive(unsigned(fields(remark=value)), JSON)).status == 400
        assert (
            await receiver.receive(
                b"paymentId=1&remark=a%00b&status=Y", "application/x-www-form-urlencoded"
            )
        ).status == 400
        assert (await receiver.receive(signed(fields(remark="Zoë \\u0041")), JSON)).status == 200


async def test_handler_meeting_cancellation_is_failure(store_url: str) -> None:
    """Awaiting a cancelled task is a failure like any other: the event is parked, not repeated."""
    router, calls = Router(), []

    @router.on(CallbackEvent)
    async def broken(event: CallbackEvent, context: EventContext) -> None:
        calls.append(context.attempt)
        raise asyncio.CancelledError

    async with Receiver(
        router, MERCHANT, inbox=store_url, max_attempts=2, initial_delay=0.01
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        assert (await emptied(receiver))["parked"] == 1
    assert calls == [1, 2]


async def test_handler_never_ending_does_not_block_close(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled at last, and its event is open for the next process."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._HANDLERS_CLOSING", 0.1)
    router, started = Router(), asyncio.Event()

    @router.on(CallbackEvent)
    async def stuck(event: CallbackEvent) -> None:
        started.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), Receiver(router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await started.wait()
    async with Inbox(store_url) as inbox:
        assert (await inbox.counts())["open"] == 1


async def test_merchants_are_inquired_at_their_own_gateway(store_url: str) -> None:
    """Several merchants need a gateway each; unsigned callbacks name no merchant: refused."""
    mine, theirs, shop = Gateway(record("capturesuccess")), Gateway(record("settled")), Shop()
    with pytest.raises(errors.ConfigurationError, match="with several merchants"):
        Receiver(shop.router, [MERCHANT, OTHER], inbox=store_url, confirm=mine)
    gateways = {"11344": mine, "2": theirs}
    async with Receiver(
        shop.router, [MERCHANT, OTHER], inbox=store_url, confirm=gateways
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await receiver.receive(signed(fields("settled"), OTHER), JSON)
        assert (await receiver.receive(unsigned(fields()), JSON)).status == 401
        await emptied(receiver)
    assert (mine.asked, theirs.asked, len(shop.events)) == (1, 1, 2)


async def test_requeued_event_is_handled_after_payment_progress(store_url: str) -> None:
    """Parked and reviewed events reach their handlers; the payment's progress is not undone."""
    shop, fail = Shop(), [True]

    async def check(event: CallbackEvent) -> bool:
        if event.status == "capturesuccess" and fail:
            raise RuntimeError("the shop is down")
        return True

    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, max_attempts=1, check=check
    ) as receiver:
        for status, short in (("capturesuccess", "Y"), ("reversed", "Y"), ("authfailed", "N")):
            await receiver.receive(signed(fields(status, short)), JSON)
            await emptied(receiver)
        fail.clear()
        parked, review = await receiver.inbox.list_entries()
        assert (parked.state, review.state) == ("parked", "review")
        assert await receiver.inbox.replay() == 1
        assert await receiver.inbox.replay(review.id) == 1
        receiver.dispatcher.wake()
        await emptied(receiver)
        assert sorted(shop.names) == ["PaymentFailed", "PaymentRefunded", "PaymentSucceeded"]
        await receiver.receive(signed(fields("settled")), JSON)
        assert (await emptied(receiver))["ignored"] == 1


async def test_lambda_returning_coroutine_is_awaited(store_url: str) -> None:
    """A lambda that returns a coroutine does its work before the event ends."""
    events, router = [], Router()

    async def ship(event: CallbackEvent) -> None:
        events.append(event)

    router.on(CallbackEvent)(lambda event: ship(event))  # noqa: PLW0108 - the lambda is what is tested
    async with Receiver(router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert len(events) == 1


async def test_card_numbers_are_masked_by_value(store_url: str) -> None:
    """A card number under any name, at any depth, is masked; ids that look like one are not."""
    shop = Shop()
    made = fields("onhold", paymentId="4000000000000051", cardNumber="4000000000000051",
                  extra={"card": {"number": "4000000000000051"}, "list": ["4000000000000051"], "account": "4000000000000051"})  # fmt: skip
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(made), JSON)
        await emptied(receiver)
        (kept,) = await receiver.inbox.list_entries("done")
    assert kept.fields["paymentId"] == "4000000000000051"
    assert json.dumps(kept.fields).count("4000000000000051") == 1
    assert kept.fields["extra"]["account"] == "400000******0051"


async def test_reboot_makes_every_event_due(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot the monotonic clock restarts: no earlier delay or lease is waited for."""
    async with Inbox(store_url) as inbox:
        await inbox.put(verify_callback(signed(fields()), MERCHANT))
        (entry,) = await inbox.claim(1)
        await inbox.retry_later(entry, 10_000.0, note="later")
    async with Inbox(store_url) as inbox:
        assert await inbox.claim(1) == []
    kind = (
        "gatewaypy.storage.sqlite.SqliteStore"
        if store_url.startswith("sqlite")
        else "gatewaypy.storage.postgres.PostgresStore"
    )
    monkeypatch.setattr(f"{kind}.boot", "another start")
    async with Inbox(store_url) as inbox:
        assert len(await inbox.claim(1)) == 1


async def test_event_never_confirmed_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has a signed event that waits for the gateway, and one that goes to review."""
    gateway = Gateway(record("authstarted", "P"))
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._MOST_ASKED", 2)
    options: dict[str, Any] = {"confirm": gateway, "initial_delay": 0.01}
    async with Receiver(
        Router(), MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", **options
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        assert (await emptied(receiver))["review"] == 1
    assert (
        "waits: not confirmed: the callback says capturesuccess, the gateway still authstarted"
        in caplog.text
    )
    assert "is kept for review: never confirmed" in caplog.text


class BusyGateway:
    """Asks to wait at the first inquiries."""

    def __init__(self, times: int, delay: float) -> None:
        self.times, self.delay, self.asked = times, delay, 0

    async def inquire(self, **_: Any) -> Transaction:
        self.asked += 1
        if self.asked <= self.times:
            busy = errors.UnreadableReply("HTTP 429")
            busy.retry_after = self.delay
            raise busy
        return decode.transaction(record("capturesuccess"))


async def test_slow_down_is_not_a_confirmation_attempt(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow-down only delays a confirmation: however many come, the event stays."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._MOST_ASKED", 2)
    shop, gateway = Shop(), BusyGateway(5, 0.01)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert (gateway.asked, shop.names) == (6, ["PaymentSucceeded"])


async def test_slow_down_delays_every_confirmation(store_url: str) -> None:
    """After a slow-down, the gateway is not asked for other events either until the delay ends."""
    gateway = BusyGateway(1, 60.0)
    async with Receiver(
        Router(), MERCHANT, inbox=store_url, confirm=gateway, concurrency=1
    ) as receiver:
        for number in range(5):
            await receiver.receive(
                signed(fields(paymentId=f"{number}", merchantTransactionId=f"TX-{number}")), JSON
            )
        async with asyncio.timeout(10):
            while True:
                (rows,) = await receiver.inbox._store.run(
                    ("SELECT COUNT(*) FROM gatewaypy_inbox WHERE note IS NOT NULL", ())
                )
                if rows[0][0] == 5:
                    break
                await asyncio.sleep(0.01)
    assert gateway.asked == 1


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": [MERCHANT, evolve(MERCHANT, member_id="2")]},
        {"credentials": [MERCHANT, evolve(OTHER, previous_secret_keys=(MERCHANT.secret_key,))]},
        {"confirm": {11344: Gateway({})}},
        {"confirm": {"11344": Gateway({}), "9": Gateway({})}},
        {"credentials": [MERCHANT, OTHER], "confirm": {"2": Gateway({})}},
        {"confirm": gatewaypy.Gateway("https://gateway.example", OTHER)},
    ],
    ids=["one key", "older key", "number", "unknown", "missing", "other gateway"],
)
def test_receiver_mixed_up_merchants_raise(options: dict[str, Any], tmp_path: Path) -> None:
    """A key of two merchants, a missing gateway and another merchant's gateway are refused."""
    chosen = {"credentials": MERCHANT, "inbox": f"sqlite:///{tmp_path}/x.db"} | options
    with pytest.raises(errors.ConfigurationError, match=r"credentials: must|confirm: must"):
        Receiver(Router(), **chosen)


@pytest.mark.parametrize("is_mapping", [True, False])
def test_reconciler_gateway_of_other_merchant_raises(is_mapping: bool) -> None:
    """At the wrong gateway, another payment with that id would end the watch."""
    gateway = gatewaypy.Gateway("https://gateway.example", OTHER)
    options: dict[str, Any] = (
        {"gateway": {"11344": gateway}}
        if is_mapping
        else {"gateway": gateway, "member_id": "11344"}
    )
    with pytest.raises(errors.ConfigurationError, match="merchant 11344; got one of merchant 2"):
        Reconciler(inbox=None, **options)
