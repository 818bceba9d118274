"""Dispatching from the inbox: in order for each payment, concurrently across payments."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
from attrs import define, field

from gatewaypy.backoff import Backoff
from gatewaypy.callables import check_function
from gatewaypy.callbacks.confirmation import (
    Confirmation,
    NotOursError,
    UnconfirmedError,
)
from gatewaypy.callbacks.events import PaymentSucceeded, read_event
from gatewaypy.callbacks.payment_progress import Progress, joined, linking, names_of
from gatewaypy.callbacks.repeated_log import RepeatedLog
from gatewaypy.callbacks.router import EventContext, call
from gatewaypy.config import number
from gatewaypy.printable import printable, printable_error
from gatewaypy.protocol.evidence import Evidence, mismatch_of_amount
from gatewaypy.protocol.transitions import Transition, classify_transition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from random import Random

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.callbacks.inbox import ClaimedEntry, Inbox
    from gatewaypy.callbacks.router import Router
    from gatewaypy.interfaces import InquiryClient


logger: Final = logging.getLogger("gatewaypy.callbacks")

T = TypeVar("T")

_MAX_DELAY: Final = 3600.0
_POLL_INTERVAL: Final = 0.5
_PRUNE_EVERY: Final = 3600.0
_FORGET_EVERY: Final = 60.0
_REFUSED_MINUTES: Final = 10.0
_COUNT_EVERY: Final = 5.0
_CLOSING: Final = 10.0
_HANDLERS_CLOSING: Final = 30.0
_MOST_ASKED: Final = 24
_SLOW: Final = 10.0
# The time that a cancelled handler has to end.
_CANCEL_GRACE: Final = 5.0
_STUCK_EVERY: Final = 60.0
# Unsigned events use at most one part in four of the concurrency.
_UNSIGNED_PART: Final = 4


class _HandlerFailedError(Exception):
    """A handler, or another function of the application, failed."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.error = error


@define(eq=False)
class _Running:
    """An event that is handled, the function that is called for it, and since when."""

    entry: ClaimedEntry
    task: asyncio.Task[None] | None = None
    kind: str = "event"
    what: str = ""
    since: float = 0.0
    is_slow: bool = False
    #: Whether it is past its timeout and still runs; it no longer counts as running.
    is_stuck: bool = False

    def calls(self, what: str, now: float) -> None:
        """Record what is called now."""
        self.what, self.since, self.is_slow, self.is_stuck = what, now, False, False


