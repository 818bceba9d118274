"""The output and exit codes of commands in real processes, pipes and terminals."""

from __future__ import annotations

import asyncio
import csv
import gc
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import Card, Gateway, Money
from gatewaypy.cli import main
from gatewaypy.cli.output import PlainConsole, cell_of, has_zone, show_table, utc
from gatewaypy.payouts import Journal, PayoutOrder, State
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = {
    "GATEWAYPY_MEMBER_ID": MERCHANT.member_id,
    "GATEWAYPY_PARTNER_ID": MERCHANT.partner_id,
    "GATEWAYPY_USERNAME": MERCHANT.username,
    "GATEWAYPY_SECRET_KEY": MERCHANT.secret_key.reveal(),
}
COMMAND = [sys.executable, "-c", "from gatewaypy.cli import main; main()"]
CARD = Card("4000000000000051", 7, 2030, "745")
REMARK = "paid [/05] :smile: [link=https://evil.example]here[/link] \x1b[31mred\u202e"
NOW = datetime.now(UTC).date()
DAYS = ["--from", (NOW - timedelta(1)).isoformat(), "--to", (NOW + timedelta(1)).isoformat()]


def run(
    *arguments: str, said: str = "", tail: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    command: Any = [*COMMAND, *arguments]
    if tail:
        command = ["bash", "-c", f'"$@" {tail}', "bash", *command]
    environment = (
        {name: value for name, value in os.environ.items() if name != "COLUMNS"} | ACCOUNT | environ
    )
    return subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
        cwd=ROOT,
        timeout=60,
    )


async def later(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run, *arguments, **options)


@pytest.fixture
async def listed(sandbox: Sandbox) -> Sandbox:
    """Serve a sandbox with one payment whose remark, id and status are hostile text."""
    async with Gateway(sandbox.base_url, MERCHANT) as gateway:
        await gateway.debit(
            Money("50.00", "EUR"), CARD, merchant_transaction_id="ORDER-1".ljust(100, "0")
        )
    for record in sandbox.ledger.records.values():
        record.fields["remark"] = REMARK
    return sandbox


def spoken(done: subprocess.CompletedProcess[str]) -> None:
    """Check that a command failed with one line on standard error."""
    assert done.returncode not in {0, -signal.SIGPIPE}
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


# Text from outside


@pytest.mark.parametrize(
    "text",
    ["[/05]", "[bold]a[/bold]", ":smile:", "a\x1b[31mb", "a\u202eb", "https://x.example", "a\nb"],
)
def test_table_shows_outside_text_literally(text: str) -> None:
    """Markup, emoji codes, links, escapes and line breaks have no effect."""
    file = io.StringIO()
    console = PlainConsole(file)
    show_table(console, ("id", "remark"), [("1", text)])
    console.say(text)
    shown = re.sub(r"[^ -~]", lambda found: found[0].encode("unicode_escape").decode(), text)
    assert file.getvalue() == f"id  remark\n1   {shown}\n{shown}\n".replace(
        "id  remark\n", f"id  {'remark'.ljust(len(shown)).rstrip()}\n"
    )


