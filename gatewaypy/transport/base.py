"""What the library asks of an HTTP client: send one POST once, and know whether a byte of it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest


class Transport(Protocol):
    """An HTTP client behind two calls; implement it to bring another one.

    It is entered once by every `Gateway` that uses it, on that gateway's event loop, and closes its connections when the last
    of them leaves.
    """

    async def __aenter__(self) -> Self:
        """Take one more user."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let a user go; close every connection with the last."""
        ...

    async def send(
        self,
        request: WireRequest,
        *,
        timeouts: Timeouts,
        limits: Limits,
        deadline: float,
        send_guard: Callable[[], bool],
    ) -> WireReply | WireFailure:
        """Send a request exactly once and return its whole reply, or say that there is none.

        It must never send twice, follow a redirect, or raise anything but ``asyncio.CancelledError``.

        :param deadline: the loop's time at which to give up.
        :param send_guard: to be called right before the first byte goes; where it answers false, nothing must be sent. A
            transport that writes head and body apart may call it again in between, and break the request off where it answers
            false; that counts as sent.
        :returns: a ``WireFailure`` with ``sent=False`` only where it is certain that no byte left; what a transport cannot
            know counts as sent.
        """
        ...