@define(eq=False)
class _Allowance:
    """The rate of unsigned events from the inbox, with a burst of one second."""

    per_second: float
    _left: float = field(default=1.0, init=False)
    _at: float | None = field(default=None, init=False)

    def left(self, now: float) -> int:
        """Return how many can be claimed now."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._left = min(self._left + passed * self.per_second, max(self.per_second, 1.0))
        return int(self._left)

    def use(self, number: int) -> None:
        """Subtract the claimed events."""
        self._left -= number


def describe(entry: ClaimedEntry) -> str:
    """Describe an event for a log by its number, status and id; nothing else of it is shown."""
    fields = entry.fields
    status = fields.get("status") or fields.get("transactionStatus")
    order = fields.get("merchantTransactionId") or fields.get("paymentId")
    how = "" if entry.signed else ", unsigned"
    return f"event {entry.id} ({ascii(status)[:66]} of {ascii(order)[:104]}{how})"


@define(eq=False, kw_only=True)
class Dispatcher:
    """A loop that claims events from the inbox and passes them to handlers.

    Several processes can dispatch from one inbox. The process that claimed an event owns it, and
    renews its lease while handlers run. A failed event is retried after ``initial_delay`` seconds,
    doubled with each failure up to 3600 s, with random jitter. After ``max_attempts`` it is parked.

    Attributes:
        confirm: The client for an inquiry before handlers run, or one for each member id.
        confirm_unsigned_only: Whether signed events need no inquiry.
        check: Compares an event with the application's order; false sends it to review.
        concurrency: How many events are handled at a time.
        handler_timeout: Seconds that a handler or ``check`` can take. An async one is then
            cancelled, which counts as a failure. A plain one runs in a thread, which cannot be
            stopped: it is logged, and its event is not retried until it ends.
        unsigned_per_second: How many unsigned events cause an inquiry in a second. Without
            ``confirm`` none is claimed.
        prune_after_days: Days for which events that need nothing more are stored.
        on_counted: Called with the number of all open events and of the unsigned ones.
    """

    router: Router
    inbox: Inbox
    random: Random
    confirm: InquiryClient | Mapping[str, InquiryClient] | None = None
    confirm_unsigned_only: bool = False
    check: Callable[[CallbackEvent], Awaitable[bool] | bool] | None = None
    concurrency: int = field(default=32, validator=number(least=1, is_whole=True))
    max_attempts: int = field(default=12, validator=number(least=1, is_whole=True))
    initial_delay: float = field(default=1.0, validator=number(above=0))
    handler_timeout: float = field(default=60.0, validator=number(above=0))
    unsigned_per_second: float = field(default=5.0, validator=number(above=0))
    prune_after_days: float = field(default=90.0, validator=number(above=0))
    on_counted: Callable[[int, int], None] = lambda _, __: None
    _wakeup: asyncio.Event = field(factory=asyncio.Event, init=False)
    _running: dict[int, _Running] = field(factory=dict, init=False)
    _loop: asyncio.Task[None] | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)
    _check_is_async: bool = field(default=False, init=False)
    _confirmation: Confirmation | None = field(default=None, init=False)
    _allowance: _Allowance = field(init=False)
    _threads: anyio.CapacityLimiter | None = field(default=None, init=False)
    _log: RepeatedLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Check the functions and prepare what depends on the options."""
        if self.check is not None:
            self._check_is_async = check_function("check", self.check)
        if self.confirm is not None:
            self._confirmation = Confirmation(self.confirm, self.confirm_unsigned_only)
        self._allowance = _Allowance(self.unsigned_per_second)
        self._log = RepeatedLog(_now)

    def start(self) -> None:
        """Start to dispatch on this event loop, unless it has started."""
        loop = asyncio.get_running_loop()
        if self._loop is None or self._loop.done() or self._loop.get_loop() is not loop:
            # An event and a task belong to their loop, and an earlier loop may be closed.
            self._wakeup = asyncio.Event()
            self._running, self._closing = {}, False
            # A limiter of its own, so that blocked threads do not use up the application's.
            self._threads = anyio.CapacityLimiter(2 * self.concurrency)
            # Handlers must not inherit the context variables of the request that starts this.
            self._loop = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def wake(self) -> None:
        """Poll the inbox at once."""
        self._wakeup.set()

    async def aclose(self) -> None:
        """Claim no more events, and wait up to 30 s for the handlers that run."""
        if self._loop is not None and self._loop.get_loop().is_closed():
            # Its tasks ended with their loop.
            self._loop, self._running = None, {}
        if self._loop is not None:
            # Not cancelled at once: events that it claims just now would be leased to no process.
            self._closing = True
            self._wakeup.set()
            _, unended = await asyncio.wait([self._loop], timeout=_CLOSING)
            if unended:
                self._loop.cancel()
                await asyncio.wait([self._loop])
            self._loop, self._closing = None, False
        deadline = asyncio.get_running_loop().time() + _HANDLERS_CLOSING
        while self._running and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait(self._tasks(), timeout=min(self.inbox.lease / 3, 1.0))
            try:
                await self.inbox.renew(self._running)
            except Exception:
                logger.exception(
                    "handlers that still run may be handled again: their lease could not be renewed"
                )
        for task in self._tasks():
            task.cancel()
        if self._running:
            # A handler can ignore its cancellation, so the wait has a limit.
            await asyncio.wait(self._tasks(), timeout=_CANCEL_GRACE)
        for running in self._running.values():
            logger.error(
                "%s: %s does not end; it is abandoned", describe(running.entry), running.what
            )
        self._log.flush()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [running.task for running in self._running.values() if running.task is not None]

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        renew_at = clock() + self.inbox.lease / 3
        prune_at = forget_at = count_at = clock()
        look_at = clock() + 1.0
        while not self._closing:
            try:
                if clock() >= renew_at:
                    await self.inbox.renew(self._running)
                    renew_at = clock() + self.inbox.lease / 3
                if clock() >= prune_at:
                    await self.inbox.prune(self.prune_after_days)
                    prune_at = clock() + _PRUNE_EVERY
                if clock() >= forget_at:
                    await self.inbox.forget_refused(_REFUSED_MINUTES)
                    forget_at = clock() + _FORGET_EVERY
                if clock() >= count_at:
                    unsigned = await self.inbox.waiting(unsigned_only=True)
                    self.on_counted(await self.inbox.waiting(), unsigned)
                    count_at = clock() + _COUNT_EVERY
                if clock() >= look_at:
                    self.look_for_stuck(clock())
                    look_at = clock() + 1.0
                took = await self._take()
            except Exception:
                # The store may recover, so dispatching must continue.
                logger.exception("the inbox could not be read")
                took = False
            if not took:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_POLL_INTERVAL):
                await self._wakeup.wait()
        except TimeoutError:
            pass
        self._wakeup.clear()

    def look_for_stuck(self, now: float) -> None:
        """Log what runs long; what is past its timeout no longer counts as running."""
        for running in self._running.values():
            age = now - running.since
            if not running.what or running.is_stuck:
                continue
            if age > self.handler_timeout + _CANCEL_GRACE:
                running.is_stuck = True
                logger.error(
                    "%s: %s has run for %.0f s and does not end; no retry until then",
                    describe(running.entry),
                    running.what,
                    age,
                )
            elif age > _SLOW and not running.is_slow:
                running.is_slow = True
                logger.warning(
                    "%s: %s has run for %.0f s", describe(running.entry), running.what, age
                )

    def _room(self) -> int:
        """Return how many more events can run; stuck ones do not count, up to ``concurrency``."""
        stuck = sum(running.is_stuck for running in self._running.values())
        room = min(
            self.concurrency - (len(self._running) - stuck),
            2 * self.concurrency - len(self._running),
        )
        if room <= 0 and stuck >= self.concurrency:
            self._log.warn(
                "stuck",
                f"{stuck} handlers do not end and no event is dispatched; restart this process",
            )
        return room

    async def _take(self) -> bool:
        room = self._room()
        entries = await self.inbox.claim(room) if room > 0 else []
        if self._confirmation is not None and len(entries) < room:
            # After the signed ones, so that unsigned ones do not delay them.
            here = sum(not running.entry.signed for running in self._running.values())
            allowed = self._allowance.left(asyncio.get_running_loop().time())
            most = min(
                room - len(entries), max(self.concurrency // _UNSIGNED_PART, 1) - here, allowed
            )
            if most > 0:
                unsigned = await self.inbox.claim(most, signed=False)
                self._allowance.use(len(unsigned))
                entries += unsigned
        for entry in entries:
            running = self._running[entry.id] = _Running(entry)
            running.task = asyncio.get_running_loop().create_task(self._handle(running))
            running.task.add_done_callback(partial(self._ended, entry.id))
        return bool(entries)

    def _ended(self, identifier: int, _: asyncio.Task[None]) -> None:
        del self._running[identifier]
        self._wakeup.set()

    async def _handle(self, running: _Running) -> None:
        try:
            await self._settle(running)
        except Exception:
            # The store failed. The event stays open and is claimed again after its lease.
            logger.exception("%s could not be written back", describe(running.entry))

    async def _settle(self, running: _Running) -> None:
        """Finish one event or schedule its next attempt."""
        try:
            await self._decide(running)
        except NotOursError as reason:
            await self._contradicted(running.entry, reason)
        except UnconfirmedError as reason:
            await self._unconfirmed(running.entry, reason)
        except _HandlerFailedError as failure:
            await self._failed(running, failure.error)

    async def _decide(self, running: _Running) -> None:
        event = await self._guarded(self._confirmed(running))
        if event is None:
            await self.inbox.finish(
                running.entry, "refused", note="unsigned, and not confirmed by the gateway"
            )
            return
        running.kind = type(event).__name__
        entry = await self._named(running, event)
        if entry is None:
            return
        moves = _is_forward(entry, event)
        if not moves and not entry.forced:
            await self.inbox.finish(
                entry, "ignored", note="already known", progress=linking(entry.names, entry.known)
            )
            return
        if not _has_succeeded(entry, event):
            await self._guarded(self._check(running, event))
            await self._guarded(self._call_handlers(running, event))
        await self.inbox.finish(
            entry, "done", progress=_progress_of(entry, event) if moves else None
        )

    @staticmethod
    async def _guarded(work: Awaitable[T]) -> T:
        """Await work that includes the application's code; any error of it is a failed handler."""
        try:
            return await work
        except (NotOursError, UnconfirmedError):
            raise
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # A handler that awaited a cancelled task has failed; it was not cancelled itself.
            raise _HandlerFailedError(error) from None
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            raise _HandlerFailedError(error) from None

    async def _named(self, running: _Running, event: CallbackEvent) -> ClaimedEntry | None:
        """Add the event's names to its entry; ``None`` if another event of the payment is first."""
        names = names_of(event.member_id, event.merchant_transaction_id, event.payment_id)
        if set(names.all) <= set(running.entry.names.all):
            return running.entry
        # The inquiry added a name, under which other events of the payment may be stored.
        renamed = await self.inbox.rename(
            running.entry, joined(names, [Progress(running.entry.names, "")])
        )
        if renamed is not None:
            running.entry = renamed
        return renamed

    async def _confirmed(self, running: _Running) -> CallbackEvent | None:
        """Return the event for handlers; ``None`` if it is unsigned and not confirmed."""
        entry = running.entry
        event = read_event(entry.fields, signed=entry.signed, member_id=entry.member)
        if self._confirmation is None:
            return event if entry.signed else None
        running.calls("the inquiry", asyncio.get_running_loop().time())
        return await self._confirmation.confirm(entry, event)

    async def _check(self, running: _Running, event: CallbackEvent) -> None:
        if self.check is None:
            return
        running.calls("check", asyncio.get_running_loop().time())
        verdict: Any = await call(
            "check",
            self.check,
            event,
            is_async=self._check_is_async,
            timeout=self.handler_timeout,
            threads=self._threads,
        )
        if not isinstance(verdict, bool):
            msg = f"check: must return True or False; got {type(verdict).__name__}"
            raise TypeError(msg)
        if not verdict:
            reason = "check returned False: the event does not match its order"
            raise NotOursError(reason, by_check=True)

    async def _call_handlers(self, running: _Running, event: CallbackEvent) -> None:
        entry = running.entry
        handlers = self.router.handlers_of(event)
        if not handlers:
            kind = type(event).__name__
            self._log.warn(
                kind, f"{describe(entry)} is a {kind}, for which no handler is registered"
            )
        context = EventContext(key=entry.key, attempt=entry.attempts + 1)
        for handler in handlers:
            running.calls(handler.name, asyncio.get_running_loop().time())
            await handler(event, context, timeout=self.handler_timeout, threads=self._threads)

    async def _contradicted(self, entry: ClaimedEntry, reason: NotOursError) -> None:
        """Store a signed event for review.

        An unsigned event is stored only if the application's check refused the gateway's answer,
        and once for each payment, so that a sender without a key cannot fill the list.
        """
        if entry.signed or (reason.by_check and not await self.inbox.has_kept(entry.names)):
            logger.warning("%s is kept for review: %s", describe(entry), printable(str(reason)))
            await self.inbox.finish(entry, "review", note=f"{reason}{reason.evidence}")
            return
        self._log.warn("unsigned", f"{describe(entry)} is refused: {printable(str(reason))}")
        await self.inbox.finish(entry, "refused", note=str(reason))

    async def _unconfirmed(self, entry: ClaimedEntry, reason: UnconfirmedError) -> None:
        """Schedule the next inquiry; after 24 that do not confirm the event, end it."""
        why = printable(str(reason))
        if entry.inquiries + 1 >= _MOST_ASKED and (reason.answered or not entry.signed):
            if entry.signed:
                logger.warning("%s is kept for review: never confirmed: %s", describe(entry), why)
            else:
                self._log.warn(
                    "never confirmed", f"{describe(entry)} is refused: never confirmed: {why}"
                )
            await self.inbox.finish(
                entry, "review" if entry.signed else "refused", note=f"never confirmed: {why}"
            )
            return
        self._log.warn("not confirmed", f"{describe(entry)} waits: not confirmed: {why}")
        note = f"not confirmed: {why}"
        if reason.retry_after is not None:
            # The gateway asked to wait, so this inquiry does not count.
            await self.inbox.put_back(entry, max(reason.retry_after, self._pause(0)), note=note)
            return
        await self.inbox.retry_later(entry, self._pause(entry.inquiries), note=note, asked=True)

    async def _failed(self, running: _Running, error: BaseException) -> None:
        entry, what = running.entry, f"{describe(running.entry)}: {running.kind}"
        attempt, note = entry.attempts + 1, printable(f"{type(error).__name__}: {error}")
        if attempt >= self.max_attempts:
            logger.error(
                "%s is parked after %d attempts: %s",
                what,
                attempt,
                note,
                exc_info=printable_error(error),
            )
            await self.inbox.finish(entry, "parked", note=note)
            return
        logger.warning(
            "%s: attempt %d failed and is repeated: %s",
            what,
            attempt,
            note,
            exc_info=printable_error(error),
        )
        await self.inbox.retry_later(entry, self._pause(entry.attempts), note=note)

    def _pause(self, tries: int) -> float:
        return Backoff(self.initial_delay, _MAX_DELAY, jitter=0.5).delay(tries, self.random)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _has_succeeded(entry: ClaimedEntry, event: CallbackEvent) -> bool:
    """Return whether handlers had the success already; settlement after capture is not another."""
    is_known = any(known.state == "capturesuccess" for known in entry.known)
    return not entry.forced and isinstance(event, PaymentSucceeded) and is_known


def _is_forward(entry: ClaimedEntry, event: CallbackEvent) -> bool:
    """Return whether an event moves its payment forward, under every name of the payment.

    Raises:
        NotOursError: The event contradicts what is known.
    """
    if event.state is None:
        return True
    is_forward = True
    for known in entry.known:
        meaning = classify_transition(known.state, event.state)
        if not entry.forced and meaning is Transition.CONTRADICTION:
            reason = (
                f"the event has {event.state}, but event {known.event} had {known.state};"
                " both cannot be true"
            )
            raise NotOursError(reason, f"; known by {known.evidence}")
        if not entry.forced and known.state == event.state:
            said = Evidence.of(event)
            mismatch = mismatch_of_amount(known.amount, known.currency, said.amount, said.currency)
            if mismatch is not None:
                reason = (
                    f"the event repeats {event.state} of event {known.event}, but {mismatch.reason}"
                )
                raise NotOursError(reason, f"; known by {known.evidence}")
        is_forward = is_forward and meaning is Transition.FORWARD
    return is_forward


def _progress_of(entry: ClaimedEntry, event: CallbackEvent) -> Progress | None:
    if event.state is None:
        return None
    said = Evidence.of(event)
    return Progress(joined(entry.names, entry.known), event.state, said.amount, said.currency)
