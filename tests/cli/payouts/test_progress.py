"""The progress of a payout run: what counts as done, and the estimate of the time left."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from gatewaypy import Customer, Money, Outcome
from gatewaypy.cli.payouts import progress
from gatewaypy.cli.payouts.order_import import OrderImport
from gatewaypy.cli.payouts.progress import PayoutProgress
from gatewaypy.payouts import PayoutOrder, PayoutResult, State

ORDER = PayoutOrder(merchant_transaction_id="P", amount=Money(1, "EUR"), customer=Customer("Ada"))


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def make(
    monkeypatch: Any, *, rows: int, before: int = 0
) -> tuple[PayoutProgress, OrderImport, Clock]:
    clock, feed = Clock(), OrderImport(lambda _: None)
    monkeypatch.setattr(progress, "time", clock)
    journal: Any = None
    return (
        PayoutProgress(Console(file=io.StringIO()), feed, journal, 5.0, before, rows),
        feed,
        clock,
    )


def end(progress: PayoutProgress, state: State) -> None:
    progress.count(PayoutResult(order=ORDER, state=state, outcome=Outcome.SUCCEEDED))


def test_progress_bad_rows_do_not_count(monkeypatch: Any) -> None:
    """Bad rows, conflicts and rows of an earlier run are neither done nor in the estimate."""
    progress, feed, clock = make(monkeypatch, rows=1000)
    progress.describe()
    feed.bad, feed.conflicts, feed.known, clock.now = 500, 10, 90, 10.0
    line = progress.describe()
    assert (
        line
        == "0 of 400 · done 0 · failed 0 · unknown 0 · review 0 · bad 500 · in conflict 10 · in the journal before 90"
    )


def test_progress_estimate_uses_settled_payouts(monkeypatch: Any) -> None:
    """The time left is that of the open payouts at the rate of the settled ones."""
    progress, feed, clock = make(monkeypatch, rows=200)
    progress.describe()
    feed.bad, clock.now = 100, 10.0
    for _ in range(20):
        end(progress, State.SUCCEEDED)
    assert progress.describe().endswith("bad 100 · 2/s · 40 s left")


def test_progress_counts_order_of_journal_once(monkeypatch: Any) -> None:
    """An order that is open in the journal and also in the file is one order."""
    progress, feed, _ = make(monkeypatch, rows=3, before=3)
    feed.known, feed.is_read = 3, True
    for _ in range(3):
        end(progress, State.SUCCEEDED)
    assert progress.describe().startswith("3 of 3 · done 3")
