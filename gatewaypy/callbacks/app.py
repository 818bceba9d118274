"""The receiver as an ASGI application, mounted at ``notificationUrl`` or run alone."""

from __future__ import annotations

import asyncio
from contextvars import Context
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from gatewaypy.callbacks.body import MAX_BODY
from gatewaypy.callbacks.receiver import (
    TOO_LARGE,
    Acknowledgement,
    Receiver,
    ReceiverOptions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

    from gatewaypy.callbacks.router import Router
    from gatewaypy.config import Credentials

_BODY_SECONDS: Final = 5.0
_LONGEST_LENGTH: Final = 12

_PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_NOT_FOUND: Final = Acknowledgement(404)
_NOT_ALLOWED: Final = Acknowledgement(405)
_GONE: Final = Acknowledgement(400)
_TOO_SLOW: Final = Acknowledgement(408, b"too slow")


class _GoneError(Exception):
    """The client disconnected before the end of its body."""


class CallbackApp:
    """An ASGI application that answers callbacks at its root, with or without the trailing slash.

    FastAPI and Starlette redirect ``POST /gateway`` to ``/gateway/`` before a mounted application
    receives it, and a gateway may not follow. Use ``https://shop.example/gateway/`` as the
    notification URL, or add
    ``app.router.routes.append(Route("/gateway", callbacks, methods=["POST"]))``.

    A mounted application receives no lifespan events, so the first callback opens the inbox. To
    dispatch an earlier process's events from the start and to close cleanly, enter the application
    in your own lifespan: ``async with callback_app: yield``. Run alone, its own lifespan does that.

    Limits: POST only (405), a body of 64 KiB (413) that arrives within 5 s (408). An application
    does not see slow headers; put a proxy in front of it.

    Example::

        callbacks = CallbackApp(router, credentials, inbox="sqlite:///callbacks.db")
        app.mount("/gateway", callbacks)
    """

    def __init__(
        self,
        router: Router,
        credentials: Credentials | Iterable[Credentials],
        **options: Unpack[ReceiverOptions],
    ) -> None:
        """Configure the application; nothing is opened yet.

        Args:
            router: The handlers.
            credentials: One merchant's credentials, or those of several that share the URL.
            **options: The options of `Receiver`.

        Raises:
            ConfigurationError: An option has a wrong value.
            TypeError: There is no such option.
        """
        for name in options.keys() - ReceiverOptions.__optional_keys__:
            raise TypeError(_describe_unknown(name))
        self.receiver = Receiver(router, credentials, **options)
        self._opening: asyncio.Future[Any] | None = None
        #: The event loop on which it is open.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Open the inbox and start to dispatch."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the handlers that run, and close the inbox."""
        opening, self._opening, self._loop = self._opening, None, None
        if opening is not None:
            await self.receiver.__aexit__(None, None, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request, or run the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await _answer(await self._respond(scope, receive), send)

    async def _open(self) -> None:
        opening, loop = self._opening, asyncio.get_running_loop()
        # A failed opening is repeated by the next callback. A loop may have ended without closing.
        if (
            opening is None
            or opening.get_loop() is not loop
            or (opening.done() and not _has_opened(opening))
        ):
            # The store's connection and the dispatcher outlive this request.
            opening = loop.create_task(self.receiver.__aenter__(), context=Context())
            self._opening = opening
        await asyncio.shield(opening)
        self._loop = loop

    async def _respond(self, scope: Scope, receive: Receive) -> Acknowledgement:
        headers = dict(scope["headers"])
        client = scope.get("client")
        source = str(client[0]) if client else None
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            return self.receiver.log_refusal(*refusal, source)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _read_body(receive)
        except TimeoutError:
            return self.receiver.log_refusal(
                _TOO_SLOW, f"the body took longer than {_BODY_SECONDS:g} s", source
            )
        except _GoneError:
            return self.receiver.log_refusal(
                _GONE, "the sender disconnected before the end of the body", source
            )
        if body is None:
            return self.receiver.log_refusal(
                TOO_LARGE, f"the body is longer than {MAX_BODY} bytes", source
            )
        if self._loop is not asyncio.get_running_loop():
            await self._open()
        return await self.receiver.receive(
            body, headers.get(b"content-type", b"").decode("latin-1"), source=source
        )

    def _refusal(
        self, scope: Scope, headers: dict[bytes, bytes]
    ) -> tuple[Acknowledgement, str] | None:
        """Return the answer and the reason if the request is refused before its body is read."""
        root = scope.get("root_path", "")
        # A Starlette Route passes the whole path, which the application chose.
        if scope["path"].removeprefix(root) not in {"", "/"} and (
            root or scope.get("endpoint") is not self
        ):
            return _NOT_FOUND, "the path is not the application's"
        if scope["method"] != "POST":
            return _NOT_ALLOWED, "the method is not POST"
        length = headers.get(b"content-length", b"0")
        is_fine = length.isdigit() and len(length) <= _LONGEST_LENGTH and int(length) <= MAX_BODY
        return (
            None
            if is_fine
            else (TOO_LARGE, f"the length is more than {MAX_BODY} bytes, or not a number")
        )

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


def _describe_unknown(name: str) -> str:
    similar = get_close_matches(name, sorted(ReceiverOptions.__optional_keys__), n=1)
    hint = f"; did you mean {similar[0]!r}?" if similar else ""
    return f"CallbackApp: {name!r} is not an option{hint}"


def _has_opened(opening: asyncio.Future[Any]) -> bool:
    return opening.done() and not opening.cancelled() and opening.exception() is None


async def _read_body(receive: Receive) -> bytes | None:
    """Read a body chunk by chunk; ``None`` as soon as it is too long."""
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
    headers = [_PLAIN_TEXT, (b"content-length", b"%d" % len(acknowledgement.body))]
    if acknowledgement.status == _NOT_ALLOWED.status:
        headers.append((b"allow", b"POST"))
    await send(
        {"type": "http.response.start", "status": acknowledgement.status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": acknowledgement.body})
