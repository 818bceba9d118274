"""A journal that lost rows looks them up and sends nothing, until a person trusts it again."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import Customer, Gateway, Money, Timeouts, errors
from gatewaypy.callbacks.events import read_event
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, State
from gatewaypy.payouts.journal.lock import JournalLock
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MEMBER = MERCHANT.member_id
QUICK = Timeouts(connect=10, read=20, total=30, inquiry=5)


def orders(*numbers: int) -> list[PayoutOrder]:
    return [
        PayoutOrder(
            merchant_transaction_id=f"P-{number}",
            amount=Money("5.00", "EUR"),
            customer=Customer(email="a@b.example"),
        )
        for number in numbers
    ]


@pytest.fixture
async def gateway(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway whose platform executes a used id again."""
    sandbox.payments.refuse_duplicates = False
    async with Gateway(sandbox.base_url, MERCHANT, timeouts=QUICK) as opened:
        yield opened


async def run(gateway: Gateway, journal: str | Journal, *numbers: int, **options: Any) -> Any:
    """Run a job over some orders to its end; return its report."""
    options = {"quiet_period": 0.3, "pending_timeout": 0.0} | options
    async with PayoutJob(gateway, journal=journal, **options) as job:
        async for _ in job.run(orders(*numbers)):
            pass
        return await job.report()


def executed(sandbox: Sandbox) -> Counter[str]:
    return Counter(entry.merchant_transaction_id for entry in sandbox.ledger.entries)


async def states(url: str) -> dict[str, State]:
    async with Journal(url, MEMBER, read_only=True) as journal:
        return {row.merchant_transaction_id: row.state for row in await journal.list_entries()}


