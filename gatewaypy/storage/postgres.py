"""PostgreSQL by asyncpg: one writer task, and one commit for all waiting transactions."""

from __future__ import annotations

import asyncio
import contextlib
import re
from contextvars import Context
from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from gatewaypy.errors import ConfigurationError
from gatewaypy.imports import missing_extra
from gatewaypy.storage.base import ENDED, StoreUnavailableError, check_loop
from gatewaypy.storage.table_parameter import TableParameter, expand, specialized

try:
    import asyncpg
except ImportError:
    raise missing_extra("PostgreSQL", "postgres") from None

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewaypy.storage.base import Rows, Statement

_MOST_AT_ONCE: Final = 256
_SECONDS: Final = 15
# An advisory lock, so that processes that start together create the tables one after another. The
# number is arbitrary, but fixed and used by gatewaypy alone.
_SCHEMA_LOCK: Final = 0x67617465
# The first eight digits of a WAL file's name are the current timeline. A checkpoint can report an
# older one.
_HOME: Final = (
    "SELECT system_identifier || '/' || ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint"
    " FROM pg_control_system()"
)
# The object ids of the database and the table. A restored dump or a copied database has others.
_TABLE_ID: Final = r"""(
    '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || '\1'::regclass::oid
)"""
# Serialization failure and deadlock: the server rolled the transaction back. A retry is safe.
_GIVEN_UP: Final = frozenset({"40001", "40P01"})
_TRIES: Final = 5
# Every statement finds its rows by an index, independent of the statistics. A new table has no
# statistics, and its plan is kept while it grows. One plan serves all parameter values, so the
# server does not plan each time.
_SETTINGS: Final = {
    "synchronous_commit": "on",
    "application_name": "gatewaypy",
    "timezone": "UTC",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_indexonlyscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_sort": "off",
    "jit": "off",
}
_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@define(eq=False)
class _Transaction:
    """The statements of one transaction, and the future of its caller."""

    statements: tuple[Statement, ...]
    future: asyncio.Future[list[Rows]]


