"""Stores: what they guarantee, and what they refuse."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import errors
from gatewaypy.storage import open_store
from gatewaypy.storage.sqlite import SqliteStore
from gatewaypy.storage.table_parameter import table_parameter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.storage import Store

SCHEMA = ("CREATE TABLE IF NOT EXISTS notes (id {serial}, text TEXT NOT NULL UNIQUE)",)
ADD = "INSERT INTO notes (text) VALUES (?) RETURNING text"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = open_store(store_url)
    await opened.open(SCHEMA)
    yield opened
    await opened.aclose()


async def test_store_transactions_share_commits_separately(store: Store) -> None:
    """Many at once succeed; one that fails affects no other and leaves nothing."""
    work = [store.run((ADD, (f"note {number}",))) for number in range(300)]
    work.append(store.run((ADD, ("half",)), (ADD, ("note 0",))))
    results = await asyncio.gather(*work, return_exceptions=True)
    assert [result for result in results[:300] if isinstance(result, Exception)] == []
    assert isinstance(results[300], Exception)
    ((rows,),) = (await store.run(("SELECT COUNT(*) FROM notes", ())),)
    assert rows == [(300,)]
    assert await store.run(("SELECT text FROM notes WHERE text = ?", ("half",))) == [[]]


async def test_store_invalid_value_fails_only_its_caller(store: Store) -> None:
    """The writer continues, as do the transactions of other callers."""
    bad = store.run((ADD, (object(),)))
    huge = store.run(("SELECT CAST(? AS BIGINT)", (2**70,)))
    good = store.run((ADD, ("good",)))
    results = await asyncio.gather(bad, huge, good, return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [True, True, False]
    assert await store.run((ADD, ("after",))) == [[("after",)]]


async def test_store_cancelled_caller_affects_no_other(store: Store) -> None:
    """A cancelled caller neither stops the writer nor breaks the answer of another."""
    task = asyncio.ensure_future(store.run((ADD, ("cancelled",))))
    await asyncio.sleep(0)
    task.cancel()
    assert await store.run((ADD, ("other",))) == [[("other",)]]


async def test_store_rows_are_one_parameter(store: Store) -> None:
    """A statement takes rows of numbers, texts and None as one parameter, with any text."""
    rows = [(1, 'a "quoted" one', None), (2, "\\ ☃ '", 0.5), (2**60, "", -1e300)]
    sql = "SELECT number, word, share FROM {input number BIGINT, word TEXT, share DOUBLE PRECISION} ORDER BY number"
    assert await store.run((sql, (table_parameter(rows),))) == [rows]
    assert await store.run((sql, (table_parameter([]),))) == [[]]


@pytest.mark.parametrize("number", [1, 2, 3, 64, 1000, 1024, 1025, 5000])
async def test_store_any_number_of_rows_is_inserted(store: Store, number: int) -> None:
    """However many rows there are, exactly these arrive, with parameters before and after."""
    rows = [(place, f"word {place}", None, None, None, None, place) for place in range(number)]
    columns = "place BIGINT, word TEXT, a TEXT, b TEXT, c TEXT, d TEXT, twin BIGINT"
    sql = f"SELECT CAST(? AS TEXT), given.* FROM {{input {columns}}} WHERE given.word <> ? ORDER BY given.place"  # noqa: S608
    (found,) = await store.run((sql, ("x", table_parameter(rows), "word 0")))
    assert found == [("x", *row) for row in rows[1:]]


async def test_store_can_be_reopened(store: Store) -> None:
    """After a close and an open it works as before, with the same data."""
    await store.run((ADD, ("before",)))
    await store.aclose()
    await store.open(SCHEMA)
    assert await store.run(("SELECT text FROM notes", ())) == [[("before",)]]


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_sqlite_new_files_are_private(tmp_path: Path) -> None:
    """New files are readable by the owner only, with any umask; an old one keeps its mode."""
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/new.db")
        await store.open(SCHEMA)
        await store.run((ADD, ("secret",)))
        assert modes(tmp_path) == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)
        await store.aclose()
        (tmp_path / "new.db").chmod(0o640)
        await store.open(SCHEMA)
        await store.aclose()
        assert modes(tmp_path)["new.db"] == 0o640
    finally:
        os.umask(before)


async def test_sqlite_link_to_missing_file_is_private(tmp_path: Path) -> None:
    """A file that is created through a symbolic link is readable by the owner only."""
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/link.db")
        await store.open(SCHEMA)
        await store.aclose()
    finally:
        os.umask(before)
    assert (tmp_path / "real.db").stat().st_mode & 0o777 == 0o600


async def test_sqlite_hard_link_is_refused(tmp_path: Path) -> None:
    """A file with two names would have two write-ahead logs that do not know each other."""
    store = open_store(f"sqlite:///{tmp_path}/one.db")
    await store.open(SCHEMA)
    await store.aclose()
    (tmp_path / "two.db").hardlink_to(tmp_path / "one.db")
    for name in ("one.db", "two.db"):
        with pytest.raises(errors.ConfigurationError, match="must not have a second name"):
            await open_store(f"sqlite:///{tmp_path}/{name}").open(SCHEMA)


async def test_sqlite_link_to_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system of the file counts, not that of a link to it."""
    (tmp_path / "far").mkdir()
    (tmp_path / "near.db").symlink_to(tmp_path / "far" / "x.db")
    real = Path.read_text
    mounts = f"x / ext4 rw 0 0\nx {tmp_path}/far nfs4 rw 0 0\n"
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: mounts if str(self) == "/proc/self/mounts" else real(self, *a, **k),
    )
    with pytest.raises(errors.ConfigurationError, match="nfs4"):
        await SqliteStore(str(tmp_path / "near.db")).open(SCHEMA)


