"""A callback's way in: read, verify, type, store, answer. It needs no web framework, and no client unless it is to confirm."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, Self

from attrs import frozen

from gatewaypy.callbacks.body import FORM, JSON, MAX_BODY, is_json, read_body
from gatewaypy.callbacks.dispatcher import Dispatcher
from gatewaypy.callbacks.inbox import Inbox
from gatewaypy.callbacks.router import Router
from gatewaypy.callbacks.signature import find_signer, typed
from gatewaypy.config import Credentials, check_number
from gatewaypy.errors import ConfigurationError, UnreadableCallback
from gatewaypy.printable import printable
from gatewaypy.protocol.charset import media_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from gatewaypy.callbacks.dispatcher import Asks
    from gatewaypy.callbacks.events import CallbackEvent

logger: Final = logging.getLogger("gatewaypy.callbacks")


@frozen
class Acknowledgement:
    """What to answer the gateway: an HTTP status and a short body of plain text."""

    status: int
    body: bytes = b""


_KINDS: Final = frozenset({JSON, FORM, ""})
OK: Final = Acknowledgement(200, b"OK")
UNREADABLE: Final = Acknowledgement(400, b"unreadable")
UNAUTHORIZED: Final = Acknowledgement(401)
TOO_LARGE: Final = Acknowledgement(413, b"too large")
UNSUPPORTED: Final = Acknowledgement(415, b"JSON or a form")
FAILED: Final = Acknowledgement(500, b"try again")
UNAVAILABLE: Final = Acknowledgement(503, b"try again")


class Receiver:
    """Receives callbacks for one or several merchants.

    ::

        async with Receiver(router, credentials, inbox="sqlite:///callbacks.db") as receiver:
            answer = await receiver.receive(body, content_type)

    With an inbox an event is on disk before 200 is answered, and dispatched from there, in this process or another. Without one,
    handlers run before the answer, and their failure is a 500, so that the gateway sends the callback again.

    :param credentials: one account, or several that share the URL; each one's key is tried, older keys while a rotation lasts.
    :param inbox: ``"sqlite:///…"``, ``"postgresql://…"`` or an `Inbox`.
    :param confirm: a `Gateway` to ask before handlers hear of an event: they hear the inquiry's answer then. With several
        merchants one for each, by its member id. Needs an inbox.
    :param confirm_when: ``"always"``, ``"unsigned_only"`` (unsigned callbacks are refused without ``confirm``), or ``"never"``.
    :param check: your own look at an event against your order: false keeps it for review.
    :param max_open: how many events may wait before further ones are answered 503; unsigned ones at half of it.
    """

    def __init__(
        self,
        router: Router,
        credentials: Credentials | Iterable[Credentials],
        *,
        inbox: Inbox | str | None = None,
        confirm: Asks | Mapping[str, Asks] | None = None,
        confirm_when: Literal["always", "unsigned_only", "never"] = "always",
        check: Callable[[CallbackEvent], Awaitable[bool] | bool] | None = None,
        concurrency: int = 32,
        max_attempts: int = 12,
        first_pause: float = 1.0,
        max_open: int = 100_000,
    ) -> None:
        """Configure a receiver; nothing is opened yet."""
        is_listed = isinstance(credentials, Iterable) and not isinstance(credentials, Credentials)
        self._accounts: tuple[Credentials, ...] = tuple(credentials) if is_listed else (credentials,)  # type: ignore[arg-type, assignment]
        if not self._accounts:
            msg = "a receiver needs at least one merchant's credentials"
            raise ConfigurationError(msg)
        if not isinstance(router, Router) or not all(isinstance(account, Credentials) for account in self._accounts):
            msg = "a receiver needs a Router and the Credentials of one or more merchants"
            raise ConfigurationError(msg)
        if check is not None and not callable(check):
            msg = "check: must be a function of an event"
            raise ConfigurationError(msg)
        # Checked without an inbox too: one that is added later must not bring a mistake to light.
        check_number("concurrency", concurrency, least=1, is_whole=True)
        check_number("max_attempts", max_attempts, least=1, is_whole=True)
        check_number("first_pause", first_pause, above=0)
        check_number("max_open", max_open, least=1, is_whole=True)
        if confirm_when not in {"always", "unsigned_only", "never"}:
            msg = "confirm_when is 'always', 'unsigned_only' or 'never'"
            raise ConfigurationError(msg)
        if (confirm is not None or check is not None) and inbox is None:
            msg = "confirm and check need an inbox: they may have to be tried again"
            raise ConfigurationError(msg)
        if confirm is not None and len(self._accounts) > 1 and not isinstance(confirm, Mapping):
            msg = "several merchants need a gateway each to confirm with: confirm={member_id: gateway, …}"
            raise ConfigurationError(msg)
        self._router = router
        # An unsigned callback does not say whose it is: only where there is one merchant can it be asked about.
        self._takes_unsigned = confirm is not None and confirm_when != "never" and len(self._accounts) == 1
        self._inbox = Inbox(inbox) if isinstance(inbox, str) else inbox
        self._max_open = max_open
        self._waiting = 0
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.dispatcher: Dispatcher | None = None
        if self._inbox is not None:
            self.dispatcher = Dispatcher(
                router=router,
                inbox=self._inbox,
                random=random.Random(),  # noqa: S311 - it spreads retries, it guards nothing
                confirm=confirm if confirm_when != "never" else None,
                confirm_unsigned_only=confirm_when == "unsigned_only",
                check=check,
                concurrency=concurrency,
                max_attempts=max_attempts,
                first_pause=first_pause,
                on_counted=self._counted,
            )

    @property
    def inbox(self) -> Inbox | None:
        """The inbox, to look into it: parked events, replaying, pruning."""
        return self._inbox

    async def __aenter__(self) -> Self:
        """Open the inbox and begin to dispatch from it."""
        loop = asyncio.get_running_loop()
        if self._is_open and loop is not self._loop:
            msg = "this receiver is open on another event loop: close it there, and open one on each loop"
            raise ConfigurationError(msg)
        self._loop = loop
        if not self._is_open and self._inbox is not None and self.dispatcher is not None:
            await self._inbox.__aenter__()
            self.dispatcher.start()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the handlers that run end, and close the inbox."""
        if self._is_open and self._inbox is not None and self.dispatcher is not None:
            await self.dispatcher.aclose()
            await self._inbox.__aexit__(None, None, None)
        self._is_open = False

    async def receive(self, body: bytes, content_type: str) -> Acknowledgement:
        """Take a callback as it was received, and return what to answer.

        200: it is safe with us. 400: it is no callback. 401: no key fits, without a reason. 413 and 415: it is not even looked
        at. 500: a handler failed (without an inbox). 503: it could not be stored; the gateway should try again.
        """
        if len(body) > MAX_BODY:
            return TOO_LARGE
        if media_type(content_type) not in _KINDS and not is_json(body):
            return UNSUPPORTED
        try:
            fields = read_body(body, content_type)
            signer = find_signer(fields, self._accounts)
            if signer is None and (fields.get("checksum") or not self._takes_unsigned):
                return UNAUTHORIZED
            owner = signer or self._accounts[0]
            event = typed(fields, signed=signer is not None, member_id=owner.member_id)
        except UnreadableCallback as unreadable:
            logger.info("a callback was refused: %s", unreadable)
            return UNREADABLE
        return await (self._dispatch(event) if self._inbox is None else self._store(event))

    async def _dispatch(self, event: CallbackEvent) -> Acknowledgement:
        try:
            await self._router.dispatch(event)
        except Exception:
            logger.exception("a handler failed at %s of %s", type(event).__name__, printable(str(event.merchant_transaction_id)))
            return FAILED
        return OK

    async def _store(self, event: CallbackEvent) -> Acknowledgement:
        if not self._is_open:
            msg = "this receiver is not open: use it inside 'async with'"
            raise ConfigurationError(msg)
        assert self._inbox is not None
        assert self.dispatcher is not None
        # A stranger's must never take the place of the gateway's own.
        if self._waiting >= (self._max_open if event.signed else self._max_open // 2):
            logger.error("the inbox is full: %d events wait; callbacks are answered 503", self._waiting)
            return UNAVAILABLE
        try:
            is_new = await self._inbox.put(event)
        except Exception:
            logger.exception("a callback could not be stored; it is answered 503")
            return UNAVAILABLE
        if is_new:
            self._waiting += 1
            self.dispatcher.wake()
        return OK

    def _counted(self, waiting: int) -> None:
        self._waiting = waiting
