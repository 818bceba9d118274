"""The inbox alone: its opening, and its statements for many events at once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import errors
from gatewaypy.callbacks import Inbox, Receiver, Router, inbox_sql, verify_callback
from gatewaypy.callbacks.payment_progress import PaymentNames, Progress
from gatewaypy.pan import is_luhn_valid
from gatewaypy.protocol.redaction import redact
from gatewaypy.storage.clock import boot_clock
from gatewaypy.storage.sqlite import _dialect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gatewaypy.callbacks import CallbackEvent


def event(status: str = "capturesuccess", **changes: Any) -> CallbackEvent:
    return verify_callback(signed(fields(status, **changes)), MERCHANT)


@pytest.fixture
async def inbox(store_url: str) -> AsyncIterator[Inbox]:
    async with Inbox(store_url) as opened:
        yield opened


async def test_inbox_reopened_has_new_owner(store_url: str) -> None:
    """A new opening cannot end events of an earlier one, as with forked processes."""
    inbox = Inbox(store_url)
    async with inbox:
        await inbox.put(event())
        (entry,) = await inbox.claim(10)
    async with inbox:
        await inbox.finish(entry, "done")
        assert await inbox.waiting() == 1


async def test_inbox_second_open_raises(inbox: Inbox) -> None:
    """A second receiver on the same object fails at its opening, and the first one continues."""
    second = Receiver(Router(), MERCHANT, inbox=inbox)
    with pytest.raises(errors.ConfigurationError, match="open already"):
        await second.__aenter__()
    assert await inbox.put(event())


async def test_inbox_unreadable_tables_close_store(tmp_path: Path) -> None:
    """A failed opening leaves no thread running, and the same object can be opened later."""
    path = tmp_path / "inbox.db"
    with contextlib.closing(sqlite3.connect(path)) as strange:
        strange.execute("CREATE TABLE gatewaypy_boot (something TEXT)")
    inbox = Inbox(f"sqlite:///{path}")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        await inbox.__aenter__()
    assert "gatewaypy-sqlite" not in {thread.name for thread in threading.enumerate()}
    with contextlib.closing(sqlite3.connect(path)) as repaired:
        repaired.execute("DROP TABLE gatewaypy_boot")
    async with inbox:
        assert await inbox.put(event())


async def test_inbox_concurrent_repeats_store_one(inbox: Inbox) -> None:
    """Of many concurrent repeats one is new, and all are answered once it is on disk."""
    answers = await asyncio.gather(
        *(inbox.put(event()) for _ in range(50)), inbox.put(event(merchantTransactionId="TX-2"))
    )
    assert sum(answers[:50]) == 1
    assert answers[50]
    assert await inbox.waiting() == 2


async def test_inbox_batch_keeps_order(inbox: Inbox) -> None:
    """Events of a payment in one statement are claimed one after the other, in order of arrival."""
    statuses = ["authstarted", "authsuccessful", "capturestarted", "capturesuccess", "settled"]
    await asyncio.gather(*(inbox.put(event(status)) for status in statuses))
    taken = []
    while entries := await inbox.claim(10):
        (entry,) = entries
        taken.append(entry.fields["status"])
        await inbox.finish(entry, "done", progress=Progress(entry.names, entry.fields["status"]))
    assert taken == statuses


async def test_inbox_refused_event_fails_alone(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that the database refuses fails for its sender; the rest of the batch is stored."""
    run = inbox._store.run

    async def refusing(*statements: Any) -> Any:
        if any("TX-bad" in str(parameters) for _, parameters in statements):
            raise sqlite3.DataError
        return await run(*statements)

    monkeypatch.setattr(inbox._store, "run", refusing)
    puts = [inbox.put(event(merchantTransactionId=own_id)) for own_id in ("TX-1", "TX-bad", "TX-2")]
    first, bad, second = await asyncio.gather(*puts, return_exceptions=True)
    assert (first, second) == (True, True)
    assert isinstance(bad, sqlite3.DataError)


async def test_inbox_batch_ends_two_events_of_one_payment(inbox: Inbox) -> None:
    """Of two events ended by one statement, the later progress counts for their common name."""
    await inbox.put(event("authsuccessful", paymentId="1", merchantTransactionId="TX-1"))
    await inbox.put(event("capturesuccess", paymentId="2", merchantTransactionId="TX-2"))
    first, second = await inbox.claim(10)
    both = PaymentNames(second.names.own, first.names.payment)
    await asyncio.gather(
        inbox.finish(second, "done", progress=Progress(second.names, "capturesuccess")),
        inbox.finish(first, "done", progress=Progress(both, "authsuccessful")),
    )
    (known,) = await inbox.progress_of(PaymentNames(second.names.own, None))
    assert known.state == "capturesuccess"
    (known,) = await inbox.progress_of(PaymentNames(None, first.names.payment))
    assert known.state == "authsuccessful"
    assert (await inbox.waiting(), (await inbox.counts())["done"]) == (0, 2)


async def test_inbox_claim_returns_payment_progress(inbox: Inbox) -> None:
    """A claimed event has the known progress of its payment, and the event that set it."""
    await inbox.put(event("authsuccessful"))
    (first,) = await inbox.claim(1)
    await inbox.finish(
        first, "done", progress=Progress(first.names, "authsuccessful", "50.00", "EUR")
    )
    await inbox.put(event("capturesuccess"))
    (second,) = await inbox.claim(1)
    assert first.known == ()
    assert [(known.state, known.amount, known.event) for known in second.known] == [
        ("authsuccessful", "50.00", first.id)
    ] * 2
    assert '"status": "authsuccessful"' in (second.known[0].evidence or "")


