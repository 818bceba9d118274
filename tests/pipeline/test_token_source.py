"""The token source."""

from __future__ import annotations

import asyncio

import pytest

from gatewaypy import Secret, TokenRenewalFailed, errors
from gatewaypy.pipeline.token_source import TokenSource
from gatewaypy.protocol.auth_token import AuthToken


class Payments:
    """Grants tokens that live 100 s, when allowed, and has the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self.failing = False
        self.open = asyncio.Event()
        self.open.set()
        self.events: list[object] = []

    async def fetch(self) -> AuthToken:
        self.calls += 1
        number = self.calls
        await self.open.wait()
        if self.failing:
            raise errors.NotSent("no connection")
        return AuthToken(value=Secret(f"token {number}"), lifetime=100.0)

    def source(self) -> TokenSource:
        return TokenSource(
            "transactions", self.fetch, clock=lambda: self.now, observer=self.events.append
        )


async def resolve() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_token_source_waiting_callers_make_one_call() -> None:
    """The first token is requested once for all callers, and all get the same."""
    payments = Payments()
    source = payments.source()
    tokens = await asyncio.gather(*(source.get() for _ in range(100)))
    assert payments.calls == 1
    assert {token.reveal() for token in tokens} == {"token 1"}


async def test_token_source_fresh_token_is_reused() -> None:
    """For nine tenths of its lifetime a token is used without a call."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now = 89.0
    await source.get()
    assert payments.calls == 1


async def test_token_source_renews_in_background() -> None:
    """Near its end callers use the old token while one renewal runs."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now = 95.0
    payments.open.clear()
    assert [(await source.get()).reveal() for _ in range(5)] == ["token 1"] * 5
    payments.open.set()
    await resolve()
    assert (await source.get()).reveal() == "token 2"
    assert payments.calls == 2


async def test_token_source_expired_token_is_not_used() -> None:
    """Callers wait for a new token if the old one has expired."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now = 99.5
    assert (await source.get()).reveal() == "token 2"


async def test_token_source_failed_renewal_breaks_no_call() -> None:
    """While the old token is valid, only the observer is notified, and a retry is delayed."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now, payments.failing = 91.0, True
    await source.get()
    await resolve()
    assert payments.events == [
        TokenRenewalFailed(root="transactions", reason=str(errors.NotSent("no connection")))
    ]
    await source.get()
    await resolve()
    assert payments.calls == 2
    payments.now, payments.failing = 96.5, False
    await source.get()
    await resolve()
    assert (await source.get()).reveal() == "token 3"


async def test_token_source_failure_without_token_raises() -> None:
    """Callers without a token get the reason, and the next caller tries again."""
    payments = Payments()
    payments.failing = True
    source = payments.source()
    results = await asyncio.gather(*(source.get() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, errors.NotSent) for result in results)
    assert payments.calls == 1
    payments.failing = False
    assert (await source.get()).reveal() == "token 2"


async def test_token_source_cancelled_waiter_cancels_no_other() -> None:
    """The one call continues for the callers that still wait."""
    payments = Payments()
    payments.open.clear()
    source = payments.source()
    first, second = asyncio.ensure_future(source.get()), asyncio.ensure_future(source.get())
    await resolve()
    first.cancel()
    payments.open.set()
    assert (await second).reveal() == "token 1"
    assert first.cancelled()


async def test_token_source_rejected_token_is_dropped_once() -> None:
    """Many rejections of one token cause one renewal; a newer token is not dropped."""
    payments = Payments()
    source = payments.source()
    old = await source.get()
    source.reject(old)
    new = await source.get()
    source.reject(old)
    assert await source.get() is new
    assert payments.calls == 2


async def test_token_source_token_from_elsewhere_is_used() -> None:
    """A token that the caller requested saves the call."""
    payments = Payments()
    source = payments.source()
    source.accept(AuthToken(value=Secret("mine"), lifetime=100.0))
    assert (await source.get()).reveal() == "mine"
    assert payments.calls == 0


async def test_token_source_close_cancels_renewal() -> None:
    """A running renewal ends with its source."""
    payments = Payments()
    payments.open.clear()
    source = payments.source()
    waiting = asyncio.ensure_future(source.get())
    await resolve()
    await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await payments.source().aclose()
