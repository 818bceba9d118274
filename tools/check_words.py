"""Report the words that docs/style.md replaces, in prose and in names.

Without arguments it checks every finished file; with paths, those files and folders.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
WORDS = ROOT / "tools" / "words.txt"
CHECKED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "benchmarks",
    "docs",
    "examples",
    "gatewaypy",
    "tests",
    "tools",
)
SKIPPED = {ROOT / "docs" / "style.md", WORDS}
SUFFIXES = {".html", ".md", ".py", ".sh", ".toml", ".yaml"}
ALLOW_LINE = "words: allow"
# The characters between two words of a phrase, which may continue on the next line.
GAP = r"(?: |\s*\n[ \t]*(?:#[ \t]*)?)"


class Rules(NamedTuple):
    """The word list: one pattern for all words, and the replacement of each."""

    words: re.Pattern[str]
    replacements: list[str]
    allowed: re.Pattern[str]


def read_rules() -> Rules:
    """Read the word list. Its words also match inside snake_case names."""
    lines = [
        line
        for line in WORDS.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    allowed = [line.removeprefix("allow ") for line in lines if line.startswith("allow ")]
    pairs = [line.split(" => ") for line in lines if not line.startswith("allow ")]
    words = "|".join(f"({old.replace(' ', GAP)})" for old, _ in pairs)
    return Rules(
        re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE),
        [new for _, new in pairs],
        re.compile("|".join(allowed)),
    )


def find_words(text: str, rules: Rules) -> Iterator[tuple[int, str, str]]:
    """Yield line number, word and replacement of each word of the list in a text."""
    lines = text.splitlines()
    allowed = [match.span() for match in rules.allowed.finditer(text)]
    for match in rules.words.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in allowed):
            continue
        number = text.count("\n", 0, match.start()) + 1
        if ALLOW_LINE not in lines[number - 1]:
            word = " ".join(match[0].replace("#", " ").split())
            yield number, word, rules.replacements[(match.lastindex or 1) - 1]


def files_in(path: Path) -> Iterator[Path]:
    """Yield the text files of a folder, without hidden folders; or the file itself."""
    if path.is_file():
        yield path
    for child in sorted(path.iterdir()) if path.is_dir() else ():
        if not child.name.startswith(".") and (child.is_dir() or child.suffix in SUFFIXES):
            yield from files_in(child)


def main(arguments: list[str]) -> int:
    """Check the files and print what was found; return 1 if a word was found."""
    rules, found = read_rules(), 0
    for argument in arguments or CHECKED:
        for path in files_in(ROOT / argument):
            if SKIPPED & {path, *path.parents}:
                continue
            for number, word, new in find_words(path.read_text(encoding="utf-8"), rules):
                found += 1
                print(f"{path.relative_to(ROOT)}:{number}: {word!r}: use {new}")
    if found:
        print(f"{found} words that docs/style.md replaces", file=sys.stderr)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
