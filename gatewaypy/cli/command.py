"""Run a command. An error ends it with one line on standard error and a documented exit code."""

from __future__ import annotations

import contextlib
import csv
import enum
import logging
import signal
import sqlite3
import ssl
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from gatewaypy.cli.output import discard_output, plain
from gatewaypy.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class Ending(enum.IntEnum):
    """Exit codes that all commands share; 1 is also a command's negative result."""

    ERROR = 1
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_PACKAGE: Final = Path(__file__).parent.parent


def run(work: Callable[..., Coroutine[Any, Any, int]], *arguments: Any) -> None:  # noqa: ANN401 - any arguments
    """Run a command's coroutine function on an event loop; exit with the code that it returns."""
    with errors_named(), _interrupted_at_once():
        sys.exit(anyio.run(work, *arguments))


@contextlib.contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """Let Ctrl-C end every task.

    asyncio's own handler waits until an open gateway's requests have ended. Commands that wait for
    their sent requests, such as ``payouts run``, receive the signal themselves.
    """

    def interrupt(*_: object) -> None:
        # The process ends, so that asyncio must not log how each task ended.
        logging.getLogger("asyncio").disabled = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def errors_named() -> Iterator[None]:
    """If the block raises, end the process with a line on standard error and no traceback."""
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted", Ending.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a message, not a traceback
        end(error)


def end(error: BaseException) -> None:
    """Exit with an error's message and code."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError, ValueError):
            discard_output()
        sys.exit(Ending.BROKEN_PIPE)
    if isinstance(error, GatewayError):
        fail(f"{type(error).__name__}: {error}")
    if isinstance(error, ssl.SSLError):
        fail(f"TLS failed: {error.reason or error.strerror or type(error).__name__}")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or type(error).__name__}")
    if isinstance(error, sqlite3.Error | csv.Error | UnicodeError) or _is_of_postgres(error):
        fail(f"{type(error).__name__}: {error}")
    fail(f"internal error: {type(error).__name__} at {_place(error)}; please report it", Ending.BUG)


def fail(text: str, code: int = Ending.ERROR) -> None:
    """Write a line on standard error, and exit."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{plain(' '.join(text.split()))}\n")
    sys.exit(int(code))


def _is_of_postgres(error: BaseException) -> bool:
    """Return whether PostgreSQL raised an error; its driver is an extra that may be missing."""
    asyncpg: Any = sys.modules.get("asyncpg")
    return asyncpg is not None and isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)


def _place(error: BaseException) -> str:
    """Return the last line of ours in a traceback. The error's text may contain any value."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)] or list(
        frames
    )
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "an unknown place"
