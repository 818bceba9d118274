"""References to sections of docs/wire-protocol.md, in the code, the tests and the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "wire-protocol.md"
FOLDERS = ("gatewaypy", "tests", "tools", "docs", "examples", "benchmarks")
# A line break with the mark of a comment, as it stands within a sentence.
BREAK = re.compile(r"\s*\n\s*(?:#:?\s*)?")
# "section 8", "sections 4 and 7", "sections 6, 7, 10 and 11", "sections 3 to 12".
REFERENCE = re.compile(
    r"(?P<standard>(?:RFC|CSP)[ \w-]{0,12},? )?\b[Ss]ections? (?P<numbers>\d+(?:(?:, | and | or | to )\d+)*)"
)


def headings() -> set[int]:
    """Return the numbers of the page's sections."""
    return {
        int(number)
        for number in re.findall(r"^## (\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    }


def references(text: str) -> list[int]:
    """Return the sections that a text refers to, except sections of other standards."""
    found = REFERENCE.finditer(BREAK.sub(" ", text))
    return [
        int(number)
        for match in found
        if not match["standard"]
        for number in re.findall(r"\d+", match["numbers"])
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# a status (protocol\n    # section 8, seen)", [8]),
        ("protocol sections 6, 7, 10 and\n#: 11", [6, 7, 10, 11]),
        ("RFC 9110, section 10.2.3", []),
        ("the rules of section 99", [99]),
    ],
)
def test_references_text_with_numbers_finds_each(text: str, found: list[int]) -> None:
    """A reference is read over a line break, and standards are left out."""
    assert references(text) == found


def test_protocol_references_each_has_a_heading() -> None:
    """A reader finds every section that the code names."""
    files = [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".md", ".py"}
    ]
    sources = {
        path.relative_to(ROOT): references(path.read_text(encoding="utf-8"))
        for path in files
        if path not in {Path(__file__), ROOT / "docs" / "style.md"}
    }
    assert sum(map(len, sources.values())) > 80
    unknown = {path: set(numbers) - headings() for path, numbers in sources.items()}
    assert {path: numbers for path, numbers in unknown.items() if numbers} == {}
