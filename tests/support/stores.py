"""A store for the callback tests, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

POSTGRES = os.environ.get(
    "GATEWAYPY_TEST_POSTGRES", f"postgresql://{os.environ.get('USER', 'root')}@127.0.0.1:5432/test"
)


async def postgres_schema() -> AsyncIterator[str]:
    """Create a schema, and return a URL that selects it."""
    asyncpg = pytest.importorskip("asyncpg")
    name = f"gatewaypy_{secrets.token_hex(6)}"
    try:
        connection = await asyncpg.connect(POSTGRES)
    except (OSError, asyncpg.PostgresError) as error:
        if os.environ.get("GATEWAYPY_REQUIRE_SERVICES"):
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES} (name one with GATEWAYPY_TEST_POSTGRES): {error}")
    await connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield f"{POSTGRES}?search_path={name}"
    finally:
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Return the URL of an empty store, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    async for url in postgres_schema():
        yield url
