"""What ends a watch, and what is compared with the known payment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Money, errors
from gatewaypy.callbacks import CallbackEvent, Inbox, Receiver, Reconciler, Router
from gatewaypy.models import Outcome, Payment, Refund
from gatewaypy.protocol import decode
from gatewaypy.protocol.inquiry import is_over

if TYPE_CHECKING:
    from gatewaypy.models import Transaction

JSON = "application/json"
IDS = {"payment_id": "54279", "merchant_transaction_id": "TX-1001"}
FIFTY = Money("50.00", "EUR")


class Gateway:
    """Answers inquiries with its next record, and repeats the last one."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = list(records)
        self.asked: list[dict[str, Any]] = []

    async def inquire(self, **by: Any) -> Transaction:
        self.asked.append(by)
        record = self.records.pop(0) if len(self.records) > 1 else self.records[0]
        return decode.transaction({**record, "result": {"code": "00026", "description": "found"}})


class Shop:
    def __init__(self) -> None:
        self.events: list[CallbackEvent] = []
        self.router = Router()
        self.router.on(CallbackEvent)(self.events.append)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


async def emptied(receiver: Receiver) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


async def asked_until_over(reconciler: Reconciler) -> int:
    """Inquire until nothing is watched any more; return the number of inquiries."""
    times = 0
    async with asyncio.timeout(20):
        while True:
            times += await reconciler.inquire_due()
            ((watched,),) = await reconciler.inbox._store.run(
                ("SELECT COUNT(*) FROM gatewaypy_watched", ())
            )
            if not watched[0]:
                return times
            await asyncio.sleep(0.001)


UNKNOWN = errors.OutcomeUnknown(
    "no answer", operation="refund", merchant_transaction_id="R-1", payment_id="54279"
)


@pytest.mark.parametrize(
    ("watched", "operation", "states", "asked", "events"),
    [
        (Payment(outcome=Outcome.PENDING, amount=FIFTY, **IDS), "debit", ["authsuccessful", "capturesuccess"], 2, ["PaymentSucceeded"]),
        (Payment(outcome=Outcome.REDIRECT, **IDS), "preauth", ["3D Authstarted", "authsuccessful"], 2, ["PaymentAuthorized"]),
        (Payment(outcome=Outcome.PENDING, **IDS), None, ["authsuccessful", "settled"], 2, ["PaymentAuthorized", "PaymentSucceeded"]),
        (Refund(outcome=Outcome.UNKNOWN, payment_id="54279", amount=Money("5.00", "EUR")), None,
         ["capturesuccess", "markedforreversal", "reversed"], 3, ["PaymentRefunded"]),
        (Refund(outcome=Outcome.UNKNOWN, payment_id="54279"), None, ["settled", "chargeback"], 2, ["ChargedBack"]),
        (errors.OutcomeUnknown("?", operation="capture", payment_id="54279"), None,
         ["authsuccessful", "capturestarted", "capturefailed"], 3, ["PaymentFailed"]),
        (errors.OutcomeUnknown("?", operation="reversal", payment_id="54279"), None,
         ["authsuccessful", "authcancelled"], 2, ["PaymentCancelled"]),
    ],
    ids=["debit", "preauth", "payment", "refund", "charged back", "capture", "reversal"],
)  # fmt: skip
async def test_watch_ends_with_its_operation(
    store_url: str,
    watched: Any,
    operation: str | None,
    states: list[str],
    asked: int,
    events: list[str],
) -> None:
    """A watch ends when its own operation is final, not when another step of the payment is."""
    short = {"chargeback": "N", "capturefailed": "N", "authcancelled": "C", "3D Authstarted": "3D"}
    shop, gateway = Shop(), Gateway(*(fields(state, short.get(state, "Y")) for state in states))
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        reconciler = Reconciler(gateway, receiver.inbox, initial_delay=0.001, member_id="11344")
        assert await reconciler.watch(watched, operation=operation)
        assert await asked_until_over(reconciler) == asked
        await emptied(receiver)
    assert shop.names == events


@pytest.mark.parametrize(
    "answer",
    [{"amount": "1.00", "currency": ""}, {"currency": "USD"}, {"merchantTransactionId": "TX-9"}],
)
async def test_watch_ignores_record_of_other_payment(
    store_url: str, answer: dict[str, str], caplog: Any
) -> None:
    """A record with another amount, currency or own id is ignored and logged."""
    shop, gateway = Shop(), Gateway(fields(**answer))
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        reconciler = Reconciler(
            gateway, receiver.inbox, initial_delay=0.001, member_id="11344", max_inquiries=2
        )
        await reconciler.watch(
            Payment(outcome=Outcome.PENDING, amount=FIFTY, **IDS), operation="debit"
        )
        assert await asked_until_over(reconciler) == 2
    assert shop.names == []
    assert "the record is of another" in caplog.text


