"""``gatewaypy payouts``: the messages and exit codes of mistakes and missing parts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.payout_commands import ROOT, call

from gatewaypy.cli.payouts.exit_codes import MEANINGS, PRECEDENCE, ExitCode, choose_exit_code
from gatewaypy.cli.payouts.progress import time_left
from gatewaypy.payouts import Report, State


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nowhere.csv", "--journal", "sqlite:///{}/j.db", "--url", "http://127.0.0.1:9"], 2, "nowhere.csv"),
        (["run", "README.md", "--journal", "sqlite:///{}/j.db", "--url", "http://127.0.0.1:9"], 1, "path: must end in"),
        (["run", "examples/payouts.csv", "--journal", "mysql://x", "--url", "http://127.0.0.1:9"], 1, "a store's URL is"),
        (["run", "examples/payouts.csv", "--journal", "sqlite:///{}/j.db", "--url", "http://shop.example"], 1, "InsecureConnection"),
        (["run", "examples/payouts.csv", "--journal", "sqlite:///{}/j.db"], 2, "--url"),
        (["run", "examples/payouts.csv", "--journal", "sqlite:///{}/j.db", "--url", "http://127.0.0.1:9", "--concurrency", "0"], 2, "--concurrency"),
        (["resume", "--journal", "sqlite:///{}/none.db", "--url", "http://127.0.0.1:9"], 1, "there is no journal at"),
        (["report", "--journal", "sqlite:///{}/none.db"], 1, "there is no journal at"),
        (["resolve", "A", "--journal", "sqlite:///{}/none.db", "--as", "paid", "--because", "x"], 1, "there is no journal at"),
        (["resolve", "A", "--journal", "sqlite:///{}/none.db", "--as", "paid", "--because", " "], 1, "because: must be a reason on one line"),
        (["resolve", "A", "--journal", "sqlite:///{}/none.db", "--as", "lost", "--because", "x"], 2, "lost"),
        (["report"], 2, "--journal"),
    ],
)  # fmt: skip
def test_payouts_mistake_has_message_and_exit_code(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    """Each ends with a message and its exit code, and creates no journal."""
    done = call(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_payouts_missing_part_is_named(tmp_path: Path) -> None:
    """Without a member id, the plot extra or a directory, the message says what to do."""
    journal = f"sqlite:///{tmp_path}/journal.db"
    sqlite3.connect(tmp_path / "journal.db").close()
    (tmp_path / "journal.db").touch()
    unknown = call("report", "--journal", journal, GATEWAYPY_MEMBER_ID="")
    assert (
        unknown.returncode,
        "environment variables not set: GATEWAYPY_MEMBER_ID" in unknown.stderr,
    ) == (1, True)
    empty = call("report", "--journal", journal)
    assert (empty.returncode, empty.stdout.split("\n")[0]) == (ExitCode.SETTLED, "0 orders")
    bare = "import sys; sys.modules['matplotlib'] = None\nfrom gatewaypy.cli import main; main()"
    without = call("report", "--journal", journal, "--histogram", f"{tmp_path}/x.png", code=bare)
    assert (without.returncode, "pip install 'gatewaypy[plot]'" in without.stderr) == (1, True)
    nowhere = call(
        "report", "--journal", journal, "--format", "csv", "--output", f"{tmp_path}/no/report.csv"
    )
    assert (nowhere.returncode, "no/report.csv: No such file or directory" in nowhere.stderr) == (
        1,
        True,
    )


def test_payouts_reason_with_card_number_is_refused(tmp_path: Path) -> None:
    """A reason is stored, so it must not have a card number; other numbers are accepted."""
    at = ("--journal", f"sqlite:///{tmp_path}/none.db", "--as", "paid")
    refused = call("resolve", "A", *at, "--because", "it was card 4000 0000 0000 0051")
    assert "because: must not contain a card number" in refused.stderr
    assert "0051" not in refused.stderr
    for reason in ("reference 900000000000000000", "statement 2026-05-03, 12345678901234567890123"):
        assert "there is no journal" in call("resolve", "A", *at, "--because", reason).stderr


def test_payouts_lost_database_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A store error ends the run with a line that names it; a bug has its own exit code."""
    asyncpg = pytest.importorskip("asyncpg")
    from gatewaypy.cli.command import run

    async def lose(error: Exception) -> int:
        raise error

    for error in (
        asyncpg.InterfaceError("connection is closed"),
        sqlite3.OperationalError("disk is full"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(lose, error)
        assert (ended.value.code, str(error) in capsys.readouterr().err) == (1, True)
    with pytest.raises(SystemExit) as ended:
        run(lose, ZeroDivisionError())
    assert (ended.value.code, "internal error: ZeroDivisionError" in capsys.readouterr().err) == (
        70,
        True,
    )


@pytest.mark.parametrize(
    ("counts", "failures", "is_interrupted", "code"),
    [
        ({}, 0, False, ExitCode.SETTLED),
        ({State.SUCCEEDED: 5}, 0, False, ExitCode.SETTLED),
        ({State.SUCCEEDED: 5, State.FAILED: 1}, 1, False, ExitCode.FAILURES),
        ({State.FAILED: 1}, 0, False, ExitCode.SETTLED),
        ({State.PLANNED: 1}, 1, False, ExitCode.UNFINISHED),
        ({State.SENDING: 1}, 0, False, ExitCode.UNFINISHED),
        ({State.UNKNOWN: 1}, 0, False, ExitCode.UNFINISHED),
        ({State.PENDING: 1}, 0, False, ExitCode.UNFINISHED),
        ({State.PLANNED: 1}, 1, True, ExitCode.INTERRUPTED),
        ({State.REVIEW: 1, State.PLANNED: 1}, 1, True, ExitCode.REVIEW),
    ],
)
def test_payouts_exit_code_is_the_most_severe(
    counts: dict[State, int], failures: int, is_interrupted: bool, code: ExitCode
) -> None:
    """Unknown payouts come first, then unfinished ones, then failed ones."""
    assert (
        choose_exit_code(Report(counts, {}, {}), failures=failures, is_interrupted=is_interrupted)
        is code
    )


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({State.SUCCEEDED: 5, State.FAILED: 1}, ExitCode.RESTORED),
        ({State.UNKNOWN: 1}, ExitCode.UNFINISHED),
        ({State.REVIEW: 1}, ExitCode.REVIEW),
    ],
)
def test_payouts_exit_code_of_restored_journal(counts: dict[State, int], code: ExitCode) -> None:
    """A restored journal with only settled orders has an exit code of its own."""
    assert choose_exit_code(Report(counts, {}, {}, restored=True), failures=1) is code


@pytest.mark.parametrize("command", ["run", "resume", "report"])
def test_payouts_every_exit_code_is_documented(command: str) -> None:
    """Each is in the help and in the documents, with its meaning and its rank."""
    output = " ".join(call(command, "--help").stdout.split())
    page = (ROOT / "docs" / "payout-files.md").read_text().replace("`", "'")
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in output
        assert f"| {code.value} | {meaning} |" in page
    assert ", ".join(str(code.value) for code in PRECEDENCE) in page
    assert set(PRECEDENCE) == set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "7 s"), (82, "1 min 22 s"), (7325, "2 h 2 min")]
)
def test_payouts_time_left_is_rounded(seconds: float, text: str) -> None:
    """An estimate of hours has no seconds."""
    assert time_left(seconds) == text
