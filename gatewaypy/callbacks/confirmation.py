"""Confirmation by an inquiry: handlers receive the gateway's answer, not the callback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from gatewaypy.callables import check_methods
from gatewaypy.callbacks.events import read_event
from gatewaypy.callbacks.payment_progress import check_ids, usable_ids
from gatewaypy.errors import ConfigurationError, GatewayError, InvalidRequest
from gatewaypy.protocol.evidence import Evidence, Subject, mismatch_of
from gatewaypy.protocol.transitions import Transition, classify_transition

if TYPE_CHECKING:
    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.callbacks.inbox import ClaimedEntry
    from gatewaypy.interfaces import InquiryClient
    from gatewaypy.models import Transaction

# A gateway has limits of its own; another client may have none.
_INQUIRY_TIMEOUT: Final = 300.0


class NotOursError(Exception):
    """The event contradicts the stored state; a person must review it.

    Attributes:
        evidence: The part of the reason that is stored and not logged.
        by_check: Whether the application's check refused the event.
    """

    def __init__(self, reason: str, evidence: str = "", *, by_check: bool = False) -> None:
        super().__init__(reason)
        self.evidence = evidence
        self.by_check = by_check


class UnconfirmedError(Exception):
    """The inquiry failed, or its answer does not (yet) confirm the callback.

    Attributes:
        answered: Whether the gateway answered the inquiry.
        retry_after: Seconds that the gateway asked to wait, if it did.
    """

    def __init__(self, reason: str, *, answered: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.answered = answered
        self.retry_after = retry_after


async def inquire(gateway: InquiryClient, by: Mapping[str, str]) -> Transaction:
    """Inquire by one id.

    Raises:
        GatewayError: The inquiry failed.
        TimeoutError: The gateway did not answer within 300 s.
    """
    asked: Any = gateway.inquire(**by)
    async with asyncio.timeout(_INQUIRY_TIMEOUT):
        found: Transaction = await asked
        return found


def check_merchant(where: str, gateway: object, member_id: str) -> None:
    """Check that a gateway is the merchant's: another one has other payments with equal ids.

    Raises:
        ConfigurationError: The gateway has credentials of another merchant.
    """
    theirs = getattr(getattr(gateway, "credentials", None), "member_id", member_id)
    if theirs != member_id:
        msg = f"{where}: must be a gateway of merchant {member_id}; got one of merchant {theirs}"
        raise ConfigurationError(msg)


@define(eq=False)
class Confirmation:
    """Inquiries that confirm events; none is sent while the gateway asked to wait.

    Attributes:
        gateways: One gateway, or one for each member id.
        unsigned_only: Whether signed events need no inquiry.
    """

    gateways: InquiryClient | Mapping[str, InquiryClient]
    unsigned_only: bool = False
    #: Until when each merchant's gateway asked to wait.
    _until: dict[str | None, float] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Check that each gateway can inquire."""
        each = self.gateways.values() if isinstance(self.gateways, Mapping) else [self.gateways]
        for gateway in each:
            check_methods("confirm", gateway, "inquire")

    async def confirm(self, entry: ClaimedEntry, event: CallbackEvent) -> CallbackEvent | None:
        """Return the event for handlers; ``None`` if an unsigned one is not confirmed.

        Raises:
            NotOursError: A signed event does not match the gateway's answer.
            UnconfirmedError: The inquiry must be repeated.
        """
        if self.unsigned_only and entry.signed:
            return event
        gateway = (
            self.gateways.get(entry.member or "")
            if isinstance(self.gateways, Mapping)
            else self.gateways
        )
        if gateway is None:
            # Without a gateway for its merchant only a signed event counts.
            return event if entry.signed else None
        found = await self._ask(gateway, entry, event)
        return None if found is None else confirmed(entry, event, found)

    async def _ask(
        self, gateway: InquiryClient, entry: ClaimedEntry, event: CallbackEvent
    ) -> Transaction | None:
        """Return the gateway's answer; ``None`` for an unsigned event without a usable id."""
        clock = asyncio.get_running_loop().time
        if (held := self._until.get(entry.member, 0.0) - clock()) > 0:
            reason = "the gateway asked to wait"
            raise UnconfirmedError(reason, answered=False, retry_after=held)
        by, retry_after = usable_ids(event.payment_id, event.merchant_transaction_id), None
        try:
            if not by:
                # No gateway has such an id, so a retry is useless.
                check_ids(
                    payment_id=event.payment_id,
                    merchant_transaction_id=event.merchant_transaction_id,
                )
            return await inquire(gateway, by)
        except InvalidRequest as error:
            if not entry.signed:
                return None
            reason = f"{type(error).__name__}: {error}"
            raise NotOursError(reason) from None
        except TimeoutError:
            reason = f"the gateway did not answer within {_INQUIRY_TIMEOUT:g} s"
        except GatewayError as error:
            reason, retry_after = f"{type(error).__name__}: {error}", error.retry_after
            if retry_after is not None:
                self._until[entry.member] = clock() + retry_after
        raise UnconfirmedError(reason, answered=False, retry_after=retry_after)


def confirmed(
    entry: ClaimedEntry, event: CallbackEvent, found: Transaction
) -> CallbackEvent | None:
    """Build the event from the gateway's answer, which must not be behind a signed callback."""
    if not found.found:
        if entry.signed:
            reason = "the gateway does not find the payment (yet)"
            raise UnconfirmedError(reason, answered=True)
        return None
    said = Evidence.of(event)
    subject = Subject(
        member_id=entry.member,
        payment_id=event.payment_id,
        merchant_transaction_id=event.merchant_transaction_id,
        amount=said.amount,
        currency=said.currency,
    )
    mismatch = mismatch_of(subject, Evidence.of(found))
    if mismatch is not None:
        if not entry.signed:
            return None
        reason = f"the callback does not match the gateway's record: {mismatch.reason}"
        raise NotOursError(reason)
    answer = read_event(
        found.raw, signed=entry.signed, member_id=entry.member, confirmed=found, result=event.result
    )
    is_behind = (
        answer.state is not None
        and event.state is not None
        and classify_transition(answer.state, event.state) is Transition.FORWARD
    )
    if is_behind and entry.signed:
        reason = f"the callback says {event.state}, the gateway still {answer.state}"
        raise UnconfirmedError(reason, answered=True)
    return answer
