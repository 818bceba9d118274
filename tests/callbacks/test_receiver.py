"""The receiver with its inbox, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Credentials, Outcome, errors
from gatewaypy.callbacks import (
    CallbackEvent,
    ChargedBack,
    EventContext,
    Inbox,
    PaymentAuthorized,
    PaymentPending,
    PaymentRefunded,
    PaymentSucceeded,
    Receiver,
    Reconciler,
    Router,
    UnknownEvent,
)
from gatewaypy.models import Payment, Transaction
from gatewaypy.protocol import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = "application/json"
OTHER = Credentials(member_id="2", partner_id="4", username="other", secret_key="o" * 32)


class Shop:
    """Handlers that record their events, and fail a configured number of times."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, str | None, str]] = []
        self.fail = 0
        self.router = Router()
        self.router.on(CallbackEvent)(self.handle)

    async def handle(self, event: CallbackEvent, context: EventContext) -> None:
        if self.fail:
            self.fail -= 1
            raise RuntimeError("the shop is down")
        self.handled.append((type(event).__name__, event.merchant_transaction_id, context.key))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.handled]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def receiver(shop: Shop, store_url: str) -> AsyncIterator[Receiver]:
    async with Receiver(
        shop.router, [MERCHANT, OTHER], inbox=store_url, initial_delay=0.01, max_attempts=3
    ) as opened:
        yield opened


async def emptied(receiver: Receiver) -> dict[str, int]:
    """Wait until no event is left to dispatch."""
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


async def test_receiver_repeated_event_is_handled_once(receiver: Receiver, shop: Shop) -> None:
    """Exact repeats are ignored; the same event of another merchant is separate."""
    for _ in range(3):
        assert (await receiver.receive(signed(fields()), JSON)).status == 200
    assert (await receiver.receive(signed(fields(), OTHER), JSON)).status == 200
    counts = await emptied(receiver)
    assert shop.names == ["PaymentSucceeded", "PaymentSucceeded"]
    assert counts["done"] == 2


async def test_receiver_late_events_never_undo_progress(receiver: Receiver, shop: Shop) -> None:
    """In any order of statuses, handlers get only progress; contradictions keep both evidences."""
    for status, short in (("authsuccessful", "Y"), ("capturesuccess", "Y"), ("authstarted", "P"), ("reversed", "Y"), ("settled", "Y"),
                          ("authfailed", "N"), ("onhold", "Y")):  # fmt: skip
        assert (await receiver.receive(signed(fields(status, short)), JSON)).status == 200
        counts = await emptied(receiver)
    assert shop.names == [
        "PaymentAuthorized",
        "PaymentSucceeded",
        "PaymentRefunded",
        "UnknownEvent",
    ]
    assert (counts["ignored"], counts["review"]) == (2, 1)
    (kept,) = await receiver.inbox.list_entries()
    assert kept.state == "review"
    assert "authfailed, but event 4 had reversed" in (kept.note or "")
    assert '"status": "reversed"' in (kept.note or "")


