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
    """The store cannot write at present, or no longer; a transaction that waited may have been kept or not."""


def check_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Refuse a store that is not open, or was opened on another event loop than the running one."""
    if loop is None:
        raise ConfigurationError(CLOSED)
    if loop is not asyncio.get_running_loop():
        msg = (
            "this store was opened on another event loop: close it there, and open one on each loop"
        )
        raise ConfigurationError(msg)


class Store(Protocol):
    """A database behind three calls.

    Every transaction that returned is durable: ``synchronous=FULL`` in SQLite, ``synchronous_commit=on`` in PostgreSQL.
    """

    @property
    def boot(self) -> str:
        """What the store's clock counts from: another text means that times written before are meaningless."""
        ...

    @property
    def home(self) -> str:
        """Where the data lives, once it is open: another text means that it was restored. Empty where that cannot be known."""
        ...

    async def open(self, schema: Sequence[str]) -> None:
        """Connect, check that what is promised can be kept, and create what is missing."""
        ...

    async def run(self, *statements: Statement) -> list[Rows]:
        """Run statements as one transaction; return each one's rows once it is durable."""
        ...

    async def aclose(self) -> None:
        """Let what is under way end, and disconnect."""
        ...