class Files:
    """The files of an SQLite journal, with backup and restore."""

    def __init__(self, folder: Path) -> None:
        self.journal, self.owner_file = folder / "payouts.db", folder / "payouts.db.owner"
        self.url = f"sqlite:///{self.journal}"

    def journal_alone(self) -> dict[Path, bytes]:
        return {self.journal: self.journal.read_bytes()}

    def only_owner_file(self) -> dict[Path, bytes]:
        return {self.owner_file: self.owner_file.read_bytes()}

    def restore(self, *backups: dict[Path, bytes], without: tuple[str, ...] = ()) -> None:
        for name in ("-wal", "-shm", *without):
            self.journal.with_name(self.journal.name + name).unlink(missing_ok=True)
        for backup in backups:
            for path, content in backup.items():
                path.write_bytes(content)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return the files of a journal."""
    return Files(tmp_path)


@pytest.mark.parametrize(
    "way",
    [
        "an older journal",
        "no journal",
        "a journal without its log",
        "an older journal and no file next to it",
        "an older journal and a file of another time",
        "an older journal and an emptied file next to it",
    ],
)
async def test_restored_sqlite_journal_pays_nothing_twice(
    gateway: Gateway, sandbox: Sandbox, files: Files, way: str
) -> None:
    """After a day is lost, its file is run again: each order is found, and none paid again."""
    await run(gateway, files.url, 1)
    first = files.only_owner_file()
    async with PayoutJob(gateway, journal=files.url) as job:
        async for _ in job.run(orders(2)):
            pass
        without_log = files.journal_alone()
    second = files.journal_alone()
    await run(gateway, files.url, 3, 4)
    match way:
        case "an older journal":
            files.restore(second)
        case "no journal":
            files.restore(without=("",))
        case "a journal without its log":
            files.restore(without_log)
        case "an older journal and no file next to it":
            files.restore(second, without=(".owner",))
        case "an older journal and a file of another time":
            files.restore(second, first)
        case _:
            files.restore(second, {files.owner_file: b""})
    report = await run(gateway, files.url, 1, 2, 3, 4)
    assert executed(sandbox) == {f"P-{number}": 1 for number in range(1, 5)}
    assert (report.restored, report.succeeded, report.total) == (True, 4, 4)


@pytest.mark.parametrize("way", ["another server", "a restored dump"])
async def test_restored_postgres_journal_pays_nothing_twice(
    gateway: Gateway, sandbox: Sandbox, store_url: str, way: str
) -> None:
    """Lost rows are looked up, in another database or with tables that were created again."""
    if not store_url.startswith("postgres"):
        return
    await run(gateway, store_url, 1, 2)
    async with Journal(store_url, MEMBER) as journal:
        lose = "DELETE FROM gatewaypy_payouts WHERE merchant_transaction_id = 'P-2'"
        if way == "another server":
            await journal._store.run(
                (lose, ()), ("UPDATE gatewaypy_journal SET home = 'elsewhere'", ())
            )
        else:
            for sql in (
                lose,
                "ALTER TABLE gatewaypy_journal RENAME TO before",
                "CREATE TABLE gatewaypy_journal (LIKE before INCLUDING ALL)",
                "INSERT INTO gatewaypy_journal SELECT * FROM before",
                "DROP TABLE before",
            ):
                await journal._store.run((sql, ()))
    report = await run(gateway, store_url, 1, 2)
    assert executed(sandbox) == {"P-1": 1, "P-2": 1}
    assert (report.restored, report.succeeded) == (True, 2)


async def restored(gateway: Gateway, url: str, *numbers: int) -> Journal:
    """Pay some orders, and open the journal, marked as restored."""
    if numbers:
        await run(gateway, url, *numbers)
    journal = Journal(url, MEMBER)
    await journal.__aenter__()
    await journal.distrust("the backup of last night was restored", person="ada")
    return journal


async def test_restored_journal_new_order_goes_to_review(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """After the quiet period an order that the gateway does not know goes to review, unsent."""
    await (await restored(gateway, store_url)).aclose()
    report = await run(gateway, store_url, 1)
    assert (report.review, report.restored, sandbox.ledger.entries) == (1, True, [])
    async with Journal(store_url, MEMBER) as journal:
        (row,) = await journal.list_entries()
        assert (row.attempt, "no attempt is known" in (row.evidence or "")) == (0, True)
        assert await journal.resolve("P-1", State.PLANNED, "it is nowhere in the statement")
    # A person's decision stays, however often the journal is opened before it is executed.
    report = await run(gateway, store_url)
    assert (report.succeeded, executed(sandbox)) == (1, {"P-1": 1})


async def test_restored_journal_new_order_is_sent_if_allowed(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """With resend_unknown it is looked up first, and sent after the quiet period."""
    await (await restored(gateway, store_url)).aclose()
    report = await run(gateway, store_url, 1, resend_unknown=True)
    assert (report.succeeded, executed(sandbox)) == (1, {"P-1": 1})
    assert sandbox.requests["inquiry"] >= 2


async def test_restored_journal_callback_settles_new_order(
    gateway: Gateway, store_url: str
) -> None:
    """A late callback of a payout that the journal lost settles the order once it is stored."""
    journal = await restored(gateway, store_url)
    (row,) = await journal.plan(orders(1))
    assert row is not None
    assert await journal.record_intent(row) == 0
    fields = {
        "paymentId": "77",
        "merchantTransactionId": "P-1",
        "status": "payoutsuccessful",
        "transactionStatus": "Y",
        "amount": "5.00",
        "currency": "EUR",
    }
    assert (
        await journal.handle_event(read_event(fields, signed=True, member_id=MEMBER))
        is State.SUCCEEDED
    )
    await journal.aclose()


async def test_restored_mark_lasts_until_trusted(
    gateway: Gateway, sandbox: Sandbox, store_url: str
) -> None:
    """The mark survives every opening and run; when a person ends it, new orders are sent."""
    await (await restored(gateway, store_url, 1)).aclose()
    for _ in range(3):
        async with Journal(store_url, MEMBER) as journal:
            assert journal.restored
    assert (await run(gateway, store_url, 2)).restored
    assert executed(sandbox) == {"P-1": 1}
    async with Journal(store_url, MEMBER) as journal:
        assert await journal.trust("nothing was paid since", person="grace")
        assert not await journal.trust("again")
        assert [(entry.event, entry.person, entry.reason) for entry in await journal.history()] == [
            ("distrusted", "ada", "the backup of last night was restored"),
            ("trusted", "grace", "nothing was paid since"),
        ]
    report = await run(gateway, store_url, 3)
    assert (report.restored, report.review, executed(sandbox)) == (False, 1, {"P-1": 1, "P-3": 1})


@pytest.mark.parametrize("because", ["", "  ", "two\nlines"])
async def test_trust_without_reason_raises(gateway: Gateway, store_url: str, because: str) -> None:
    """The mark is neither set nor ended without a reason."""
    journal = await restored(gateway, store_url)
    with pytest.raises(errors.InvalidRequest, match="because"):
        await journal.trust(because)
    with pytest.raises(errors.InvalidRequest, match="because"):
        await journal.distrust(because)
    assert await journal.restored_because() == "the backup of last night was restored"
    await journal.aclose()


async def test_distrust_leaves_no_open_order_planned(gateway: Gateway, store_url: str) -> None:
    """Orders planned by another process are not sent; the review states what may be missing."""
    async with Journal(store_url, MEMBER) as journal:
        planned, reviewed = await journal.plan(orders(1, 2))
        assert await journal.record_intent(reviewed) == 1
        await journal._store.run(
            (
                "UPDATE gatewaypy_payouts SET state = 'review' WHERE merchant_transaction_id = 'P-2'",
                (),
            )
        )
        await journal.distrust("a snapshot was restored")
        assert await journal.record_intent(planned) == 0
        rows = {row.merchant_transaction_id: row for row in await journal.list_entries()}
    assert (rows["P-1"].state, rows["P-2"].state) == (State.UNKNOWN, State.REVIEW)
    assert "what was decided or sent since the backup is lost" in (rows["P-2"].evidence or "")


@pytest.mark.parametrize("ended_before", [False, True], ids=["marked", "trusted"])
async def test_restored_again_is_marked_again(
    gateway: Gateway, sandbox: Sandbox, files: Files, ended_before: bool
) -> None:
    """A backup restored twice has lost the mark or its end, and is marked by its owner file."""
    await run(gateway, files.url, 1)
    backup = files.journal_alone()
    await run(gateway, files.url, 2)
    for number in (3, 4):
        files.restore(backup)
        async with Journal(files.url, MEMBER) as journal:
            assert journal.restored
            if ended_before:
                await journal.trust("its orders are all there")
        await run(gateway, files.url, number)
    files.restore(backup)
    report = await run(gateway, files.url, 1, 2, 3, 4)
    assert (report.restored, max(executed(sandbox).values())) == (True, 1)


async def test_distrusted_and_restored_is_marked_again(gateway: Gateway, files: Files) -> None:
    """A journal opened since the backup is detected as restored even if no payout was sent."""
    await run(gateway, files.url, 1)
    backup = files.journal_alone()
    await (await restored(gateway, files.url)).aclose()
    files.restore(backup)
    async with Journal(files.url, MEMBER) as journal:
        assert "is of another time" in await journal.restored_because()


async def test_restored_backup_of_marked_journal_sends_nothing(
    gateway: Gateway, sandbox: Sandbox, files: Files
) -> None:
    """What a marked journal sent since its backup is not sent again from the backup."""
    journal = await restored(gateway, files.url)
    await journal.plan(orders(1))
    await journal._store.run(("UPDATE gatewaypy_payouts SET state = 'planned'", ()))
    await journal.aclose()
    backup = files.journal_alone()
    assert (await run(gateway, files.url)).succeeded == 1
    files.restore(backup)
    assert (await run(gateway, files.url)).succeeded == 1
    assert executed(sandbox) == {"P-1": 1}


async def test_killed_between_two_writes_is_not_restored(
    gateway: Gateway, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the journal's write and that of its owner file leaves a valid journal."""
    await run(gateway, files.url, 1)

    def die(*_: object) -> None:
        raise OSError("killed")

    for _ in range(2):
        with monkeypatch.context() as killed:
            killed.setattr(JournalLock, "begin", die)
            with pytest.raises(OSError, match="killed"):
                await Journal(files.url, MEMBER).__aenter__()
    with monkeypatch.context() as killed:
        killed.setattr(JournalLock, "count", lambda *_: None)
        assert not (await run(gateway, files.url, 2)).restored
    assert not (await run(gateway, files.url, 3)).restored


