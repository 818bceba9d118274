"""The pytest fixtures in a project of a user, run by a separate pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WORKS = """
import pytest
from gatewaypy import Money
{mark}
async def test_it(gateway, gateway_sandbox):
    await gateway.payout(Money("1.00", "EUR"), merchant_transaction_id="A", payment_id="1")
    assert gateway_sandbox.requests
"""
PLAIN = """
{mark}
def test_it({name}):
    raise AssertionError("never run")
"""
HELPER = """
import pytest, pytest_asyncio
@pytest_asyncio.fixture
async def shop(gateway):
    yield gateway
def test_it(shop):
    raise AssertionError("never run")
"""
SCOPED = """
import pytest
@pytest.mark.asyncio(loop_scope="session")
async def test_it(gateway_sandbox):
    raise AssertionError("never run")
"""
HIDDEN = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "pytest_asyncio":
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
"""
AUTO = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
STRICT = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
MARK = "@pytest.mark.asyncio"


def run(folder: Path, test: str, settings: str, *, without_plugin: bool = False) -> tuple[int, str]:
    """Run the tests of a project; return the exit code and the output."""
    (folder / "test_shop.py").write_text(test, encoding="utf-8")
    (folder / "pytest.ini").write_text(settings, encoding="utf-8")
    hidden = HIDDEN if without_plugin else ""
    blocked = ", '-p', 'no:asyncio'" if without_plugin else ""
    code = f"{hidden}import pytest; sys_exit = pytest.main(['-p', 'no:cacheprovider'{blocked}]); raise SystemExit(sys_exit)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("mark", "settings", "without_plugin"),
    [("", AUTO, False), (MARK, STRICT, False), ("@pytest.mark.anyio", "[pytest]\n", True)],
    ids=["auto", "strict", "anyio alone"],
)
def test_fixtures_async_test_works(
    tmp_path: Path, mark: str, settings: str, *, without_plugin: bool
) -> None:
    """An async test works in both modes of pytest-asyncio, and with the plugin of anyio alone."""
    anyio = (
        "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n" if without_plugin else ""
    )
    code, output = run(
        tmp_path, WORKS.format(mark=mark) + anyio, settings, without_plugin=without_plugin
    )
    assert code == 0, output


@pytest.mark.parametrize(
    ("test", "settings", "without_plugin", "words"),
    [
        (PLAIN.format(mark="", name="gateway"), AUTO, False, "write 'async def', and mark it with @pytest.mark.asyncio"),
        (PLAIN.format(mark="", name="gateway_sandbox"), STRICT, False, "write 'async def'"),
        (PLAIN.format(mark="", name="gateway_sandbox"), "[pytest]\n", True, "install pytest-asyncio"),
        (HELPER, AUTO, False, "write 'async def'"),
        (WORKS.format(mark=""), STRICT, False, "does not run it in strict mode: mark it with @pytest.mark.asyncio"),
        (WORKS.format(mark=""), "[pytest]\n", True, "no plugin runs it: install pytest-asyncio"),
        (SCOPED, STRICT, False, 'asyncio_default_fixture_loop_scope = "session"'),
    ],
    ids=["plain", "plain, strict", "plain, no plugin", "through a fixture", "strict", "no plugin", "another loop"],
)  # fmt: skip
def test_fixtures_wrong_test_fails_at_once(
    tmp_path: Path, test: str, settings: str, words: str, *, without_plugin: bool
) -> None:
    """A test that could only hang fails before it starts, and the message says what to change."""
    code, output = run(tmp_path, test, settings, without_plugin=without_plugin)
    assert (code, words in output) == (1, True), output
    assert "never run" not in [line.strip() for line in output.splitlines()]
    assert "AssertionError" not in output