async def test_dispatcher_contradiction_logs_ids_only(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning has states, ids and the event's number; only the row has the callback."""
    extra = {"customer": {"email": "ada@shop.example"}, "remark": "a\nb\x1b[31m"}
    for status, short in (("reversed", "Y"), ("authfailed", "N")):
        await receiver.receive(signed(fields(status, short, **extra)), JSON)
        await emptied(receiver)
    (kept,) = await receiver.inbox.list_entries()
    (logged,) = [
        record.getMessage() for record in caplog.records if "kept for review" in record.getMessage()
    ]
    assert "the event has authfailed, but event 1 had reversed" in logged
    for text in (logged, kept.reason or ""):
        assert not [
            part
            for part in ("checksum", "ada@shop.example", "remark", "\n", "\x1b")
            if part in text
        ]
    assert "ada@shop.example" in (kept.note or "")


async def test_receiver_failing_handler_is_retried_then_parked(
    receiver: Receiver, shop: Shop
) -> None:
    """Two failures are retried; the third parks the event, and it can be requeued."""
    shop.fail = 2
    await receiver.receive(signed(fields(merchantTransactionId="TX-1")), JSON)
    await emptied(receiver)
    assert len(shop.handled) == 1
    shop.fail = 3
    await receiver.receive(signed(fields(merchantTransactionId="TX-2")), JSON)
    counts = await emptied(receiver)
    assert counts["parked"] == 1
    (kept,) = await receiver.inbox.list_entries("parked")
    assert (kept.attempts, kept.note) == (2, "RuntimeError: the shop is down")
    assert await receiver.inbox.replay(kept.id + 1000) == 0
    assert await receiver.inbox.replay(kept.id) == 1
    await emptied(receiver)
    assert [own_id for _, own_id, _ in shop.handled] == ["TX-1", "TX-2"]


async def test_receiver_retry_keeps_order_of_payment(shop: Shop, store_url: str) -> None:
    """While an event waits for a retry, later ones of its payment wait; other payments continue."""
    shop.fail = 1
    async with Receiver(shop.router, MERCHANT, inbox=store_url, initial_delay=2.0) as receiver:
        await receiver.receive(signed(fields("authsuccessful", merchantTransactionId="TX-1")), JSON)
        async with asyncio.timeout(10):
            while shop.fail:
                await asyncio.sleep(0.01)
        await receiver.receive(signed(fields("capturesuccess", merchantTransactionId="TX-1")), JSON)
        await receiver.receive(signed(fields("capturesuccess", merchantTransactionId="TX-2")), JSON)
        await emptied(receiver)
    assert [(name, own_id) for name, own_id, _ in shop.handled] == [
        ("PaymentSucceeded", "TX-2"), ("PaymentAuthorized", "TX-1"), ("PaymentSucceeded", "TX-1"),
    ]  # fmt: skip


async def test_receiver_two_processes_share_inbox(store_url: str) -> None:
    """With two receivers on one inbox each event is handled once, by one of them."""
    first, second = Shop(), Shop()
    async with (
        Receiver(first.router, MERCHANT, inbox=store_url) as one,
        Receiver(second.router, MERCHANT, inbox=store_url) as two,
    ):
        answers = await asyncio.gather(
            *(
                (one, two)[number % 2].receive(
                    signed(fields(merchantTransactionId=f"TX-{number}")), JSON
                )
                for number in range(200)
            )
        )
        assert {answer.status for answer in answers} == {200}
        await emptied(one)
        await emptied(two)
    assert len(first.handled) + len(second.handled) == 200
    assert len({key for _, _, key in first.handled + second.handled}) == 200


async def test_receiver_expired_lease_is_handled_by_next_process(
    shop: Shop, store_url: str
) -> None:
    """An event that a process claimed and never ended is claimed again after its lease expires."""
    async with Inbox(store_url, lease=2.0) as inbox:
        made = fields()
        from gatewaypy.callbacks import verify_callback

        assert await inbox.put(verify_callback(signed(made), MERCHANT))
        assert len(await inbox.claim(10)) == 1
        assert await inbox.claim(10) == []
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded"]


async def test_receiver_card_number_is_not_stored(receiver: Receiver) -> None:
    """If a gateway sends a full card number, the inbox does not store it."""
    made = fields("onhold") | {
        "card": {"number": "4000000000000051", "cvv": "745", "bin": "400000"},
        "card.number": "4000000000000051",
    }
    await receiver.receive(signed(made), JSON)
    await emptied(receiver)
    (kept,) = await receiver.inbox.list_entries("done")
    assert "4000000000000051" not in json.dumps(kept.fields)
    assert kept.fields["card"] == {"bin": "400000"}


async def test_receiver_prune_keeps_progress(receiver: Receiver, shop: Shop) -> None:
    """Old handled events are deleted; a repeat of one is still ignored."""
    await receiver.receive(signed(fields()), JSON)
    await emptied(receiver)
    assert await receiver.inbox.prune(1) == 0
    assert await receiver.inbox.prune(-1) == 1
    await receiver.receive(signed(fields()), JSON)
    await emptied(receiver)
    assert shop.names == ["PaymentSucceeded"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (signed(fields())[:-2], JSON, 400),
        (signed(fields()).replace(b"50.00", b"51.00"), JSON, 401),
        (json.dumps(fields()).encode(), JSON, 401),
        (b"x" * 70_000, JSON, 413),
        (b"<callback/>", "text/xml", 415),
    ],
    ids=range(5),
)
async def test_receiver_rejected_callback_is_not_stored(
    receiver: Receiver, body: bytes, kind: str, status: int
) -> None:
    """Each refusal has its status and leaves the inbox unchanged."""
    answer = await receiver.receive(body, kind)
    assert answer.status == status
    assert sum((await receiver.inbox.counts()).values()) == 0