async def test_journal_moved_with_its_file_is_trusted(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Both files may be moved together, and an unused journal may be deleted."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = Files(tmp_path / "here"), Files(tmp_path / "there")
    async with Journal(here.url, MEMBER) as journal:
        await journal.plan(orders(1))
    here.restore(without=("",))
    await run(gateway, here.url, 1)
    shutil.move(here.journal, there.journal)
    shutil.move(here.owner_file, there.owner_file)
    report = await run(gateway, there.url, 2)
    assert (report.restored, executed(sandbox)) == (False, {"P-1": 1, "P-2": 1})


async def test_backup_without_intents_and_file_is_restored(
    gateway: Gateway, sandbox: Sandbox, files: Files
) -> None:
    """A backup before the first payout, without its owner file, sends no planned order."""
    async with Journal(files.url, MEMBER) as journal:
        await journal.plan(orders(1))
    backup = files.journal_alone()
    await run(gateway, files.url, 1)
    files.restore(backup, without=(".owner",))
    report = await run(gateway, files.url, 1)
    assert (report.restored, executed(sandbox)) == (True, {"P-1": 1})


async def test_report_of_restored_journal_shows_mark(gateway: Gateway, files: Files) -> None:
    """The report before a run shows the mark, takes no lock and changes nothing."""
    await run(gateway, files.url, 1)
    backup = files.journal_alone()
    await run(gateway, files.url, 2)
    files.restore(backup)
    async with Journal(files.url, MEMBER, read_only=True) as looked_at:
        assert "it holds 1 intents, and 2 were counted" in await looked_at.restored_because()
        assert await looked_at.history() == []
    async with (
        Journal(files.url, MEMBER) as journal,
        Journal(files.url, MEMBER, read_only=True) as looked_at,
    ):
        assert (journal.restored, looked_at.restored) == (True, True)
        await journal.trust("both are in the statement")
        assert await looked_at.restored_because() == ""
