"""The command line, as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from gatewaypy import Credentials
from gatewaypy.cli import main
from gatewaypy.cli.demo import Demo
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


def run(*arguments: str, said: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from gatewaypy.cli import main; main()", *arguments]
    return subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ACCOUNT | environ,
        cwd=ROOT,
        timeout=60,
    )


def test_demo_agrees_with_the_ledger() -> None:
    """Every step and the ledger are shown, and the exit code is 0."""
    done = run("demo", "--payouts", "examples/payouts.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "Token for shop",
        "refund 20.00 EUR",
        "the payer approved",
        "PAYOUT-2026-003 12000 JPY",
        "ledger agree",
    ):
        assert words in done.stdout


def test_demo_without_payouts_runs_and_names_missing_file() -> None:
    """The file is optional; one that does not exist is named."""
    assert "No payouts" in run("demo").stdout
    missing = run("demo", "--payouts", "nowhere.csv")
    assert missing.returncode == 2
    assert "nowhere.csv" in missing.stderr


async def test_demo_difference_exits_with_1() -> None:
    """A payment that only the ledger has is shown, and the exit code is 1."""
    from decimal import Decimal
    from io import StringIO

    from gatewaypy.cli.output import PlainConsole

    output = StringIO()
    demo = Demo(PlainConsole(output), None)
    demo.books["EUR"].paid_out += Decimal("0.01")
    assert await demo.run() == 1
    assert "DIFFERENT: EUR paid_out: the ledger says 0, the client 0.01" in output.getvalue()


@pytest.fixture
def served() -> Iterator[str]:
    """Run ``gatewaypy sandbox`` in its own process."""
    command = [
        sys.executable,
        "-u",
        "-c",
        "from gatewaypy.cli import main; main()",
        "sandbox",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().rsplit(" ", 1)[-1].strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_sandbox_serves_until_interrupted(served: str) -> None:
    """It prints its address, answers inquiries, and exits with 0."""
    assert httpx.get(f"{served}/sandbox/ledger").json()["entries"] == []
    asked = run("inquire", "--url", served, "--payment-id", "1")
    assert (asked.returncode, "10026" in asked.stdout) == (1, True)
    bad = run("inquire", "--url", served)
    assert (bad.returncode, bad.stderr[:14]) == (1, "InvalidRequest")


def test_checksum_masks_its_key() -> None:
    """The joined text and the digest are shown, the key is not."""
    key = "k3yForDocsOnly0000000000000000AB"
    shown = run(
        "checksum", "A", "merchantTransactionId=TX-1001", "amount=50.00", GATEWAYPY_SECRET_KEY=key
    )
    assert "11344|***|TX-1001|50.00" in shown.stdout
    assert "32f2641a3e924bad64256be60032056b" in shown.stdout
    assert key not in shown.stdout + shown.stderr


def test_checksum_masks_card_numbers() -> None:
    """The output is meant for the gateway's support, so a card number is masked like the key."""
    shown = run("checksum", "F", "cardNumber=4000000000000051")
    assert shown.returncode == 0
    assert "4000000000000051" not in shown.stdout
    assert re.search("^checksum [0-9a-f]{32}$", shown.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["checksum", "Z"], "one of A, B"),
        (["checksum", "A", "amount=1.00"], "merchantTransactionId"),
        (["checksum", "A", "amount=1|0", "merchantTransactionId=a"], "must not contain '|'"),
        (
            ["checksum", "A", "amount"],
            "values: must be name=value, with a name of merchantTransactionId, amount",
        ),
        (["checksum", "A", "amont=1.00"], "values: must be name=value"),
        (["checksum", "A", "secureKey=abc"], "values: must be name=value"),
        (["checksum", "E", "amount=1"], "values: must be left out for this rule"),
    ],
)
def test_checksum_invalid_input_names_the_part(arguments: list[str], words: str) -> None:
    """The missing or wrong part is named."""
    done = run(*arguments)
    assert done.returncode == 1
    assert words in done.stderr


def test_credentials_missing_variables_are_named() -> None:
    """Every variable that is not set is in the message."""
    assert "GATEWAYPY_USERNAME" in run("checksum", "A", GATEWAYPY_USERNAME="").stderr


