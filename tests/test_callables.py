"""Functions of the application are refused when they are passed if a call would not run them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Customer, Gateway, Money, RedisTokens, errors
from gatewaypy.callables import finish
from gatewaypy.callbacks import CallbackEvent, Receiver, Reconciler, Router
from gatewaypy.errors import ConfigurationError
from gatewaypy.observe import TokenStoreUnavailable, notify
from gatewaypy.payouts import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

EVENT = CallbackEvent


def with_yield(event: Any) -> Iterator[bool]:
    yield True


async def with_async_yield(event: Any) -> AsyncIterator[bool]:
    yield True


async def coroutine(event: Any) -> bool:
    return True


class Ship:
    def __init__(self, event: Any) -> None: ...

    def __call__(self, event: Any) -> Any: ...


class Yields:
    async def __call__(self, event: Any) -> AsyncIterator[bool]:
        yield True


@contextmanager
def manager(event: Any) -> Iterator[bool]:
    yield True


@asynccontextmanager
async def async_manager(event: Any) -> AsyncIterator[bool]:
    yield True


UNRUNNABLE = [
    with_yield, with_async_yield, Ship, Yields(), partial(with_yield), partial(Ship), staticmethod(with_yield), manager,
    partial(async_manager), None, "text",
]  # fmt: skip


@pytest.mark.parametrize("function", UNRUNNABLE, ids=range(len(UNRUNNABLE)))
def test_router_function_that_cannot_run_raises(function: Any) -> None:
    """A class, a function with 'yield' and a value that is not callable are refused."""
    with pytest.raises(ConfigurationError):
        Router().on(CallbackEvent)(function)


@pytest.mark.parametrize("function", UNRUNNABLE, ids=range(len(UNRUNNABLE)))
def test_check_that_cannot_run_raises(function: Any, tmp_path: Path) -> None:
    """A check whose result would be a generator or an object, which is true, is refused."""
    if function is None:
        return
    with pytest.raises(ConfigurationError, match="check"):
        Receiver(Router(), MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", check=function)


class InquiryClient:
    async def inquire(self, **_: Any) -> Any: ...


class AsksWithYield:
    async def inquire(self, **_: Any) -> Any:
        yield


@pytest.mark.parametrize("gateway", [InquiryClient, object(), AsksWithYield()], ids=range(3))
def test_confirm_that_cannot_inquire_raises(gateway: Any, tmp_path: Path) -> None:
    """The class instead of the gateway, and an object without inquiries, are refused."""
    inbox = f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(ConfigurationError, match="confirm"):
        Receiver(Router(), MERCHANT, inbox=inbox, confirm=gateway)
    with pytest.raises(ConfigurationError, match="confirm"):
        Receiver(Router(), MERCHANT, inbox=inbox, confirm={"11344": gateway})
    with pytest.raises(ConfigurationError, match="gateway"):
        Reconciler(gateway, inbox=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [coroutine, *UNRUNNABLE[:-2]], ids=range(10))
def test_plain_hook_that_cannot_run_raises(function: Any, tmp_path: Path) -> None:
    """Observers and journal hooks are called without 'await', so they must be plain functions."""
    with pytest.raises(ConfigurationError, match="observer"):
        Gateway("https://gateway.example", MERCHANT, observer=function)
    for hooks in (
        {"encrypt": function, "decrypt": bytes.fromhex},
        {"encrypt": bytes.hex, "decrypt": function},
    ):
        with pytest.raises(ConfigurationError, match=r"(en|de)crypt"):
            Journal(f"sqlite:///{tmp_path}/x.db", "11344", **hooks)


@pytest.mark.parametrize("store", [InquiryClient, InquiryClient()], ids=["class", "no method"])
def test_token_store_without_methods_raises(store: Any) -> None:
    """A token store must be an object with the methods that are awaited."""
    with pytest.raises(ConfigurationError, match="token_store"):
        Gateway("https://gateway.example", MERCHANT, token_store=store)


def test_token_store_of_the_library_is_accepted() -> None:
    """`RedisTokens` has the methods that a gateway awaits."""
    pytest.importorskip("redis")
    store = RedisTokens("redis://127.0.0.1")
    Gateway("https://gateway.example", MERCHANT, token_store=store)


async def test_payout_async_send_guard_raises() -> None:
    """A coroutine is true, so an async send guard would let every payout be sent."""

    async def never() -> bool:
        return False

    async with Gateway("https://127.0.0.1:9", MERCHANT) as gateway:
        with pytest.raises(ConfigurationError, match="send_guard"):
            await gateway.payout(
                Money("5.00", "EUR"),
                merchant_transaction_id="P-1",
                customer=Customer("Ada", "Lovelace", "ada@shop.example"),
                send_guard=never,  # type: ignore[arg-type]
            )


async def test_payout_guard_without_bool_sends_nothing(gateway: Gateway) -> None:
    """A guard that returns anything but True blocks the payout."""
    options: Any = {"send_guard": lambda: "a text, which is true"}
    with pytest.raises(errors.NotSent):
        await gateway.payout(
            Money("5.00", "EUR"),
            merchant_transaction_id="P-1",
            customer=Customer("Ada", "Lovelace", "ada@shop.example"),
            **options,
        )


def test_observer_result_not_run_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A lambda around a coroutine function is an observer without effect, and is logged."""
    notify(lambda event: coroutine(event), TokenStoreUnavailable(reason="test"))  # type: ignore[arg-type, return-value]  # noqa: PLW0108
    assert "which has not run" in caplog.text


def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "result",
    [
        generator(),
        with_async_yield(EVENT),
        map(str, [1]),
        coroutine,
        partial(print),
        Ship,
        [generator()],
        manager(EVENT),
        async_manager(EVENT),
    ],
    ids=range(9),
)
async def test_finish_result_not_run_raises(result: Any) -> None:
    """Work that was returned and not done is an error."""
    with pytest.raises(TypeError, match="has not run"):
        await finish("the handler", result)


async def test_finish_awaits_awaitables() -> None:
    """A coroutine, a future of asyncio and one of a thread pool are awaited."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, "done")

    async def nested() -> Any:
        return future

    assert await finish("the handler", nested()) == "done"
    with ThreadPoolExecutor(1) as pool:
        assert await finish("the handler", pool.submit(str, 7)) == "7"


async def test_handler_result_not_run_is_a_failure(tmp_path: Path) -> None:
    """An event whose handler returned a generator is parked, and not done."""
    router = Router()
    router.on(CallbackEvent)(lambda event: with_yield(event))  # noqa: PLW0108 - the lambda is the point
    async with Receiver(
        router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", max_attempts=1
    ) as receiver:
        await receiver.receive(signed(fields()), "application/json")
        async with asyncio.timeout(10):
            while (counts := await receiver.inbox.counts())["open"]:
                await asyncio.sleep(0.01)
    assert (counts["done"], counts["parked"]) == (0, 1)


async def test_check_result_without_bool_is_a_failure(tmp_path: Path) -> None:
    """A check without a return decides nothing: the event is retried, then parked."""
    events: list[Any] = []
    router = Router()
    router.on(CallbackEvent)(events.append)
    options: dict[str, Any] = {"check": lambda event: with_yield(event), "max_attempts": 1}  # noqa: PLW0108
    async with Receiver(
        router, MERCHANT, inbox=f"sqlite:///{tmp_path}/x.db", **options
    ) as receiver:
        await receiver.receive(signed(fields()), "application/json")
        async with asyncio.timeout(10):
            while (counts := await receiver.inbox.counts())["open"]:
                await asyncio.sleep(0.01)
    assert (counts["parked"], events) == (1, [])
