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
    """Handlers that remember what they heard, and fail as often as they are told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None, str]] = []
        self.fail = 0
        self.router = Router()
        self.router.on(CallbackEvent)(self.hear)

    async def hear(self, event: CallbackEvent, context: EventContext) -> None:
        if self.fail:
            self.fail -= 1
            raise RuntimeError("the shop is down")
        self.heard.append((type(event).__name__, event.merchant_transaction_id, context.key))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.heard]


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
    """Wait until nothing is left to dispatch."""
    async with asyncio.timeout(20):
        while (counts := await receiver.inbox.counts())["open"]:
            await asyncio.sleep(0.01)
    return counts


async def test_an_event_is_stored_and_heard_once(receiver: Receiver, shop: Shop) -> None:
    """Exact repeats are acknowledged and ignored; another merchant's same event is its own."""
    for _ in range(3):
        assert (await receiver.receive(signed(fields()), JSON)).status == 200
    assert (await receiver.receive(signed(fields(), OTHER), JSON)).status == 200
    counts = await emptied(receiver)
    assert shop.names == ["PaymentSucceeded", "PaymentSucceeded"]
    assert counts["done"] == 2


async def test_late_events_take_nothing_back(receiver: Receiver, shop: Shop) -> None:
    """In whatever order statuses come, handlers hear only what is news; contradictions are kept with both sides' evidence."""
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
    assert "authfailed, but the payment was reversed" in (kept.note or "")
    assert '"status": "reversed"' in (kept.note or "")