def test_command_without_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its extra the command says how to install it."""
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "gatewaypy.cli.app", raising=False)
    with pytest.raises(SystemExit, match=r"gatewaypy\[cli\]"):
        main()


@pytest.mark.parametrize("package", ["jinja2", "uvicorn"])
def test_sandbox_without_extra_names_it(package: str) -> None:
    """The sandbox names the extra that it needs."""
    code = f"import sys; sys.modules['{package}'] = None\nimport gatewaypy.sandbox"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "gatewaypy[sandbox]" in done.stderr


def test_sandbox_names_are_public() -> None:
    """Everything that the tests of a merchant import is exported."""
    assert Sandbox.__doc__


CALLBACK = ROOT / "tests" / "vectors" / "callbacks" / "payment-failed.json"
DOCS_KEY = {"GATEWAYPY_SECRET_KEY": "k3yForDocsOnly0000000000000000AB"}


def test_callbacks_sign_and_verify_agree() -> None:
    """A signed callback verifies; another key or an invalid body gives the reason."""
    assert (
        "PaymentFailed TX-1003 payment 54281 50.00 EUR"
        in run("callbacks", "verify", str(CALLBACK), **DOCS_KEY).stdout
    )
    assert (
        "8071956bda34b457d00e54b1ef6f9d1b"
        in run("callbacks", "sign", str(CALLBACK), **DOCS_KEY).stdout
    )
    assert (
        "PaymentFailed TX-1003"
        in run("callbacks", "verify", "-", said=CALLBACK.read_text(), **DOCS_KEY).stdout
    )
    other = run("callbacks", "verify", str(CALLBACK))
    assert (other.returncode, "SignatureMismatch" in other.stderr) == (1, True)
    broken = run("callbacks", "sign", str(ROOT / "README.md"))
    assert (broken.returncode, "UnreadableCallback" in broken.stderr) == (1, True)


async def test_callbacks_review_and_requeue_parked_events(tmp_path: Path) -> None:
    """The command lists events for a person, and requeues parked ones."""
    from gatewaypy.callbacks import Inbox, verify_callback

    url = f"sqlite:///{tmp_path}/inbox.db"
    merchant = Credentials.from_env(environ=ACCOUNT | DOCS_KEY)
    async with Inbox(url) as inbox:
        await inbox.put(verify_callback(CALLBACK.read_bytes(), merchant))
        (entry,) = await inbox.claim(1)
        await inbox.finish(entry, "parked", note="the shop is down")
    put_back = run("callbacks", "replay", "--inbox", url)
    assert put_back.stdout == "1 put back\n"
    async with Inbox(url) as inbox:
        (entry,) = await inbox.claim(1)
        await inbox.finish(entry, "review", note="both cannot be true")
    assert (
        f"review 1: member {MERCHANT.member_id} TX-1003 authfailed: both cannot be true"
        in run("callbacks", "replay", "--inbox", url).stdout
    )
    assert run("callbacks", "replay", "--inbox", "mysql://x").returncode == 1
    mistyped = run("callbacks", "replay", "--inbox", f"sqlite:///{tmp_path}/inbx.db")
    assert (mistyped.returncode, "there is no inbox at" in mistyped.stderr) == (1, True)
    assert not (tmp_path / "inbx.db").exists()


def test_callbacks_listen_until_interrupted(tmp_path: Path) -> None:
    """The listener shows each verified callback, and exits with 0."""
    arguments = ["callbacks", "listen", "--port", "0", "--inbox", f"sqlite:///{tmp_path}/inbox.db"]
    command = [sys.executable, "-u", "-c", "from gatewaypy.cli import main; main()", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | ACCOUNT | DOCS_KEY
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().rsplit(" ", 1)[-1].strip()
        answer = httpx.post(
            url, content=CALLBACK.read_bytes(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.text) == (200, "OK")
        assert process.stdout.readline().startswith("PaymentFailed TX-1003")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert run("callbacks", "listen", GATEWAYPY_SECRET_KEY="").returncode == 1