async def test_postgres_deadlock_is_retried(store_url: str) -> None:
    """PostgreSQL ends one of two deadlocked transactions: it runs again, both succeed."""
    if not store_url.startswith("postgres"):
        return
    stores: list[Any] = [open_store(store_url) for _ in range(2)]
    for store in stores:
        await store.open(SCHEMA)
    await stores[0].run(*((ADD, (name,)) for name in ("a", "b")))
    touch = "UPDATE notes SET text = text WHERE text = ? RETURNING text"
    rest = ("SELECT pg_sleep(0.3)::text", ())
    answers = await asyncio.gather(
        stores[0].run((touch, ("a",)), rest, (touch, ("b",))),
        stores[1].run((touch, ("b",)), rest, (touch, ("a",))),
    )
    assert [[rows[0][0] for rows in (first, last)] for first, _, last in answers] == [
        ["a", "b"],
        ["b", "a"],
    ]
    for store in stores:
        await store.aclose()


async def test_store_committed_rows_are_visible_to_next(store: Store, store_url: str) -> None:
    """Another store on the same place reads them, and the clock continues."""
    await store.run((ADD, ("kept",)))
    other = open_store(store_url)
    await other.open(SCHEMA)
    ((text,),), ((now,),) = await other.run(("SELECT text FROM notes", ()), ("SELECT {now}", ()))
    assert text == "kept"
    assert ((await store.run(("SELECT {now}", ())))[0][0][0]) >= now
    await other.aclose()
    await other.aclose()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://x", "callbacks.db", ""])
def test_store_unknown_url_scheme_raises(url: str) -> None:
    """The error names the two kinds of URL."""
    with pytest.raises(errors.ConfigurationError, match="sqlite:///"):
        open_store(url)


async def test_sqlite_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A missing directory, and a file that is not a database, are named."""
    (tmp_path / "text.db").write_text("this is not a database" * 100)
    for path in (tmp_path / "missing" / "x.db", tmp_path / "text.db"):
        with pytest.raises(errors.ConfigurationError, match=path.name):
            await SqliteStore(str(path)).open(SCHEMA)


async def test_sqlite_in_memory_is_refused() -> None:
    """A store in memory has no write-ahead log, so it is not durable."""
    with pytest.raises(errors.ConfigurationError, match="cannot keep what is promised"):
        await SqliteStore(":memory:").open(SCHEMA)


@pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("ext4", False)])
async def test_sqlite_network_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    """The locks of SQLite are not reliable there."""
    real = Path.read_text
    mounts = f"x / ext4 rw 0 0\nx {tmp_path} {kind} rw 0 0\n"
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: mounts if str(self) == "/proc/self/mounts" else real(self, *a, **k),
    )
    store = SqliteStore(str(tmp_path / "x.db"))
    if refused:
        with pytest.raises(errors.ConfigurationError, match="nfs4"):
            await store.open(SCHEMA)
    else:
        await store.open(SCHEMA)
        await store.aclose()


async def test_sqlite_unreadable_mounts_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the mounts cannot be read, the file is opened anyway."""

    def refuse(self: Path, *_: Any, **__: Any) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    store = SqliteStore(str(tmp_path / "x.db"))
    await store.open(SCHEMA)
    await store.aclose()


async def test_postgres_unreachable_server_raises(quiet_port: int) -> None:
    """A server that cannot be reached is a configuration error with a reason."""
    pytest.importorskip("asyncpg")
    with pytest.raises(errors.ConfigurationError, match="cannot use the PostgreSQL database"):
        await open_store(f"postgresql://payouts@127.0.0.1:{quiet_port}/x").open(SCHEMA)


async def test_postgres_lost_connection_is_reopened(store_url: str) -> None:
    """Transactions in progress fail; the next one works."""
    if not store_url.startswith("postgres"):
        return
    store: Any = open_store(store_url)
    await store.open(SCHEMA)
    store._connection.terminate()
    assert await store.run((ADD, ("after",))) == [[("after",)]]
    ((pid,),) = (await store.run(("SELECT pg_backend_pid()", ())))[0]
    other: Any = open_store(store_url)
    await other.open(SCHEMA)
    await other.run(("SELECT pg_terminate_backend(CAST(? AS INTEGER))", (pid,)))
    results = [
        await asyncio.gather(store.run((ADD, (f"again {n}",))), return_exceptions=True)
        for n in range(2)
    ]
    assert results[-1] == [[[("again 1",)]]]
    await other.aclose()
    await store.aclose()


async def test_postgres_without_fsync_is_refused(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with fsync=off may lose commits."""
    if not store_url.startswith("postgres"):
        return
    import asyncpg

    async def off(self: Any, query: str, *_: Any) -> str:
        return "off"

    monkeypatch.setattr(asyncpg.Connection, "fetchval", off)
    with pytest.raises(errors.ConfigurationError, match="fsync=off"):
        await open_store(store_url).open(SCHEMA)


def test_postgres_without_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asyncpg the message says how to install it."""
    import sys

    monkeypatch.delitem(sys.modules, "gatewaypy.storage.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[postgres\]"):
        open_store("postgresql://x")
