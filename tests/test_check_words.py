"""The word list of docs/style.md, as tools/check_words.py reads it."""

import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "check_words.py"))
RULES = TOOL["read_rules"]()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nobody answers.", [(1, "Nobody")]),  # words: allow
        ("first\nheard_status = 1", [(2, "heard")]),  # words: allow
        ("# it was called\n    # off at once", [(1, "called off")]),  # words: allow
        ("the status is `begun`", []),  # words: allow
        ("unbearable hearts, scold", []),
        ("is no longer open", []),
        ("lest  # words: allow", []),
    ],
)
def test_find_words_reports_line_and_word(text: str, found: list[tuple[int, str]]) -> None:
    """A word is found alone, in a name and over a line break, unless it is allowed."""
    assert [(line, word) for line, word, _ in TOOL["find_words"](text, RULES)] == found


def test_word_list_rule_has_a_replacement_each() -> None:
    """Each rule of the list names what to write instead."""
    assert all(RULES.replacements)
