"""Whom the dispatcher believes, and what it never loses: the ways in which an unlucky or hostile order of events could harm."""

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
    """Answers inquiries with the next of its records, the last one for ever."""

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
        self.heard: list[CallbackEvent] = []
        self.router = Router()

        @self.router.on(CallbackEvent)
        async def hear(event: CallbackEvent) -> None:
            self.heard.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]


def unsigned(made: dict[str, Any]) -> bytes:
    return json.dumps(made).encode()


async def emptied(receiver: Receiver) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


@pytest.mark.parametrize("is_signed", [True, False])
async def test_confirmed_event_never_has_the_lookups_code(store_url: str, is_signed: bool) -> None:
    """A confirmed decline has the callback's own code where one was told, and never the inquiry's "record found"."""
    shop, declined = (
        Shop(),
        fields("authfailed", "N", result={"code": "11051", "description": "Insufficient funds"}),
    )
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=Gateway(record("authfailed", "N"))
    ) as receiver:
        await receiver.receive(signed(declined) if is_signed else unsigned(declined), JSON)
        await emptied(receiver)
    assert [event.result.code for event in shop.heard] == ["11051" if is_signed else ""]


async def test_an_inquiry_that_lags_behind_a_signed_event_is_waited_for(store_url: str) -> None:
    """The gateway still says pending: the success is not given up for that, and heard when the inquiry has caught up."""
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


