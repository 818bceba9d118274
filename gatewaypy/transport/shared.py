"""What the adapters have in common: their users on one event loop, and one wording of what became of a request."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import define, field

from gatewaypy.errors import ConfigurationError
from gatewaypy.protocol.wire import WireFailure, WireReply

if TYPE_CHECKING:
    from types import TracebackType

    from gatewaypy.config import Timeouts

DEADLINE: Final = "the deadline for the whole call passed"
BROKEN: Final = "the connection broke before the whole answer was there"
CANCELLED_BEFORE_SEND: Final = WireFailure(sent=False, reason="cancelled before any byte was sent")
ABORTED_MID_REQUEST: Final = WireFailure(
    sent=True, reason="aborted after the headers and before the body"
)


def too_late_to_connect(timeouts: Timeouts) -> str:
    """Say that no connection came about in time."""
    return f"no connection within {timeouts.connect:g} s"


def too_late_to_answer(timeouts: Timeouts) -> str:
    """Say that no answer, or not the next piece of it, came in time."""
    return f"no answer within {timeouts.read:g} s"


def reply_of(
    http_status: int,
    content_type: str | None,
    encoding: str | None,
    body: bytes | bytearray,
    *,
    retry_after: str | None = None,
    date: str | None = None,
) -> WireReply | WireFailure:
    """Make a reply of what came back, unless it is compressed: a small reply must not become a large one."""
    if encoding is not None and encoding != "identity":
        return WireFailure(sent=True, reason="the reply is compressed, which was not asked for")
    return WireReply(http_status, content_type or "", body, retry_after, date)


def too_long(limit: int) -> WireFailure:
    """Give a reply up that is longer than is read."""
    return WireFailure(sent=True, reason=f"the reply is longer than {limit} bytes")


def import_extra(module: str, extra: str | None = None) -> Any:  # noqa: ANN401 - a module
    """Import an HTTP library.

    :raises ConfigurationError: naming the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        extra = extra or module
        msg = f"the transport needs {extra}: pip install 'gatewaypy[{extra}]'"
        raise ConfigurationError(msg) from None


@define(eq=False)
class SharedTransport:
    """A transport that several gateways of one event loop use: the first opens it, the last closes it."""

    _users: int = field(default=0, init=False)
    # Set with the first user.
    _loop: asyncio.AbstractEventLoop = field(init=False, repr=False)

    async def __aenter__(self) -> Self:
        """Take one more user; the first loads the HTTP library and the certificate authorities."""
        loop = asyncio.get_running_loop()
        if self._users and loop is not self._loop:
            msg = "this transport is in use on another event loop: make one for each"
            raise ConfigurationError(msg)
        if self._users == 0:
            self._loop = loop
            self._open()
        self._users += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let a user go; close every connection with the last."""
        self._users -= 1
        if self._users == 0:
            await self._close()

    def _open(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError
