"""Payments whose callback never comes: an abandoned 3-D page sends none, so somebody has to ask."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from attrs import define, field

from gatewaypy.callables import check_methods
from gatewaypy.callbacks.events import event_of
from gatewaypy.config import number
from gatewaypy.errors import GatewayError, InvalidRequest
from gatewaypy.models import Outcome
from gatewaypy.printable import printable
from gatewaypy.protocol.parse import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gatewaypy.callbacks.dispatcher import Asks
    from gatewaypy.callbacks.inbox import Inbox
    from gatewaypy.models import OperationResult

logger: Final = logging.getLogger("gatewaypy.callbacks")

_AT_ONCE: Final = 20


class Reconciled(Protocol):
    """A payout journal, or whatever else has pending payments of its own."""

    async def reconcile(self, gateway: Any) -> int:  # noqa: ANN401 - an open gateway
        """Ask about what is pending."""
        ...


@define(eq=False)
class Reconciler:
    """Asks about pending payments on a schedule, and puts what it learns into the inbox, where the same router hears it.

    ::

        async with Reconciler(gateway, receiver.inbox) as reconciler:
            payment = await gateway.debit(...)
            await reconciler.watch(payment)

    A payment is asked about ``first`` seconds after it began to be watched, and again after twice that, and so on up to 64 times
    that. Callbacks and inquiries go through one function that only moves a payment forward, so it does no harm where both come.

    Payout journals can be looked after as well: ``Reconciler(gateway, inbox, journals=[journal])`` asks about their pending rows
    every ``first`` seconds.

    :param gateway: an open `Gateway`.
    :param inbox: an open `Inbox`: the receiver's.
    :param first: seconds before the first question.
    :param member_id: the merchant's, as in the receiver's credentials; the gateway's own where none is given.
    :param give_up_after: questions after which a payment is no longer asked about; it is logged as a warning then.
    """

    gateway: Asks
    inbox: Inbox
    first: float = field(default=300.0, validator=number(above=0))
    give_up_after: int = field(default=40, validator=number(least=1, is_whole=True))
    member_id: str | None = None
    poll: float = field(default=5.0, validator=number(above=0))
    journals: Sequence[Reconciled] = ()
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what would be called, and not run."""
        check_methods("gateway", self.gateway, "inquire")
        for journal in self.journals:
            check_methods("journals", journal, "reconcile")

    async def __aenter__(self) -> Self:
        """Begin to ask."""
        if self.member_id is None:
            # The receiver's events carry their merchant; the inquiry's must carry the same, to be known for the same payment's.
            self.member_id = getattr(getattr(self.gateway, "credentials", None), "member_id", None)
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; what is watched stays on record, and is asked about by the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def watch(self, payment: OperationResult) -> bool:
        """Watch a payment or payout that is still open; returns whether there is anything to watch. It is on disk then."""
        if payment.outcome not in {Outcome.PENDING, Outcome.REDIRECT, Outcome.UNKNOWN}:
            return False
        if payment.payment_id is None and payment.merchant_transaction_id is None:
            raise InvalidRequest("payment_id", "a payment can be watched by one of its ids, and this one has none")
        await self.inbox.watch(
            payment_id=payment.payment_id, merchant_transaction_id=payment.merchant_transaction_id, seconds=self.first
        )
        return True

    async def ask(self) -> int:
        """Ask about every watched payment that is due; return how many were."""
        due = await self.inbox.watched(_AT_ONCE, self.first)
        await asyncio.gather(*(self._ask(*payment) for payment in due))
        return len(due)

    async def _run(self) -> None:
        loop, due = asyncio.get_running_loop(), 0.0
        while True:
            try:
                if self.journals and loop.time() >= due:
                    due = loop.time() + self.first
                    for journal in self.journals:
                        await journal.reconcile(self.gateway)
                if await self.ask():
                    continue
            except Exception:
                # A store that fails now may work again soon; asking must go on then.
                logger.exception("watched payments could not be read")
            await asyncio.sleep(self.poll)

    async def _ask(self, payment: str, payment_id: str | None, merchant_transaction_id: str | None, asked: int) -> None:
        try:
            if payment_id is not None:
                found = await self.gateway.inquire(payment_id=payment_id)
            else:
                found = await self.gateway.inquire(merchant_transaction_id=merchant_transaction_id)
            event = event_of(found.raw, signed=True, member_id=self.member_id, confirmed=found) if found.found else None
        except (GatewayError, UnreadableError) as error:
            logger.info("%s could not be asked about: %s", printable(str(merchant_transaction_id or payment_id)), error)
            if isinstance(error, GatewayError) and error.retry_after is not None:
                # The gateway asked to wait: that was no question.
                await self.inbox.put_off(payment, error.retry_after)
            return
        if event is not None and event.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}:
            await self.inbox.put(event)
            await self.inbox.unwatch(payment)
        elif asked >= self.give_up_after:
            state = "not found" if event is None else event.outcome.name
            logger.warning(
                "%s is %s after %d questions; it is no longer asked about",
                printable(str(merchant_transaction_id or payment_id)),
                state,
                asked,
            )
            await self.inbox.unwatch(payment)
