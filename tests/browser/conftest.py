"""A real Chromium for the payer, and sites on sockets for it to visit."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import anyio
import pytest
import pytest_asyncio
from attrs import define, field, frozen
from playwright.async_api import async_playwright
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from support.services import need_chromium

from gatewaypy.sandbox.server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser, BrowserContext
    from starlette.types import Receive, Scope, Send

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# How long a page may take on a busy machine, in milliseconds.
PAGE_TIMEOUT_MS = 30_000


@frozen
class Seen:
    """A request as the site received it; only the form of the body is decoded."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(self.body.decode(), keep_blank_values=True))


@define(eq=False)
class Site:
    """Answers each path with its page, and records every request."""

    url: str = ""
    pages: dict[str, Response] = field(factory=dict)
    seen: list[Seen] = field(factory=list)
    _arrivals: anyio.Condition = field(factory=anyio.Condition)

    @property
    def origin_by_name(self) -> str:
        """Another host name of the same site, which makes it a different site to a browser."""
        return self.url.replace("127.0.0.1", "localhost")

    def show(self, path: str, page: str, policy: str | None = None) -> str:
        """Set a path's page, with a Content-Security-Policy if one is named; return its URL."""
        self.pages[path] = HTMLResponse(
            page, headers={} if policy is None else {"Content-Security-Policy": policy}
        )
        return self.url + path

    async def arrived(self, path: str) -> Seen:
        """Wait for a request to a path."""
        with anyio.fail_after(PAGE_TIMEOUT_MS / 1000):
            async with self._arrivals:
                while not (found := self.to(path)):
                    await self._arrivals.wait()
        return found[0]

    def to(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path, query = scope["path"], scope["query_string"].decode("ascii")
        async with self._arrivals:
            self.seen.append(Seen(scope["method"], path, query, Headers(scope=scope), body))
            self._arrivals.notify_all()
        default = HTMLResponse("<!DOCTYPE html><title>Arrived</title><p>Arrived.</p>")
        await self.pages.get(path, default)(scope, receive, send)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Serve a site on a socket."""
    served = Site()
    async with serving(served, "127.0.0.1", 0) as served.url:
        yield served


@pytest.fixture
def open_site() -> Callable[[], AbstractAsyncContextManager[Site]]:
    """Return a function that serves a site on the event loop of the test."""
    return site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """Start a Chromium with a user data directory of its own."""
    path = need_chromium()
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as browser,
    ):
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def open_browser(chromium: Browser) -> AsyncIterator[Callable[..., object]]:
    """Return a function that opens a browser with its own cookies, screen and settings."""
    opened: list[BrowserContext] = []

    async def open_context(**settings: object) -> BrowserContext:
        context = await chromium.new_context(**settings)  # type: ignore[arg-type]
        context.set_default_timeout(PAGE_TIMEOUT_MS)
        opened.append(context)
        return context

    yield open_context
    for context in opened:
        await context.close()
