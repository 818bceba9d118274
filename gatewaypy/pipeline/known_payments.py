"""What this process knows of earlier payments: their amounts and their follow-ups.

It refuses a capture or refund above the known amount, and decides whether a status that an inquiry
finds can only be the work of one follow-up. A follow-up is a capture, a reversal or a refund.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Outcome, OutcomeSource
from gatewaypy.protocol.inquiry import trace_of
from gatewaypy.protocol.statuses import long_status

if TYPE_CHECKING:
    from gatewaypy.models import OperationResult, Transaction
    from gatewaypy.money import Money
    from gatewaypy.protocol.requests import Request

_MAX_PAYMENTS: Final = 10_000

# By paymentType: the amount that an operation reduces, and the one that its success increases.
_REDUCES: Final = {"CP": "authorized", "RF": "captured"}
_INCREASES: Final = {"PA": "authorized", "DB": "captured", "CP": "captured"}
# The amount that must be known of a payment to distinguish a follow-up's trace from an older one.
_ACTS_ON: Final = {"CP": "authorized", "RV": "authorized", "RF": "captured"}
# The amount that an inquiry's status shows, while no later step has started.
_SHOWN_BY: Final = {
    "authsuccessful": "authorized",
    "capturesuccess": "captured",
    "settled": "captured",
}


@define(eq=False)
class _FollowUp:
    """A follow-up that may have left a trace on its payment.

    Args:
        request: The follow-up.
        is_known: Before it was sent, the payment was known and no inquiry had shown such a trace.
        is_done: Its own reply stated that it was executed.
    """

    request: Request
    is_known: bool
    is_done: bool = False


@define
class _Known:
    """What is known of one payment.

    Args:
        authorized: The most that can be captured, ``None`` if unknown.
        captured: The most that can be refunded, ``None`` if unknown.
        attempts: Follow-ups that were not refused, in the order in which they were sent.
        shown: Long statuses that inquiries have shown.
    """

    authorized: Money | None = None
    captured: Money | None = None
    attempts: list[_FollowUp] = field(factory=list)
    shown: set[str] = field(factory=set)


def _sum(known: Money, change: Money) -> Money | None:
    """Add to a known amount; None, which is unknown, if they have no sum.

    The request was executed, so an error here would state that nothing was sent.
    """
    try:
        return known + change
    except InvalidRequest:
        return None


class KnownPayments:
    """The last 10,000 payments of one merchant in this process.

    Another process may have captured or refunded more, so the gateway decides in the end.
    """

    def __init__(self) -> None:
        """Start without payments."""
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # Gateway objects on the event loops of several threads share it.
        self._lock = threading.Lock()

    def check(self, request: Request) -> None:
        """Refuse a capture or refund above the known amount, or in another currency.

        Raises:
            InvalidRequest: Names the field ``amount`` or ``currency``.
        """
        kind = _REDUCES.get(request.operation.payment_type or "")
        known = self._known.get(request.subject or "")
        if kind is None or known is None or request.amount is None:
            return
        limit: Money | None = getattr(known, kind)
        if limit is None:
            return
        facts = {"operation": request.operation.name}
        if limit.currency != request.amount.currency:
            rule = f"must be {limit.currency}, in which the payment was {kind}"
            raise InvalidRequest("currency", rule, **facts)
        if request.amount > limit:
            rule = f"must not exceed {limit}, the rest that is known to be {kind}"
            raise InvalidRequest("amount", rule, **facts)

    def record_attempt(self, request: Request) -> None:
        """Record that a capture, reversal or refund is about to be sent."""
        needed = _ACTS_ON.get(request.operation.payment_type or "")
        if needed is None or request.subject is None:
            return
        with self._lock:
            known = self._known.setdefault(request.subject, _Known())
            # An earlier trace is another process's or an earlier follow-up's.
            is_traced = any(
                trace_of(request.operation.name, status) is not None for status in known.shown
            )
            is_known = getattr(known, needed) is not None and not is_traced
            known.attempts.append(_FollowUp(request, is_known=is_known))
            self._drop_oldest()

    def is_only(self, request: Request) -> bool:
        """Return whether a trace on the payment can only be the work of this follow-up.

        Call it when a trace is classified, not before the inquiry: another follow-up may have been
        sent since. It is true only if

        - before the follow-up the payment was known and had no such trace,
        - no follow-up was sent since, unless it was refused,
        - none was sent before, except executed captures before a refund: their trace is different.
        """
        known = self._known.get(request.subject or "")
        attempts = [] if known is None else known.attempts
        place = next((i for i, attempt in enumerate(attempts) if attempt.request is request), None)
        if place is None or not attempts[place].is_known or place != len(attempts) - 1:
            return False
        is_refund = request.operation.payment_type == "RF"
        return all(
            is_refund and earlier.is_done and earlier.request.operation.payment_type == "CP"
            for earlier in attempts[:place]
        )

    def record_refusal(self, request: Request) -> None:
        """Record that a follow-up was refused or not sent, so that it left no trace."""
        known = self._known.get(request.subject or "")
        if known is not None:
            with self._lock:
                known.attempts = [item for item in known.attempts if item.request is not request]

    def record_result(self, request: Request, result: OperationResult) -> None:
        """Record what a result states of its payment: its amounts, or a refusal."""
        if result.outcome is Outcome.FAILED:
            self.record_refusal(request)
        kind = request.operation.payment_type or ""
        increases, reduces = _INCREASES.get(kind), _REDUCES.get(kind)
        amount = request.amount
        if result.payment_id is None or amount is None or result.outcome is not Outcome.SUCCEEDED:
            return
        if result.outcome_source is OutcomeSource.INQUIRY and reduces is not None:
            # The inquiry states that the follow-up was executed, but not for which amount.
            return
        if increases is None and reduces is None:
            return
        with self._lock:
            known = self._known.setdefault(result.payment_id, _Known())
            self._known.move_to_end(result.payment_id)
            for attempt in known.attempts:
                attempt.is_done = attempt.is_done or attempt.request is request
            if reduces is not None and (limit := getattr(known, reduces)) is not None:
                setattr(known, reduces, _sum(limit, -amount))
            if increases is not None:
                earlier = getattr(known, increases)
                setattr(known, increases, amount if earlier is None else _sum(earlier, amount))
            self._drop_oldest()

    def record_transaction(self, transaction: Transaction) -> None:
        """Record the amount and the status that an inquiry found.

        The amount counts only if none is known. Another process may have captured the payment.
        """
        status, amount, identifier = (
            long_status(transaction.status),
            transaction.amount,
            transaction.payment_id,
        )
        if status is None or identifier is None:
            return
        kind = _SHOWN_BY.get(status.name)
        with self._lock:
            if kind is not None and amount is not None:
                known = self._known.setdefault(identifier, _Known())
                if kind == "captured" and transaction.captured is not None:
                    amount = transaction.captured
                if getattr(known, kind) is None:
                    setattr(known, kind, amount)
            if identifier in self._known:
                self._known[identifier].shown.add(status.name)
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while len(self._known) > _MAX_PAYMENTS:
            self._known.popitem(last=False)


@define(eq=False)
class KnownPaymentsRegistry:
    """One `KnownPayments` for all open gateway objects of one merchant and base URL.

    The trace that one of them finds on a payment may be the work of another one.
    """

    _open: dict[tuple[str, str], tuple[KnownPayments, int]] = field(factory=dict)
    _lock: threading.Lock = field(factory=threading.Lock)

    def join(self, base_url: str, member_id: str) -> KnownPayments:
        """Return the known payments for a gateway object that opens."""
        key = (base_url, member_id)
        with self._lock:
            known, users = self._open.get(key) or (KnownPayments(), 0)
            self._open[key] = (known, users + 1)
            return known

    def leave(self, base_url: str, member_id: str) -> None:
        """Forget the known payments when the last gateway object closes."""
        key = (base_url, member_id)
        with self._lock:
            known, users = self._open[key]
            if users > 1:
                self._open[key] = (known, users - 1)
            else:
                del self._open[key]


#: All open gateway objects of this process.
SHARED: Final = KnownPaymentsRegistry()
