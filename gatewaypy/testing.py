"""A pytest plugin with the fixtures ``gateway_sandbox`` and ``gateway``.

``gateway_sandbox`` serves a sandbox for one test on a local port; ``gateway`` is an open client of
it. The plugin is registered when gatewaypy is installed. The fixtures need the extra
``gatewaypy[sandbox]`` and an ``async def`` test that pytest-asyncio or anyio's plugin runs, because
the sandbox runs on the test's event loop. If a test does not meet this, it fails before it starts;
the message states what to change.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.client import Gateway
    from gatewaypy.sandbox import Sandbox

__all__ = ["gateway", "gateway_event_loop", "gateway_sandbox"]

fixture: Any
try:
    import pytest_asyncio
except ImportError:
    fixture = pytest.fixture
else:
    fixture = pytest_asyncio.fixture

_RULE: Final = "gatewaypy's fixtures need an async test, because the sandbox runs on its event loop"
_MARK: Final = (
    'mark it with @pytest.mark.asyncio, or set asyncio_mode = "auto" in the pytest section of'
    " pyproject.toml"
)
_INSTALL: Final = "install pytest-asyncio, or mark the test with @pytest.mark.anyio"


@pytest.fixture
def gateway_event_loop(request: pytest.FixtureRequest) -> None:
    """Fail a test whose event loop would not run the sandbox."""
    mistake = _mistake(request)
    if mistake is not None:
        pytest.fail(f"{request.node.name}: {mistake}", pytrace=False)


def _mistake(request: pytest.FixtureRequest) -> str | None:
    """Return what to change so that a test can use the fixtures, or None."""
    function = request.function
    # Hypothesis runs an async test from a plain function.
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    has_plugin = request.config.pluginmanager.hasplugin("asyncio")
    if not inspect.iscoroutinefunction(function):
        return f"{_RULE}: write 'async def', and {_MARK if has_plugin else _INSTALL}"
    if not has_plugin:
        is_run = (
            request.node.get_closest_marker("anyio") is not None
            or "anyio_backend" in request.fixturenames
        )
        return None if is_run else f"{_RULE}, and no plugin runs it: {_INSTALL}"
    marker = request.node.get_closest_marker("asyncio")
    if marker is None and _option(request, "asyncio_mode") != "auto":
        return f"{_RULE}, and pytest-asyncio does not run it in strict mode: {_MARK}"
    arguments = {} if marker is None else marker.kwargs
    test_scope = (
        arguments.get("loop_scope")
        or _option(request, "asyncio_default_test_loop_scope")
        or "function"
    )
    fixture_scope = _option(request, "asyncio_default_fixture_loop_scope") or "function"
    if test_scope != fixture_scope:
        return (
            f"{_RULE}, but it runs on the {test_scope}'s event loop and fixtures on the"
            f' {fixture_scope}\'s: set asyncio_default_fixture_loop_scope = "{test_scope}",'
            f' or the test\'s loop_scope="{fixture_scope}"'
        )
    return None


def _option(request: pytest.FixtureRequest, name: str) -> str | None:
    """Return an option of pytest-asyncio, from the command line or the settings."""
    try:
        value = request.config.getoption(name, default=None) or request.config.getini(name)
    except ValueError:
        return None
    return None if value is None else str(getattr(value, "value", value))


@fixture  # type: ignore[untyped-decorator]
async def gateway_sandbox(gateway_event_loop: None) -> AsyncIterator[Sandbox]:  # noqa: ARG001 - runs first
    """Serve an empty sandbox on a free local port."""
    from gatewaypy.sandbox import Sandbox  # noqa: PLC0415 - an extra

    async with Sandbox().serve() as sandbox:
        yield sandbox


@fixture  # type: ignore[untyped-decorator]
async def gateway(gateway_sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway to the test's sandbox, with short timeouts."""
    from gatewaypy.client import Gateway  # noqa: PLC0415 - see above
    from gatewaypy.config import Timeouts  # noqa: PLC0415 - see above

    timeouts = Timeouts(connect=2, read=5, total=10, inquiry=5)
    async with Gateway(
        gateway_sandbox.base_url, gateway_sandbox.credentials, timeouts=timeouts
    ) as client:
        yield client
