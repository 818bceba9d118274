"""The interface of a store, and its errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: One statement of a transaction: SQL with ``?`` for each parameter.
Statement: TypeAlias = "tuple[str, Sequence[Any]]"
Rows: TypeAlias = "list[tuple[Any, ...]]"


CLOSED: Final = "this store is not open"
ENDED: Final = "the store's writer has ended, so nothing is written any more; close the store and open it again"


class StoreUnavailableError(ConfigurationError):
    """The store cannot write now, or not any more.

    It is unknown whether a transaction that waited was committed.
    """


def check_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Check that a store is open, and that it was opened on the running event loop.

    Args:
        loop: The event loop on which the store was opened; ``None`` if it is not open.

    Raises:
        ConfigurationError: The store is not open, or it was opened on another event loop.
    """
    if loop is None:
        raise ConfigurationError(CLOSED)
    if loop is not asyncio.get_running_loop():
        msg = (
            "this store was opened on another event loop: close it there, and open one on each loop"
        )
        raise ConfigurationError(msg)


class Store(Protocol):
    """A database with three calls: `open`, `run` and `aclose`.

    Every transaction that returned is durable: ``synchronous=FULL`` in SQLite,
    ``synchronous_commit=on`` in PostgreSQL.
    """

    @property
    def boot(self) -> str:
        """The origin of the store's clock. If it changes, stored times have no meaning."""
        ...

    @property
    def home(self) -> str:
        """The identity of the open database; empty if it cannot be known.

        If it changes, the database was restored.
        """
        ...

    async def open(self, schema: Sequence[str]) -> None:
        """Connect, check that commits are durable, and create missing tables and indexes.

        Args:
            schema: Statements that create the tables and indexes if they do not exist.

        Raises:
            ConfigurationError: The database cannot be used, or its commits are not durable.
        """
        ...

    async def run(self, *statements: Statement) -> list[Rows]:
        """Run statements as one transaction.

        Args:
            *statements: The statements, in order.

        Returns:
            The rows of each statement, as soon as the transaction is durable.
        """
        ...

    async def aclose(self) -> None:
        """Wait for the transactions in progress, then disconnect."""
        ...
