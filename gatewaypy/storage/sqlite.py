"""SQLite by the standard library: a writer thread, and one commit for all waiting transactions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from gatewaypy.errors import ConfigurationError
from gatewaypy.storage.base import ENDED, StoreUnavailableError, check_loop
from gatewaypy.storage.clock import boot_clock
from gatewaypy.storage.table_parameter import TableParameter, expand, specialized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewaypy.storage.base import Rows, Statement

_MOST_AT_ONCE: Final = 512
# More rows than this are passed as JSON, because SQLite limits the number of parameters, and a
# prepared statement is kept for each size.
_MOST_ROWS: Final = 1024
#: How long a transaction may wait for another process's lock, counted from the call.
_BUSY_SECONDS: Final = 10.0
_SLICE_SECONDS: Final = 0.1
#: Errors of the file and not of a statement, by SQLite's primary codes: busy, locked, read-only,
#: I/O, corrupt, full, cannot open, not a database. Every transaction would fail with them.
_OF_THE_FILE: Final = frozenset({5, 6, 8, 10, 11, 13, 14, 26})
_BUSY: Final = frozenset({5, 6})
_FULL: Final = 2
# Not a file. It is refused after it was opened, because it has no write-ahead log.
_IN_MEMORY: Final = ":memory:"
#: File systems on which SQLite's locks or its write-ahead log are not reliable.
_NETWORKED: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afs",
        "ceph",
        "9p",
        "fuse.sshfs",
        "fuse.s3fs",
        "glusterfs",
    }
)


@define(eq=False)
class _Transaction:
    """The statements of one transaction, and the future of its caller."""

    statements: tuple[Statement, ...]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[Rows]]
    deadline: float


class SqliteStore:
    """A store in one file of this machine; several processes may use it.

    ``journal_mode=WAL`` and ``synchronous=FULL`` are set and read back: a transaction that returned
    survives a power cut.

    Args:
        path: The path of the file, absolute or relative to the working directory.
    """

    def __init__(self, path: str) -> None:
        """Store the path; nothing is opened yet."""
        self._path = path
        self._waiting: queue.SimpleQueue[_Transaction | None]
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._has_ended = False
        self._files: dict[str, tuple[int, int]] = {}

    @property
    def boot(self) -> str:
        """The id of this machine's boot, because the clock counts from it; empty if not known."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    @property
    def home(self) -> str:
        """Unknown: a file can be copied anywhere."""
        return ""

    async def open(self, schema: Sequence[str]) -> None:
        """Open the file and create missing tables and indexes.

        Args:
            schema: Statements that create the tables and indexes if they do not exist.

        Raises:
            ConfigurationError: The file cannot be opened, or its commits would not be durable.
        """
        # If an earlier loop ended before the store was closed, its thread still runs.
        await self.aclose()
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._waiting = queue.SimpleQueue()
        self._loop, self._process, self._has_ended = loop, os.getpid(), False
        self._thread = threading.Thread(
            target=self._write,
            args=(tuple(schema), loop, opened),
            name="gatewaypy-sqlite",
            daemon=True,
        )
        self._thread.start()
        await opened

    async def run(self, *statements: Statement) -> list[Rows]:
        """Run a transaction, which shares its commit with the other waiting transactions.

        Args:
            *statements: The statements, in order.

        Returns:
            The rows of each statement.

        Raises:
            sqlite3.Error: The transaction failed; nothing of it was stored.
            ConfigurationError: The store is not open, belongs to another event loop, or its writer
                has ended. Or the file was deleted or replaced, or another process locked it for
                10 s.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            check_loop(self._loop)
        future: asyncio.Future[list[Rows]] = loop.create_future()
        self._waiting.put(_Transaction(statements, loop, future, time.monotonic() + _BUSY_SECONDS))
        # Checked after the put: a thread that ends sets this flag before it fails the queue's
        # entries. A forked process has no writer thread.
        if self._has_ended or self._process != os.getpid():
            raise StoreUnavailableError(ENDED)
        return await future

    async def aclose(self) -> None:
        """Write the waiting transactions, then close the file."""
        thread, self._thread, self._loop = self._thread, None, None
        if thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(thread.join)

    # The writer's thread

    def _write(
        self, schema: tuple[str, ...], loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]
    ) -> None:
        try:
            connection = self._connect(schema)
        except Exception as error:  # noqa: BLE001 - the caller of open receives it
            failure = (
                error
                if isinstance(error, ConfigurationError)
                else ConfigurationError(f"cannot use {self._path}: {error}")
            )
            loop.call_soon_threadsafe(opened.set_exception, failure)
            return
        loop.call_soon_threadsafe(opened.set_result, None)
        batch: list[_Transaction] | None = None
        waiting = self._waiting
        try:
            while (batch := self._next_batch()) is not None:
                self._answer(batch, self._commit(connection, batch))
        finally:
            self._has_ended = True
            left = [*(batch or ()), *_left(waiting)]
            self._answer(left, [StoreUnavailableError(ENDED)] * len(left))
            connection.close()

    def _connect(self, schema: tuple[str, ...]) -> sqlite3.Connection:
        # SQLite follows symbolic links, so the link's target must be checked and created.
        path = self._path if self._path == _IN_MEMORY else os.path.realpath(self._path)
        _check_file_system(path)
        if path != _IN_MEMORY:
            # Payments are confidential, so only the owner can read the file. SQLite creates its
            # other files with the same mode.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if not Path(path).is_file():
                msg = f"{path}: must be a file"
                raise ConfigurationError(msg)
            if Path(path).stat().st_nlink > 1:
                msg = f"{path}: must not have a second name (a hard link), under which SQLite would keep a second log"
                raise ConfigurationError(msg)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection, schema)
            # From here on the writer limits how long a transaction waits for a lock. This is the
            # interval at which it checks the deadlines.
            connection.execute(f"PRAGMA busy_timeout={int(_SLICE_SECONDS * 1000)}")
            path = str(Path(self._path).absolute())
            self._files = {
                name: found
                for name in (path, f"{path}-wal")
                if (found := _identity(name)) is not None
            }
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection, schema: tuple[str, ...]) -> None:
        # If it is deterministic, it is called once for a statement and not for every row. Each
        # call waits for the interpreter's lock.
        connection.create_function("gatewaypy_now", 0, boot_clock, deterministic=True)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute(f"PRAGMA synchronous={_FULL}")
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        if mode != "wal" or synchronous != _FULL:
            msg = (
                f"{self._path} cannot keep what is promised: "
                f"journal_mode is {mode}, synchronous {synchronous}; use a local disk"
            )
            raise ConfigurationError(msg)
        for statement in schema:
            connection.execute(_dialect(statement))

    def _next_batch(self) -> list[_Transaction] | None:
        batch = [self._waiting.get()]
        while len(batch) < _MOST_AT_ONCE and batch[-1] is not None:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        if batch[-1] is None:
            if len(batch) > 1:
                self._waiting.put(None)
            batch.pop()
        return [transaction for transaction in batch if transaction is not None] or None

    def _commit(
        self, connection: sqlite3.Connection, batch: list[_Transaction]
    ) -> list[list[Rows] | Exception]:
        """Commit a batch at once; if a statement fails, commit each transaction by itself."""
        try:
            results = _as_one(connection, batch)
            self._check_files()
        except Exception as error:  # noqa: BLE001 - the callers receive it
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _BUSY:
                return self._after_lock(connection, batch)
            if len(batch) == 1 or code in _OF_THE_FILE or isinstance(error, StoreUnavailableError):
                return [error] * len(batch)
        else:
            return results
        results = []
        for transaction in batch:
            results += self._commit(connection, [transaction])
        return results

    def _after_lock(
        self, connection: sqlite3.Connection, batch: list[_Transaction]
    ) -> list[list[Rows] | Exception]:
        """Fail the transactions whose deadline for the lock has passed, and retry the others."""
        now = time.monotonic()
        late = sum(transaction.deadline <= now for transaction in batch)
        msg = f"another process keeps {self._path} locked; nothing was written: end that process, or its transaction"
        failed: list[list[Rows] | Exception] = [StoreUnavailableError(msg)] * late
        # The batch is in order of arrival, so the expired ones are first.
        return failed + (self._commit(connection, batch[late:]) if late < len(batch) else [])

    def _check_files(self) -> None:
        """Raise if a file was deleted or replaced: new data would be lost with this process."""
        for name, identity in self._files.items():
            if _identity(name) != identity:
                msg = (
                    f"{name} was deleted or replaced while it was open: what was written since is lost when this process ends;"
                    " stop it, put the file back, and start again"
                )
                raise StoreUnavailableError(msg)

    @staticmethod
    def _answer(batch: list[_Transaction], results: list[list[Rows] | Exception]) -> None:
        loops: dict[
            asyncio.AbstractEventLoop,
            list[tuple[asyncio.Future[list[Rows]], list[Rows] | Exception]],
        ] = {}
        for transaction, result in zip(batch, results, strict=True):
            loops.setdefault(transaction.loop, []).append((transaction.future, result))
        for loop, answers in loops.items():
            # A loop that has ended has no waiting callers.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_set, answers)


def _left(waiting: queue.SimpleQueue[_Transaction | None]) -> list[_Transaction]:
    left = []
    while not waiting.empty():
        left.append(waiting.get_nowait())
    return [transaction for transaction in left if transaction is not None]


def _identity(path: str) -> tuple[int, int] | None:
    """Return the device and the inode of a file; ``None`` if there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path is three times slower
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set(answers: list[tuple[asyncio.Future[list[Any]], Any]]) -> None:
    for future, result in answers:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _as_one(
    connection: sqlite3.Connection, batch: list[_Transaction]
) -> list[list[Rows] | Exception]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results: list[list[Rows] | Exception] = [
            [
                connection.execute(*bind(sql, parameters)).fetchall()
                for sql, parameters in transaction.statements
            ]
            for transaction in batch
        ]
        connection.execute("COMMIT")
    except Exception:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def bind(sql: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """Translate a statement and its parameters for SQLite.

    Args:
        sql: The statement, with ``?`` for each parameter.
        parameters: Its parameters. A `TableParameter` is replaced by the values of its rows.

    Returns:
        The statement in SQLite's dialect, and the list of its values.
    """
    plain: list[Any] = []
    sizes: list[int] = []
    for parameter in parameters:
        if not isinstance(parameter, TableParameter):
            plain.append(parameter)
            continue
        # Rounded up to a power of two, so that a few prepared statements serve every row count.
        rows, size = parameter.rows, 1 << max(0, len(parameter.rows) - 1).bit_length()
        if rows and size <= _MOST_ROWS:
            plain.extend(chain.from_iterable(rows))
            plain.extend([None] * (len(rows[0]) * (size - len(rows))))
        else:
            plain.append(parameter.as_json())
            size = 0
        sizes.append(size)
    return _dialect(sql, tuple(sizes)), plain


@lru_cache(maxsize=512)
def _dialect(sql: str, sizes: tuple[int, ...] = ()) -> str:
    left = iter(sizes)
    sql = expand(sql, lambda columns: _given(columns, next(left, 0)))
    # A file can be copied, so its tables have no id. A writing transaction locks the whole file.
    sql = specialized(sql, table_id="''", share="")
    return sql.replace("{now}", "gatewaypy_now()").replace(
        "{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT"
    )


def _given(columns: list[tuple[str, str]], size: int) -> str:
    if size:
        # Half the work of parsing JSON. The rows that fill up a size have NULL in the first column.
        names = ", ".join(
            f"column{number} AS {name}" for number, (name, _) in enumerate(columns, 1)
        )
        places = ", ".join([f"({', '.join('?' * len(columns))})"] * size)
        return f"SELECT {names} FROM (VALUES {places}) WHERE column1 IS NOT NULL"  # noqa: S608 - the statement's own names
    values = ", ".join(
        f"json_extract(value, '$[{number}]') AS {name}" for number, (name, _) in enumerate(columns)
    )
    return f"SELECT {values} FROM json_each(?)"  # noqa: S608 - the statement's own names


def _check_file_system(path: str) -> None:
    """Refuse a file on a network file system, if this machine lists its mounts."""
    folder = Path(path).absolute().parent
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    found, kind = "", ""
    for line in mounts:
        _, place, system, *_ = line.split(" ")
        if folder.is_relative_to(place) and len(place) >= len(found):
            found, kind = place, system
    if kind in _NETWORKED:
        msg = f"{path} is on {kind}, a network file system, where SQLite's locks can't be relied on: use a local disk"
        raise ConfigurationError(msg)
