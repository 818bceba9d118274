"""Names that a package's door shows and whose modules are loaded when somebody asks for them first (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def late(
    package: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``.

    A door hides the assignment from type checkers behind ``if not TYPE_CHECKING``, where the names are plainly imported: a module
    with a ``__getattr__`` has every name in their eyes, mistyped ones too.

    :param places: for each name the module that has it; only what no open gateway can come to need in the middle of a payment.
    """
    door = sys.modules[package]

    def get(name: str) -> Any:  # noqa: ANN401 - whatever a module has
        if name not in places:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=door)
        value = getattr(import_module(places[name]), name)
        # InboxEntry, so that this is asked once for each name.
        setattr(door, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(door), *places})

    return get, names