class Asked:
    """A gateway with prepared answers to inquiries."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def inquire(self, **by: Any) -> Transaction:
        self.asked.append(by)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return decode.transaction(answer)


def record(status: str, **changes: Any) -> dict[str, Any]:
    return fields(status, **changes) | {"result": {"code": "00026", "description": "found"}}


MISSING = {"result": {"code": "10026", "description": "Record not found"}}


@pytest.mark.parametrize(
    ("answers", "handled", "state"),
    [
        ([record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([record("reversed")], ["PaymentRefunded"], "done"),
        ([errors.NotSent("down"), record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([MISSING, record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([record("capturesuccess", amount="5.00")], [], "review"),
        ([record("capturesuccess", merchantTransactionId="TX-9")], [], "review"),
    ],
)
async def test_receiver_confirmed_event_has_inquiry_values(
    shop: Shop, store_url: str, answers: list[Any], handled: list[str], state: str
) -> None:
    """Handlers get the inquiry's answer; without one the event waits; a mismatch goes to review."""
    gateway = Asked(*answers)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01, max_attempts=1
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        counts = await emptied(receiver)
    assert shop.names == handled
    assert counts[state] == 1
    assert gateway.asked[0] == {"payment_id": "54279"}


@pytest.mark.parametrize(
    ("answer", "state", "handled"), [(record("capturesuccess"), "done", 1), (MISSING, "refused", 0)]
)
async def test_receiver_unsigned_event_is_resolved_by_inquiry(
    shop: Shop, store_url: str, answer: Any, state: str, handled: int
) -> None:
    """An unsigned callback counts if the gateway knows it; signed ones are not looked up."""
    gateway = Asked(answer)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, confirm_when="unsigned_only"
    ) as receiver:
        assert (await receiver.receive(json.dumps(fields()).encode(), JSON)).status == 200
        assert (await emptied(receiver))[state] == 1
        assert len(shop.handled) == handled
        await receiver.receive(signed(fields(merchantTransactionId="TX-2")), JSON)
        await emptied(receiver)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("is_async", [True, False])
async def test_receiver_failed_check_sends_event_to_review(
    shop: Shop, store_url: str, is_async: bool
) -> None:
    """An event that does not match the order of the shop goes to review, not to handlers."""

    def check(event: CallbackEvent) -> bool:
        return event.merchant_transaction_id == "TX-1"

    async def check_async(event: CallbackEvent) -> bool:
        return check(event)

    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, check=check_async if is_async else check
    ) as receiver:
        for own_id in ("TX-1", "TX-2"):
            await receiver.receive(signed(fields(merchantTransactionId=own_id)), JSON)
        counts = await emptied(receiver)
    assert (len(shop.handled), counts["review"]) == (1, 1)


async def test_receiver_full_or_broken_inbox_is_503(shop: Shop, store_url: str) -> None:
    """The gateway must send again, and no event is acknowledged that is not on disk."""
    async with Receiver(shop.router, MERCHANT, inbox=store_url, max_open=1) as receiver:
        receiver._counted(1, 0)
        assert (await receiver.receive(signed(fields()), JSON)).status == 503
        receiver._counted(0, 0)
        await receiver.inbox._store.run(("DROP TABLE gatewaypy_inbox", ()))
        assert (await receiver.receive(signed(fields()), JSON)).status == 503


async def test_receiver_without_inbox_runs_handlers_first(shop: Shop) -> None:
    """A failing handler is a 500, so that the gateway sends the callback again."""
    shop.fail = 1
    async with Receiver(shop.router, MERCHANT) as receiver:
        assert [(await receiver.receive(signed(fields()), JSON)).status for _ in range(2)] == [
            500,
            200,
        ]
    assert shop.names == ["PaymentSucceeded"]


def test_receiver_inbox_missing_raises(shop: Shop) -> None:
    """Code that needs the inbox gets an error at once, not a later failure on None."""
    with pytest.raises(errors.ConfigurationError, match=r"^receiver\.inbox: must be set by inbox="):
        _ = Receiver(shop.router, MERCHANT).inbox


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": []},
        {"confirm_when": "sometimes"},
        {"confirm": object()},
        {"check": lambda _: True},
        {"inbox": "mysql://x"},
    ],
)
def test_receiver_invalid_setup_raises(options: dict[str, Any]) -> None:
    """Missing credentials, unknown words and confirm without an inbox raise at construction."""
    with pytest.raises(errors.ConfigurationError):
        Receiver(Router(), **{"credentials": MERCHANT} | options)


