"""The Python blocks of README.md and docs/*.md, and the examples, under mypy --strict and pyright.

The checkers run outside the checkout and without its settings, so that they read the library as a
merchant's checker reads it: from its installed, typed package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_blocks import name_documents, read_blocks, write_modules

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
EXAMPLES = ROOT / "examples"
# Django has no types of its own, so mypy reports every view as untyped.
UNTYPED_EXAMPLES = {EXAMPLES / "django_shop.py"}
SECONDS = 250

WRONG = """# Title

```python
found = await gateway.inquire(payment_id="1")
found.amount.currency
```

Text.

```python
payment.redirect.html()
```
"""


@pytest.fixture(params=["mypy", "pyright"])
def checker(request: pytest.FixtureRequest) -> list[str]:
    """Return the command of each type checker. mypy caches other packages for its next run."""
    if request.param == "pyright":
        return ["pyright", "--pythonpath", sys.executable]
    return mypy(request.config)


def mypy(config: pytest.Config) -> list[str]:
    return ["mypy", "--strict", "--config-file=", f"--cache-dir={config.cache.mkdir('docs-mypy')}"]


def run(command: list[str], folder: Path, *files: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    done = subprocess.run(
        [sys.executable, "-m", *command, *files],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def check(
    command: list[str], folder: Path, documents: tuple[Path, ...], root: Path
) -> tuple[int, str]:
    """Check the blocks of some documents; return the checker's exit code and its report."""
    for path in (Path(__file__).parent / "docs_prelude.py", EXAMPLES / "distributed" / "worker.py"):
        shutil.copy(path, folder)
    modules = write_modules(read_blocks(documents, root), folder)
    code, report = run(command, folder, ".")
    return code, name_documents(report, modules)


@pytest.mark.heavy
def test_docs_blocks_checked_strictly_pass(checker: list[str], tmp_path: Path) -> None:
    """A reader can copy each block into an application that is type-checked."""
    code, report = check(checker, tmp_path, DOCUMENTS, ROOT)
    assert code == 0, report


@pytest.mark.heavy
def test_docs_blocks_wrong_types_are_reported(checker: list[str], tmp_path: Path) -> None:
    """A wrong block fails, and the report names the line of the document."""
    folder, document = tmp_path / "modules", tmp_path / "guide.md"
    folder.mkdir()
    document.write_text(WRONG, encoding="utf-8")
    code, report = check(checker, folder, (document,), tmp_path)
    assert (code, "guide.md:5" in report, "guide.md:11" in report) == (1, True, True), report


def test_docs_blocks_broken_syntax_is_reported(tmp_path: Path) -> None:
    """A block that is not Python, such as one with an ellipsis character, fails with its line."""
    document = tmp_path / "guide.md"
    document.write_text("Text.\n\n```python\nx = 1\npay(url=…)\n```\n", encoding="utf-8")
    with pytest.raises(SyntaxError) as failure:
        list(read_blocks((document,), tmp_path))
    assert (failure.value.filename, failure.value.lineno) == ("guide.md", 5)


def test_docs_blocks_every_python_fence_is_read() -> None:
    """No block is missed because of the way in which its fence is written."""
    fences = [
        line for path in DOCUMENTS for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().lower().startswith(("```py", "~~~", "``` py", "````"))
    ]  # fmt: skip
    assert len(fences) == len(list(read_blocks(DOCUMENTS, ROOT))) > 20, fences


@pytest.mark.heavy
def test_examples_checked_by_mypy_strict_pass(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A shop or worker that starts as a copy of an example passes mypy --strict."""
    files = sorted({*EXAMPLES.rglob("*.py")} - UNTYPED_EXAMPLES)
    code, report = run(mypy(request.config), tmp_path, *map(str, files))
    assert code == 0, report
