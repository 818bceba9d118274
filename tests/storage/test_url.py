"""The URL of a store: an invalid one is refused, and creates no empty store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.stores import POSTGRES

from gatewaypy import errors
from gatewaypy.callbacks import Inbox
from gatewaypy.cli.options import check_existing
from gatewaypy.payouts import Journal
from gatewaypy.storage import open_store
from gatewaypy.storage.url import is_postgres, sqlite_path

if TYPE_CHECKING:
    from pathlib import Path

NOT_UNDERSTOOD = {
    "options": "payouts.db?timeout=30",
    "a fragment": "payouts.db#main",
    "a URI": "file:payouts.db",
    "an escape": "my%20payouts.db",
    "a line break": "payouts.db\n",
    "a carriage return": "payouts.db\r",
    "a blank before it": " payouts.db",
    "nothing": "",
    "blanks": "  ",
}


@pytest.mark.parametrize("path", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_sqlite_url_invalid_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal, an inbox and a command refuse the URL, and no file is created."""
    monkeypatch.chdir(tmp_path)
    for use in (open_store, Inbox, check_existing, lambda url: Journal(url, "1")):
        with pytest.raises(errors.ConfigurationError, match="SQLite URL: must"):
            use(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["payouts.db", "/var/lib/pay outs.db", "100%.db", "C:\\payouts.db", "zahlungen-ü.db"]
)
def test_sqlite_url_path_is_used_as_written(path: str) -> None:
    """Any valid name of the file system is used unchanged."""
    assert sqlite_path(f"sqlite:///{path}") == path


@pytest.mark.parametrize(
    ("rest", "rule"),
    [
        ("?search_path=", "option search_path: must have a value"),
        ("?search_path", "option search_path: must have a value"),
        ("?search_path=a&search_path=b", "option search_path: must not be repeated"),
        ("?dbname=another", "option dbname: must not be given twice"),
        ("?host=db.example", "option host: must not be given twice"),
        ("#main", "must not have a fragment"),
        ("\n", "must not have control characters"),
    ],
)
def test_postgres_url_ignored_part_is_refused(rest: str, rule: str) -> None:
    """A part that the driver would ignore is named, because it changes the database."""
    with pytest.raises(errors.ConfigurationError, match=rule) as refused:
        open_store(f"postgresql://payouts:hidden@db.example/payouts{rest}")
    assert "hidden" not in str(refused.value)


def test_postgres_url_unreadable_is_refused() -> None:
    """A port that is not a number is a configuration error."""
    with pytest.raises(errors.ConfigurationError, match="must be readable"):
        open_store("postgresql://db.example:none/payouts")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@one.example:5432,two.example:5433/payouts?target_session_attrs=read-write",
        "postgres:///payouts?host=/var/run/postgresql&user=payouts",
        "postgresql://db.example/payouts?search_path=m11344&sslmode=verify-full",
    ],
)
def test_postgres_url_valid_is_accepted(url: str) -> None:
    """Lists of hosts, sockets and options of the driver and the server are possible."""
    assert is_postgres(url)


async def test_postgres_url_unknown_option_is_refused(store_url: str) -> None:
    """The server names an option that neither it nor the driver knows."""
    if not store_url.startswith("postgres"):
        return
    with pytest.raises(errors.ConfigurationError, match="timeout"):
        await open_store(f"{POSTGRES}?timeout=30").open(())
