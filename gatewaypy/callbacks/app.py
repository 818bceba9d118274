"""The receiver as an ASGI application, to be mounted at ``notificationUrl`` or run alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from gatewaypy.callbacks.body import MAX_BODY
from gatewaypy.callbacks.receiver import TOO_LARGE, Acknowledgement, Receiver

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gatewaypy.callbacks.router import Router
    from gatewaypy.config import Credentials

_BODY_SECONDS: Final = 5.0
_LONGEST_LENGTH: Final = 12

_NOT_FOUND: Final = Acknowledgement(404)
_NOT_ALLOWED: Final = Acknowledgement(405)
_TOO_SLOW: Final = Acknowledgement(408, b"too slow")


class _GoneError(Exception):
    """The client went away in the middle of its body."""


class CallbackApp:
    """Answers callbacks at the root of where it is mounted, with and without the trailing slash.

    ::

        app.mount("/gateway", CallbackApp(router, credentials, inbox="sqlite:///callbacks.db", confirm=gateway))

    FastAPI and Starlette answer ``POST /gateway`` with a redirect to ``/gateway/`` before the mounted application sees it, and a
    gateway may not follow that: name ``https://shop.example/gateway/`` as the notification URL, or add
    ``app.add_route("/gateway", callbacks, methods=["POST"])``.

    Takes every option of `Receiver`. A mounted application gets no lifespan: the inbox is opened with the first callback then. To
    dispatch what an earlier process left from the start, and to close cleanly, enter it in your own lifespan:
    ``async with callback_app: yield``. Run alone, its own lifespan does that.

    POST only (405); 64 KiB, by the length header and by counting (413); the body within 5 seconds (408). Slow *headers* cannot be
    seen by an application: put a proxy in front.
    """

    def __init__(self, router: Router, credentials: Credentials, **options: Any) -> None:  # noqa: ANN401 - Receiver's own
        """Configure it; see `Receiver`."""
        self.receiver = Receiver(router, credentials, **options)
        self._opening: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> Self:
        """Open the inbox and begin to dispatch."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the handlers that run end, and close the inbox."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await self.receiver.__aexit__(None, None, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await _answer(await self._respond(scope, receive), send)

    async def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self.receiver.__aenter__())
        try:
            await asyncio.shield(self._opening)
        except BaseException:
            if self._opening is not None and self._opening.done():
                # What failed now may work at the next callback.
                self._opening = None
            raise

    async def _respond(self, scope: Scope, receive: Receive) -> Acknowledgement:
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            return refusal
        try:
            body = await _read_in_time(receive)
        except TimeoutError:
            return _TOO_SLOW
        except _GoneError:
            return Acknowledgement(400)
        if body is None:
            return TOO_LARGE
        if self._opening is None or not self._opening.done():
            await self._open()
        return await self.receiver.receive(body, headers.get(b"content-type", b"").decode("latin-1"))

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Acknowledgement | None:
        """Refuse what need not be read."""
        root = scope.get("root_path", "")
        # A Starlette Route leads here with the whole path; whoever made it chose that path.
        is_routed = not root and scope.get("endpoint") is self
        if scope["path"].removeprefix(root) not in {"", "/"} and not is_routed:
            return _NOT_FOUND
        if scope["method"] != "POST":
            return _NOT_ALLOWED
        length = headers.get(b"content-length", b"0")
        return TOO_LARGE if not length.isdigit() or len(length) > _LONGEST_LENGTH or int(length) > MAX_BODY else None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.__aenter__()
                except Exception as error:  # noqa: BLE001 - the server logs it and does not start
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.__aexit__()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _read_in_time(receive: Receive) -> bytes | None:
    # A timer by hand: asyncio.timeout costs as much as reading and verifying a callback's JSON.
    reading = asyncio.current_task()
    assert reading is not None
    timer = asyncio.get_running_loop().call_later(_BODY_SECONDS, reading.cancel, _TOO_SLOW)
    try:
        return await _read(receive)
    except asyncio.CancelledError as cancelled:
        if cancelled.args == (_TOO_SLOW,) and not reading.uncancel():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


async def _read(receive: Receive) -> bytes | None:
    """Read a body, piece by piece; ``None`` as soon as it is too long."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _GoneError
    body = message.get("body", b"")
    while message.get("more_body", False):
        if len(body) > MAX_BODY:
            return None
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        body += message.get("body", b"")
    return body if len(body) <= MAX_BODY else None


async def _answer(acknowledgement: Acknowledgement, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(acknowledgement.body))]
    if acknowledgement.status == _NOT_ALLOWED.status:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": acknowledgement.status, "headers": headers})
    await send({"type": "http.response.body", "body": acknowledgement.body})
