"""A pytest plugin: ``gateway_sandbox``, a sandbox of the test's own on a real socket, and ``gateway``, an open client of it.

It is registered when gatewaypy is installed. The fixtures need the extra ``gatewaypy[sandbox]`` and an ``async def`` test that
pytest-asyncio, or anyio's own plugin, runs: the sandbox answers on the test's event loop. A test that cannot work is failed
before it starts, with what to change.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.client import Gateway
    from gatewaypy.sandbox import Sandbox

fixture: Any
try:
    import pytest_asyncio
except ImportError:
    fixture = pytest.fixture
else:
    fixture = pytest_asyncio.fixture

_NEEDS: Final = (
    "gatewaypy's fixtures need an async test, because the sandbox answers on its event loop"
)
_HOW: Final = 'mark it with @pytest.mark.asyncio, or set asyncio_mode = "auto" in the pytest section of pyproject.toml'
_INSTALL: Final = "install pytest-asyncio, or mark the test with @pytest.mark.anyio"


@pytest.fixture
def gateway_event_loop(request: pytest.FixtureRequest) -> None:
    """Fail a test at once whose event loop would not run the sandbox."""
    mistake = _mistake(request)
    if mistake is not None:
        pytest.fail(f"{request.node.name}: {mistake}", pytrace=False)


def _mistake(request: pytest.FixtureRequest) -> str | None:
    """Say what must be changed before a test can use the fixtures; ``None`` where it can."""
    function = request.function
    # Hypothesis runs an async test from a plain function.
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    has_plugin = request.config.pluginmanager.hasplugin("asyncio")
    if not inspect.iscoroutinefunction(function):
        return f"{_NEEDS}: write 'async def', and {_HOW if has_plugin else _INSTALL}"
    if not has_plugin:
        is_run = (
            request.node.get_closest_marker("anyio") is not None
            or "anyio_backend" in request.fixturenames
        )
        return None if is_run else f"{_NEEDS}, and nothing runs it: {_INSTALL}"
    marker = request.node.get_closest_marker("asyncio")
    if marker is None and _option(request, "asyncio_mode") != "auto":
        return f"{_NEEDS}, and pytest-asyncio does not run it in strict mode: {_HOW}"
    given = {} if marker is None else marker.kwargs
    test_scope = (
        given.get("loop_scope") or _option(request, "asyncio_default_test_loop_scope") or "function"
    )
    fixture_scope = _option(request, "asyncio_default_fixture_loop_scope") or "function"
    if test_scope != fixture_scope:
        return (
            f"{_NEEDS}, and it runs on the {test_scope}'s event loop where fixtures run on the {fixture_scope}'s:"
            f' set asyncio_default_fixture_loop_scope = "{test_scope}", or the test\'s loop_scope="{fixture_scope}"'
        )
    return None


def _option(request: pytest.FixtureRequest, name: str) -> str | None:
    """Return an option of pytest-asyncio, from the command line or the settings."""
    try:
        told = request.config.getoption(name, default=None) or request.config.getini(name)
    except ValueError:
        return None
    return None if told is None else str(getattr(told, "value", told))


@fixture  # type: ignore[untyped-decorator]
async def gateway_sandbox(gateway_event_loop: None) -> AsyncIterator[Sandbox]:  # noqa: ARG001 - it must come first
    """Serve a sandbox with empty books on a free port of this machine."""
    from gatewaypy.sandbox import Sandbox  # noqa: PLC0415 - loaded with the first test that uses it

    async with Sandbox().serve() as sandbox:
        yield sandbox


@fixture  # type: ignore[untyped-decorator]
async def gateway(gateway_sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway to the test's own sandbox, with deadlines short enough for a test."""
    from gatewaypy.client import Gateway  # noqa: PLC0415 - see above
    from gatewaypy.config import Timeouts  # noqa: PLC0415 - see above

    timeouts = Timeouts(connect=2, read=5, total=10, inquiry=5)
    async with Gateway(
        gateway_sandbox.base_url, gateway_sandbox.credentials, timeouts=timeouts
    ) as client:
        yield client