@pytest.mark.parametrize(
    "ids",
    [{"payment_id": "bad id", "merchant_transaction_id": None}, {"payment_id": None, "merchant_transaction_id": "old_shop_7"},
     {"payment_id": None, "merchant_transaction_id": None}, {"payment_id": "7\n", "merchant_transaction_id": "TX-1"}],
    ids=range(4),
)  # fmt: skip
async def test_watch_malformed_id_raises(store_url: str, ids: dict[str, Any]) -> None:
    """An id that no gateway accepts is refused when it is watched."""
    async with Inbox(store_url) as inbox:
        with pytest.raises(errors.InvalidRequest):
            await inbox.watch(member_id="11344", delay=0.0, **ids)
        with pytest.raises(errors.InvalidRequest):
            await Reconciler(Gateway({}), inbox, member_id="11344").watch(
                Payment(outcome=Outcome.PENDING, **ids)
            )


async def test_watch_stored_malformed_id_is_dropped(store_url: str, caplog: Any) -> None:
    """A stored row with such an id, from another version, is dropped with a warning."""
    gateway = Gateway({})
    async with Inbox(store_url) as inbox:
        await inbox._store.run(
            (
                "INSERT INTO gatewaypy_watched (name, member, payment_id, due) VALUES ('x', '11344', 'bad id', 0)",
                (),
            )
        )
        assert await asked_until_over(Reconciler(gateway, inbox, member_id="11344")) == 1
    assert gateway.asked == []
    assert "no longer watched" in caplog.text


async def test_event_with_one_valid_id_is_inquired_by_it(store_url: str) -> None:
    """A signed event with a malformed payment id is confirmed by the merchant's own id."""
    gateway = Gateway(fields(paymentId="-"))
    async with Receiver(Shop().router, MERCHANT, inbox=store_url, confirm=gateway) as receiver:
        await receiver.receive(signed(fields(paymentId="7 7")), JSON)
        await emptied(receiver)
    assert gateway.asked == [{"merchant_transaction_id": "TX-1001"}]


def test_watch_follow_up_ends_when_none_can_follow() -> None:
    """A refund waits while one may still be recorded, and not after a chargeback or a decline."""
    waits = {
        state: not is_over("refund", state)
        for state in ("capturesuccess", "markedforreversal", "onhold", "chargeback", "failed")
    }
    assert waits == {
        "capturesuccess": True,
        "markedforreversal": True,
        "onhold": True,
        "chargeback": False,
        "failed": False,
    }


@pytest.mark.parametrize(
    ("callback", "record", "state"),
    [
        ({"currency": ""}, {}, "done"),
        ({"currency": " eur "}, {}, "done"),
        ({"currency": "eur"}, {"currency": ""}, "done"),
        ({"currency": ""}, {"amount": "1000.00"}, "review"),
        ({}, {"amount": "1000.00", "currency": ""}, "review"),
        ({"currency": "USD"}, {}, "review"),
    ],
    ids=range(6),
)
async def test_confirmed_amount_is_compared_without_currency(
    store_url: str, callback: dict[str, str], record: dict[str, str], state: str
) -> None:
    """The signed amount is always compared; currencies are compared if both are present."""
    async with Receiver(
        Shop().router, MERCHANT, inbox=store_url, confirm=Gateway(fields(**record))
    ) as receiver:
        await receiver.receive(signed(fields(**callback)), JSON)
        assert (await emptied(receiver))[state] == 1


@pytest.mark.parametrize(
    ("repeated", "state"),
    [({"amount": "9.00"}, "review"), ({"remark": "x", "amount": "50.0"}, "ignored")],
)
async def test_same_status_with_other_amount_goes_to_review(
    store_url: str, repeated: dict[str, str], state: str
) -> None:
    """A repeat must have the same amount; another spelling of the amount is a repeat."""
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        for changes in ({}, repeated):
            await receiver.receive(signed(fields(**changes)), JSON)
            counts = await emptied(receiver)
    assert (counts["done"], counts[state], len(shop.events)) == (1, 1, 1)


async def test_bare_y_is_not_a_capture_and_can_be_cancelled(store_url: str) -> None:
    """Approved without a long status may be a hold: its success is not handled, its cancel is."""
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        for short in ("Y", "C"):
            await receiver.receive(signed(fields("", short)), JSON)
            await emptied(receiver)
    assert shop.names == ["PaymentAuthorized", "PaymentCancelled"]


@pytest.mark.parametrize(
    "wrong",
    [{"member_id": "shop 1"}, {"member_id": ""}, {"operation": "token"}, {"operation": "sale"}, {"delay": float("inf")},
     {"delay": float("nan")}],
    ids=range(6),
)  # fmt: skip
async def test_watch_that_cannot_end_raises(store_url: str, wrong: dict[str, Any]) -> None:
    """A malformed merchant, an operation without money and an infinite time are refused."""
    options = {
        "member_id": "11344",
        "payment_id": "7",
        "merchant_transaction_id": None,
        "delay": 0.0,
    } | wrong
    async with Inbox(store_url) as inbox:
        with pytest.raises((errors.InvalidRequest, errors.ConfigurationError)):
            await inbox.watch(**options)


