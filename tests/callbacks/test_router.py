"""Routing events to handlers."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import errors
from gatewaypy.callbacks import (
    CallbackEvent,
    EventContext,
    PaymentFailed,
    PaymentSucceeded,
    Router,
    verify_callback,
)

EVENT = verify_callback(signed(fields()), MERCHANT)
CONTEXT = EventContext(key="k", attempt=2)


async def test_router_calls_handlers_in_order_by_type() -> None:
    """Handlers of the type and its supertypes run in order of registration, included ones last."""
    router, other, calls = Router(), Router(), []

    @other.on(PaymentSucceeded)
    async def last(event: PaymentSucceeded) -> None:
        calls.append("last")

    @router.on(CallbackEvent)
    async def every(event: CallbackEvent, context: EventContext) -> None:
        calls.append(("every", context.attempt))

    @router.on(PaymentFailed)
    async def never(event: PaymentFailed) -> None:
        calls.append("never")

    @router.on(PaymentSucceeded)
    def plain(event: PaymentSucceeded) -> None:
        calls.append(("plain", threading.current_thread() is threading.main_thread()))

    router.include(other)
    await router.dispatch(EVENT, CONTEXT)
    assert calls == [("every", 2), ("plain", False), "last"]


async def test_router_accepts_objects_and_untyped_functions() -> None:
    """A callable object and a function without annotations are called as they are."""
    router, calls = Router(), []

    class Ship:
        async def __call__(self, event: PaymentSucceeded) -> None:
            calls.append("object")

    router.on(PaymentSucceeded)(Ship())

    @router.on(PaymentSucceeded)
    async def untyped(event, extra=None):  # noqa: ANN001, ANN202
        calls.append("untyped")

    await router.dispatch(EVENT, CONTEXT)
    assert calls == ["object", "untyped"]


async def test_router_failure_skips_later_handlers() -> None:
    """After the first failing handler, later ones do not get the event in this round."""
    router, calls = Router(), []

    @router.on(PaymentSucceeded)
    async def broken(event: PaymentSucceeded) -> None:
        raise RuntimeError("broken")

    @router.on(PaymentSucceeded)
    async def after(event: PaymentSucceeded) -> None:
        calls.append("after")

    with pytest.raises(RuntimeError):
        await router.dispatch(EVENT, CONTEXT)
    assert calls == []


def nothing() -> None: ...


def too_many(event: Any, context: Any, more: Any) -> None: ...


def keyword(event: Any, *, more: Any) -> None: ...


def other_type(event: PaymentFailed) -> None: ...


class Shop:
    async def without_self(self, event: Any) -> None: ...


@pytest.mark.parametrize("handler", [nothing, too_many, keyword, other_type, Shop.without_self])
def test_router_invalid_handler_raises_at_registration(handler: Any) -> None:
    """A wrong signature or annotation raises at registration, not at the first callback."""
    with pytest.raises(errors.ConfigurationError, match=handler.__name__):
        Router().on(PaymentSucceeded)(handler)


@pytest.mark.parametrize("event", [str, "PaymentSucceeded", None])
def test_router_non_event_type_raises(event: Any) -> None:
    """Registering for a type that is not an event is refused."""
    with pytest.raises(errors.ConfigurationError):
        Router().on(event)


async def test_router_event_without_inbox_has_own_context() -> None:
    """Without an inbox a handler gets the key that repeats share, computed or passed."""
    router, keys = Router(), []

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent, context: EventContext) -> None:
        keys.append((context.key, context.attempt))

    event = verify_callback(signed(fields()), MERCHANT)
    await router.dispatch(event)
    await router.dispatch(event, EventContext(key="given", attempt=2))
    assert keys == [(event.key.hex(), 1), ("given", 2)]


async def test_router_handler_added_later_is_called() -> None:
    """A handler added after an event of its type was dispatched gets the next one."""
    router, other, calls = Router(), Router(), []
    event = verify_callback(signed(fields()), MERCHANT)
    await router.dispatch(event)
    router.on(CallbackEvent)(lambda _: calls.append("first"))
    await router.dispatch(event)
    other.on(type(event))(lambda _: calls.append("second"))
    router.include(other)
    await router.dispatch(event)
    assert calls == ["first", "first", "second"]
