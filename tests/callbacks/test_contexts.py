"""A task or connection drops the context variables of its first caller."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

import httpx
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Secret
from gatewaypy.callbacks import CallbackApp, CallbackEvent, Router
from gatewaypy.pipeline.token_source import TokenSource
from gatewaypy.protocol.auth_token import AuthToken
from gatewaypy.storage.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Coroutine

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)


def within_request(
    work: Coroutine[object, object, object], name: str = "first"
) -> asyncio.Task[object]:
    """Run work like a request that has set a context variable."""
    context = copy_context()
    context.run(REQUEST.set, name)
    return asyncio.get_running_loop().create_task(work, context=context)


async def test_dispatcher_opened_in_request_drops_its_context(store_url: str) -> None:
    """Handlers do not see the context variables of the callback that opened the application."""
    seen: list[str | None] = []
    router = Router()

    @router.on(CallbackEvent)
    async def remember(event: CallbackEvent) -> None:
        seen.append(REQUEST.get())
        REQUEST.set("left by a handler")

    app = CallbackApp(router, MERCHANT, inbox=store_url)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://x"
    ) as http:
        for number in range(2):
            body = signed(fields(merchantTransactionId=f"TX-{number}"))
            post = http.post("/", content=body, headers={"Content-Type": "application/json"})
            assert (await within_request(post)).status_code == 200  # type: ignore[attr-defined]
            async with asyncio.timeout(10):
                while len(seen) <= number:
                    await asyncio.sleep(0.01)
    await app.__aexit__()
    assert seen == [None, None]


async def test_batch_started_in_request_drops_its_context() -> None:
    """Calls that share a batch do not run in the context of the first of them."""
    seen: list[str | None] = []

    async def act(items: list[int]) -> list[int]:
        seen.append(REQUEST.get())
        return items

    assert await within_request(Batcher(act, lambda item: item)(1)) == 1
    assert seen == [None]


async def test_token_renewal_in_request_drops_its_context() -> None:
    """The token call that all callers wait for does not run in the context of the first of them."""
    seen: list[str | None] = []

    async def fetch() -> AuthToken:
        seen.append(REQUEST.get())
        return AuthToken(value=Secret("token"), lifetime=100.0)

    clock = asyncio.get_running_loop().time
    await within_request(TokenSource("root", fetch, clock=clock, observer=lambda _: None).get())
    assert seen == [None]
