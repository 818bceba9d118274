"""Inquiries for payments without a callback, such as those of an abandoned 3-D page."""

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
    """Scheduled inquiries for watched payments; answers go through the inbox to the handlers.

    The first inquiry is sent ``initial_delay`` seconds after a payment is watched. The delay is
    then doubled, up to 64 times its start. The inbox only moves a payment forward, so a callback
    and an inquiry with the same status are handled once.

    Several merchants can share an inbox. A reconciler inquires for those whose gateways it has.

    Attributes:
        gateway: An open `Gateway`, or one for each merchant by its member id.
        inbox: The receiver's open `Inbox`.
        initial_delay: Seconds before the first inquiry, and between two of a journal.
        max_inquiries: After so many answers a payment is no longer watched, which is logged.
        member_id: The merchant's id, as in the receiver's credentials; the gateway's own if it is
            ``None``.
        poll_interval: Seconds between two checks for payments that are due.
        journals: Payout journals, whose pending rows are inquired for as well.

    Raises:
        ConfigurationError: The merchant of a gateway or of a journal is not known.

    Example::

        async with Reconciler(gateway, receiver.inbox) as reconciler:
            payment = await gateway.debit(...)
            await reconciler.watch(payment, operation="debit")
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
        """Match each merchant with its gateway."""
        if isinstance(self.gateway, Mapping):
            if self.member_id is not None:
                msg = "member_id: must not be given with a gateway for each merchant"
                raise ConfigurationError(msg)
            self._gateways = dict(self.gateway)
        else:
            # An inquiry's event must have the same merchant as a callback's, to name one payment.
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
        """Start the inquiries."""
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; watched payments stay stored for the next reconciler."""
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
        """Watch an operation that is still open; it is on disk when this returns.

        Args:
            payment: The result of a payment, payout, capture, reversal or refund, or the
                `OutcomeUnknown` that was raised instead.
            operation: The operation, such as ``"debit"`` or ``"preauth"``. Only a `Payment` needs
                it, because its reply may not contain it. Without it, a payment is watched until
                its capture, because a debit is authorized first.
            amount: The requested amount; the result's own if it is ``None``.
            member_id: The merchant's id, needed if there are several.

        Returns:
            Whether the operation is open and is now watched.

        Raises:
            InvalidRequest: There is no id, or an id outside its format.
            ConfigurationError: The merchant has no gateway here, or there is no such operation.
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
        """Inquire for every watched payment that is due; return how many there were."""
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
                    # One failure must not stop the other inquiries.
                    logger.error(
                        "the inquiry for a watched payment of %s failed",
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
                # The store may recover, so the inquiries must continue.
                logger.exception("watched payments could not be read")
            await asyncio.sleep(self.poll_interval)

    async def _reconcile_journals(self) -> None:
        for journal in self.journals:
            try:
                await journal.reconcile(self._gateway_of(journal))
            except Exception as error:
                # One failure must not stop the other journals.
                logger.exception(
                    "the inquiries for pending payouts failed", exc_info=printable_error(error)
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
            await self._record(watched, found, name)
        except InvalidRequest as error:
            logger.warning(
                "no inquiry is possible for %s, which is no longer watched: %s",
                name,
                printable(str(error)),
            )
            await self.inbox.unwatch(watched.name)
        except (GatewayError, UnreadableError, TimeoutError) as error:
            # The inquiry is repeated without a limit until the gateway answers.
            level = logging.WARNING if watched.inquiries >= self.max_inquiries else logging.INFO
            logger.log(
                level,
                "the inquiry for %s failed: %s: %s",
                name,
                type(error).__name__,
                printable(str(error)),
            )
            if isinstance(error, GatewayError) and error.retry_after is not None:
                # The gateway asked to wait, so the inquiry does not count. It may ask for 0 s.
                pause = max(error.retry_after, self.poll_interval)
                self._until[watched.member_id] = asyncio.get_running_loop().time() + pause
                await self.inbox.put_off(watched.name, pause)

    async def _record(self, watched: Watched, found: Transaction, name: str) -> None:
        is_end, is_event, state = _meaning(watched, found)
        if is_event:
            await self.inbox.put(
                read_event(found.raw, signed=True, member_id=watched.member_id, confirmed=found)
            )
        if is_end:
            await self.inbox.unwatch(watched.name)
        elif watched.inquiries >= self.max_inquiries:
            logger.warning(
                "%s is %s after %d inquiries; it is no longer watched",
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
    """Return whether an answer ends the watch, whether it is an event, and its state."""
    if not found.found:
        return False, False, "not found"
    # Another version may have stored an operation that this one does not know.
    operation = OPERATIONS.get(watched.operation or "")
    is_follow_up = operation is not None and operation.reply is ReplyKind.FOLLOW_UP
    subject = Subject(
        payment_type=None if operation is None else operation.payment_type,
        member_id=watched.member_id,
        payment_id=watched.payment_id,
        # The record is the payment's, whose own id differs from the refund's.
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
    # A hold ends a preauthorization, but a debit continues to its capture; a bare Y may be one.
    may_be_debit = subject.payment_type in {None, "DB"}
    may_go_on = may_be_debit and state_of(found.status, found.transaction_status) in {
        "authsuccessful",
        "y",
    }
    return is_end and not may_go_on, is_end, judgement.outcome.name
