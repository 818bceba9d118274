"""CONTRIBUTING.md, "Finding your way"."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gatewaypy"


def test_finding_your_way_every_path_exists() -> None:
    """A newcomer finds each file and folder that the section names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Finding your way")[1].split("\n## ")[0]
    paths = re.findall(r"`([a-z_/]+(?:\.py|/))`", section)
    assert len(paths) > 40
    assert [path for path in paths if not (PACKAGE / path).exists()] == []
