"""``gatewaypy payouts`` on a journal restored from a backup, and how a person trusts it again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.payout_commands import QUICK, run, write

from gatewaypy.cli.payouts.exit_codes import ExitCode
from gatewaypy.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy
ROWS = ("P-1,1.00,EUR,Ada", "P-2,1.00,EUR,Ada")


def executed(sandbox: Sandbox) -> Counter[str]:
    return Counter(entry.merchant_transaction_id for entry in sandbox.ledger.entries)


@pytest.mark.parametrize("way", ["restored", "deleted"])
async def test_payouts_run_restored_journal_pays_nothing_twice(
    sandbox: Sandbox, tmp_path: Path, way: str
) -> None:
    """Two days are paid, the first backup restored and day 2 run again: nothing is paid twice."""
    sandbox.payments.refuse_duplicates = False
    path = tmp_path / "journal.db"
    at = ("--journal", f"sqlite:///{path}")
    to = (*at, "--url", sandbox.base_url, *QUICK)
    days = [write(tmp_path / f"day{number}.csv", row) for number, row in enumerate(ROWS)]
    assert (await run("run", days[0], *to)).returncode == ExitCode.SETTLED
    backup = path.read_bytes()
    assert (await run("run", days[1], *to)).returncode == ExitCode.SETTLED
    if way == "restored":
        path.write_bytes(backup)
        looked = await run("report", *at)
        assert (
            "counts as restored from a backup: it holds 1 intents, and 2 were counted next to it"
            in looked.stdout
        )
        assert looked.returncode == ExitCode.RESTORED
    else:
        path.unlink()
    again = await run("run", days[1], *to)
    assert "This journal counts as restored from a backup" in again.stdout
    assert "gatewaypy payouts trust --because" in again.stdout
    assert again.returncode == ExitCode.RESTORED
    # An order that was never paid is not sent either, because the journal cannot know that.
    new = write(tmp_path / "day3.csv", "P-3,1.00,EUR,Ada")
    assert (await run("run", new, *to)).returncode == ExitCode.REVIEW
    assert executed(sandbox) == {"P-1": 1, "P-2": 1}
    table = await run("report", *at, "--format", "csv")
    assert "counts as restored" in table.stderr
    assert "counts as restored" not in table.stdout


async def test_payouts_trust_ends_the_mark(sandbox: Sandbox, tmp_path: Path) -> None:
    """A person sets and ends the mark, each with a reason in the report; new orders are paid."""
    at = ("--journal", f"sqlite:///{tmp_path}/journal.db")
    to = (*at, "--url", sandbox.base_url, *QUICK)
    assert (
        await run("run", write(tmp_path / "day1.csv", ROWS[0]), *to)
    ).returncode == ExitCode.SETTLED
    needless = await run("trust", *at, "--because", "all is well")
    assert (needless.returncode, "does not count as restored" in needless.stderr) == (1, True)
    assert (await run("distrust", *at, "--because", "the disk of Monday is back")).returncode == 0
    assert (await run("report", *at)).returncode == ExitCode.RESTORED
    for reason in ("", " "):
        refused = await run("trust", *at, "--because", reason)
        assert (refused.returncode, "because: " in refused.stderr) == (1, True)
    assert (await run("trust", *at)).returncode == ExitCode.USAGE
    assert (
        await run("trust", *at, "--because", "the statement has the same orders")
    ).returncode == 0
    result = await run("report", *at)
    assert result.returncode == ExitCode.SETTLED
    for event, reason in (
        ("distrusted", "the disk of Monday is back"),
        ("trusted", "the statement has the same orders"),
    ):
        assert any(
            f" {event} by " in line and reason in line for line in result.stdout.splitlines()
        )
    assert (
        await run("run", write(tmp_path / "day2.csv", ROWS[1]), *to)
    ).returncode == ExitCode.SETTLED
    assert executed(sandbox) == {"P-1": 1, "P-2": 1}


async def test_payouts_change_gateway_needs_a_reason(sandbox: Sandbox, tmp_path: Path) -> None:
    """A journal of another gateway is refused until a person states that it is the same."""
    at = ("--journal", f"sqlite:///{tmp_path}/journal.db")
    days = [write(tmp_path / f"day{number}.csv", row) for number, row in enumerate(ROWS)]
    async with Sandbox().serve() as other:
        assert (
            await run("run", days[0], *at, "--url", other.base_url, *QUICK)
        ).returncode == ExitCode.SETTLED
        refused = await run("run", days[1], *at, "--url", sandbox.base_url, *QUICK)
        assert (refused.returncode, f"pays at {other.base_url}" in refused.stderr) == (
            ExitCode.ERROR,
            True,
        )
    assert sandbox.ledger.entries == []
    change = ("change-gateway", *at, "--url", sandbox.base_url)
    assert (await run(*change)).returncode == ExitCode.USAGE
    assert (await run(*change, "--because", "the vendor's letter of 3 May")).returncode == 0
    assert (
        await run("run", days[1], *at, "--url", sandbox.base_url, *QUICK)
    ).returncode == ExitCode.SETTLED
    assert "the vendor's letter of 3 May" in (await run("report", *at)).stdout


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_payouts_trust_creates_no_journal(tmp_path: Path) -> None:
    """A mistyped name is an error, and creates no journal."""
    for command in ("trust", "distrust"):
        result = await run(
            command, "--journal", f"sqlite:///{tmp_path}/none.db", "--because", "a reason"
        )
        assert (result.returncode, "there is no journal" in result.stderr) == (1, True)
    assert files(tmp_path) == []
