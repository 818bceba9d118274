"""What the transports have in common: their users on one event loop, and the check of a reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from attrs import define, field

from gatewaypy.errors import ConfigurationError
from gatewaypy.protocol.wire import WireFailure, WireReply

if TYPE_CHECKING:
    from types import TracebackType


def reply_of(
    http_status: int,
    content_type: str | None,
    encoding: str | None,
    body: bytes | bytearray,
    *,
    retry_after: str | None = None,
    date: str | None = None,
) -> WireReply | WireFailure:
    """Return the reply, or a failure if it is compressed: it could expand to a huge size."""
    if encoding is not None and encoding != "identity":
        return WireFailure(
            sent=True, reason="the reply is compressed, although the request did not allow that"
        )
    return WireReply(http_status, content_type or "", body, retry_after, date)


@define(eq=False)
class SharedTransport:
    """A transport that several gateways of one event loop share.

    The first gateway opens it and the last one closes it.
    """

    _users: int = field(default=0, init=False)
    # Set with the first user.
    _loop: asyncio.AbstractEventLoop = field(init=False, repr=False)

    async def __aenter__(self) -> Self:
        """Add a user; the first one loads the HTTP library and the certificate authorities."""
        loop = asyncio.get_running_loop()
        if self._users and loop is not self._loop:
            msg = "this transport is in use on another event loop; create one for each event loop"
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
        """Remove a user; the last one closes every connection."""
        self._users -= 1
        if self._users == 0:
            await self._close()

    def _open(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError
