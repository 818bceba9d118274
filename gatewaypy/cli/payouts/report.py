"""``gatewaypy payouts report``: a journal's sums, rows, review list and response times."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from attrs import frozen

from gatewaypy.cli.options import check_existing
from gatewaypy.cli.output import CsvWriter, PlainConsole, plain, show_table, utc
from gatewaypy.cli.payouts.exit_codes import choose_exit_code
from gatewaypy.cli.payouts.restored_notice import notice
from gatewaypy.config import check_member_id
from gatewaypy.errors import ConfigurationError
from gatewaypy.imports import missing_extra
from gatewaypy.money import decimals_of
from gatewaypy.payouts import Journal, Latency, State, format_duration
from gatewaypy.payouts.report import make_report
from gatewaypy.protocol.codes import meaning_of
from gatewaypy.storage.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from decimal import Decimal

    from gatewaypy.payouts import JournalEntry, Report

# Suffixes of a journal's files: SQLite's own, and the lock file.
_ENDINGS: Final = ("", "-wal", "-shm", "-journal", ".owner")
_COLUMNS: Final = (
    "merchant_transaction_id",
    "batch",
    "amount",
    "currency",
    "state",
    "attempt",
    "payment_id",
    "code",
    "description",
    "status",
    "outcome_source",
    "seconds",
    "evidence",
    "planned_at",
    "changed_at",
)


@frozen(kw_only=True)
class ReportQuery:
    """The options of a report."""

    journal: str
    form: str
    state: State | None
    output: Path | None
    histogram: Path | None


def member_id() -> str:
    """Return the merchant, the only credential that a report needs.

    Raises:
        ConfigurationError: The environment variable is not set.
        InvalidRequest: It is not a member id.
    """
    value = os.environ.get("GATEWAYPY_MEMBER_ID")
    if not value:
        msg = "environment variables not set: GATEWAYPY_MEMBER_ID"
        raise ConfigurationError(msg)
    check_member_id(value)
    return value


async def show_report(query: ReportQuery) -> int:
    """Write the report; return the exit code."""
    draw = None if query.histogram is None else _drawing()
    for name, path in (("--output", query.output), ("--histogram", query.histogram)):
        _check_is_no_journal(name, path, query.journal)
    # Read only, so that a job may run at the same time.
    async with Journal(check_existing(query.journal), member_id(), read_only=True) as journal:
        report = await make_report(journal)
        latency = Latency()
        if query.form == "text" or draw is not None:
            async for row in pages(journal):
                if row.seconds is not None:
                    latency.add(row.seconds)
        with _opened(query.output) as file:
            if query.form == "text":
                await _write_text(file, journal, report, latency, query.state or State.REVIEW)
            else:
                await _write_rows(file, journal, query)
                if report.restored:
                    sys.stderr.write(notice(report) + "\n")
        if draw is not None:
            draw(latency, query.histogram)
    return choose_exit_code(report, failures=report.failed)


def _check_is_no_journal(name: str, path: Path | None, url: str) -> None:
    """Refuse to overwrite the journal with a report."""
    journal = sqlite_path(url)
    if path is None or journal is None:
        return
    store = Path(journal).resolve()
    if path.resolve() in {store.with_name(f"{store.name}{ending}") for ending in _ENDINGS}:
        msg = f"{name}: must not be a file of the journal, which would be lost"
        raise ConfigurationError(msg)


async def pages(journal: Journal, state: State | None = None) -> AsyncIterator[JournalEntry]:
    """Yield the rows, and read them in pages."""
    after = 0
    while page := await journal.list_entries(after=after, state=state):
        after = page[-1].id
        for row in page:
            yield row


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        yield file


async def _write_rows(file: TextIO, journal: Journal, query: ReportQuery) -> None:
    rows = CsvWriter(file)
    if query.form == "csv":
        rows.write(_COLUMNS)
    async for row in pages(journal, query.state):
        cells = _cells(row)
        if query.form == "csv":
            rows.write(cells.values())
        else:
            file.write(json.dumps(cells) + "\n")


def _cells(row: JournalEntry) -> dict[str, Any]:
    amount, currency = str(row.amount).split(" ")
    known = {"amount": amount, "currency": currency, "state": row.state.value}
    known |= {name: utc(getattr(row, name)) for name in ("planned_at", "changed_at")}
    return {name: known[name] if name in known else getattr(row, name) for name in _COLUMNS}


# Text


async def _write_text(
    file: TextIO, journal: Journal, report: Report, latency: Latency, listed: State
) -> None:
    console = PlainConsole(file)
    say = console.say
    say(f"{report.total:,} orders")
    if report.restored:
        say()
        say(notice(report))
    for entry in await journal.history():
        say(
            f"{utc(entry.happened_at)} {entry.event}"
            f"{entry.person and f' by {entry.person}'}: {entry.reason}"
        )
    if report.by_currency:
        say()
        show_table(
            console,
            ("currency", "state", "orders", "amount"),
            _by_currency(report),
            numbers=("orders", "amount"),
        )
    if report.by_code:
        say()
        show_table(console, ("code", "meaning", "orders"), _by_code(report), numbers=("orders",))
    say()
    say(f"Latency: {latency.summary()}")
    for line in latency.lines():
        say(line)
    say()
    count = 0
    async for row in pages(journal, listed):
        count += 1
        say(
            f"{row.merchant_transaction_id}  {row.amount}  payment {row.payment_id or '-'}"
            f"  attempt {row.attempt}  {_answer(row)}"
        )
        say(f"    {plain(row.evidence or 'no evidence')}")
    say(
        f"{count:,} {listed.value}"
        + (
            "; to decide, run 'gatewaypy payouts resolve'"
            if count and listed is State.REVIEW
            else ""
        )
    )


def _by_currency(report: Report) -> list[tuple[str, str, str, str]]:
    return [
        (currency, state.value, f"{held.counts[state]:,}", _amount(held.amounts[state], currency))
        for currency, held in sorted(report.by_currency.items())
        for state in State
        if state in held.counts
    ]


def _by_code(report: Report) -> list[tuple[str, str, str]]:
    return [
        (code, meaning_of(code) or "", f"{count:,}")
        for code, count in sorted(report.by_code.items())
    ]


def _amount(amount: Decimal, currency: str) -> str:
    return f"{amount:,.{decimals_of(currency)}f}"


def _answer(row: JournalEntry) -> str:
    return plain(" ".join(text for text in (row.code, row.description, row.status) if text))


# A picture


def _drawing() -> Any:  # noqa: ANN401 - an extra's
    """Return the function that draws a histogram."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - see above
    except ImportError:
        raise missing_extra("--histogram", "plot") from None

    def draw(latency: Latency, path: Path) -> None:
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        buckets = latency.buckets()
        axes.bar(
            [format_duration(end) for end, _ in buckets],
            [count for _, count in buckets],
            width=0.95,
        )
        axes.set_title(latency.summary(), fontsize="medium")
        axes.set_xlabel("answered within")
        axes.set_ylabel("payouts")
        axes.tick_params(axis="x", rotation=60)
        figure.savefig(path, format="png", dpi=150)

    return draw
