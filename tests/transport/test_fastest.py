"""The choice of a transport if the caller makes none."""

from __future__ import annotations

from importlib import util
from typing import Any

import pytest

from gatewaypy import (
    AiohttpTransport,
    HttptoolsTransport,
    HttpxTransport,
    PyreqwestTransport,
    fastest_transport,
)
from gatewaypy.transport import fastest


@pytest.mark.parametrize(
    ("missing", "expected", "for_jobs"),
    [
        ((), HttptoolsTransport, HttptoolsTransport),
        (("pyreqwest", "aiohttp"), HttptoolsTransport, HttptoolsTransport),
        (("httptools",), PyreqwestTransport, AiohttpTransport),
        (("aiohappyeyeballs",), PyreqwestTransport, AiohttpTransport),
        (("httptools", "pyreqwest"), AiohttpTransport, AiohttpTransport),
        (("httptools", "aiohttp"), PyreqwestTransport, HttpxTransport),
        (("httptools", "pyreqwest", "aiohttp"), HttpxTransport, HttpxTransport),
    ],
)
def test_fastest_prefers_httptools_to_httpx(
    missing: Any, expected: type, for_jobs: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order: httptools, pyreqwest, aiohttp, httpx; payout jobs never use pyreqwest."""
    monkeypatch.setattr(
        fastest, "find_spec", lambda name: None if name in missing else util.find_spec(name)
    )
    assert type(fastest_transport()) is expected
    assert type(fastest_transport(guard_at_first_byte=True)) is for_jobs
