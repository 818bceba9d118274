"""The inbox by itself: its opening, and its statements for many events at once, which do for each what they did for one."""

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
from gatewaypy.storage.sqlite import _dialect, boot_clock

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


async def test_who_opens_an_inbox_anew_is_somebody_else(store_url: str) -> None:
    """What one opening took is not the next one's to end, as with processes that were forked with the same object."""
    inbox = Inbox(store_url)
    async with inbox:
        await inbox.put(event())
        (entry,) = await inbox.claim(10)
    async with inbox:
        await inbox.finish(entry, "done")
        assert await inbox.waiting() == 1


async def test_an_inbox_is_opened_once_at_a_time(inbox: Inbox) -> None:
    """A second receiver on the same object is told at its opening, and the first one goes on."""
    second = Receiver(Router(), MERCHANT, inbox=inbox)
    with pytest.raises(errors.ConfigurationError, match="open already"):
        await second.__aenter__()
    assert await inbox.put(event())


async def test_an_inbox_whose_tables_cannot_be_read_closes_its_store(tmp_path: Path) -> None:
    """An opening that fails leaves no thread behind, and the same object can be opened later."""
    path = tmp_path / "inbox.db"
    with contextlib.closing(sqlite3.connect(path)) as strange:
        strange.execute("CREATE TABLE gatewaypy_boot (something TEXT)")
    inbox = Inbox(f"sqlite:///{path}")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        await inbox.__aenter__()
    assert "gatewaypy-sqlite" not in {thread.name for thread in threading.enumerate()}
    with contextlib.closing(sqlite3.connect(path)) as mended:
        mended.execute("DROP TABLE gatewaypy_boot")
    async with inbox:
        assert await inbox.put(event())


async def test_repeats_that_come_together_are_one(inbox: Inbox) -> None:
    """Of many at the same instant one is new, and all of them are told once it is on disk."""
    answers = await asyncio.gather(
        *(inbox.put(event()) for _ in range(50)), inbox.put(event(merchantTransactionId="TX-2"))
    )
    assert sum(answers[:50]) == 1
    assert answers[50]
    assert await inbox.waiting() == 2


async def test_what_comes_together_keeps_its_order(inbox: Inbox) -> None:
    """A payment's events that share a statement are taken one after the other, in the order in which they came."""
    statuses = ["authstarted", "authsuccessful", "capturestarted", "capturesuccess", "settled"]
    await asyncio.gather(*(inbox.put(event(status)) for status in statuses))
    taken = []
    while entries := await inbox.claim(10):
        (entry,) = entries
        taken.append(entry.fields["status"])
        await inbox.finish(entry, "done", progress=Progress(entry.names, entry.fields["status"]))
    assert taken == statuses


async def test_one_that_cannot_be_stored_takes_no_other_along(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a database refuses fails for whoever sent it; what came with it is stored."""
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


async def test_two_endings_that_name_one_payment(inbox: Inbox) -> None:
    """Ended by one statement, the later event's progress counts for the name that both have."""
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


async def test_a_payments_progress_comes_with_its_next_event(inbox: Inbox) -> None:
    """What is taken brings along what is known of its payment, and by which event."""
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


async def test_take_puts_off_what_has_an_earlier_event(inbox: Inbox) -> None:
    """An event behind an open one of its payment is read by one claim, and by no other until the open one has ended."""
    statuses = ["authstarted", "authsuccessful", "capturesuccess"]
    for status in statuses:
        await inbox.put(event(status))
    (first,) = await inbox.claim(10)
    assert await due_events(inbox) == 0
    await inbox.finish(first, "done")
    assert await due_events(inbox) == 1
    (second,) = await inbox.claim(10)
    assert [entry.fields["status"] for entry in (first, second)] == statuses[:2]


async def test_take_keeps_later_events_behind_a_failed_one(inbox: Inbox) -> None:
    """While an event waits for its next try, later events of its payment wait with it, and other payments do not."""
    await inbox.put(event("authsuccessful"))
    (first,) = await inbox.claim(10)
    await inbox.retry_later(first, 3600.0, note="a handler failed")
    await inbox.put(event("capturesuccess"))
    await inbox.put(event("capturesuccess", paymentId="8", merchantTransactionId="TX-8"))
    (other,) = await inbox.claim(1)
    assert other.fields["paymentId"] == "8"
    assert await inbox.claim(10) == []
    assert await due_events(inbox) == 0


async def test_take_by_two_at_once_gives_each_its_own(store_url: str) -> None:
    """Two processes that claim at the same time get different events, and neither gets none while events are due."""
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
def test_no_statement_reads_a_whole_table(name: str, size: int) -> None:
    """However many events have ended, and payments have moved, each statement finds its rows by an index."""
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
        "beside others",
        "by name, nested",
        "by other names",
        "a wrong check digit",
        "an id",
    ],
)
def test_what_looks_like_a_card_number_is_taken_out(
    sent: dict[str, Any], kept: dict[str, Any]
) -> None:
    """Card numbers and CVVs are found by their looks and by their names; ids and other numbers stay."""
    assert redact(sent) == kept


@given(
    st.text("0123456789", min_size=13, max_size=19),
    st.lists(st.sampled_from(["12", "7", "2030", "x"]), max_size=3),
    st.lists(st.sampled_from(["12", "123", "7", "y"]), max_size=3),
)
def test_a_card_number_is_found_by_its_check_digit(
    digits: str, before: list[str], after: list[str]
) -> None:
    """A number alone stays or goes by its check digit; one with a right check digit is never kept whole, whatever is beside it."""
    alone = redact({"remark": digits})["remark"]
    may_be_issued = is_luhn_valid(digits) and digits[0] in "3456"
    assert not may_be_issued or alone == f"{digits[:6]}******{digits[-4:]}"
    beside = redact({"remark": " ".join([*before, digits, *after])})["remark"]
    assert (digits in beside) <= (not may_be_issued)
