"""``gatewaypy payouts``, as a person runs it against a gateway on a socket."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import pty
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
from support.payout_commands import ACCOUNT, CANARY, COMMAND, HEAD, QUICK, ROOT, call, run, write

from gatewaypy.cli.payouts.exit_codes import ExitCode
from gatewaypy.sandbox import Sandbox

pytestmark = pytest.mark.heavy


def paid(sandbox: Sandbox) -> Counter[str]:
    """Count what the gateway has executed, by the ids of the payouts."""
    entries = sandbox.ledger.summary()["entries"]
    return Counter(entry["merchantTransactionId"] for entry in entries if entry["kind"] == "payout")


def kept(folder: Path) -> bytes:
    """Return every byte of the files of a journal."""
    return b"".join(path.read_bytes() for path in folder.glob("journal.db*"))


def states(journal: str) -> Counter[str]:
    printed = call("report", "--journal", journal, "--format", "json")
    return Counter(json.loads(line)["state"] for line in printed.stdout.splitlines())


async def test_payouts_run_twice_pays_once(
    sandbox: Sandbox,
    store_url: str,
    tmp_path: Path,
) -> None:
    """300 payouts with declines and a bad row: each is paid once in any number of runs."""
    rows = [
        f"PAYOUT-{number},{'6051.00' if number % 100 == 7 else '1.25'},EUR,Ada"
        for number in range(300)
    ]
    file = write(
        tmp_path / "may.csv", *rows, f"BAD-1,1.001,EUR,{CANARY}", rows[0], "PAYOUT-1,99.00,EUR,Ada"
    )
    work = ("run", file, "--journal", store_url, "--url", sandbox.base_url, *QUICK)
    first = await run(*work)
    assert (first.returncode, first.stderr) == (ExitCode.FAILURES, "")
    for words in (
        "line 302 (BAD-1): amount: must have at most 2 decimals, zeros included; '12.000' can mean twelve thousand; got 5 characters: digits, '.'\n",
        "line 304 (PAYOUT-1): conflict: the journal has this id with another amount or payee; not paid\n",
        "300 of 300 · done 297 · failed 3 · unknown 0 · review 0 · bad 1 · in conflict 1 · in the journal before 1",
        "may.csv: 303 rows read: 300 new, 1 in the journal before, 1 bad, 1 in conflict.\n",
        "In this run: 297 succeeded, 3 failed, 0 review.\n",
        "The journal has 300 orders: 297 succeeded, 3 failed.\n",
        "correct them and run the file again",
    ):
        assert words in first.stdout
    assert CANARY not in first.stdout
    requests = sandbox.requests["payout"]
    again = await run(*work)
    assert again.returncode == ExitCode.FAILURES
    assert (
        "may.csv: 303 rows read: 0 new, 301 in the journal before, 1 bad, 1 in conflict.\n"
        in again.stdout
    )
    assert (sandbox.requests["payout"], len(paid(sandbox)), max(paid(sandbox).values())) == (
        requests,
        297,
        1,
    )
    # Failures of another file do not count here.
    other = await run("run", write(tmp_path / "june.csv", "JUNE-1,1.00,EUR,Ada"), *work[2:])
    assert (other.returncode, "The journal has 301 orders" in other.stdout) == (
        ExitCode.SETTLED,
        True,
    )
    await reports(store_url, tmp_path)


async def reports(journal: str, folder: Path) -> None:
    """Check each format of the report of 298 paid and 3 declined payouts, with a member id only."""
    # Neither this process nor this command has credentials in its environment.
    alone = {
        "GATEWAYPY_USERNAME": "",
        "GATEWAYPY_SECRET_KEY": "",
        "GATEWAYPY_PARTNER_ID": "",
        "GATEWAYPY_JOURNAL": journal,
    }
    text = await run("report", **alone)
    assert text.returncode == ExitCode.FAILURES
    lines = [line.split() for line in text.stdout.splitlines()]
    for expected in (
        "301 orders",
        "EUR succeeded 298 372.25",
        "EUR failed 3 18,153.00",
        "00001 transaction succeeded 298",
        "11051 insufficient funds 3",
        "0 review",
    ):
        assert expected.split() in lines
    assert "Latency: 301 answers: 50% within" in text.stdout
    assert "█" in text.stdout
    picture = folder / "latency.png"
    table = await run("report", "--format", "csv", "--histogram", str(picture), **alone)
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert (len(rows), {row["batch"] for row in rows}) == (301, {"may.csv", "june.csv"})
    assert [rows[7][name] for name in ("merchant_transaction_id", "amount", "currency", "state", "code", "attempt")] == [
        "PAYOUT-7", "6051.00", "EUR", "failed", "11051", "1",
    ]  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")
    output = folder / "failed.jsonl"
    assert (
        await run(
            "report", "--format", "json", "--state", "failed", "--output", str(output), **alone
        )
    ).stdout == ""
    assert [json.loads(line)["merchant_transaction_id"] for line in output.read_text().splitlines()] == [
        "PAYOUT-7", "PAYOUT-107", "PAYOUT-207",
    ]  # fmt: skip
    listed = await run("report", "--state", "failed", **alone)
    assert "PAYOUT-7  6051.00 EUR  payment" in listed.stdout
    assert "3 failed\n" in listed.stdout


async def test_payouts_run_sigterm_is_resumed(
    sandbox: Sandbox,
    store_url: str,
    tmp_path: Path,
) -> None:
    """SIGTERM waits for sent payouts; resume and run finish the job, each payout once."""
    file = write(
        tmp_path / "orders.csv", *(f"PAYOUT-{number},1.00,EUR,Ada" for number in range(300))
    )
    to = ("--journal", store_url, "--url", sandbox.base_url, *QUICK)
    sandbox.reply_delay = 0.5
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "run",
        file,
        *to,
        "--concurrency",
        "4",
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | ACCOUNT,
        cwd=ROOT,
    )
    async with asyncio.timeout(60):
        while sandbox.requests.get("payout", 0) < 20:
            await asyncio.sleep(0.01)
        looked = await run("report", "--journal", store_url)
        assert (looked.returncode, looked.stderr) == (ExitCode.UNFINISHED, "")
        process.send_signal(signal.SIGTERM)
        printed, _ = await process.communicate()
    sandbox.reply_delay = 0.0
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Stopping: no further payout begins" in printed
    assert b"The file was not read to its end: run the same command again" in printed
    before = await asyncio.to_thread(states, store_url)
    assert set(before) == {"planned", "succeeded"}
    assert before["succeeded"] == len(paid(sandbox))
    assert 20 <= len(paid(sandbox)) < 300
    resumed = await run("resume", *to)
    assert (resumed.returncode, resumed.stderr) == (ExitCode.SETTLED, "")
    assert f"In this run: {before['planned']:,} succeeded" in resumed.stdout
    finished = await run("run", file, *to)
    assert (finished.returncode, finished.stderr) == (ExitCode.SETTLED, "")
    assert (len(paid(sandbox)), max(paid(sandbox).values()), sandbox.requests["payout"]) == (
        300,
        1,
        300,
    )


async def test_payouts_not_found_goes_to_review(
    sandbox: Sandbox,
    store_url: str,
    tmp_path: Path,
) -> None:
    """A payout that is not found is reviewed with its evidence, and decided once."""
    sandbox.faults.add("cut before", operation="payout", times=3)
    file = write(
        tmp_path / "orders.csv", *(f"PAYOUT-{number},6051.00,EUR,Ada" for number in range(4))
    )
    at = ("--journal", store_url)
    done = await run("run", file, *at, "--url", sandbox.base_url, *QUICK)
    # Unknown payouts precede the decline in the exit code.
    assert (done.returncode, done.stderr) == (ExitCode.REVIEW, "")
    assert "3 orders are on the review list" in done.stdout
    listed = await run("report", *at)
    assert listed.returncode == ExitCode.REVIEW
    assert "3 review; to decide, run 'gatewaypy payouts resolve'" in listed.stdout
    assert "not found for" in listed.stdout
    review = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("PAYOUT")]
    for merchant_transaction_id, decision, state in zip(
        review, ("paid", "not-paid", "send-again"), ("succeeded", "failed", "planned"), strict=True
    ):
        decided = await run(
            "resolve",
            merchant_transaction_id,
            *at,
            "--as",
            decision,
            "--because",
            "the bank's statement of 3 May",
        )
        assert (
            decided.returncode,
            decided.stdout.startswith(f"{merchant_transaction_id} is {state}"),
        ) == (0, True)
    twice = await run("resolve", review[0], *at, "--as", "not-paid", "--because", "second thoughts")
    assert (twice.returncode, "is not on the review list" in twice.stderr) == (1, True)
    rows = (
        await run("report", *at, "--format", "json", "--state", "succeeded")
    ).stdout.splitlines()
    assert json.loads(rows[0])["evidence"].endswith(" / decided: the bank's statement of 3 May")
    assert (await run("report", *at)).returncode == ExitCode.UNFINISHED
    sent = sandbox.requests["payout"]
    assert (
        await run("resume", *at, "--url", sandbox.base_url, *QUICK)
    ).returncode == ExitCode.FAILURES
    assert sandbox.requests["payout"] == sent + 1


async def test_payouts_resend_unknown_sends_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """With --resend-unknown, a payout that is not found is sent again under its own id."""
    sandbox.faults.add("cut before", operation="payout")
    file = write(tmp_path / "orders.csv", "PAYOUT-1,1.00,EUR,Ada")
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    done = await run("run", file, *to, "--resend-unknown")
    assert (done.returncode, done.stderr) == (ExitCode.SETTLED, "")
    assert (paid(sandbox), sandbox.requests["payout"]) == ({"PAYOUT-1": 1}, 2)


async def test_payouts_pending_is_left_for_next_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """A pending payout is looked up by the next run, which sends nothing."""
    at = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url)
    file = write(tmp_path / "orders.csv", "PAYOUT-1,6091.00,EUR,Ada")
    done = await run("run", file, *at, *QUICK)
    assert done.returncode == ExitCode.UNFINISHED
    assert (
        "1 orders have not ended: run the same command again, or 'gatewaypy payouts resume …'."
        in done.stdout
    )
    assert (await run("resume", *at, *QUICK)).returncode == ExitCode.UNFINISHED
    assert sandbox.requests["payout"] == 1


async def test_payouts_json_lines_with_own_batch_name(sandbox: Sandbox, tmp_path: Path) -> None:
    """The example runs under a name and a rate; its decline sets the exit code."""
    journal = f"sqlite:///{tmp_path}/journal.db"
    to = ("--journal", journal, "--url", sandbox.base_url, *QUICK)
    done = await run(
        "run",
        "examples/payouts.jsonl",
        *to,
        "--batch",
        "salaries",
        "--per-second",
        "50",
        "--concurrency",
        "2",
    )
    assert (done.returncode, done.stderr) == (ExitCode.FAILURES, "")
    rows = [
        json.loads(line)
        for line in call("report", "--journal", journal, "--format", "json").stdout.splitlines()
    ]
    assert [(row["amount"], row["state"], row["batch"]) for row in rows][2:4] == [
        ("12000", "succeeded", "salaries"),
        ("6051.00", "failed", "salaries"),
    ]


async def test_payouts_strict_run_with_bad_row_pays_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """The whole file is read before any payment, and the error names its line."""
    file = write(
        tmp_path / "orders.csv",
        *(f"PAYOUT-{number},1.00,EUR,Ada" for number in range(600)),
        "BAD,1.001,EUR,Ada",
    )
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    strict = await run("run", file, *to, "--strict")
    assert (strict.returncode, strict.stdout) == (ExitCode.ERROR, "")
    assert strict.stderr.startswith(
        "InvalidRequest: orders.csv, line 602: amount: must have at most 2 decimals"
    )
    assert (paid(sandbox), (tmp_path / "journal.db").exists()) == ({}, False)
    good = write(tmp_path / "good.csv", "PAYOUT-1,1.00,EUR,Ada")
    assert (await run("run", good, *to, "--strict")).returncode == ExitCode.SETTLED


async def test_payouts_card_number_is_a_bad_row(sandbox: Sandbox, tmp_path: Path) -> None:
    """The rest of the file is paid, and the card number is nowhere."""
    file = tmp_path / "orders.jsonl"
    lines = [
        {"merchant_transaction_id": merchant_transaction_id, "amount": "1.00", "currency": "EUR", "customer": {"surname": "Lovelace"}, "extra": extra}
        for merchant_transaction_id, extra in (("P-1", {"account": "4000 0000 0000 0051"}), ("P-2", {"bankAccount.iban": "DE89370400440532013000"}))
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    done = await run("run", str(file), *to)
    assert (
        done.returncode,
        "line 1 (P-1): extra.account: must not contain a card number" in done.stdout,
    ) == (
        ExitCode.FAILURES,
        True,
    )
    assert paid(sandbox) == {"P-2": 1}
    assert b"0000 0051" not in kept(tmp_path) + (done.stdout + done.stderr).encode()
    strict = await run("run", str(file), *to, "--strict")
    assert (
        strict.returncode,
        "line 1: extra.account: must not contain a card number" in strict.stderr,
    ) == (ExitCode.ERROR, True)


async def test_payouts_read_orders_from_a_pipe(sandbox: Sandbox, tmp_path: Path) -> None:
    """A decrypted file is run without a copy on disk; --strict refuses it, as it reads twice."""
    pipe = tmp_path / "orders.csv"
    os.mkfifo(pipe)
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    strict = await run("run", str(pipe), *to, "--strict")
    assert (
        strict.returncode,
        "--strict reads a file before it pays anything" in strict.stderr,
    ) == (ExitCode.ERROR, True)
    running = asyncio.ensure_future(run("run", str(pipe), *to))
    await asyncio.to_thread(pipe.write_text, HEAD + "PAYOUT-1,1.00,EUR,Ada\n")
    done = await running
    assert (done.returncode, done.stderr) == (ExitCode.SETTLED, "")
    assert paid(sandbox) == {"PAYOUT-1": 1}


async def test_payouts_terminal_shows_progress_bar(sandbox: Sandbox, tmp_path: Path) -> None:
    """The bar has the done, the failed and the rate; bad rows are printed above it."""
    file = write(
        tmp_path / "orders.csv",
        *(f"PAYOUT-{number},1.00,EUR,Ada" for number in range(5)),
        "BAD,x,EUR,Ada",
    )
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    master, terminal = pty.openpty()
    seen: list[bytes] = []

    def watch() -> None:
        try:
            while piece := os.read(master, 4096):
                seen.append(piece)
        except OSError:
            return  # On Linux this means that the terminal was closed.

    watcher = threading.Thread(target=watch)
    watcher.start()
    environ = os.environ | ACCOUNT | {"TERM": "xterm", "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "run", file, *to, stdout=terminal, stderr=terminal, env=environ
    )
    os.close(terminal)
    code = await asyncio.wait_for(process.wait(), 60)
    await asyncio.to_thread(watcher.join)
    os.close(master)
    printed = b"".join(seen).decode()
    assert code == ExitCode.FAILURES, printed
    assert "━" in printed
    assert "5 of 5 · done 5 · failed 0 · unknown 0 · review 0 · bad 1" in printed
    assert "line 7 (BAD): amount" in printed


async def test_payouts_rejected_credentials_end_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """The error follows the summary, and every order stays planned."""
    file = write(tmp_path / "orders.csv", "PAYOUT-1,1.00,EUR,Ada")
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    done = await run("run", file, *to, GATEWAYPY_SECRET_KEY="aKeyThatFitsNoDoor0000000000000")
    assert (done.returncode, done.stderr.split(":")[0]) == (ExitCode.ERROR, "AuthenticationFailed")
    assert "The journal has 1 orders: 1 planned." in done.stdout
    assert (await run("resume", *to)).returncode == ExitCode.SETTLED


async def test_payouts_paused_pipe_stops_no_payout(sandbox: Sandbox, tmp_path: Path) -> None:
    """While the writer of a pipe waits, planned orders are paid, and SIGTERM ends the run."""
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    # These were planned by a run whose gateway rejects its credentials.
    planned = write(
        tmp_path / "first.csv", *(f"PAYOUT-{number},1.00,EUR,Ada" for number in range(5))
    )
    assert (
        await run("run", planned, *to, GATEWAYPY_SECRET_KEY="aKeyThatFitsNoDoor0000000000000")
    ).returncode == ExitCode.ERROR
    pipe = tmp_path / "orders.csv"
    os.mkfifo(pipe)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "run",
        str(pipe),
        *to,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | ACCOUNT,
    )
    async with asyncio.timeout(60):
        writer = await asyncio.to_thread(pipe.open, "w")
        while len(paid(sandbox)) < 5:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(
            lambda: (writer.write(HEAD + "PAYOUT-5,1.00,EUR,Ada\nPAYOUT-6,1.0"), writer.flush())
        )
        while len(paid(sandbox)) < 6:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        printed, errors = await process.communicate()
    writer.close()
    assert (process.returncode, errors) == (ExitCode.INTERRUPTED, b"")
    assert b"The file was not read to its end: run the same command again" in printed
    assert paid(sandbox) == {f"PAYOUT-{number}": 1 for number in range(6)}


async def test_payouts_unclosed_quote_pays_rows_before_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """Earlier rows are paid and the error names the line; --strict pays nothing."""
    evil = "EVIL-1,9999.00,EUR,777777"
    file = write(
        tmp_path / "orders.csv", "PAYOUT-1,1.00,EUR,Ada", f'PAYOUT-2,1.00,EUR,"Bob\n{evil}\n', evil
    )
    to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
    strict = await run("run", file, *to, "--strict")
    assert (
        strict.returncode,
        "orders.csv, line 3: must close the quote" in strict.stderr,
        paid(sandbox),
    ) == (
        ExitCode.ERROR,
        True,
        {},
    )
    done = await run("run", file, *to)
    assert (done.returncode, "orders.csv, line 3: must close the quote" in done.stderr) == (
        ExitCode.ERROR,
        True,
    )
    assert paid(sandbox) == {"PAYOUT-1": 1}


async def test_payouts_dead_gateway_is_reported_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """Stderr has the failure and the next try, and bad rows give no estimate."""
    file = write(
        tmp_path / "orders.csv",
        "PAYOUT-1,1.00,EUR,Ada",
        *(f"BAD-{number},x,EUR,Ada" for number in range(50)),
    )
    async with sandbox.refusing():
        to = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--url", sandbox.base_url, *QUICK)
        done = await run("run", file, *to, "--failure-threshold", "2")
    assert done.returncode == ExitCode.UNFINISHED
    assert done.stderr.startswith("gateway unreachable: connection refused; next try in 0.1 s\n")
    assert "gateway unreachable: connection refused; next try in 0.5 s\n" in done.stderr
    assert "0 of 1 · done 0 · failed 0 · unknown 0 · review 0 · bad 50" in done.stdout
    assert " left" not in done.stdout