async def test_receiver_not_open_raises(tmp_path: Any) -> None:
    """A receiver that is used before it is opened raises an error that names the cause."""
    with pytest.raises(errors.ConfigurationError, match="not open"):
        await Receiver(Router(), MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db").receive(
            signed(fields()), JSON
        )


class TestReconciler:
    """Payments whose callback never arrives."""

    async def test_reconciler_pending_payment_is_repeated_until_final(
        self, shop: Shop, receiver: Receiver
    ) -> None:
        """A pending payment is looked up again; its final state reaches the same router, once."""
        gateway = Asked(
            errors.NotSent("down"),
            record("3D Authstarted", short="3D"),
            MISSING,
            record("cancelled", short="C"),
        )
        async with Reconciler(
            gateway, receiver.inbox, initial_delay=0.01, poll_interval=0.01, member_id="11344"
        ) as reconciler:
            assert await reconciler.watch(
                Payment(
                    outcome=Outcome.REDIRECT, payment_id="54279", merchant_transaction_id="TX-1001"
                )
            )
            assert not await reconciler.watch(Payment(outcome=Outcome.FAILED))
            async with asyncio.timeout(10):
                while not shop.handled:
                    await asyncio.sleep(0.01)
            while await reconciler.inquire_due():
                pass
        assert shop.names == ["PaymentCancelled"]
        assert gateway.asked == [{"payment_id": "54279"}] * 4

    async def test_reconciler_slow_down_is_not_an_attempt(
        self, shop: Shop, receiver: Receiver
    ) -> None:
        """An answer that asks to wait does not count as one of the attempts of the payment."""
        busy = errors.UnreadableReply("HTTP 429")
        busy.retry_after = 0.01
        gateway = Asked(
            *[busy] * 5, record("3D Authstarted", short="3D"), record("cancelled", short="C")
        )
        async with Reconciler(
            gateway,
            receiver.inbox,
            initial_delay=0.01,
            poll_interval=0.01,
            max_inquiries=3,
            member_id="11344",
        ) as reconciler:
            await reconciler.watch(
                Payment(
                    outcome=Outcome.PENDING, payment_id="54279", merchant_transaction_id="TX-1001"
                )
            )
            async with asyncio.timeout(10):
                while not shop.handled:
                    await asyncio.sleep(0.01)
        assert shop.names == ["PaymentCancelled"]
        assert gateway.asked == [{"payment_id": "54279"}] * 7

    async def test_reconciler_never_final_stops_with_warning(
        self, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After the maximum number of attempts the payment is logged and no longer looked up."""
        gateway = Asked(MISSING)
        async with Reconciler(
            gateway,
            receiver.inbox,
            initial_delay=0.001,
            poll_interval=0.01,
            max_inquiries=3,
            member_id="11344",
        ) as reconciler:
            await reconciler.watch(
                Payment(outcome=Outcome.PENDING, merchant_transaction_id="TX-1001")
            )
            async with asyncio.timeout(10):
                while "it is no longer watched" not in caplog.text:
                    await asyncio.sleep(0.01)
        assert gateway.asked == [{"merchant_transaction_id": "TX-1001"}] * 3

    async def test_reconciler_failing_store_continues(
        self, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The failure is logged, and the look-ups continue."""
        await receiver.inbox._store.run(("DROP TABLE gatewaypy_watched", ()))
        async with (
            Reconciler(Asked(MISSING), receiver.inbox, poll_interval=0.01, member_id="11344"),
            asyncio.timeout(10),
        ):
            while caplog.text.count("watched payments could not be read") < 2:
                await asyncio.sleep(0.01)


def test_callbacks_event_types_are_exported() -> None:
    """Every event that a handler can name is exported."""
    assert all(
        issubclass(kind, CallbackEvent)
        for kind in (
            ChargedBack,
            PaymentAuthorized,
            PaymentPending,
            PaymentRefunded,
            PaymentSucceeded,
            UnknownEvent,
        )
    )
