"""Stores: what they promise, and what they refuse."""

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


async def test_transactions_share_commits_and_keep_apart(store: Store) -> None:
    """Many at once all succeed; one that fails takes no other along, and leaves nothing of itself."""
    work = [store.run((ADD, (f"note {number}",))) for number in range(300)]
    work.append(store.run((ADD, ("half",)), (ADD, ("note 0",))))
    results = await asyncio.gather(*work, return_exceptions=True)
    assert [result for result in results[:300] if isinstance(result, Exception)] == []
    assert isinstance(results[300], Exception)
    ((rows,),) = (await store.run(("SELECT COUNT(*) FROM notes", ())),)
    assert rows == [(300,)]
    assert await store.run(("SELECT text FROM notes WHERE text = ?", ("half",))) == [[]]


async def test_a_value_that_no_database_takes_fails_its_caller_alone(store: Store) -> None:
    """The writer lives on, and so does everybody else's transaction."""
    bad = store.run((ADD, (object(),)))
    huge = store.run(("SELECT CAST(? AS BIGINT)", (2**70,)))
    good = store.run((ADD, ("good",)))
    results = await asyncio.gather(bad, huge, good, return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [True, True, False]
    assert await store.run((ADD, ("after",))) == [[("after",)]]


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    """Whoever stops waiting neither stops the writer nor breaks another's answer."""
    task = asyncio.ensure_future(store.run((ADD, ("cancelled",))))
    await asyncio.sleep(0)
    task.cancel()
    assert await store.run((ADD, ("other",))) == [[("other",)]]


async def test_many_rows_go_in_one_statement(store: Store) -> None:
    """A statement takes rows of numbers, texts and nothing as one parameter, whatever is in the texts."""
    rows = [(1, 'a "quoted" one', None), (2, "\\ ☃ '", 0.5), (2**60, "", -1e300)]
    sql = "SELECT number, word, share FROM {input number BIGINT, word TEXT, share DOUBLE PRECISION} ORDER BY number"
    assert await store.run((sql, (table_parameter(rows),))) == [rows]
    assert await store.run((sql, (table_parameter([]),))) == [[]]


@pytest.mark.parametrize("number", [1, 2, 3, 64, 1000, 1024, 1025, 5000])
async def test_any_number_of_rows_goes_in_one_statement(store: Store, number: int) -> None:
    """However many rows there are, all of them arrive and no other, beside parameters before and after them."""
    rows = [(place, f"word {place}", None, None, None, None, place) for place in range(number)]
    columns = "place BIGINT, word TEXT, a TEXT, b TEXT, c TEXT, d TEXT, twin BIGINT"
    sql = f"SELECT CAST(? AS TEXT), given.* FROM {{input {columns}}} WHERE given.word <> ? ORDER BY given.place"  # noqa: S608
    (found,) = await store.run((sql, ("x", table_parameter(rows), "word 0")))
    assert found == [("x", *row) for row in rows[1:]]


async def test_a_store_may_be_opened_again(store: Store) -> None:
    """Closed and opened once more it works as before, and holds what it held."""
    await store.run((ADD, ("before",)))
    await store.aclose()
    await store.open(SCHEMA)
    assert await store.run(("SELECT text FROM notes", ())) == [[("before",)]]


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_what_is_in_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new file, and what SQLite puts beside it, can be read by nobody else, whatever the umask; an old one keeps its mode."""
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


async def test_sqlite_link_to_nothing_is_made_private(tmp_path: Path) -> None:
    """A file that is made through a symbolic link can be read by its owner alone too."""
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
    """A file with two names would have two write-ahead logs, each unknown to the other."""
    store = open_store(f"sqlite:///{tmp_path}/one.db")
    await store.open(SCHEMA)
    await store.aclose()
    (tmp_path / "two.db").hardlink_to(tmp_path / "one.db")
    for name in ("one.db", "two.db"):
        with pytest.raises(errors.ConfigurationError, match="must not have a second name"):
            await open_store(f"sqlite:///{tmp_path}/{name}").open(SCHEMA)


async def test_sqlite_link_onto_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system that counts is that of the file, not that of a link to it."""
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


async def test_what_a_server_gives_up_for_anothers_sake_is_tried_again(store_url: str) -> None:
    """Of two transactions that wait for each other PostgreSQL ends one: it is run again, and both callers get their answers."""
    if not store_url.startswith("postgres"):
        return
    stores: list[Any] = [open_store(store_url) for _ in range(2)]
    for store in stores:
        await store.open(SCHEMA)
    await stores[0].run(*((ADD, (name,)) for name in ("a", "b")))
    touch = "UPDATE notes SET text = text WHERE text = ? RETURNING text"
    rest = ("SELECT pg_sleep(0.3)::text", ())
    told = await asyncio.gather(
        stores[0].run((touch, ("a",)), rest, (touch, ("b",))),
        stores[1].run((touch, ("b",)), rest, (touch, ("a",))),
    )
    assert [[rows[0][0] for rows in (first, last)] for first, _, last in told] == [
        ["a", "b"],
        ["b", "a"],
    ]
    for store in stores:
        await store.aclose()


async def test_what_was_committed_is_there_for_the_next(store: Store, store_url: str) -> None:
    """Another store on the same place reads it, and the clock goes on."""
    await store.run((ADD, ("kept",)))
    other = open_store(store_url)
    await other.open(SCHEMA)
    ((text,),), ((now,),) = await other.run(("SELECT text FROM notes", ()), ("SELECT {now}", ()))
    assert text == "kept"
    assert ((await store.run(("SELECT {now}", ())))[0][0][0]) >= now
    await other.aclose()
    await other.aclose()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://x", "callbacks.db", ""])
def test_an_unknown_kind_is_refused(url: str) -> None:
    """The two kinds of URL are named."""
    with pytest.raises(errors.ConfigurationError, match="sqlite:///"):
        open_store(url)


async def test_a_file_that_cannot_be_opened_is_said_so(tmp_path: Path) -> None:
    """A folder that does not exist, and a file that is no database, are named."""
    (tmp_path / "text.db").write_text("this is no database, however long one looks at it" * 100)
    for path in (tmp_path / "missing" / "x.db", tmp_path / "text.db"):
        with pytest.raises(errors.ConfigurationError, match=path.name):
            await SqliteStore(str(path)).open(SCHEMA)


async def test_a_database_that_cannot_keep_its_word_is_refused() -> None:
    """A store in memory has no write-ahead log: it is refused, not trusted."""
    with pytest.raises(errors.ConfigurationError, match="cannot keep what is promised"):
        await SqliteStore(":memory:").open(SCHEMA)


@pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("ext4", False)])
async def test_network_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    """SQLite's locks cannot be relied on there."""
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


