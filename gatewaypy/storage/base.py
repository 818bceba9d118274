"""The store's protocol, and the choice of one by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: One statement of a transaction: SQL with ``?`` for each parameter.
Statement: TypeAlias = "tuple[str, Sequence[Any]]"
Rows: TypeAlias = "list[tuple[Any, ...]]"


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


def open_store(url: str) -> Store:
    """Choose a store: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://user@host/database``.

    :raises ConfigurationError: for another kind of URL, or where the extra is missing.
    """
    make: Callable[[str], Store]
    if url.startswith("sqlite:///"):
        from gatewaypy.storage.sqlite import SqliteStore  # noqa: PLC0415 - only who uses it loads it

        make, url = SqliteStore, url.removeprefix("sqlite:///")
    elif url.startswith(("postgresql://", "postgres://")):
        from gatewaypy.storage.postgres import PostgresStore  # noqa: PLC0415 - an extra

        make = PostgresStore
    else:
        msg = "a store's URL is sqlite:///path/to/file.db or postgresql://user@host/database"
        raise ConfigurationError(msg)
    return make(url)
