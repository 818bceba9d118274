"""Write docs/coverage.md: every operation, body, reply and flow; with --check, only compare.

The rows are from the operations table, the tests from pytest's collection. A row without its test
is an error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.every_operation import accepts_of, bodies_of, flows_of  # noqa: E402 - see sys.path

from gatewaypy.protocol.operations import OPERATIONS  # noqa: E402 - see above

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = ROOT / "docs" / "coverage.md"
SHOWN_BY = "tests/integration/test_every_operation.py"
TEST = f"{SHOWN_BY}::test_every_operation"
COLUMNS = [(body, accept) for body in ("form", "json") for accept in ("json", "xml")]


def collected() -> set[str]:
    """Return the ids of the tests that pytest finds."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", SHOWN_BY]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {line.strip() for line in found.stdout.splitlines() if line.startswith(TEST)}


def table(tests: set[str], missing: list[str]) -> Iterator[str]:
    """Write the document, and collect the cells without a test."""
    yield "# Every operation, in every encoding and flow"
    yield ""
    yield "`make docs` writes this page from the operations table and pytest's collection. Each tick is a"
    yield "separate test over a real socket, `test_every_operation[operation-body-reply-flow]` in"
    yield f"`{SHOWN_BY}`. The test fails unless the sandbox's ledger, the"
    yield "content types and the client's view agree. `make test` runs them."
    yield ""
    yield "- *sync*: the reply decides."
    yield "- *async*: the payer is sent to a wallet's or bank's page, or the payment is pending and is decided"
    yield "  a moment later."
    yield "- *3-D*: the payer is sent to the bank's challenge."
    yield "- A dash: this way does not exist. Hosted pages answer with pages, and pay by link is always JSON."
    yield ""
    yield f"| operation | flow | {' | '.join(f'{body} → {accept.upper()}' for body, accept in COLUMNS)} | a page |"
    yield "|---|---|" + "---|" * (len(COLUMNS) + 1)
    for name, operation in OPERATIONS.items():
        for flow in flows_of(operation):
            cells = []
            for body, accept in [*COLUMNS, ("form", "html")]:
                if body not in bodies_of(operation) or accept not in accepts_of(operation):
                    cells.append("-")
                    continue
                test = f"{TEST}[{name}-{body}-{accept}-{flow}]"
                cells.append("✓")
                if test not in tests:
                    missing.append(test)
            yield f"| {name} | {flow} | {' | '.join(cells)} |"
    yield ""
    yield f"{len(tests)} tests."


def main() -> int:
    """Write the table, or check it."""
    missing: list[str] = []
    text = "\n".join(table(collected(), missing)) + "\n"
    if missing:
        print("cells without a test:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        DOCUMENT.write_text(text, encoding="utf-8")
        return 0
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        print("docs/coverage.md is out of date: run 'make docs'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
