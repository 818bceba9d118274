"""The effects of faults: broken replies and connections instead of the sandbox's reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from gatewaypy.sandbox.faults import FaultKind
from gatewaypy.sandbox.server import EXTENSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from gatewaypy.sandbox.server import Connection

_HTML: Final = b"<!DOCTYPE html><html><body><h1>Service temporarily unavailable</h1></body></html>"
_HUGE: Final = b'{"padding": "' + b"x" * (10 * 1024 * 1024) + b'"}'
_TRICKLE_PAUSE: Final = 0.05

_BODIES: Final[Mapping[FaultKind, tuple[int, str, bytes]]] = {
    FaultKind.GARBAGE: (200, "application/json", b'{"transactionStatus": "N", \xff\xfe'),
    FaultKind.EMPTY: (200, "application/json", b""),
    FaultKind.HTML: (200, "text/html", _HTML),
    FaultKind.HUGE: (200, "application/json", _HUGE),
    FaultKind.SERVER_ERROR: (503, "text/html", _HTML),
    FaultKind.REJECT_TOKEN: (
        401,
        "application/json",
        b'{"result": {"code": "10002", "description": "Invalid token"}}',
    ),
}


class ConnectionBrokenError(Exception):
    """The sandbox is called in process, so that there is no connection to break."""


async def inject_fault(
    fault: FaultKind, reply: Response | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a request as its fault requires.

    Args:
        fault: The kind of the fault.
        reply: The sandbox's own reply; ``None`` if the fault prevents the execution.
        scope: The ASGI scope of the request.
        receive: The ASGI callable that receives events.
        send: The ASGI callable that sends events.

    Raises:
        ConnectionBrokenError: The fault breaks the connection, and there is none.
    """
    if fault in _BODIES:
        status, kind, body = _BODIES[fault]
        await Response(body, status, media_type=kind)(scope, receive, send)
    elif fault is FaultKind.STALL:
        await _gone(receive)
    elif reply is None or fault is FaultKind.CUT_AFTER:
        await _break(fault, scope, receive)
    else:
        await _dribble(fault, bytes(reply.body), reply, scope, receive, send)


async def _dribble(
    fault: FaultKind, body: bytes, reply: Response, scope: Scope, receive: Receive, send: Send
) -> None:
    await send(
        {"type": "http.response.start", "status": reply.status_code, "headers": reply.raw_headers}
    )
    if fault is FaultKind.HALF_REPLY:
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )
        await _break(fault, scope, receive)
        return
    gone = asyncio.ensure_future(_gone(receive))
    for position in range(len(body)):
        await send(
            {"type": "http.response.body", "body": body[position : position + 1], "more_body": True}
        )
        await asyncio.wait({gone}, timeout=_TRICKLE_PAUSE)
        if gone.done():
            return
    gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _break(fault: FaultKind, scope: Scope, receive: Receive) -> None:
    connection: Connection | None = scope.get("extensions", {}).get(EXTENSION)
    if connection is None:
        raise ConnectionBrokenError(fault.value)
    if fault is FaultKind.RESET:
        connection.reset()
    else:
        connection.close()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