class PostgresStore:
    """A store that many machines can share.

    A server with ``fsync=off`` is refused. Every commit waits for the disk
    (``synchronous_commit=on``). If the connection is lost, the transactions in progress fail; the
    next transaction opens another connection.

    Args:
        url: A ``postgresql://`` URL, as `open_store` checks it.
    """

    def __init__(self, url: str) -> None:
        """Store the URL; nothing is connected yet."""
        self._url = url
        self._connection: Any = None
        self._home = ""
        self._waiting: asyncio.Queue[_Transaction | None]
        self._writer: asyncio.Task[None] | None = None

    @property
    def boot(self) -> str:
        """Always ``"epoch"``: the server's clock counts from the epoch."""
        return "epoch"

    @property
    def home(self) -> str:
        """The cluster and its timeline.

        A restored cluster has another timeline, and a restored dump is in another cluster.
        """
        return self._home

    async def open(self, schema: Sequence[str]) -> None:
        """Connect and create missing tables and indexes.

        Args:
            schema: Statements that create the tables and indexes if they do not exist.

        Raises:
            ConfigurationError: The server cannot be reached, or its commits are not durable.
        """
        await self.aclose()
        try:
            await self._connect()
            async with self._connection.transaction():
                await self._connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                for statement in schema:
                    await self._connection.execute(_dialect(statement))
        except _ERRORS as error:
            reason = f"cannot use the PostgreSQL database: {type(error).__name__}: {error}"
        else:
            # A queue belongs to the loop that waited for it, and an earlier loop may have ended.
            self._waiting = asyncio.Queue()
            self._writer = asyncio.get_running_loop().create_task(
                self._write(self._waiting), context=Context()
            )
            self._writer.add_done_callback(partial(_fail_waiting, self._waiting))
            return
        raise ConfigurationError(reason)

    async def run(self, *statements: Statement) -> list[Rows]:
        """Run a transaction, which shares its commit with the other waiting transactions.

        Args:
            *statements: The statements, in order.

        Returns:
            The rows of each statement.

        Raises:
            ConfigurationError: The store is not open, belongs to another event loop, or its writer
                has ended.
            Exception: The error of asyncpg. After a lost connection it is unknown whether the
                transaction was committed.
        """
        writer = self._writer
        check_loop(None if writer is None else writer.get_loop())
        if writer is not None and writer.done():
            raise StoreUnavailableError(ENDED)
        future: asyncio.Future[list[Rows]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Transaction(statements, future))
        return await future

    async def aclose(self) -> None:
        """Write the waiting transactions, then disconnect."""
        writer, self._writer = self._writer, None
        if writer is not None and writer.get_loop().is_closed():
            # Its writer and its connection ended with that loop.
            self._connection = None
            return
        if writer is not None:
            self._waiting.put_nowait(None)
            await asyncio.wait([writer])
        if self._connection is not None:
            with contextlib.suppress(*_ERRORS):
                await self._connection.close()

    async def _connect(self) -> None:
        self._connection = await asyncpg.connect(
            self._url, server_settings=_SETTINGS, timeout=_SECONDS, command_timeout=_SECONDS
        )
        if await self._connection.fetchval("SHOW fsync") != "on":
            await self._connection.close()
            msg = (
                "the PostgreSQL server runs with fsync=off: what it commits may be lost; turn it on"
            )
            raise ConfigurationError(msg)
        home = await self._connection.fetchval(_HOME)
        if self._home not in {"", home}:
            await self._connection.close()
            msg = "this is another PostgreSQL server than before, or a restored one: it may lack commits; open the store again"
            raise ConfigurationError(msg)
        self._home = home

    async def _write(self, waiting: asyncio.Queue[_Transaction | None]) -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < _MOST_AT_ONCE and batch[-1] is not None and not waiting.empty():
                batch.append(waiting.get_nowait())
            transactions = [transaction for transaction in batch if transaction is not None]
            try:
                if transactions:
                    await self._commit(transactions)
            except BaseException:
                _fail(transactions, StoreUnavailableError(ENDED))
                raise
            if batch[-1] is None:
                return

    async def _commit(self, batch: list[_Transaction], tries: int = _TRIES) -> None:
        """Commit a batch at once; if that fails, commit each transaction by itself.

        So a bad transaction does not fail the others. If the connection is lost, it is unknown
        what was committed: nothing is retried, and every caller receives the error.
        """
        try:
            if self._connection.is_closed():
                await self._connect()
            async with self._connection.transaction():
                results = [
                    [await self._fetch(statement) for statement in transaction.statements]
                    for transaction in batch
                ]
        except Exception as error:  # noqa: BLE001 - the callers receive it
            if not _is_about_sql(error):
                # The state of the connection is unknown. The next transaction opens another one.
                self._connection.terminate()
            was_given_up = getattr(error, "sqlstate", None) in _GIVEN_UP and tries > 1
            if (
                (len(batch) == 1 and not was_given_up)
                or self._connection.is_closed()
                or isinstance(error, OSError)
            ):
                _fail(batch, error)
                return
        else:
            for transaction, result in zip(batch, results, strict=True):
                if not transaction.future.done():
                    transaction.future.set_result(result)
            return
        for transaction in batch:
            await self._commit([transaction], tries - 1)

    async def _fetch(self, statement: Statement) -> Rows:
        sql, parameters = statement
        plain = [
            parameter.as_json() if isinstance(parameter, TableParameter) else parameter
            for parameter in parameters
        ]
        return [tuple(row) for row in await self._connection.fetch(_dialect(sql), *plain)]


def _fail_waiting(waiting: asyncio.Queue[_Transaction | None], writer: asyncio.Task[None]) -> None:
    """Fail the transactions that still wait for a writer that has ended."""
    left = [waiting.get_nowait() for _ in range(waiting.qsize())]
    _fail(
        [transaction for transaction in left if transaction is not None],
        StoreUnavailableError(ENDED),
    )
    if not writer.cancelled():
        # Otherwise asyncio logs that the task's exception was never retrieved.
        writer.exception()


def _fail(batch: list[_Transaction], error: Exception) -> None:
    for transaction in batch:
        if not transaction.future.done():
            transaction.future.set_exception(error)


def _is_about_sql(error: Exception) -> bool:
    """Return whether a statement caused an error.

    SQLSTATE classes 08 and 57 mean that the connection or the server ended.
    """
    return isinstance(error, asyncpg.PostgresError) and not str(
        getattr(error, "sqlstate", "")
    ).startswith(("08", "57"))


@lru_cache
def _dialect(sql: str) -> str:
    numbers, sql = (
        count(1),
        specialized(expand(sql, _given), table_id=_TABLE_ID, share=r" FOR SHARE OF \1"),
    )
    numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
    return numbered.replace(
        "{now}", "extract(epoch from statement_timestamp())::double precision"
    ).replace("{serial}", "BIGSERIAL PRIMARY KEY")


def _given(columns: list[tuple[str, str]]) -> str:
    values = ", ".join(
        f"(value->>{number})::{kind} AS {name}" for number, (name, kind) in enumerate(columns)
    )
    return f"SELECT {values} FROM json_array_elements(?::json)"  # noqa: S608 - the statement's own names
