"""README.md, CONTRIBUTING.md, CHANGELOG.md and docs/: links, paths and line lengths."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
MAX_COLUMNS = 100
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_document_relative_links_resolve(path: Path) -> None:
    """A reader finds each page, file and heading that a link names."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if "://" not in link and (
            not target.exists()
            or (anchor and anchor not in anchors(target.read_text(encoding="utf-8")))
        ):
            broken.append(link)
    assert broken == []


@every_document
def test_document_lines_fit(path: Path) -> None:
    """Prose has at most 100 columns. Rows of tables and output of commands can be longer."""
    fences = re.split(r"^ *```", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [
        line
        for number, part in enumerate(fences)
        if number % 2 == 0 or part.startswith(("python", "console"))
        for line in part.splitlines()
    ]
    assert [line for line in lines if len(line) > MAX_COLUMNS and not line.startswith("|")] == []


def test_finding_your_way_every_path_exists() -> None:
    """A newcomer finds each file and folder that CONTRIBUTING.md names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Finding your way")[1].split("\n## ")[0]
    paths = re.findall(r"`([a-z_/]+(?:\.py|/))`", section)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / "gatewaypy" / path).exists()] == []