def test_table_without_terminal_is_never_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe or a file each row is one line with whole cells, at any width."""
    monkeypatch.setenv("COLUMNS", "20")
    file = io.StringIO()
    show_table(
        PlainConsole(file),
        ("id", "amount"),
        [("1" * 100, "12,345.00"), ("2", "1.00")],
        numbers=("amount",),
    )
    assert file.getvalue().splitlines()[1:] == [
        f"{'1' * 100}  12,345.00",
        f"{'2'.ljust(100)}       1.00",
    ]


@pytest.mark.parametrize("columns", [20, 200])
def test_table_on_terminal_keeps_whole_cells(columns: int) -> None:
    """On a narrow terminal a table has one value a line; no cell loses a character."""
    file = io.StringIO()
    console = PlainConsole(file)
    console._force_terminal, console._width = True, columns
    show_table(
        console,
        ("id", "amount", "remark"),
        [("A" * 40, "12.00 EUR", ""), ("B" * 40, "7.00 EUR", "x")],
    )
    lines = file.getvalue().splitlines()
    if columns == 20:
        assert lines == [
            f"id: {'A' * 40}",
            "amount: 12.00 EUR",
            "",
            f"id: {'B' * 40}",
            "amount: 7.00 EUR",
            "remark: x",
            "",
        ]
    else:
        assert lines[1:] == [f"{'A' * 40}  12.00 EUR", f"{'B' * 40}  7.00 EUR   x"]


async def test_transactions_piped_shows_whole_ids_and_the_zone(listed: Sandbox) -> None:
    """The longest id is whole, markup has no effect, and times are marked as without a zone."""
    done = await later("transactions", "--url", listed.base_url, *DAYS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ORDER-1".ljust(100, "0") in done.stdout
    assert "transaction date without zone" in done.stdout.splitlines()[0]
    rows = list(
        csv.DictReader(
            io.StringIO(
                (
                    await later("transactions", "--url", listed.base_url, *DAYS, "--format", "csv")
                ).stdout
            )
        )
    )
    assert rows[0]["transaction_date_without_zone"].startswith(str(NOW)[:4])


async def test_inquire_narrow_terminal_shows_whole_ids(listed: Sandbox) -> None:
    """On a terminal of 20 columns an inquiry shows the whole id."""
    own = "ORDER-1".ljust(100, "0")

    def ask() -> str:
        leader, follower = pty.openpty()
        command = [*COMMAND, "inquire", "--url", listed.base_url, "--merchant-transaction-id", own]
        with subprocess.Popen(
            command,
            stdout=follower,
            env=os.environ | ACCOUNT | {"COLUMNS": "20", "TERM": "xterm"},
            cwd=ROOT,
        ) as process:
            os.close(follower)
            shown = b""
            try:
                while piece := os.read(leader, 4096):
                    shown += piece
            except OSError:
                pass  # On Linux this means that the other side was closed.
            os.close(leader)
            assert process.wait(30) == 0
        return shown.decode()

    shown = await asyncio.to_thread(ask)
    assert own in shown
    assert "…" not in shown


# CSV


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+49 30 1234", "'+49 30 1234"), ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"'\t=1"), ("\r=1", r"'\r=1"),
        ("\ufeff=1", r"\ufeff=1"), ("\u200b=1", r"\u200b=1"), ("\x00=1", r"\x00=1"), ("\x1b[2Jx", r"\x1b[2Jx"),
        ("\u202e=1", r"\u202e=1"), ("a\r\n=1", r"a\r\n=1"), (" =1+1", "' =1+1"), ("\uff1d1+1", "'\uff1d1+1"), ("-", "'-"), ("-1+1", "'-1+1"),
        ("-12.50", "-12.50"), ("+7", "+7"), ("-12.50 EUR", "-12.50 EUR"), (-3, "-3"), ("ORDER-1", "ORDER-1"), (None, ""), (0.5, "0.5"),
    ],
)  # fmt: skip
def test_csv_formula_is_neutralized_and_numbers_stay(value: object, cell: str) -> None:
    """A spreadsheet runs no cell of the file, and negative amounts stay numbers."""
    assert cell_of(value) == cell


async def test_report_csv_neutralizes_and_names_the_zone(tmp_path: Path) -> None:
    """Evidence that starts with a formula is written as text, and times are in UTC."""
    url = f"sqlite:///{tmp_path}/journal.db"
    async with Journal(url, MERCHANT.member_id) as journal:
        await journal.plan(
            [
                PayoutOrder(
                    merchant_transaction_id="-1 2", amount=Money("1.00", "EUR"), payment_id="5"
                )
            ],
            batch="=B",
        )
        assert await journal.claim(State.PLANNED)
    (row,) = csv.DictReader(
        io.StringIO((await later("payouts", "report", "--journal", url, "--format", "csv")).stdout)
    )
    assert (row["batch"], row["merchant_transaction_id"], row["amount"]) == ("'=B", "'-1 2", "1.00")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["planned_at"])
    entry = json.loads(
        (await later("payouts", "report", "--journal", url, "--format", "json")).stdout
    )
    assert (entry["batch"], entry["changed_at"][-1]) == ("=B", "Z")


def test_store_times_are_written_in_utc() -> None:
    """SQLite text and PostgreSQL datetimes look alike; gateway times say if they have a zone."""
    times = [
        utc("2026-11-26 22:15:43"),
        utc(datetime(2026, 11, 26, 22, 15, 43, 999, tzinfo=UTC).replace(tzinfo=None)),
    ]
    assert times == ["2026-11-26T22:15:43Z"] * 2
    assert [
        has_zone(text)
        for text in ("2026-11-26 22:15:43", "2026-11-26T22:15:43Z", "2026-11-26 22:15:43+02:00")
    ] == [
        False,
        True,
        True,
    ]


# Exit codes


@pytest.mark.parametrize("encoding", ["ascii"])
def test_command_other_stdout_charset_is_no_error(encoding: str) -> None:
    """If standard output cannot show a character, its escape is written."""
    body = json.dumps(
        {
            "paymentId": "1",
            "amount": "1.00",
            "status": "Y",
            "merchantTransactionId": "a",
            "transactionStatus": "Y",
            "remark": "Straße ✓ 円",
        }
    )
    for arguments in (
        ["callbacks", "sign", "-"],
        ["--help"],
        ["payouts", "run", "--help"],
        ["checksum", "A", "merchantTransactionId=ü", "amount=1"],
    ):
        done = run(*arguments, said=body, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("command", ["sandbox", "callbacks listen"])
def test_command_busy_port_is_one_line(command: str) -> None:
    """A used port, or an address of another machine, is named on one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(*command.split(), "--port", str(port))
        spoken(done)
        assert (done.returncode, done.stderr) == (1, f"127.0.0.1:{port}: Address already in use\n")
    for host in ("203.0.113.1", "no-such-host.invalid"):
        unknown = run(*command.split(), "--host", host, "--port", "0")
        spoken(unknown)
        assert f"{host}:0: " in unknown.stderr


