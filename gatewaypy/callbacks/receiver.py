"""The receiver of callbacks: it reads, verifies, types and stores them, without a web framework."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, Self, TypedDict

from attrs import frozen

from gatewaypy.callbacks.body import FORM, JSON, MAX_BODY, is_json, read_body
from gatewaypy.callbacks.confirmation import check_merchant
from gatewaypy.callbacks.dispatcher import Dispatcher
from gatewaypy.callbacks.events import read_event
from gatewaypy.callbacks.inbox import Inbox
from gatewaypy.callbacks.payment_progress import usable_ids
from gatewaypy.callbacks.repeated_log import RepeatedLog
from gatewaypy.callbacks.router import Router
from gatewaypy.callbacks.signature import find_signer
from gatewaypy.callbacks.unsigned import reduced
from gatewaypy.config import Credentials, check_number
from gatewaypy.errors import ConfigurationError, UnreadableCallback
from gatewaypy.printable import printable, printable_error
from gatewaypy.protocol.charset import media_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.interfaces import InquiryClient

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


class ReceiverOptions(TypedDict, total=False):
    """The options of `Receiver`, by name."""

    inbox: Inbox | str | None
    confirm: InquiryClient | Mapping[str, InquiryClient] | None
    confirm_when: Literal["always", "unsigned_only", "never"]
    check: Callable[[CallbackEvent], Awaitable[bool] | bool] | None
    concurrency: int
    max_attempts: int
    initial_delay: float
    handler_timeout: float
    max_open: int
    max_unsigned: int
    unsigned_per_second: float


class Receiver:
    """The receiver of one or several merchants' callbacks.

    With an inbox, an event is on disk before 200 is answered, and this process or another one
    dispatches it. Without an inbox, handlers run before the answer. If one fails, the answer is
    500, so that the gateway sends the callback again.

    Args:
        router: The handlers.
        credentials: One account, or several that share the URL. Each account's key is tried, and
            its older keys during a rotation.
        inbox: ``"sqlite:///…"``, ``"postgresql://…"`` or an `Inbox`.
        confirm: A `Gateway` for an inquiry about each event. Handlers then receive the inquiry's
            answer. With several merchants, one gateway for each member id. It needs an inbox.
        confirm_when: ``"always"``, ``"unsigned_only"`` or ``"never"``. Unsigned callbacks are
            refused with ``"never"``, without ``confirm``, and with several merchants.
        check: Compares an event with your order. If it returns false, the event is stored for
            review. It needs an inbox.
        concurrency: How many events are handled at a time.
        max_attempts: After so many failures of its handlers an event is parked.
        initial_delay: Seconds before the second attempt; doubled with each further one.
        handler_timeout: Seconds that a handler or ``check`` can take. An async one is then
            cancelled and has failed. A plain one cannot be stopped; it is logged.
        max_open: How many events can wait before further ones are answered 503. The limit of
            unsigned ones is half of it.
        max_unsigned: How many unsigned events can wait before further ones are answered 503.
        unsigned_per_second: How many unsigned events cause an inquiry in a second. Signed events
            come first.

    Raises:
        ConfigurationError: An option has a wrong value, or needs an inbox.

    Example::

        async with Receiver(router, credentials, inbox="sqlite:///callbacks.db") as receiver:
            answer = await receiver.receive(body, content_type)
    """

    def __init__(
        self,
        router: Router,
        credentials: Credentials | Iterable[Credentials],
        *,
        inbox: Inbox | str | None = None,
        confirm: InquiryClient | Mapping[str, InquiryClient] | None = None,
        confirm_when: Literal["always", "unsigned_only", "never"] = "always",
        check: Callable[[CallbackEvent], Awaitable[bool] | bool] | None = None,
        concurrency: int = 32,
        max_attempts: int = 12,
        initial_delay: float = 1.0,
        handler_timeout: float = 60.0,
        max_open: int = 100_000,
        max_unsigned: int = 1_000,
        unsigned_per_second: float = 5.0,
    ) -> None:
        """Check and store the options; nothing is opened yet."""
        self._accounts: tuple[Credentials, ...]
        if isinstance(credentials, Iterable) and not isinstance(credentials, Credentials):
            self._accounts = tuple(credentials)
        else:
            self._accounts = (credentials,)
        if not self._accounts:
            msg = "credentials: must have at least one merchant's"
            raise ConfigurationError(msg)
        if not isinstance(router, Router) or not all(
            isinstance(account, Credentials) for account in self._accounts
        ):
            msg = "a receiver needs a Router and the Credentials of one or more merchants"
            raise ConfigurationError(msg)
        if check is not None and not callable(check):
            msg = "check: must be a function of an event"
            raise ConfigurationError(msg)
        # Checked without an inbox too, so that adding one later reveals no mistake.
        check_number("concurrency", concurrency, least=1, is_whole=True)
        check_number("max_attempts", max_attempts, least=1, is_whole=True)
        check_number("initial_delay", initial_delay, above=0)
        check_number("handler_timeout", handler_timeout, above=0)
        check_number("max_open", max_open, least=1, is_whole=True)
        check_number("max_unsigned", max_unsigned, least=0, is_whole=True)
        check_number("unsigned_per_second", unsigned_per_second, above=0)
        if confirm_when not in {"always", "unsigned_only", "never"}:
            msg = "confirm_when: must be 'always', 'unsigned_only' or 'never'"
            raise ConfigurationError(msg)
        if (confirm is not None or check is not None) and inbox is None:
            msg = "confirm, check: must have an inbox, because they are repeated after a failure"
            raise ConfigurationError(msg)
        if confirm is not None and len(self._accounts) > 1 and not isinstance(confirm, Mapping):
            msg = "confirm: must be {member_id: gateway, …} with several merchants"
            raise ConfigurationError(msg)
        self._check_merchants(confirm)
        self._router = router
        # An unsigned callback does not name its merchant, so only a single one can inquire.
        self._takes_unsigned = (
            confirm is not None and confirm_when != "never" and len(self._accounts) == 1
        )
        self._inbox = Inbox(inbox) if isinstance(inbox, str) else inbox
        self._handler_timeout = handler_timeout
        self._max_open = max_open
        self._max_unsigned = max_unsigned
        self._waiting = self._waiting_unsigned = 0
        self._refusals = RepeatedLog(_now)
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.dispatcher: Dispatcher | None = None
        if self._inbox is not None:
            self.dispatcher = Dispatcher(
                router=router,
                inbox=self._inbox,
                random=random.Random(),  # noqa: S311 - only spreads retries
                confirm=confirm if confirm_when != "never" else None,
                confirm_unsigned_only=confirm_when == "unsigned_only",
                check=check,
                concurrency=concurrency,
                max_attempts=max_attempts,
                initial_delay=initial_delay,
                handler_timeout=handler_timeout,
                unsigned_per_second=unsigned_per_second,
                on_counted=self._counted,
            )

    def _check_merchants(self, confirm: InquiryClient | Mapping[str, InquiryClient] | None) -> None:
        """Check that each key and each gateway belongs to one known merchant."""
        owners: dict[str, str] = {}
        for account in self._accounts:
            for key in account.verifying_keys:
                if owners.setdefault(key.reveal(), account.member_id) != account.member_id:
                    msg = (
                        "credentials: must not have one key for two merchants,"
                        " because a signature would not identify the merchant"
                    )
                    raise ConfigurationError(msg)
        members = {account.member_id for account in self._accounts}
        if isinstance(confirm, Mapping):
            if members != set(confirm):
                msg = (
                    "confirm: must have a gateway for each of the receiver's merchants,"
                    " by its member id as text"
                )
                raise ConfigurationError(msg)
            for member_id, gateway in confirm.items():
                check_merchant("confirm", gateway, member_id)
        elif confirm is not None:
            check_merchant("confirm", confirm, self._accounts[0].member_id)

    @property
    def inbox(self) -> Inbox:
        """The inbox, to list, replay and prune events, and for a `Reconciler`.

        Raises:
            ConfigurationError: The receiver was made without an inbox.
        """
        if self._inbox is None:
            msg = "receiver.inbox: must be set by inbox= when the receiver is made"
            raise ConfigurationError(msg)
        return self._inbox

    async def __aenter__(self) -> Self:
        """Open the inbox and start to dispatch from it.

        Raises:
            ConfigurationError: The receiver is open on another event loop, or the inbox cannot be
                used.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop.is_closed():
            # The loop ended without closing this receiver.
            self._is_open = False
        if self._is_open and loop is not self._loop:
            msg = (
                "this receiver is open on another event loop;"
                " close it there, and open one on each loop"
            )
            raise ConfigurationError(msg)
        self._loop = loop
        unhandled = self._router.unhandled()
        if not self._is_open and unhandled:
            logger.info("no handler is registered for %s", ", ".join(unhandled))
        if not self._is_open and self._inbox is not None and self.dispatcher is not None:
            await self._inbox.__aenter__()
            self.dispatcher.start()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the handlers that run, and close the inbox."""
        if self._is_open and self._inbox is not None and self.dispatcher is not None:
            await self.dispatcher.aclose()
            await self._inbox.__aexit__(None, None, None)
        self._refusals.flush()
        self._is_open = False

    def log_refusal(
        self, answer: Acknowledgement, reason: str, source: str | None = None
    ) -> Acknowledgement:
        """Log that a callback is refused, and return the answer.

        A reason is logged once in 10 s, with the count of the refusals in between.

        Args:
            answer: The answer to the sender.
            reason: The reason, without any received text.
            source: The sender's address.

        Returns:
            The answer.
        """
        sender = "an unknown address" if source is None else ascii(source)[:66]
        # One kind for all unreadable bodies, because the sender can choose among their reasons.
        kind = f"{answer.status}" if answer is UNREADABLE else f"{answer.status} {reason}"
        self._refusals.warn(kind, f"a callback from {sender} is answered {answer.status}: {reason}")
        return answer

    async def receive(
        self, body: bytes, content_type: str, *, source: str | None = None
    ) -> Acknowledgement:
        """Verify and store a callback, and return the answer to the gateway.

        Args:
            body: The bytes as they were received.
            content_type: The request's header; may be empty.
            source: The sender's address, for the log.

        Returns:
            The answer. 200: the callback is stored or handled. 400: it is unreadable. 401: the
            signature is missing or matches no key; the body gives no reason. 413 and 415: it was
            not read. 500: a handler failed, without an inbox. 503: it could not be stored, and
            the gateway should send it again.

        Raises:
            ConfigurationError: The receiver has an inbox and is not open.
        """
        if len(body) > MAX_BODY:
            return self.log_refusal(TOO_LARGE, f"the body is longer than {MAX_BODY} bytes", source)
        if media_type(content_type) not in _KINDS and not is_json(body):
            return self.log_refusal(
                UNSUPPORTED, "its content type is neither JSON nor a form", source
            )
        try:
            fields = read_body(body, content_type)
            signer = find_signer(fields, self._accounts)
            if signer is not None:
                event = read_event(fields, signed=True, member_id=signer.member_id)
            elif fields.get("checksum"):
                return self.log_refusal(
                    UNAUTHORIZED, "its signature does not match any configured key", source
                )
            else:
                hint = self._hint(fields)
                if hint is None:
                    reason = "it is not signed" + (
                        ", and has no id in its format" if self._takes_unsigned else ""
                    )
                    return self.log_refusal(UNAUTHORIZED, reason, source)
                event = hint
        except UnreadableCallback as unreadable:
            return self.log_refusal(UNREADABLE, str(unreadable), source)
        return await (self._dispatch(event) if self._inbox is None else self._store(event, source))

    def _hint(self, fields: Mapping[str, object]) -> CallbackEvent | None:
        """Return the part of an unsigned callback that an inquiry needs, if one is possible."""
        if not self._takes_unsigned:
            return None
        hint = read_event(reduced(fields), signed=False, member_id=self._accounts[0].member_id)
        return hint if usable_ids(hint.payment_id, hint.merchant_transaction_id) else None

    async def _dispatch(self, event: CallbackEvent) -> Acknowledgement:
        try:
            number = await self._router.dispatch(event, timeout=self._handler_timeout)
        except Exception as error:
            order = ascii(event.merchant_transaction_id or event.payment_id)[:104]
            logger.error(  # noqa: TRY400 - the error's text may contain anything
                "a handler failed at %s of %s; the callback is answered 500: %s",
                type(event).__name__,
                order,
                printable(f"{type(error).__name__}: {error}"),
                exc_info=printable_error(error),
            )
            return FAILED
        if number == 0:
            kind = type(event).__name__
            order = ascii(event.merchant_transaction_id or event.payment_id)[:104]
            self._refusals.warn(kind, f"no handler is registered for {kind} of {order}")
        return OK

    async def _store(self, event: CallbackEvent, source: str | None) -> Acknowledgement:
        if not self._is_open:
            msg = "this receiver is not open; use it inside 'async with'"
            raise ConfigurationError(msg)
        assert self._inbox is not None
        assert self.dispatcher is not None
        # Unsigned events must not use the room of signed ones.
        if self._waiting >= (self._max_open if event.signed else self._max_open // 2):
            return self.log_refusal(UNAVAILABLE, "the inbox is full", source)
        if not event.signed and self._waiting_unsigned >= self._max_unsigned:
            return self.log_refusal(UNAVAILABLE, "too many unsigned events wait", source)
        try:
            is_new = await self._inbox.put(event)
        except Exception:
            logger.exception("a callback could not be stored; it is answered 503")
            return UNAVAILABLE
        if is_new:
            self._waiting += 1
            self._waiting_unsigned += not event.signed
            self.dispatcher.wake()
        return OK

    def _counted(self, waiting: int, unsigned: int) -> None:
        self._waiting, self._waiting_unsigned = waiting, unsigned


def _now() -> float:
    return asyncio.get_running_loop().time()
