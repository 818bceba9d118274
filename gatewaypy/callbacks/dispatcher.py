"""From the inbox to the handlers: in order for each payment, at the same time across payments, again after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio.to_thread
from attrs import define, field

from gatewaypy.callables import check_function, check_methods, finish
from gatewaypy.callbacks.events import PaymentSucceeded, event_of
from gatewaypy.callbacks.inbox import names_of
from gatewaypy.callbacks.router import EventContext
from gatewaypy.config import number
from gatewaypy.errors import GatewayError, InvalidRequest
from gatewaypy.printable import printable
from gatewaypy.protocol.progress import Step, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.callbacks.inbox import Entry, Inbox
    from gatewaypy.callbacks.router import Router
    from gatewaypy.models import Transaction

logger: Final = logging.getLogger("gatewaypy.callbacks")

_LONGEST_PAUSE: Final = 3600.0
# A gateway may be out of reach for a thousand questions, and two to that power is no float.
_MOST_DOUBLINGS: Final = 30
_IDLE_PAUSE: Final = 0.5
_PRUNE_EVERY: Final = 3600.0
_COUNT_EVERY: Final = 5.0
_SUCCEEDED: Final = frozenset({"y", "capturesuccess"})
_CLOSING: Final = 10.0
_HANDLERS_CLOSING: Final = 30.0
_MOST_ASKED: Final = 24


class Asks(Protocol):
    """What confirming needs of a gateway."""

    async def inquire(self, *, payment_id: str | None = None, merchant_transaction_id: str | None = None) -> Transaction:
        """Ask what became of a payment."""
        ...


class _NotOursError(Exception):
    """The event contradicts what is known; a person has to look."""


class _UnconfirmedError(Exception):
    """The gateway could not be asked, or does not say (yet) what the callback says."""

    def __init__(self, reason: str, *, answered: bool) -> None:
        super().__init__(reason)
        self.answered = answered


def _is_old_news(entry: Entry, event: CallbackEvent) -> bool:
    """Tell whether a payment had succeeded already: being settled after its capture is progress, but no second success."""
    return not entry.forced and isinstance(event, PaymentSucceeded) and entry.known in _SUCCEEDED


@define(eq=False, kw_only=True)
class Dispatcher:
    """Takes events out of the inbox and gives them to handlers.

    Several processes may dispatch from one inbox: an event belongs to the one that took it, which renews its lease while handlers
    run. A handler that fails is tried again after ``first_pause`` seconds, twice that, and so on up to an hour, each spread
    by chance; after ``max_attempts`` the event is parked until it is put back.

    :param confirm: asked before handlers hear of an event, where ``confirm_unsigned_only`` does not limit it to unsigned ones.
    :param check: the shop's own look at an event, against its order: false sends it to review.
    :param prune_after_days: how long events that ended well are kept.
    """

    router: Router
    inbox: Inbox
    random: Random
    confirm: Asks | Mapping[str, Asks] | None = None
    confirm_unsigned_only: bool = False
    check: Callable[[CallbackEvent], Awaitable[bool] | bool] | None = None
    concurrency: int = field(default=32, validator=number(least=1, is_whole=True))
    max_attempts: int = field(default=12, validator=number(least=1, is_whole=True))
    first_pause: float = field(default=1.0, validator=number(above=0))
    prune_after_days: float = field(default=90.0, validator=number(above=0))
    on_counted: Callable[[int], None] = lambda _: None
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _running: dict[int, asyncio.Task[None]] = field(factory=dict, init=False)
    _loop: asyncio.Task[None] | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)
    _check_is_async: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what would be called, and not run."""
        if self.check is not None:
            self._check_is_async = check_function("check", self.check)
        gateways = self.confirm.values() if isinstance(self.confirm, Mapping) else [self.confirm]
        for gateway in gateways:
            if gateway is not None:
                check_methods("confirm", gateway, "inquire")

    def start(self) -> None:
        """Begin to dispatch on this event loop; harmless where it has begun."""
        loop = asyncio.get_running_loop()
        if self._loop is None or self._loop.done() or self._loop.get_loop() is not loop:
            # An event and a task belong to their loop, and an earlier one may be gone.
            self._news = asyncio.Event()
            self._running, self._closing = {}, False
            # Often started within a request, whose context variables are not the handlers' business.
            self._loop = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def wake(self) -> None:
        """Look into the inbox at once."""
        self._news.set()

    async def aclose(self) -> None:
        """Take nothing more, and let the handlers that run end."""
        if self._loop is not None:
            # Not cancelled at once: events that it is just taking out would stay in this process's name until their lease ends.
            self._closing = True
            self._news.set()
            _, unended = await asyncio.wait([self._loop], timeout=_CLOSING)
            if unended:
                self._loop.cancel()
                await asyncio.wait([self._loop])
            self._loop, self._closing = None, False
        deadline = asyncio.get_running_loop().time() + _HANDLERS_CLOSING
        while self._running and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait(self._running.values(), timeout=min(self.inbox.lease / 3, 1.0))
            try:
                await self.inbox.renew(self._running)
            except Exception:
                logger.exception("handlers that still run may be handled again: their lease could not be renewed")
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values())

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        renew_at = clock() + self.inbox.lease / 3
        prune_at = count_at = clock()
        while not self._closing:
            try:
                if clock() >= renew_at:
                    await self.inbox.renew(self._running)
                    renew_at = clock() + self.inbox.lease / 3
                if clock() >= prune_at:
                    await self.inbox.prune(self.prune_after_days)
                    prune_at = clock() + _PRUNE_EVERY
                if clock() >= count_at:
                    self.on_counted(await self.inbox.waiting())
                    count_at = clock() + _COUNT_EVERY
                took = await self._take()
            except Exception:
                # A store that fails now may work again soon; dispatching must go on then.
                logger.exception("the inbox could not be read")
                took = False
            if not took:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_PAUSE):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    async def _take(self) -> bool:
        room = self.concurrency - len(self._running)
        entries = await self.inbox.take(room) if room > 0 else []
        for entry in entries:
            task = asyncio.get_running_loop().create_task(self._handle(entry))
            self._running[entry.id] = task
            task.add_done_callback(partial(self._ended, entry.id))
        return bool(entries)

    def _ended(self, identifier: int, _: asyncio.Task[None]) -> None:
        del self._running[identifier]
        self._news.set()

    async def _handle(self, entry: Entry) -> None:
        try:
            await self._settle(entry)
        except Exception:
            # The store failed: the event stays open, and is taken again when its lease is over.
            logger.exception("event %s could not be written back", entry.key[:12])

    async def _settle(self, entry: Entry) -> None:
        """Give one event its end, or its next try."""
        try:
            event = await self._believed(entry)
            if event is None:
                await self.inbox.finish(entry, "refused", note="unsigned, and the gateway says nothing of the kind")
                return
            moves = self._is_forward(entry, event)
            if not moves and not entry.forced:
                await self.inbox.finish(entry, "swallowed", note=f"no news: the payment was {entry.known}")
                return
            if not _is_old_news(entry, event):
                await self._check(event)
                await self.router.dispatch(event, EventContext(key=entry.key, attempt=entry.attempts + 1))
        except _NotOursError as reason:
            logger.warning("event %s is kept for review: %s", entry.key[:12], printable(str(reason)))
            await self.inbox.finish(entry, "review", note=str(reason))
        except _UnconfirmedError as reason:
            await self._unconfirmed(entry, reason)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # A handler that awaited something cancelled has failed; nobody cancelled it.
            await self._failed(entry, error)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            await self._failed(entry, error)
        else:
            names = names_of(event.member_id, event.merchant_transaction_id, event.payment_id)
            await self.inbox.finish(entry, "done", progress=event.state if moves else None, names=names)

    async def _unconfirmed(self, entry: Entry, reason: _UnconfirmedError) -> None:
        """Ask again later; where the gateway can be asked and keeps saying something else, a person has to look."""
        if reason.answered and entry.asked + 1 >= _MOST_ASKED:
            await self.inbox.finish(entry, "review", note=f"never confirmed: {reason}")
            return
        await self.inbox.postpone(entry, self._pause(entry.asked), note=f"not confirmed: {reason}", asked=True)

    async def _failed(self, entry: Entry, error: BaseException) -> None:
        attempt, note = entry.attempts + 1, printable(f"{type(error).__name__}: {error}")
        if attempt >= self.max_attempts:
            logger.error("event %s is parked after %d tries: %s", entry.key[:12], attempt, note)
            await self.inbox.finish(entry, "parked", note=note)
            return
        logger.warning("event %s is tried again: %s", entry.key[:12], note)
        await self.inbox.postpone(entry, self._pause(entry.attempts), note=note)

    def _pause(self, tries: int) -> float:
        return min(self.first_pause * 2.0 ** min(tries, _MOST_DOUBLINGS), _LONGEST_PAUSE) * (0.5 + self.random.random() / 2)

    async def _believed(self, entry: Entry) -> CallbackEvent | None:
        """Return what handlers may hear: the event, or the gateway's answer; ``None`` where it knows nothing of it."""
        event = event_of(entry.fields, signed=entry.signed, member_id=entry.member)
        gateway = self.confirm.get(entry.member or "") if isinstance(self.confirm, Mapping) else self.confirm
        if gateway is None or (self.confirm_unsigned_only and entry.signed):
            return event
        try:
            if event.payment_id is not None:
                found = await gateway.inquire(payment_id=event.payment_id)
            else:
                found = await gateway.inquire(merchant_transaction_id=event.merchant_transaction_id)
        except GatewayError as error:
            reason, can_be_asked = f"{type(error).__name__}: {error}", not isinstance(error, InvalidRequest)
        else:
            return self._confirmed(entry, event, found)
        if can_be_asked:
            raise _UnconfirmedError(reason, answered=False)
        # No gateway ever has such an id: there is nothing to wait for.
        if entry.signed:
            raise _NotOursError(reason)
        return None

    def _confirmed(self, entry: Entry, event: CallbackEvent, found: Transaction) -> CallbackEvent | None:
        """Turn the gateway's answer into what handlers hear: the answer alone, and never less than a signed callback said."""
        if not found.found:
            if entry.signed:
                reason = "the gateway does not find the payment (yet)"
                raise _UnconfirmedError(reason, answered=True)
            return None
        is_other = found.merchant_transaction_id not in {None, event.merchant_transaction_id}
        if is_other or found.amount not in {None, event.amount}:
            reason = f"the callback is of {event.amount}, {event.merchant_transaction_id}; the gateway says {found.amount},"
            reason += f" {found.merchant_transaction_id}"
            raise _NotOursError(reason)
        answer = event_of(found.raw, signed=entry.signed, member_id=entry.member, confirmed=found)
        is_behind = answer.state is not None and event.state is not None and step(answer.state, event.state) is Step.FORWARD
        if is_behind and entry.signed:
            reason = f"the callback says {event.state}, the gateway still {answer.state}"
            raise _UnconfirmedError(reason, answered=True)
        return answer

    @staticmethod
    def _is_forward(entry: Entry, event: CallbackEvent) -> bool:
        if event.state is None:
            return True
        meaning = step(entry.known, event.state)
        if meaning is Step.CONTRADICTION and not entry.forced:
            names = f"payment {event.payment_id}, order {event.merchant_transaction_id}, event {entry.id}"
            reason = f"it says {event.state}, but the payment was {entry.known}: both cannot be true ({names})"
            raise _NotOursError(reason)
        return meaning is Step.FORWARD

    async def _check(self, event: CallbackEvent) -> None:
        if self.check is None:
            return
        verdict: Any = self.check(event) if self._check_is_async else await anyio.to_thread.run_sync(self.check, event)
        verdict = await finish("check", verdict)
        if not isinstance(verdict, bool):
            msg = f"check must return True or False; got {type(verdict).__name__}"
            raise TypeError(msg)
        if not verdict:
            reason = "the shop's own check says that it does not fit its order"
            raise _NotOursError(reason)