def test_sandbox_wrong_certificate_is_named(tmp_path: Path) -> None:
    """A missing or invalid certificate ends with a message, as does a key alone."""
    wrong = tmp_path / "cert.pem"
    wrong.write_text("no certificate", encoding="utf-8")
    for path, code in ((tmp_path / "none.pem", 2), (tmp_path, 2), (wrong, 1)):
        done = run("sandbox", "--port", "0", "--certfile", str(path))
        assert (done.returncode, "certfile" in done.stderr, "Traceback" in done.stderr) == (
            code,
            True,
            False,
        ), done.stderr
    done = run("sandbox", "--port", "0", "--keyfile", str(wrong))
    spoken(done)
    assert "--keyfile: must come with --certfile" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "demo --payouts {binary}", "demo --payouts {empty}", "demo --payouts {columns}",
        "payouts run {binary} --journal sqlite:///{folder}/j.db --url http://127.0.0.1:9",
        "payouts run {columns} --journal sqlite:///{folder}/j.db --url http://127.0.0.1:9",
        "payouts report --journal sqlite:///{folder}", "payouts report --journal sqlite:///{binary}",
        "payouts report --journal sqlite:///{folder}/none.db", "payouts report --journal nonsense",
        "callbacks replay --inbox sqlite:///{folder}", "callbacks replay --inbox sqlite:///{binary}",
        "callbacks verify {binary}", "callbacks sign {empty}", "callbacks listen --port 0 --inbox sqlite:///{folder}/none/i.db",
        "inquire --url http://127.0.0.1:9 --payment-id 1", "inquire --url https://no-such-host.invalid --payment-id 1",
        "inquire --url nonsense --payment-id 1", "transactions --url http://127.0.0.1:9 --from 2026-01-02 --to 2026-01-01",
        "checksum Z", "checksum A amount=1.00",
    ],
)  # fmt: skip
def test_command_wrong_input_is_one_line(
    tmp_path: Path,
    arguments: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unusable file, URL, journal or host ends with one line on stderr, no traceback."""
    binary, empty, columns = (
        tmp_path / "binary.csv",
        tmp_path / "empty.csv",
        tmp_path / "columns.csv",
    )
    binary.write_bytes(b"\xff\xfe\x00\x01" * 300)
    empty.write_bytes(b"")
    columns.write_text("a,b\n1,2\n", encoding="utf-8")
    words = arguments.format(binary=binary, empty=empty, columns=columns, folder=tmp_path).split()
    # These run in this process: they test errors of the commands, not of the interpreter.
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["gatewaypy", *words])
    thresholds = gc.get_threshold()
    with pytest.raises(SystemExit) as ended:
        main()
    gc.set_threshold(*thresholds)
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (1, 1), said
    assert "Traceback" not in said
    assert "internal error" not in said


@pytest.mark.parametrize("name", ["--output", "--histogram"])
@pytest.mark.parametrize("file", ["journal.db", "journal.db.owner", "link.csv"])
async def test_report_over_its_journal_is_refused(tmp_path: Path, name: str, file: str) -> None:
    """A journal keeps orders from being paid again: no report is written over it."""
    url = f"sqlite:///{tmp_path}/journal.db"
    async with Journal(url, MERCHANT.member_id):
        pass
    (tmp_path / "link.csv").symlink_to(tmp_path / "journal.db")
    before = (tmp_path / "journal.db").read_bytes()
    done = await later("payouts", "report", "--journal", url, name, f"{tmp_path}/{file}")
    assert (done.returncode, f"{name}: must not be a file of the journal" in done.stderr) == (
        1,
        True,
    )
    assert (tmp_path / "journal.db").read_bytes() == before


@pytest.mark.parametrize("name", ["--output", "--histogram"])
async def test_report_unwritable_file_is_one_line(tmp_path: Path, name: str) -> None:
    """A report that cannot be written names the path."""
    url = f"sqlite:///{tmp_path}/journal.db"
    async with Journal(url, MERCHANT.member_id):
        pass
    done = await later("payouts", "report", "--journal", url, name, f"{tmp_path}/none/report.png")
    assert (
        done.returncode,
        "Traceback" in done.stderr,
        f"{tmp_path}/none/report.png: No such" in done.stderr,
    ) == (
        1,
        False,
        True,
    )


@pytest.mark.parametrize("form", ["csv", "json", "table"])
async def test_transactions_closed_pipe_ends_quietly(listed: Sandbox, form: str) -> None:
    """``… | head`` ends the command with code 141 and no text on standard error."""
    done = await later(
        "transactions",
        "--url",
        listed.base_url,
        *DAYS,
        "--format",
        form,
        tail="| true; exit ${PIPESTATUS[0]}",
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_command_full_disk_is_one_line() -> None:
    """Output that cannot be written is an error."""
    done = run("checksum", "A", "merchantTransactionId=a", "amount=1.00", tail="> /dev/full")
    assert (done.returncode, done.stderr) == (1, "No space left on device\n")


@pytest.fixture
def silent() -> Iterator[str]:
    """Listen on a port, and never answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_command_interrupted_ends_with_130(silent: str) -> None:
    """Ctrl-C during a prompt ends with one line and code 130."""
    command = [*COMMAND, "inquire", "--url", silent, "--payment-id", "1"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ACCOUNT,
        cwd=ROOT,
    ) as process:
        deadline = time.monotonic() + 60
        # The command waits for an answer after it has connected.
        while f":{int(silent.rsplit(':', 1)[1]):04X} 01" not in Path(
            f"/proc/{process.pid}/net/tcp"
        ).read_text(encoding="utf-8"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "interrupted\n")
