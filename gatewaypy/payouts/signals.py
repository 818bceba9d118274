"""Calling a function on SIGTERM and SIGINT, in addition to the handlers that are set."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def call_on_signals(stop: Callable[[], None]) -> Callable[[], None]:
    """Call a function on SIGTERM and SIGINT, before taskiq's own handler.

    taskiq waits for the tasks to end, and does not notify them.

    Returns:
        A function that restores the handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop, undo = asyncio.get_running_loop(), contextlib.ExitStack()
    for number in _SIGNALS:
        before = signal.getsignal(number)
        # Without another handler, the signal must still end the process.
        if not callable(before) or before is signal.default_int_handler:
            continue

        def handle(received: int, frame: Any, before: Callable[..., Any] = before) -> None:  # noqa: ANN401 - a frame
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop)
            before(received, frame)

        signal.signal(number, handle)
        undo.callback(signal.signal, number, before)
    return undo.close