async def test_a_machine_that_tells_nothing_of_its_mounts_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the mounts cannot be read the file is opened all the same."""

    def refuse(self: Path, *_: Any, **__: Any) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    store = SqliteStore(str(tmp_path / "x.db"))
    await store.open(SCHEMA)
    await store.aclose()


async def test_postgres_that_is_not_there_is_said_so(quiet_port: int) -> None:
    """A server that cannot be reached is a mistake in the set-up, with its reason."""
    pytest.importorskip("asyncpg")
    with pytest.raises(errors.ConfigurationError, match="cannot use the PostgreSQL database"):
        await open_store(f"postgresql://nobody@127.0.0.1:{quiet_port}/x").open(SCHEMA)


async def test_a_lost_connection_is_opened_anew(store_url: str) -> None:
    """What was under way fails; the next transaction works."""
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


async def test_a_server_that_may_lose_commits_is_refused(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync=off is no place for payments."""
    if not store_url.startswith("postgres"):
        return
    import asyncpg

    async def off(self: Any, query: str, *_: Any) -> str:
        return "off"

    monkeypatch.setattr(asyncpg.Connection, "fetchval", off)
    with pytest.raises(errors.ConfigurationError, match="fsync=off"):
        await open_store(store_url).open(SCHEMA)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asyncpg the message says how to get it."""
    import sys

    monkeypatch.delitem(sys.modules, "gatewaypy.storage.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[postgres\]"):
        open_store("postgresql://x")