async def test_an_inquiry_that_never_agrees_goes_to_review(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed event that the gateway does not come to confirm is a person's to decide, not asked about for ever."""
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


async def test_an_unsigned_event_does_not_stand_in_for_the_signed_one(store_url: str) -> None:
    """Whoever sends a chargeback ahead of the gateway, unsigned, gets the inquiry's answer heard, and takes nothing from the real one."""
    shop, gateway = Shop(), Gateway(record("settled"), record("chargeback", "N"))
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(unsigned(fields("chargeback", "N")), JSON)
        await emptied(receiver)
        await receiver.receive(signed(fields("chargeback", "N")), JSON)
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded", "ChargedBack"]


async def test_what_no_gateway_can_be_asked_about_does_not_wait(store_url: str) -> None:
    """An id that no gateway has is not asked about for ever: unsigned it is refused, signed it is a person's to decide."""
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


async def test_strangers_leave_room_for_the_gateway(store_url: str) -> None:
    """Unsigned callbacks fill half of what may wait at the most; signed ones are taken then, too."""
    gateway = Gateway(record("capturesuccess"))
    async with Receiver(
        Shop().router, MERCHANT, inbox=store_url, confirm=gateway, max_open=4
    ) as receiver:
        for body, status in ((unsigned(fields()), 503), (signed(fields()), 200)):
            receiver._counted(2, 0)
            assert (await receiver.receive(body, JSON)).status == status


async def test_a_confirmed_event_holds_nothing_that_was_not_confirmed(store_url: str) -> None:
    """What the inquiry leaves out is not filled up from the callback."""
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
    (event,) = shop.heard
    assert isinstance(event, PaymentAuthorized)
    assert (event.amount, event.remark, event.confirmed is not None) == (None, None, True)


async def test_settled_after_captured_is_no_second_success(store_url: str) -> None:
    """A payment succeeds once for its handlers, whatever words its success comes in, with or without the gateway's id."""
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


async def test_a_callback_and_an_inquiry_of_one_payment_are_one(store_url: str) -> None:
    """What the reconciler learns and what the callback tells reach the handlers once, in whichever order."""
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
            while not shop.heard:
                await asyncio.sleep(0.01)
            with pytest.raises(errors.InvalidRequest):
                await reconciler.watch(Payment(outcome=Outcome.PENDING))
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded"]


async def test_who_lost_its_lease_changes_nothing(store_url: str) -> None:
    """A process that comes back late neither ends the event again nor takes the payment back."""
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
async def test_no_words_of_an_error_stop_the_inbox(store_url: str, text: str) -> None:
    """A handler's message may hold anything: the event is parked with as much of it as a database takes."""
    router = Router()

    @router.on(CallbackEvent)
    async def broken(event: CallbackEvent) -> None:
        raise ValueError(text)

    async with Receiver(router, MERCHANT, inbox=store_url, max_attempts=1) as receiver:
        await receiver.receive(signed(fields()), JSON)
        assert (await emptied(receiver))["parked"] == 1


@pytest.mark.parametrize("value", ["\ud800", "a\0b"], ids=range(2))
async def test_half_characters_are_refused_before_they_are_stored(
    store_url: str, value: str
) -> None:
    """What no database takes is no callback, escaped in JSON or in a form."""
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


async def test_a_handler_that_met_a_cancellation_has_failed(store_url: str) -> None:
    """An awaited task that was cancelled counts as a failure like any other, and ends in the car park, not in a circle."""
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


async def test_a_handler_that_never_ends_does_not_hold_up_closing(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled in the end, and its event is open for the next process."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._HANDLERS_CLOSING", 0.1)
    router, begun = Router(), asyncio.Event()

    @router.on(CallbackEvent)
    async def stuck(event: CallbackEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), Receiver(router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await begun.wait()
    async with Inbox(store_url) as inbox:
        assert (await inbox.counts())["open"] == 1


async def test_each_merchant_is_asked_at_its_own_gateway(store_url: str) -> None:
    """With several merchants one gateway for each is needed, and unsigned callbacks, which name no merchant, are refused."""
    mine, theirs, shop = Gateway(record("capturesuccess")), Gateway(record("settled")), Shop()
    with pytest.raises(errors.ConfigurationError, match="a gateway each"):
        Receiver(shop.router, [MERCHANT, OTHER], inbox=store_url, confirm=mine)
    gateways = {"11344": mine, "2": theirs}
    async with Receiver(
        shop.router, [MERCHANT, OTHER], inbox=store_url, confirm=gateways
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await receiver.receive(signed(fields("settled"), OTHER), JSON)
        assert (await receiver.receive(unsigned(fields()), JSON)).status == 401
        await emptied(receiver)
    assert (mine.asked, theirs.asked, len(shop.heard)) == (1, 1, 2)


async def test_what_is_put_back_is_heard_though_the_payment_moved_on(store_url: str) -> None:
    """A parked event, and one named out of review, reach their handlers; the payment's progress is not taken back."""
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


async def test_a_plain_function_around_a_coroutine_is_awaited(store_url: str) -> None:
    """A lambda that returns a coroutine does its work before the event is done."""
    heard, router = [], Router()

    async def ship(event: CallbackEvent) -> None:
        heard.append(event)

    router.on(CallbackEvent)(lambda event: ship(event))  # noqa: PLW0108 - the lambda is what is tested
    async with Receiver(router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert len(heard) == 1


async def test_numbers_are_known_by_their_looks_too(store_url: str) -> None:
    """A card number under any name, however deep, is masked; ids that happen to look like one are not."""
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


async def test_after_a_restart_of_the_machine_everything_is_due(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that counts from the machine's start has begun anew: what was put off or leased by the old one is not waited for."""
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


async def test_never_confirmed_event_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed event that waits for the gateway, and one that goes to review for it, are in the log."""
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
    """Asks to wait at the first questions."""

    def __init__(self, times: int, delay: float) -> None:
        self.times, self.delay, self.asked = times, delay, 0

    async def inquire(self, **_: Any) -> Transaction:
        self.asked += 1
        if self.asked <= self.times:
            busy = errors.UnreadableReply("HTTP 429")
            busy.retry_after = self.delay
            raise busy
        return decode.transaction(record("capturesuccess"))


async def test_slow_down_is_no_question_of_a_confirmation(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that asks to wait is asked again after that, however often it does, and the event is not given up."""
    monkeypatch.setattr("gatewaypy.callbacks.dispatcher._MOST_ASKED", 2)
    shop, gateway = Shop(), BusyGateway(5, 0.01)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        await emptied(receiver)
    assert (gateway.asked, shop.names) == (6, ["PaymentSucceeded"])


async def test_slow_down_pauses_every_confirmation(store_url: str) -> None:
    """While the gateway asked to wait, it is asked about no other event either."""
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
def test_receiver_whose_merchants_are_mixed_up_is_refused(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """A key of two merchants, a merchant without its gateway, and another's gateway would give events to the wrong one."""
    chosen = {"credentials": MERCHANT, "inbox": f"sqlite:///{tmp_path}/x.db"} | options
    with pytest.raises(errors.ConfigurationError, match=r"credentials: must|confirm: must"):
        Receiver(Router(), **chosen)


@pytest.mark.parametrize("is_mapping", [True, False])
def test_reconciler_with_another_merchants_gateway_is_refused(is_mapping: bool) -> None:
    """Asked at the wrong merchant's gateway, another payment of that id would end the watch."""
    gateway = gatewaypy.Gateway("https://gateway.example", OTHER)
    options: dict[str, Any] = (
        {"gateway": {"11344": gateway}}
        if is_mapping
        else {"gateway": gateway, "member_id": "11344"}
    )
    with pytest.raises(errors.ConfigurationError, match="merchant 11344; got one of merchant 2"):
        Reconciler(inbox=None, **options)