async def test_watch_unknown_operation_ends_with_capture(store_url: str) -> None:
    """A row with an operation of another version is looked up until its payment is captured."""
    async with Inbox(store_url) as inbox:
        await inbox.watch(
            member_id="11344", payment_id="54279", merchant_transaction_id=None, delay=0.0
        )
        await inbox._store.run(("UPDATE gatewaypy_watched SET operation = 'of tomorrow'", ()))
        gateway = Gateway(fields("authsuccessful"), fields())
        assert (
            await asked_until_over(
                Reconciler(gateway, inbox, initial_delay=0.001, member_id="11344")
            )
            == 2
        )


async def test_watch_debit_with_bare_y_continues(store_url: str) -> None:
    """Approved without a long status may be a hold: a watched debit is looked up until success."""
    shop, gateway = Shop(), Gateway(fields("", "Y"), fields())
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        reconciler = Reconciler(gateway, receiver.inbox, initial_delay=0.001, member_id="11344")
        await reconciler.watch(Payment(outcome=Outcome.PENDING, **IDS), operation="debit")
        assert await asked_until_over(reconciler) == 2
        await emptied(receiver)
    assert shop.names == ["PaymentAuthorized", "PaymentSucceeded"]


class BusyGateway:
    """Asks to wait 0 s at each inquiry."""

    asked = 0

    async def inquire(self, **_: Any) -> Transaction:
        self.asked += 1
        busy = errors.UnreadableReply("HTTP 429")
        busy.retry_after = 0.0
        raise busy


async def test_slow_down_delays_watches_of_merchant(store_url: str) -> None:
    """After a slow-down, even of 0 s, the gateway of that merchant is not asked for a while."""
    gateway = BusyGateway()
    async with Inbox(store_url) as inbox:
        for number in range(25):
            await inbox.watch(
                member_id="11344", payment_id=str(number), merchant_transaction_id=None, delay=0.0
            )
        reconciler = Reconciler(gateway, inbox, member_id="11344", poll_interval=60.0)
        assert [await reconciler.inquire_due() for _ in range(3)] == [20, 0, 0]
    assert gateway.asked == 20


async def test_watch_log_is_printable(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A status in the gateway's words adds no line break or escape to the log."""
    gateway = Gateway(fields("on hold\n\x1b[2J", "Y"))
    async with Inbox(store_url) as inbox:
        reconciler = Reconciler(
            gateway, inbox, initial_delay=0.001, member_id="11344", max_inquiries=1
        )
        await reconciler.watch(UNKNOWN)
        await asked_until_over(reconciler)
    assert "on hold\\n\\x1b[2J after 1 inquiries" in caplog.text


class BrokenGateway:
    """Raises at each inquiry."""

    async def inquire(self, **_: Any) -> Transaction:
        raise RuntimeError("its transport is broken")


async def test_failing_gateway_stops_no_other_merchant(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing gateway of one merchant does not stop the look-ups of others."""
    gateway = Gateway(fields())
    async with Inbox(store_url) as inbox:
        for member in ("1", "11344"):
            await inbox.watch(
                member_id=member, payment_id="54279", merchant_transaction_id=None, delay=0.0
            )
        assert await Reconciler({"1": BrokenGateway(), "11344": gateway}, inbox).inquire_due() == 2
    assert len(gateway.asked) == 1
    assert "the inquiry for a watched payment of 1 failed" in caplog.text


class Pending:
    """A journal that fails, or counts its calls."""

    def __init__(self, member_id: str, *, fails: bool = False) -> None:
        self.member_id, self.fails, self.asked = member_id, fails, asyncio.Event()

    async def reconcile(self, gateway: Any) -> int:
        if self.fails:
            raise errors.ConfigurationError("its file is gone")
        self.asked.set()
        return 0


async def test_failing_journal_stops_no_other(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable journal is logged, and the next one is checked."""
    journals = [Pending("11344", fails=True), Pending("11344")]
    inbox = Inbox(f"sqlite:///{tmp_path}/x.db")
    async with (
        inbox,
        Reconciler(Gateway({}), inbox, member_id="11344", journals=journals),
        asyncio.timeout(10),
    ):
        await journals[1].asked.wait()
    assert "the inquiries for pending payouts failed" in caplog.text


def test_reconciler_journal_of_other_merchant_raises() -> None:
    """A journal is resolved at the gateway of its own merchant, also with only one gateway."""
    with pytest.raises(errors.ConfigurationError, match="journals"):
        Reconciler(Gateway({}), inbox=None, member_id="11344", journals=[Pending("2")])
