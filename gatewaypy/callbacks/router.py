"""Who hears what: handlers registered for types of events, called in the order in which they were registered."""

from __future__ import annotations

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
    """What a handler may want to know besides the event.

    ``key`` is the same for every attempt and repeat of one event: store it with your effect, in the same transaction, and the
    effect happens once even where this process is killed between the two. ``attempt`` counts from 1.
    """

    key: str
    attempt: int = 1


@frozen
class Handler:
    """A registered function, and how it wants to be called."""

    event: type[CallbackEvent]
    function: Callable[..., Any]
    with_context: bool
    is_async: bool

    async def __call__(self, event: CallbackEvent, context: EventContext | None = None) -> None:
        """Call it, with the event's own context where none is given.

        A plain function runs in a thread, so that it blocks nobody.

        Raises:
            TypeError: The function returned a generator or another object that has not run.
        """
        arguments = (event, context or EventContext(key=event.key.hex())) if self.with_context else (event,)
        if self.is_async:
            result = await self.function(*arguments)
        else:
            result = await anyio.to_thread.run_sync(self.function, *arguments)
        if result is not None:
            # Such as the coroutine of a lambda around a coroutine function.
            await finish(f"the handler {name_of(self.function)}", result)


class Router:
    """Sends events to handlers.

    ::

    router = Router()

    @router.on(PaymentSucceeded)
    async def ship(event: PaymentSucceeded) -> None: ...
    """

    def __init__(self) -> None:
        """Start without handlers."""
        self._handlers: list[Handler] = []
        self._hearing: dict[type[CallbackEvent], list[Handler]] = {}

    def on(self, event: type[CallbackEvent]) -> Callable[[F], F]:
        """Register a handler for a type of events and all its subtypes.

        It takes ``(event)`` or ``(event, context)``, and may be async or plain. Several handlers are called in order; where one
        fails the later ones wait until it has succeeded, and the earlier ones are called again with it.

        :raises ConfigurationError: where the function cannot take such an event; at once, not at the first callback.
        """
        if not (isinstance(event, type) and issubclass(event, CallbackEvent)):
            msg = f"router.on() takes a type of events, such as PaymentSucceeded, not {event!r}"
            raise ConfigurationError(msg)

        def register(function: F) -> F:
            self._handlers.append(_handler(event, function))
            self._hearing.clear()
            return function

        return register

    def include(self, other: Router) -> None:
        """Take over another router's handlers, after those that are here."""
        self._handlers.extend(other._handlers)
        self._hearing.clear()

    def handlers_of(self, event: CallbackEvent) -> list[Handler]:
        """Return who hears an event, in order."""
        kind = type(event)
        if kind not in self._hearing:
            self._hearing[kind] = [handler for handler in self._handlers if issubclass(kind, handler.event)]
        return self._hearing[kind]

    async def dispatch(self, event: CallbackEvent, context: EventContext | None = None) -> None:
        """Call every handler that hears the event, in order; the first failure ends it."""
        for handler in self.handlers_of(event):
            await handler(event, context)


def _handler(event: type[CallbackEvent], function: Callable[..., Any]) -> Handler:
    name = name_of(function)
    is_async = check_function(f"the handler {name}", function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        msg = f"the handler {name} must have a signature that Python can read"
        raise ConfigurationError(msg) from None
    positional = [p for p in signature.parameters.values() if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    needed = [p for p in positional if p.default is p.empty]
    required_keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if not positional or len(needed) > _MOST or required_keywords:
        msg = f"the handler {name} must take (event) or (event, context)"
        raise ConfigurationError(msg)
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names that exist for type checkers alone cannot be checked here
        hints = {}
    wanted = hints.get(positional[0].name, CallbackEvent)
    if isinstance(wanted, type) and not issubclass(event, wanted):
        msg = f"the handler {name} takes {wanted.__name__}, but is registered for {event.__name__}"
        raise ConfigurationError(msg)
    return Handler(event, function, with_context=len(needed) > 1, is_async=is_async)