async def test_dispatcher_contradiction_logs_no_callback_whole(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names states, ids and the event's number; the earlier callback is in the event's row alone."""
    told = {"customer": {"email": "ada@shop.example"}, "remark": "a\nb\x1b[31m"}
    for status, short in (("reversed", "Y"), ("authfailed", "N")):
        await receiver.receive(signed(fields(status, short, **told)), JSON)
        await emptied(receiver)
    (kept,) = await receiver.inbox.list_entries()
    (logged,) = [
        record.getMessage() for record in caplog.records if "kept for review" in record.getMessage()
    ]
    assert "it says authfailed, but the payment was reversed" in logged
    assert "by event " in logged
    for text in (logged, kept.reason or ""):
        assert not [
            part
            for part in ("checksum", "ada@shop.example", "remark", "\n", "\x1b")
            if part in text
        ]
    assert "ada@shop.example" in (kept.note or "")


async def test_a_failing_handler_is_tried_again_then_parked_and_put_back(
    receiver: Receiver, shop: Shop
) -> None:
    """Twice failed is tried a third time; three times failed is parked, listed with its reason, and can be put back."""
    shop.fail = 2
    await receiver.receive(signed(fields(merchantTransactionId="TX-1")), JSON)
    await emptied(receiver)
    assert len(shop.heard) == 1
    shop.fail = 3
    await receiver.receive(signed(fields(merchantTransactionId="TX-2")), JSON)
    counts = await emptied(receiver)
    assert counts["parked"] == 1
    (kept,) = await receiver.inbox.list_entries("parked")
    assert (kept.attempts, kept.note) == (2, "RuntimeError: the shop is down")
    assert await receiver.inbox.replay(kept.id + 1000) == 0
    assert await receiver.inbox.replay(kept.id) == 1
    await emptied(receiver)
    assert [own_id for _, own_id, _ in shop.heard] == ["TX-1", "TX-2"]


async def test_a_payments_events_keep_their_order(shop: Shop, store_url: str) -> None:
    """While one event of a payment is being tried again its later ones wait, and other payments go on."""
    shop.fail = 1
    async with Receiver(shop.router, MERCHANT, inbox=store_url, initial_delay=2.0) as receiver:
        await receiver.receive(signed(fields("authsuccessful", merchantTransactionId="TX-1")), JSON)
        async with asyncio.timeout(10):
            while shop.fail:
                await asyncio.sleep(0.01)
        await receiver.receive(signed(fields("capturesuccess", merchantTransactionId="TX-1")), JSON)
        await receiver.receive(signed(fields("capturesuccess", merchantTransactionId="TX-2")), JSON)
        await emptied(receiver)
    assert [(name, own_id) for name, own_id, _ in shop.heard] == [
        ("PaymentSucceeded", "TX-2"), ("PaymentAuthorized", "TX-1"), ("PaymentSucceeded", "TX-1"),
    ]  # fmt: skip


async def test_two_processes_share_an_inbox(store_url: str) -> None:
    """With two receivers on one inbox each event is handled by one of them, once."""
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
    assert len(first.heard) + len(second.heard) == 200
    assert len({key for _, _, key in first.heard + second.heard}) == 200


async def test_what_an_earlier_process_left_is_handled_after_its_lease(
    shop: Shop, store_url: str
) -> None:
    """An event that a process took and never finished is taken again once its lease is over, from the start of the next."""
    async with Inbox(store_url, lease=2.0) as inbox:
        made = fields()
        from gatewaypy.callbacks import verify_callback

        assert await inbox.put(verify_callback(signed(made), MERCHANT))
        assert len(await inbox.claim(10)) == 1
        assert await inbox.claim(10) == []
    async with Receiver(shop.router, MERCHANT, inbox=store_url) as receiver:
        await emptied(receiver)
    assert shop.names == ["PaymentSucceeded"]


async def test_no_card_number_is_stored(receiver: Receiver) -> None:
    """Should a gateway send a whole number, the inbox does not keep it."""
    made = fields("onhold") | {
        "card": {"number": "4000000000000051", "cvv": "745", "bin": "400000"},
        "card.number": "4000000000000051",
    }
    await receiver.receive(signed(made), JSON)
    await emptied(receiver)
    (kept,) = await receiver.inbox.list_entries("done")
    assert "4000000000000051" not in json.dumps(kept.fields)
    assert kept.fields["card"] == {"bin": "400000"}


async def test_old_events_are_pruned_and_progress_stays(receiver: Receiver, shop: Shop) -> None:
    """What ended well is forgotten with age; a repeat of it is still no news."""
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
async def test_what_cannot_be_believed_is_not_stored(
    receiver: Receiver, body: bytes, kind: str, status: int
) -> None:
    """Each refusal has its status, and leaves the inbox as it was."""
    answer = await receiver.receive(body, kind)
    assert answer.status == status
    assert sum((await receiver.inbox.counts()).values()) == 0


class Asked:
    """A gateway that answers inquiries as told."""

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
    ("answers", "heard", "state"),
    [
        ([record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([record("reversed")], ["PaymentRefunded"], "done"),
        ([errors.NotSent("down"), record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([MISSING, record("capturesuccess")], ["PaymentSucceeded"], "done"),
        ([record("capturesuccess", amount="5.00")], [], "review"),
        ([record("capturesuccess", merchantTransactionId="TX-9")], [], "review"),
    ],
)
async def test_a_confirmed_event_is_the_inquirys(
    shop: Shop, store_url: str, answers: list[Any], heard: list[str], state: str
) -> None:
    """Handlers hear what the gateway answers; while it cannot be asked the event waits; a difference goes to review."""
    gateway = Asked(*answers)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, initial_delay=0.01, max_attempts=1
    ) as receiver:
        await receiver.receive(signed(fields()), JSON)
        counts = await emptied(receiver)
    assert shop.names == heard
    assert counts[state] == 1
    assert gateway.asked[0] == {"payment_id": "54279"}


@pytest.mark.parametrize(
    ("answer", "state", "heard"), [(record("capturesuccess"), "done", 1), (MISSING, "refused", 0)]
)
async def test_an_unsigned_event_is_settled_by_inquiry(
    shop: Shop, store_url: str, answer: Any, state: str, heard: int
) -> None:
    """With a gateway to ask, an unsigned callback counts if the gateway knows of it; signed ones are not asked about."""
    gateway = Asked(answer)
    async with Receiver(
        shop.router, MERCHANT, inbox=store_url, confirm=gateway, confirm_when="unsigned_only"
    ) as receiver:
        assert (await receiver.receive(json.dumps(fields()).encode(), JSON)).status == 200
        assert (await emptied(receiver))[state] == 1
        assert len(shop.heard) == heard
        await receiver.receive(signed(fields(merchantTransactionId="TX-2")), JSON)
        await emptied(receiver)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_shops_own_check(shop: Shop, store_url: str, is_async: bool) -> None:
    """An event that does not fit the shop's order is kept for review, and handlers do not hear of it."""

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
    assert (len(shop.heard), counts["review"]) == (1, 1)


async def test_a_full_or_broken_inbox_is_a_503(shop: Shop, store_url: str) -> None:
    """The gateway is asked to try again, and nothing is acknowledged that is not on disk."""
    async with Receiver(shop.router, MERCHANT, inbox=store_url, max_open=1) as receiver:
        receiver._counted(1, 0)
        assert (await receiver.receive(signed(fields()), JSON)).status == 503
        receiver._counted(0, 0)
        await receiver.inbox._store.run(("DROP TABLE gatewaypy_inbox", ()))
        assert (await receiver.receive(signed(fields()), JSON)).status == 503


async def test_without_an_inbox_handlers_run_before_the_answer(shop: Shop) -> None:
    """A failing handler is a 500, so that the gateway sends the callback again."""
    shop.fail = 1
    async with Receiver(shop.router, MERCHANT) as receiver:
        assert [(await receiver.receive(signed(fields()), JSON)).status for _ in range(2)] == [
            500,
            200,
        ]
    assert shop.names == ["PaymentSucceeded"]


def test_receiver_inbox_missing_is_an_error(shop: Shop) -> None:
    """Code that needs the inbox is told that there is none, in place of a failure on None further on."""
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
def test_a_setup_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    """Missing credentials, unknown words, and confirming without an inbox show at once."""
    with pytest.raises(errors.ConfigurationError):
        Receiver(Router(), **{"credentials": MERCHANT} | options)


async def test_a_receiver_must_be_open(tmp_path: Any) -> None:
    """Used before it is opened it says so."""
    with pytest.raises(errors.ConfigurationError, match="not open"):
        await Receiver(Router(), MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db").receive(
            signed(fields()), JSON
        )


class TestReconciler:
    """Payments whose callback never comes."""

    async def test_an_abandoned_payment_is_asked_about_until_it_ends(
        self, shop: Shop, receiver: Receiver
    ) -> None:
        """Pending is asked about again; the end reaches the same router; it is then no longer asked about."""
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
                while not shop.heard:
                    await asyncio.sleep(0.01)
            while await reconciler.inquire_due():
                pass
        assert shop.names == ["PaymentCancelled"]
        assert gateway.asked == [{"payment_id": "54279"}] * 4

    async def test_reconciler_slow_downs_are_no_questions(
        self, shop: Shop, receiver: Receiver
    ) -> None:
        """A gateway that asks to wait has answered no question: the payment is not given up for it."""
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
                while not shop.heard:
                    await asyncio.sleep(0.01)
        assert shop.names == ["PaymentCancelled"]
        assert gateway.asked == [{"payment_id": "54279"}] * 7

    async def test_one_that_never_ends_is_given_up_aloud(
        self, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After so many questions the payment is logged as a warning, and asked about no more."""
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
                while "no longer asked about" not in caplog.text:
                    await asyncio.sleep(0.01)
        assert gateway.asked == [{"merchant_transaction_id": "TX-1001"}] * 3

    async def test_a_store_that_fails_does_not_end_it(
        self, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The trouble is logged, and asking goes on."""
        await receiver.inbox._store.run(("DROP TABLE gatewaypy_watched", ()))
        async with (
            Reconciler(Asked(MISSING), receiver.inbox, poll_interval=0.01, member_id="11344"),
            asyncio.timeout(10),
        ):
            while caplog.text.count("watched payments could not be read") < 2:
                await asyncio.sleep(0.01)


def test_the_types_are_exported() -> None:
    """Every event that a handler can name is at the door."""
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
