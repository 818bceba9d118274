"""One payment under two names, and two merchants' payments under one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Credentials
from gatewaypy.callbacks import CallbackEvent, Inbox, Receiver, Reconciler, Router, verify_callback
from gatewaypy.errors import ConfigurationError
from gatewaypy.models import Outcome, Payment
from gatewaypy.protocol import decode

if TYPE_CHECKING:
    from gatewaypy.models import Transaction

JSON = "application/json"
OTHER = Credentials(member_id="2", partner_id="4", username="other", secret_key="o" * 32)
OWN_ONLY = {"paymentId": "-"}
ID_ONLY = {"merchantTransactionId": ""}
BOTH: dict[str, str] = {}


class Shop:
    def __init__(self) -> None:
        self.events: list[CallbackEvent] = []
        self.router = Router()
        self.router.on(CallbackEvent)(self.events.append)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Gateway:
    """Answers every inquiry with one record, and records the inquiries."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.asked: list[dict[str, Any]] = []

    async def inquire(self, **by: Any) -> Transaction:
        self.asked.append(by)
        return decode.transaction(
            self.record | {"result": {"code": "00026", "description": "found"}}
        )


async def emptied(inbox: Inbox) -> dict[str, int]:
    async with asyncio.timeout(20):
        while (counts := await inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


@pytest.mark.parametrize(
    "names",
    [
        (OWN_ONLY, BOTH),
        (BOTH, OWN_ONLY),
        (BOTH, ID_ONLY),
        (OWN_ONLY, BOTH, ID_ONLY),
        (ID_ONLY, BOTH, OWN_ONLY),
    ],
    ids=["own both", "both own", "both id", "own both id", "id both own"],
)
async def test_success_under_each_name_is_handled_once(
    store_url: str, names: tuple[dict[str, str], ...]
) -> None:
    """A success is handled once under all names, also after a restart; no failure follows."""
    shop, counts = Shop(), {}
    for changes in names:
        async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
            await receiver.receive(signed(fields("capturesuccess", **changes)), JSON)
            counts = await emptied(receiver.inbox)
    assert shop.names == ["PaymentSucceeded"]
    assert counts["ignored"] == len(names) - 1
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        await receiver.receive(signed(fields("authfailed", "N", **names[-1])), JSON)
        assert (await emptied(receiver.inbox))["review"] == 1
    assert shop.names == ["PaymentSucceeded"]


async def test_progress_under_one_name_updates_other(store_url: str) -> None:
    """After an event with both ids, progress under one id counts for events with the other."""
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        for status, changes in (
            ("authsuccessful", BOTH),
            ("capturesuccess", OWN_ONLY),
            ("capturesuccess", ID_ONLY),
        ):
            await receiver.receive(signed(fields(status, **changes)), JSON)
            await emptied(receiver.inbox)
    assert shop.names == ["PaymentAuthorized", "PaymentSucceeded"]


async def test_own_id_of_two_payments_keeps_them_apart(store_url: str) -> None:
    """If an own id is reused, a failure of the first attempt does not contradict a success."""
    shop = Shop()
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        for made in (
            fields("authfailed", "N", paymentId="1"),
            fields("capturesuccess", paymentId="2"),
        ):
            await receiver.receive(signed(made), JSON)
            await emptied(receiver.inbox)
    assert shop.names == ["PaymentFailed", "PaymentSucceeded"]


@pytest.mark.parametrize(
    "changes", [(OWN_ONLY, BOTH), (BOTH, ID_ONLY), (ID_ONLY, BOTH)], ids=range(3)
)
async def test_events_with_common_name_are_claimed_in_order(
    store_url: str, changes: tuple[dict[str, str], ...]
) -> None:
    """Two workers never hold events of one payment at once, under any of its names."""
    async with Inbox(store_url) as first, Inbox(store_url) as second:
        for made in changes:
            await first.put(verify_callback(signed(fields(**made)), MERCHANT))
        (entry,) = await first.claim(10)
        assert await second.claim(10) == []
        await first.finish(entry, "done")
        async with asyncio.timeout(10):
            while not (taken := await second.claim(10)):
                await asyncio.sleep(0.01)
        assert len(taken) == 1


async def test_event_stored_late_waits_for_claimed_one(store_url: str) -> None:
    """An event with a smaller id, stored late, is not claimed while a later one is handled."""
    async with Inbox(store_url) as inbox:
        await inbox.put(verify_callback(signed(fields("authsuccessful")), MERCHANT))
        await inbox._store.run(
            ("UPDATE gatewaypy_inbox SET due = {now} + 60, owner = 'late', id = 1000", ())
        )
        await inbox.put(verify_callback(signed(fields()), MERCHANT))
        await inbox._store.run(("UPDATE gatewaypy_inbox SET id = 999 WHERE id <> 1000", ()))
        assert await inbox.claim(10) == []


async def test_confirmed_events_of_one_payment_handled_once(store_url: str) -> None:
    """If inquiries show that two callbacks are of one payment, their success is handled once."""
    shop, gateway = Shop(), Gateway(fields())
    async with Receiver(shop.router, MERCHANT, inbox=store_url, confirm=gateway) as receiver:
        await asyncio.gather(
            *(receiver.receive(signed(fields(**changes)), JSON) for changes in (OWN_ONLY, ID_ONLY))
        )
        counts = await emptied(receiver.inbox)
    assert shop.names == ["PaymentSucceeded"]
    assert (counts["done"], counts["ignored"]) == (1, 1)


async def test_reconciled_payment_and_callback_handled_once(store_url: str) -> None:
    """What the reconciler recorded under both ids counts for a callback with the own id only."""
    shop, gateway = Shop(), Gateway(fields())
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        reconciler = Reconciler(gateway, receiver.inbox, initial_delay=0.001, member_id="11344")
        await reconciler.watch(
            Payment(outcome=Outcome.PENDING, merchant_transaction_id="TX-1001"), operation="debit"
        )
        await asked(reconciler)
        await emptied(receiver.inbox)
        await receiver.receive(signed(fields(**OWN_ONLY)), JSON)
        await emptied(receiver.inbox)
    assert shop.names == ["PaymentSucceeded"]


async def asked(reconciler: Reconciler) -> None:
    async with asyncio.timeout(10):
        while not await reconciler.inquire_due():
            await asyncio.sleep(0.001)


async def test_watched_payments_are_inquired_at_their_merchant(store_url: str) -> None:
    """Equal ids of two merchants are two watched payments, each looked up at its own gateway."""
    mine, theirs = Gateway(fields("cancelled", "C")), Gateway(fields())
    pending = Payment(outcome=Outcome.PENDING, merchant_transaction_id="TX-1001")
    shop = Shop()
    async with Receiver(shop.router, [MERCHANT, OTHER], inbox=store_url) as receiver:
        both = Reconciler({"11344": mine, "2": theirs}, receiver.inbox, initial_delay=0.001)
        await both.watch(pending, operation="debit", member_id="11344")
        await both.watch(pending, operation="debit", member_id="2")
        with pytest.raises(ConfigurationError, match="member_id"):
            await both.watch(pending)
        await asked(both)
        while not (mine.asked and theirs.asked):
            await asked(both)
        await emptied(receiver.inbox)
    assert sorted((event.member_id, type(event).__name__) for event in shop.events) == [
        ("11344", "PaymentCancelled"), ("2", "PaymentSucceeded"),
    ]  # fmt: skip


async def test_reconciler_of_one_merchant_skips_others(store_url: str) -> None:
    """With one gateway, only the payments of that merchant are looked up."""
    mine = Gateway(fields())
    async with Inbox(store_url) as inbox:
        ids = {"payment_id": None, "merchant_transaction_id": "TX-1"}
        await inbox.watch(member_id="2", delay=-1.0, **ids)
        assert await Reconciler(mine, inbox, member_id="11344").inquire_due() == 0
        assert await Reconciler(mine, inbox, member_id="2").inquire_due() == 1
    assert len(mine.asked) == 1
