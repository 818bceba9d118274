"""Python blocks of Markdown files, as modules that a type checker can read."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_PRELUDE: Final = "from docs_prelude import *"
_WRAPPER: Final = "async def _() -> None:"
_INDENT: Final = 4
_FENCE: Final = re.compile(
    r"^(?P<indent> *)```py(?:thon3?)?\b[^\n]*\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
_PLACE: Final = re.compile(r"[^\s:]*?(?P<module>block_\d+)\.py(?::(?P<line>\d+)(?::\d+)?)?")
_AWAITS: Final = (ast.Await, ast.AsyncWith, ast.AsyncFor)
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@frozen
class Block:
    """The code of one fence. ``line`` is the number of its first line in the document."""

    document: str
    line: int
    code: str
    is_wrapped: bool

    def module(self) -> str:
        """Return the text of a module with the prelude and the block."""
        if not self.is_wrapped:
            return f"{_PRELUDE}\n{self.code}"
        return f"{_PRELUDE}\n{_WRAPPER}\n{textwrap.indent(self.code, ' ' * _INDENT)}"

    def line_of(self, number: int) -> int:
        """Return the document's line for a line of the module."""
        return self.line + number - (3 if self.is_wrapped else 2)


def _awaits(node: ast.AST) -> bool:
    """Return whether a module awaits outside of its functions."""
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, _SCOPES)]
    return any(isinstance(child, _AWAITS) or _awaits(child) for child in children)


def read_blocks(documents: Iterable[Path], root: Path) -> Iterator[Block]:
    """Yield every Python block of some Markdown files.

    Raises:
        SyntaxError: A block is not Python. The error names the document and its line.
    """
    for path in documents:
        text = path.read_text(encoding="utf-8")
        for fence in _FENCE.finditer(text):
            line = text.count("\n", 0, fence.start("code")) + 1
            document, code = str(path.relative_to(root)), textwrap.dedent(fence["code"])
            # The blank lines make a syntax error name the document's line.
            tree = ast.parse("\n" * (line - 1) + code, document)
            yield Block(document, line, code, is_wrapped=_awaits(tree))


def write_modules(blocks: Iterable[Block], folder: Path) -> dict[str, Block]:
    """Write a module for each block; return the blocks by the name of their module."""
    modules = {f"block_{number}": block for number, block in enumerate(blocks)}
    for name, block in modules.items():
        (folder / f"{name}.py").write_text(block.module(), encoding="utf-8")
    return modules


def name_documents(report: str, modules: dict[str, Block]) -> str:
    """Replace each module and line in a checker's report by the document and its line."""

    def place(match: re.Match[str]) -> str:
        block = modules[match["module"]]
        return (
            f"{block.document}:{block.line_of(int(match['line'])) if match['line'] else block.line}"
        )

    return _PLACE.sub(place, report)
