"""The contract of a transport: send one POST once, and report whether a byte was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireFailure, WireReply, WireRequest


class Transport(Protocol):
    """An HTTP client. Implement this protocol to use another one.

    Every `Gateway` that uses it enters it once, on that gateway's event loop. When the last one
    leaves, it closes its connections.
    """

    async def __aenter__(self) -> Self:
        """Add a user."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove a user; the last one closes every connection."""
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
        """Send a request exactly once.

        It must not send twice, follow a redirect, or raise anything but
        ``asyncio.CancelledError``.

        Args:
            request: What to send.
            timeouts: Its ``connect`` and ``read`` apply.
            limits: Its ``max_reply_bytes`` applies.
            deadline: When to stop waiting, in the event loop's time.
            send_guard: Must be called right before the first byte is sent. If it returns False,
                nothing must be sent. A transport that writes headers and body separately may call
                it again in between, and abort the request; that counts as sent.

        Returns:
            The whole reply, or a `WireFailure`. Its ``sent`` is False only if it is certain that
            no byte was sent.
        """
        ...
