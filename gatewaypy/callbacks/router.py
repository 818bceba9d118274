"""Handlers, registered for types of events and called in the order of registration."""

from __future__ import annotations

import asyncio
import inspect
import typing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio.to_thread
from attrs import frozen

from gatewaypy.callables import check_function, finish, name_of
from gatewaypy.callbacks.events import CallbackEvent
from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_MOST: Final = 2


@frozen(kw_only=True)
class EventContext:
    """The key and the attempt of an event that is handled.

    Attributes:
        key: The same for every attempt and repeat of one event. If you store it in the same
            transaction as the effect, the effect happens once, even if the process is killed.
        attempt: Counts from 1.
    """

    key: str
    attempt: int = 1


class HandlerTimeoutError(Exception):
    """A handler or a check did not end in time."""


async def call(
    where: str,
    function: Callable[..., Any],
    *arguments: Any,  # noqa: ANN401 - the function's own
    is_async: bool,
    timeout: float | None = None,  # noqa: ASYNC109 - the error must name what timed out
    threads: anyio.CapacityLimiter | None = None,
) -> Any:  # noqa: ANN401 - the function's own
    """Call a function of the application and await its result; a plain one runs in a thread.

    Args:
        where: The function's name in errors.
        function: The function to call.
        arguments: Its arguments.
        is_async: Whether it is a coroutine function.
        timeout: Seconds until it is cancelled; ``None`` for no limit. A thread cannot be stopped.
        threads: The limiter of the threads. With it, the call waits for its thread without a limit.
            Without it, a thread that does not end in time is abandoned.

    Returns:
        The function's result.

    Raises:
        HandlerTimeoutError: The function did not end in time.
        TypeError: The function returned work that has not run.
    """
    result: Any = None
    if is_async:
        result = function(*arguments)
    elif threads is not None:
        result = await anyio.to_thread.run_sync(function, *arguments, limiter=threads)
        if result is None:
            return None
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            if is_async:
                result = await result
            elif threads is None:
                result = await anyio.to_thread.run_sync(
                    function, *arguments, abandon_on_cancel=True
                )
            # A lambda around a coroutine function returns a coroutine.
            return None if result is None else await finish(where, result)
    except TimeoutError:
        if not limit.expired():
            raise
    msg = f"{where} did not end within {timeout:g} s"
    raise HandlerTimeoutError(msg)


@frozen
class Handler:
    """A registered function and how to call it."""

    event: type[CallbackEvent]
    function: Callable[..., Any]
    with_context: bool
    is_async: bool
    #: The name in logs and errors.
    name: str

    async def __call__(
        self,
        event: CallbackEvent,
        context: EventContext | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - see call
        threads: anyio.CapacityLimiter | None = None,
    ) -> None:
        """Call the function; a plain one runs in a thread, so that it does not block the loop.

        Args:
            event: The event.
            context: The context for the function; the event's own if it is ``None``.
            timeout: Seconds; ``None`` for no limit.
            threads: The limiter of the threads, as in `call`.

        Raises:
            HandlerTimeoutError: An async function took longer than ``timeout`` seconds.
            TypeError: The function returned a generator or another object that has not run.
        """
        arguments = (
            (event, context or EventContext(key=event.key.hex())) if self.with_context else (event,)
        )
        await call(
            self.name,
            self.function,
            *arguments,
            is_async=self.is_async,
            timeout=timeout,
            threads=threads,
        )


class Router:
    """The handlers of an application, by type of event.

    Example::

        router = Router()

        @router.on(PaymentSucceeded)
        async def ship(event: PaymentSucceeded) -> None: ...
    """

    def __init__(self) -> None:
        """Start without handlers."""
        self._handlers: list[Handler] = []
        self._handlers_by_type: dict[type[CallbackEvent], list[Handler]] = {}

    def on(self, event: type[CallbackEvent]) -> Callable[[F], F]:
        """Register a handler for a type of events and all its subtypes.

        A handler takes ``(event)`` or ``(event, context)``, and can be async or plain. Handlers are
        called in order. If one fails, the later ones are not called. The next attempt calls all of
        them again from the first.

        Args:
            event: The type of events.

        Returns:
            A decorator that registers a function and returns it.

        Raises:
            ConfigurationError: The function cannot take such an event.
        """
        if not (isinstance(event, type) and issubclass(event, CallbackEvent)):
            msg = f"router.on: must be a type of events, such as PaymentSucceeded; got {event!r}"
            raise ConfigurationError(msg)

        def register(function: F) -> F:
            self._handlers.append(_handler(event, function))
            self._handlers_by_type.clear()
            return function

        return register

    def include(self, other: Router) -> None:
        """Append the handlers of another router."""
        self._handlers.extend(other._handlers)
        self._handlers_by_type.clear()

    def handlers_of(self, event: CallbackEvent) -> list[Handler]:
        """Return the handlers of an event, in order."""
        kind = type(event)
        if kind not in self._handlers_by_type:
            self._handlers_by_type[kind] = [
                handler for handler in self._handlers if issubclass(kind, handler.event)
            ]
        return self._handlers_by_type[kind]

    def unhandled(self) -> list[str]:
        """Return the names of the event types that no handler is registered for."""
        kinds = CallbackEvent.__subclasses__()
        return sorted(
            kind.__name__
            for kind in kinds
            if not any(issubclass(kind, handler.event) for handler in self._handlers)
        )

    async def dispatch(
        self,
        event: CallbackEvent,
        context: EventContext | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - see call
    ) -> int:
        """Call the handlers of an event in order, up to the first failure.

        Args:
            event: The event.
            context: The context for handlers; the event's own if it is ``None``.
            timeout: Seconds for each handler; no limit if it is ``None``. A plain handler that
                takes longer is abandoned in its thread.

        Returns:
            The number of handlers.
        """
        handlers = self.handlers_of(event)
        for handler in handlers:
            await handler(event, context, timeout=timeout)
        return len(handlers)


def _handler(event: type[CallbackEvent], function: Callable[..., Any]) -> Handler:
    name = f"the handler {name_of(function)}"
    is_async = check_function(name, function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        msg = f"{name} must have a signature that Python can read"
        raise ConfigurationError(msg) from None
    positional = [
        p
        for p in signature.parameters.values()
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    if positional and positional[0].name in {"self", "cls"}:
        msg = (
            f"{name} must be a method of an object, such as shop.ship;"
            " on a class it has no object to act on"
        )
        raise ConfigurationError(msg)
    needed = [p for p in positional if p.default is p.empty]
    required_keywords = [
        p
        for p in signature.parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    ]
    if not positional or len(needed) > _MOST or required_keywords:
        msg = f"{name} must take (event) or (event, context)"
        raise ConfigurationError(msg)
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names for type checkers only do not exist here
        hints = {}
    wanted = hints.get(positional[0].name, CallbackEvent)
    if isinstance(wanted, type) and not issubclass(event, wanted):
        msg = f"{name} takes {wanted.__name__}, but is registered for {event.__name__}"
        raise ConfigurationError(msg)
    return Handler(event, function, with_context=len(needed) > 1, is_async=is_async, name=name)
