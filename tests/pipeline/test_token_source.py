"""The token source."""

from __future__ import annotations

import asyncio

import pytest

from gatewaypy import Secret, TokenRenewalFailed, errors
from gatewaypy.pipeline.token_source import TokenSource
from gatewaypy.protocol.auth_token import AuthToken


class Payments:
    """Grants tokens that live a hundred seconds, when it is let; keeps the time."""

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


async def test_a_hundred_waiting_callers_make_one_call() -> None:
    """However many wait for the first token, it is asked for once, and all get the same."""
    payments = Payments()
    source = payments.source()
    tokens = await asyncio.gather(*(source.get() for _ in range(100)))
    assert payments.calls == 1
    assert {token.reveal() for token in tokens} == {"token 1"}


async def test_a_fresh_token_is_not_asked_for_again() -> None:
    """For nine tenths of its life a token is simply used."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now = 89.0
    await source.get()
    assert payments.calls == 1


async def test_a_token_is_renewed_in_passing() -> None:
    """Near its end callers go on with the old one while one renewal runs."""
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


async def test_a_stale_token_is_waited_for() -> None:
    """A token whose life is over is not sent."""
    payments = Payments()
    source = payments.source()
    await source.get()
    payments.now = 99.5
    assert (await source.get()).reveal() == "token 2"


async def test_a_failed_renewal_breaks_no_call() -> None:
    """While the old token lives a failure is told to the observer alone, and not tried again at once."""
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


async def test_without_any_token_the_failure_reaches_every_caller() -> None:
    """Callers that have nothing to go on with hear why, and the next caller tries again."""
    payments = Payments()
    payments.failing = True
    source = payments.source()
    results = await asyncio.gather(*(source.get() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, errors.NotSent) for result in results)
    assert payments.calls == 1
    payments.failing = False
    assert (await source.get()).reveal() == "token 2"


async def test_a_cancelled_waiter_does_not_cancel_the_others() -> None:
    """The one call goes on for those who still wait."""
    payments = Payments()
    payments.open.clear()
    source = payments.source()
    first, second = asyncio.ensure_future(source.get()), asyncio.ensure_future(source.get())
    await resolve()
    first.cancel()
    payments.open.set()
    assert (await second).reveal() == "token 1"
    assert first.cancelled()


async def test_a_rejected_token_is_dropped_once() -> None:
    """Many requests that were refused with one token cause one renewal; a newer token is not dropped for an older one."""
    payments = Payments()
    source = payments.source()
    old = await source.get()
    source.reject(old)
    new = await source.get()
    source.reject(old)
    assert await source.get() is new
    assert payments.calls == 2


async def test_a_token_from_elsewhere_is_used() -> None:
    """A token that was asked for by hand saves the call."""
    payments = Payments()
    source = payments.source()
    source.accept(AuthToken(value=Secret("mine"), lifetime=100.0))
    assert (await source.get()).reveal() == "mine"
    assert payments.calls == 0


async def test_closing_gives_up_a_renewal() -> None:
    """A renewal under way does not outlive its source."""
    payments = Payments()
    payments.open.clear()
    source = payments.source()
    waiting = asyncio.ensure_future(source.get())
    await resolve()
    await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await payments.source().aclose()
