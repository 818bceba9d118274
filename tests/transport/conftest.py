"""The tests of all transports and of httptools run on asyncio's event loop and on uvloop."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the event loops that a test runs on."""
    loops = {"asyncio": asyncio.new_event_loop}
    if (
        item.path.name in {"test_conformance.py", "test_httptools.py"}
        and find_spec("uvloop") is not None
    ):
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops
