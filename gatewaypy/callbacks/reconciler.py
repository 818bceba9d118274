"""Payments whose callback never comes: an abandoned 3-D page sends none, so somebody has to ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Final, Self

from attrs import define, field

from gatewaypy.callables import check_methods
from gatewaypy.callbacks.confirmation import check_merchant, inquire
from gatewaypy.callbacks.events import read_event
from gatewaypy.callbacks.payment_progress import check_ids, usable_ids
from gatewaypy.config import number
from gatewaypy.errors import ConfigurationError, GatewayError, InvalidRequest, OutcomeUnknown
from gatewaypy.models import Capture, Outcome, Payment, Payout, Refund, Reversal
from gatewaypy.printable import printable, printable_error
from gatewaypy.protocol.evidence import Evidence, Subject, judge, mismatch_of
from gatewaypy.protocol.inquiry import is_over
from gatewaypy.protocol.operation_types import ReplyKind
from gatewaypy.protocol.operations import OPERATIONS
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.transitions import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gatewaypy.callbacks.inbox import Inbox, Watched
    from gatewaypy.interfaces import InquiryClient, Reconcilable
    from gatewaypy.models import OperationResult, Transaction
    from gatewaypy.money import Money

logger: Final = logging.getLogger("gatewaypy.callbacks")

_AT_ONCE: Final = 20
_OPERATION_OF: Final = {
    Capture: "capture",
    Refund: "refund",
    Reversal: "reversal",
    Payout: "payout",
}
_PAYMENT_TYPES: Final = {"DB": "debit", "PA": "preauth"}


@define(eq=False)
class Reconciler:
    """Asks about pending payments on a schedule, and puts what it learns into the inbox, where the same router hears it.

    ::

        async with Reconciler(gateway, receiver.inbox) as reconciler:
            payment = await gateway.debit(...)
            await reconciler.watch(payment, operation="debit")

    A payment is asked about ``initial_delay`` seconds after it began to be watched, and again after twice that, and so on up to 64 times
    that. Callbacks and inquiries go through one function that only moves a payment forward, so it does no harm where both come.

    Several merchants may share an inbox: a reconciler asks about the payments of the merchants whose gateways it has.

    Payout journals can be looked after as well: ``Reconciler(gateway, inbox, journals=[journal])`` asks about their pending rows
    every ``initial_delay`` seconds.

    :param gateway: an open `Gateway`, or one for each merchant by its member id.
    :param inbox: an open `Inbox`: the receiver's.
    :param initial_delay: seconds before the first question.
    :param member_id: the merchant's, as in the receiver's credentials; the gateway's own where none is given.
    :param max_inquiries: answers after which a payment is no longer asked about; it is logged as a warning then.
    :raises ConfigurationError: where it is not known whose payments a gateway can be asked about.
    """

    gateway: InquiryClient | Mapping[str, InquiryClient]
    inbox: Inbox
    initial_delay: float = field(default=300.0, validator=number(above=0))
    max_inquiries: int = field(default=40, validator=number(least=1, is_whole=True))
    member_id: str | None = None
    poll_interval: float = field(default=5.0, validator=number(above=0))
    journals: Sequence[Reconcilable] = ()
    _gateways: Mapping[str, InquiryClient] = field(init=False)
    #: Until when each merchant's gateway asked to wait.
    _until: dict[str, float] = field(factory=dict, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Find out whom to ask about whose payments."""
        if isinstance(self.gateway, Mapping):
            if self.member_id is not None:
                msg = "member_id: must not be given with a gateway for each merchant"
                raise ConfigurationError(msg)
            self._gateways = dict(self.gateway)
        else:
            # The receiver's events carry their merchant; the inquiry's must carry the same, to be known for the same payment's.
            own = self.member_id or getattr(
                getattr(self.gateway, "credentials", None), "member_id", None
            )
            if not isinstance(own, str):
                msg = "member_id: must be given, because the gateway does not name its merchant"
                raise ConfigurationError(msg)
            self.member_id = own
            self._gateways = {own: self.gateway}
        for member_id, gateway in self._gateways.items():
            check_methods("gateway", gateway, "inquire")
            check_merchant("gateway", gateway, member_id)
        for journal in self.journals:
            check_methods("journals", journal, "reconcile")
            self._gateway_of(journal)

    def _gateway_of(self, journal: Reconcilable) -> InquiryClient:
        gateway = self._gateways.get(getattr(journal, "member_id", self.member_id or ""))
        if gateway is None:
            msg = "journals: must be of a merchant whose gateway was given"
            raise ConfigurationError(msg)
        return gateway

    async def __aenter__(self) -> Self:
        """Begin to ask."""
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; what is watched stays on record, and is asked about by the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def watch(
        self,
        payment: OperationResult | OutcomeUnknown,
        *,
        operation: str | None = None,
        amount: Money | None = None,
        member_id: str | None = None,
    ) -> bool:
        """Watch a payment, payout, capture, reversal or refund that is still open. It is on disk when this returns.

        Args:
            payment: The result, or the `OutcomeUnknown` that was raised in place of one.
            operation: What was asked for, such as ``"debit"`` or ``"preauth"``; needed for a `Payment`, whose reply does not say
                which it was. An error, and every other result, knows it. Unless it is known, a payment is watched until it is
                captured, because a debit is authorized first.
            amount: The amount that was asked for; the result's own if it is ``None``.
            member_id: The merchant's, needed if there are several.

        Returns:
            Whether there is anything to watch.

        Raises:
            InvalidRequest: There is no id, or one outside its format: no gateway could be asked about it.
            ConfigurationError: The merchant's gateway was not given, or there is no such operation.
        """
        if isinstance(payment, OutcomeUnknown):
            operation = operation or payment.operation
        elif payment.outcome not in {Outcome.PENDING, Outcome.REDIRECT, Outcome.UNKNOWN}:
            return False
        else:
            operation, amount = operation or _operation_of(payment), amount or payment.amount
        member = member_id or self.member_id
        if member not in self._gateways:
            msg = "member_id: must be of a merchant whose gateway was given"
            raise ConfigurationError(msg)
        await self.inbox.watch(
            member_id=str(member),
            payment_id=payment.payment_id,
            merchant_transaction_id=payment.merchant_transaction_id,
            delay=self.initial_delay,
            operation=operation,
            amount=amount,
        )
        return True

    async def inquire_due(self) -> int:
        """Ask about every watched payment that is due; return how many were."""
        number_due = 0
        for member, gateway in self._gateways.items():
            if self._until.get(member, 0.0) > asyncio.get_running_loop().time():
                continue
            due = await self.inbox.watched(member, _AT_ONCE, self.initial_delay)
            ends = await asyncio.gather(
                *(self._ask(gateway, watched) for watched in due), return_exceptions=True
            )
            for error in ends:
                if isinstance(error, Exception):
                    # The others, and other merchants', are asked about all the same.
                    logger.error(
                        "a watched payment of %s could not be asked about",
                        member,
                        exc_info=printable_error(error),
                    )
            number_due += len(due)
        return number_due

    async def _run(self) -> None:
        loop, due = asyncio.get_running_loop(), 0.0
        while True:
            try:
                if self.journals and loop.time() >= due:
                    due = loop.time() + self.initial_delay
                    await self._reconcile_journals()
                if await self.inquire_due():
                    continue
            except Exception:
                # A store that fails now may work again soon; asking must go on then.
                logger.exception("watched payments could not be read")
            await asyncio.sleep(self.poll_interval)

    async def _reconcile_journals(self) -> None:
        for journal in self.journals:
            try:
                await journal.reconcile(self._gateway_of(journal))
            except Exception as error:
                # One that fails keeps no other from being asked about.
                logger.exception(
                    "pending payouts could not be asked about", exc_info=printable_error(error)
                )

    async def _ask(self, gateway: InquiryClient, watched: Watched) -> None:
        by = usable_ids(watched.payment_id, watched.merchant_transaction_id)
        name = ascii(watched.merchant_transaction_id or watched.payment_id)[:104]
        try:
            if not by:
                check_ids(
                    payment_id=watched.payment_id,
                    merchant_transaction_id=watched.merchant_transaction_id,
                )
            found = await inquire(gateway, by)
            await self._learn(watched, found, name)
        except InvalidRequest as error:
            logger.warning(
                "%s cannot be asked about, and is no longer watched: %s",
                name,
                printable(str(error)),
            )
            await self.inbox.unwatch(watched.name)
        except (GatewayError, UnreadableError, TimeoutError) as error:
            # It is asked about again, for as long as nothing was answered.
            level = logging.WARNING if watched.inquiries >= self.max_inquiries else logging.INFO
            logger.log(
                level,
                "%s could not be asked about: %s: %s",
                name,
                type(error).__name__,
                printable(str(error)),
            )
            if isinstance(error, GatewayError) and error.retry_after is not None:
                # The gateway asked to wait: that was no question. It may say 0 seconds, as often as it is asked.
                pause = max(error.retry_after, self.poll_interval)
                self._until[watched.member_id] = asyncio.get_running_loop().time() + pause
                await self.inbox.put_off(watched.name, pause)

    async def _learn(self, watched: Watched, found: Transaction, name: str) -> None:
        is_end, is_news, state = _meaning(watched, found)
        if is_news:
            await self.inbox.put(
                read_event(found.raw, signed=True, member_id=watched.member_id, confirmed=found)
            )
        if is_end:
            await self.inbox.unwatch(watched.name)
        elif watched.inquiries >= self.max_inquiries:
            logger.warning(
                "%s is %s after %d questions; it is no longer asked about",
                name,
                printable(state),
                watched.inquiries,
            )
            await self.inbox.unwatch(watched.name)


def _operation_of(payment: OperationResult) -> str | None:
    if isinstance(payment, Payment):
        return _PAYMENT_TYPES.get(str(payment.raw.get("paymentType")))
    return _OPERATION_OF.get(type(payment))


def _meaning(watched: Watched, found: Transaction) -> tuple[bool, bool, str]:
    """Judge an answer for what is watched, by the rules of every other reply: is it the end, is it news, and what is it."""
    if not found.found:
        return False, False, "not found"
    # Another version may have left one that this one does not know.
    operation = OPERATIONS.get(watched.operation or "")
    is_follow_up = operation is not None and operation.reply is ReplyKind.FOLLOW_UP
    subject = Subject(
        payment_type=None if operation is None else operation.payment_type,
        member_id=watched.member_id,
        payment_id=watched.payment_id,
        # A refund's own id would not be the payment's, whose record tells of it.
        merchant_transaction_id=None
        if is_follow_up and watched.payment_id
        else watched.merchant_transaction_id,
        amount=None if is_follow_up else watched.amount,
        currency=None if is_follow_up else watched.currency,
    )
    evidence = Evidence.of(found)
    if is_follow_up:
        mismatch = mismatch_of(subject, evidence)
        is_end = mismatch is None and is_over(str(watched.operation), found.status)
        return is_end, is_end, mismatch.reason if mismatch is not None else str(found.status)
    judgement = judge(subject, evidence)
    if judgement.mismatch is not None:
        return False, False, judgement.mismatch.reason
    is_end = judgement.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}
    # A hold, which is a preauthorization's end and may be a debit's beginning; a bare Y may be one.
    may_be_debit = subject.payment_type in {None, "DB"}
    may_go_on = may_be_debit and state_of(found.status, found.transaction_status) in {
        "authsuccessful",
        "y",
    }
    return is_end and not may_go_on, is_end, judgement.outcome.name