async def due_events(inbox: Inbox) -> int:
    ((found,),) = await inbox._store.run(
        ("SELECT COUNT(*) FROM gatewaypy_inbox WHERE state = 'open' AND due <= {now}", ())
    )
    return int(found[0])


async def test_inbox_claim_defers_event_with_earlier_one_open(inbox: Inbox) -> None:
    """An event behind an open one of its payment is not claimed until the open one has ended."""
    statuses = ["authstarted", "authsuccessful", "capturesuccess"]
    for status in statuses:
        await inbox.put(event(status))
    (first,) = await inbox.claim(10)
    assert await due_events(inbox) == 0
    await inbox.finish(first, "done")
    assert await due_events(inbox) == 1
    (second,) = await inbox.claim(10)
    assert [entry.fields["status"] for entry in (first, second)] == statuses[:2]


async def test_inbox_claim_defers_events_after_failed_one(inbox: Inbox) -> None:
    """While an event waits for a retry, later events of its payment wait; other payments do not."""
    await inbox.put(event("authsuccessful"))
    (first,) = await inbox.claim(10)
    await inbox.retry_later(first, 3600.0, note="a handler failed")
    await inbox.put(event("capturesuccess"))
    await inbox.put(event("capturesuccess", paymentId="8", merchantTransactionId="TX-8"))
    (other,) = await inbox.claim(1)
    assert other.fields["paymentId"] == "8"
    assert await inbox.claim(10) == []
    assert await due_events(inbox) == 0


async def test_inbox_concurrent_claims_return_different_events(store_url: str) -> None:
    """Two concurrent claims return different events, and neither is empty while events are due."""
    async with Inbox(store_url) as one, Inbox(store_url) as other:
        await asyncio.gather(
            *(one.put(event(paymentId=str(n), merchantTransactionId=f"TX-{n}")) for n in range(40))
        )
        taken = await asyncio.gather(one.claim(20), other.claim(20))
        assert [len(entries) for entries in taken] == [20, 20]
        assert len({entry.id for entries in taken for entry in entries}) == 40


@pytest.mark.parametrize("size", [0, 1, 64])
@pytest.mark.parametrize(
    "name",
    [
        "REPEATED",
        "PUT",
        "TAKE",
        "IS_ANY_DUE",
        "AHEAD",
        "KNOWN",
        "RENAME",
        "RELEASE",
        "RENEW",
        "MOVE",
        "END",
        "WAKE",
        "WATCHED",
    ],
)
def test_inbox_statements_use_indexes(name: str, size: int) -> None:
    """However many events and payments are stored, each statement finds its rows by an index."""
    connection = sqlite3.connect(":memory:")
    connection.create_function("gatewaypy_now", 0, boot_clock, deterministic=True)
    for statement in inbox_sql.SCHEMA:
        connection.execute(_dialect(statement))
    sql = _dialect(getattr(inbox_sql, name), (size,))
    plan = [
        row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("[]",) * sql.count("?"))
    ]
    connection.close()
    # SQLite names a scan by the table or its alias, and words the rest differently in each version.
    tables = set(re.findall(r"\bgatewaypy_\w+", sql))
    tables |= set(re.findall(r"\bgatewaypy_\w+ AS (\w+)", sql))
    scanned = [
        step for step in plan if step.startswith("SCAN") and tables.intersection(step.split()[1:2])
    ]
    assert scanned == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"account": "4000000000000051"}, {"account": "400000******0051"}),
        (
            {"remark": "card 4000 0000-0000 0051 declined"},
            {"remark": "card 400000******0051 declined"},
        ),
        ({"remark": "card 4000000000000051 12/30"}, {"remark": "card 400000******0051 12/30"}),
        ({"remark": "1 4000 0000 0000 0051 123"}, {"remark": "1 400000******0051 123"}),
        (
            {"remark": "4000000000000051 5555555555554444 4000000000000052"},
            {"remark": "400000******0051 555555******4444 4000000000000052"},
        ),
        ({"list": [{"cvc": "745", "bin": "400000"}]}, {"list": [{"bin": "400000"}]}),
        ({"card.securityCode": "745", "CVV2": "745", "status": "failed"}, {"status": "failed"}),
        ({"account": "4000000000000052"}, {"account": "4000000000000052"}),
        ({"paymentId": "4000000000000051"}, {"paymentId": "4000000000000051"}),
    ],
    ids=[
        "alone",
        "within a text",
        "before a date",
        "among digits",
        "next to others",
        "by name, nested",
        "by other names",
        "a wrong check digit",
        "an id",
    ],
)
def test_inbox_card_numbers_are_masked(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    """Card numbers and CVVs are found by value and by name; ids and other numbers stay."""
    assert redact(sent) == kept


@given(
    st.text("0123456789", min_size=13, max_size=19),
    st.lists(st.sampled_from(["12", "7", "2030", "x"]), max_size=3),
    st.lists(st.sampled_from(["12", "123", "7", "y"]), max_size=3),
)
def test_inbox_number_with_check_digit_is_masked(
    digits: str, before: list[str], after: list[str]
) -> None:
    """A number with a valid check digit is never stored whole, in any surroundings."""
    alone = redact({"remark": digits})["remark"]
    may_be_issued = is_luhn_valid(digits) and digits[0] in "3456"
    assert not may_be_issued or alone == f"{digits[:6]}******{digits[-4:]}"
    in_text = redact({"remark": " ".join([*before, digits, *after])})["remark"]
    assert (digits in in_text) <= (not may_be_issued)
