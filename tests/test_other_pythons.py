"""The choice of interpreters that the suite runs on; interpreters and make are fakes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "tools" / "other-pythons.sh"
BUILT = "3.12|OpenSSL 3.0.19|771|2"
PACKAGED = "3.12|OpenSSL 3.0.19|-2|2"


def stand_in(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{output}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def chosen(folder: Path, main: str, *builds: str) -> list[str]:
    """Run the script with these builds of Python 3.12; return those that the suite runs on."""
    stand_in(folder / "bin" / "make", 'echo "MADE $3"')
    for number, build in enumerate(builds):
        stand_in(
            folder / "pyenv" / "versions" / f"3.12.{number}" / "bin" / "python", f"echo '{build}'"
        )
    caller = stand_in(folder / "main", f"echo '{main}'")
    environ = {
        **os.environ,
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "PYENV_ROOT": str(folder / "pyenv"),
    }
    done = subprocess.run(
        ["sh", str(SCRIPT), str(caller)],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
        timeout=60,
    )
    made = [
        line.removeprefix("MADE PYTHON=")
        for line in done.stdout.splitlines()
        if line.startswith("MADE")
    ]
    return [Path(path).parent.parent.name for path in made if path.startswith(str(folder))]


def test_other_pythons_same_build_runs_once(tmp_path: Path) -> None:
    """A build whose version and TLS defaults were run before is skipped."""
    assert chosen(tmp_path, BUILT, BUILT, BUILT) == []


def test_other_pythons_other_tls_of_version_runs(tmp_path: Path) -> None:
    """A second build of the main version runs if its TLS defaults differ."""
    assert chosen(tmp_path, BUILT, BUILT, PACKAGED, PACKAGED) == ["3.12.1"]


def test_other_pythons_unusable_build_is_skipped(tmp_path: Path) -> None:
    """An interpreter that cannot create an environment is skipped, and the next one runs."""
    assert chosen(
        tmp_path, "3.11|OpenSSL 3.0.19|771|2", "no such module' >&2; exit 1 #", BUILT
    ) == ["3.12.1"]
