"""A pytest plugin: ``gateway_sandbox``, a sandbox of the test's own on a real socket, and ``gateway``, an open client of it.

It is registered when gatewaypy is installed; the fixtures need the extra ``gatewaypy[sandbox]`` and pytest-asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatewaypy.client import Gateway
    from gatewaypy.sandbox import Sandbox

fixture: Any
try:
    import pytest_asyncio
except ImportError:  # pragma: no cover - a user's pytest without asyncio has no use for the fixtures
    fixture = pytest.fixture
else:
    fixture = pytest_asyncio.fixture


@fixture  # type: ignore[untyped-decorator]
async def gateway_sandbox() -> AsyncIterator[Sandbox]:
    """Serve a sandbox with empty books on a free port of this machine."""
    from gatewaypy.sandbox import Sandbox  # noqa: PLC0415 - loaded with the first test that uses it

    async with Sandbox().serve() as sandbox:
        yield sandbox


@fixture  # type: ignore[untyped-decorator]
async def gateway(gateway_sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway to the test's own sandbox, with deadlines short enough for a test."""
    from gatewaypy.client import Gateway  # noqa: PLC0415 - see above
    from gatewaypy.config import Timeouts  # noqa: PLC0415 - see above

    timeouts = Timeouts(connect=2, read=5, total=10, settle=5)
    async with Gateway(gateway_sandbox.base_url, gateway_sandbox.credentials, timeouts=timeouts) as client:
        yield client
