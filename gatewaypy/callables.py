"""Checks of functions that the application passes in: a call must run them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

# Not every iterator: a database cursor is one, and its statement has run.
_LAZY: Final = (
    Generator,
    AsyncGenerator,
    map,
    filter,
    contextlib._GeneratorContextManager,  # noqa: SLF001 - made by its decorator
    contextlib._AsyncGeneratorContextManager,  # noqa: SLF001
)


def function_of(value: object) -> Callable[..., Any]:
    """Return the function that a call runs: in a partial or ``staticmethod``, or ``__call__``."""
    called: Any = _bare(value)
    if not inspect.isroutine(called):
        called = getattr(type(called), "__call__", called)  # noqa: B004 - of an object
    function: Callable[..., Any] = called
    return function


def _bare(value: Any) -> Any:  # noqa: ANN401 - any callable
    while isinstance(value, partial | staticmethod):
        value = value.func if isinstance(value, partial) else value.__func__
    return value


def _is_context_manager(function: Any) -> bool:  # noqa: ANN401 - any function
    """Return whether a call only creates a context manager: `contextlib` decorated a generator."""
    inner = getattr(function, "__wrapped__", None)
    is_generator = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
    return (
        is_generator and getattr(function, "__globals__", {}).get("__name__") == contextlib.__name__
    )


def check_function(where: str, value: object) -> bool:
    """Check a function that may be async or plain.

    Returns:
        True if it is async.

    Raises:
        ConfigurationError: A call would not run it: a class, a function with ``yield``, or not a
            callable.
    """
    value = _bare(value)
    if not callable(value):
        msg = f"{where}: must be a function; got {type(value).__name__}"
        raise ConfigurationError(msg)
    if inspect.isclass(value):
        msg = f"{where}: must be a function or an object; got the class {value.__qualname__}"
        raise ConfigurationError(msg)
    function = function_of(value)
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if is_generator or _is_context_manager(function):
        msg = f"{where}: must not contain 'yield', because its body would not run"
        raise ConfigurationError(msg)
    return inspect.iscoroutinefunction(function)


def check_plain_function(where: str, value: object) -> None:
    """Check a function that is called without ``await``.

    Raises:
        ConfigurationError: As in `check_function`, or it is async.
    """
    if check_function(where, value):
        msg = f"{where}: must not be async, because it is called without 'await'"
        raise ConfigurationError(msg)


def check_methods(where: str, value: object, *names: str) -> None:
    """Check an object whose methods are awaited.

    Raises:
        ConfigurationError: It is a class, it lacks one of the methods, or a call would not run one.
    """
    if inspect.isclass(value):
        msg = f"{where}: must be an object; got the class {value.__qualname__}"
        raise ConfigurationError(msg)
    for name in names:
        method = getattr(value, name, None)
        if method is None:
            msg = f"{where}: must have the method {name}; got {type(value).__name__}"
            raise ConfigurationError(msg)
        check_function(f"{where}.{name}", method)


def is_unrun(result: object) -> bool:
    """Return whether a call returned work that has not run, in place of its result.

    A generator, a function, a class and a list of coroutines have not run. Coroutines and futures
    are not considered here: `finish` awaits them, and `check_result` rejects them.
    """
    if isinstance(result, list | tuple | set | frozenset):
        return any(inspect.isawaitable(item) or isinstance(item, _LAZY) for item in result)
    is_function = (
        inspect.isroutine(result) or inspect.isclass(result) or isinstance(result, partial)
    )
    return is_function or isinstance(result, _LAZY)


def check_result(where: str, result: object) -> None:
    """Check what a plain function returned.

    Raises:
        TypeError: It returned work that has not run.
    """
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result) or isinstance(result, Future) or is_unrun(result):
        msg = f"{where} returned an object of type {type(result).__name__}, which has not run"
        raise TypeError(msg)


async def finish(where: str, result: Any) -> Any:  # noqa: ANN401 - any result
    """Await what a function returned until it is a plain result, and return that.

    Raises:
        TypeError: It returned work that has not run.
    """
    while inspect.isawaitable(result) or isinstance(result, Future):
        result = await (asyncio.wrap_future(result) if isinstance(result, Future) else result)
    if is_unrun(result):
        msg = f"{where} returned an object of type {type(result).__name__}, which has not run"
        raise TypeError(msg)
    return result


def name_of(value: object) -> str:
    """Return a function's name for messages; an object's class otherwise."""
    value = _bare(value)
    if isinstance(value, MethodType) or inspect.isroutine(value) or inspect.isclass(value):
        return str(getattr(value, "__qualname__", "function"))
    return type(value).__qualname__
