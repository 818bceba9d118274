"""What this gateway object knows of earlier payments: enough to refuse what the gateway could only refuse, and to tell whether a
status that an inquiry finds can be the work of the request that is asked about.
"""  # noqa: D205 - one thought

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

_REMEMBERED: Final = 10_000

# By paymentType: what each operation takes from, and what its success gives room for.
_TAKES_FROM: Final = {"CP": "authorised", "RF": "captured"}
_GIVES: Final = {"PA": "authorised", "DB": "captured", "CP": "captured"}
# What must be known of a payment for a follow-up's trace to be told from an older one.
_ACTS_ON: Final = {"CP": "authorised", "RV": "authorised", "RF": "captured"}
# What an inquiry's status shows, while no later step has begun.
_SHOWN_BY: Final = {
    "authsuccessful": "authorised",
    "capturesuccess": "captured",
    "settled": "captured",
}


@define(eq=False)
class _FollowUp:
    """A capture, reversal or refund that may have left a trace on its payment.

    ``is_known`` is whether the payment was known when it was begun, and no inquiry had shown such a trace before.
    ``is_done`` is whether its own reply said that it was done.
    """

    request: Request
    is_known: bool
    is_done: bool = False


@define
class _Known:
    """What is known of one payment.

    ``authorised`` and ``captured`` are the most that may be captured and refunded, ``None`` if that is unknown. ``begun``
    are the follow-ups that were not plainly refused, in the order in which they were begun. ``shown`` are the long statuses
    that inquiries have shown.
    """

    authorised: Money | None = None
    captured: Money | None = None
    begun: list[_FollowUp] = field(factory=list)
    shown: set[str] = field(factory=set)


class Bounds:
    """Remembers the last ten thousand payments that went through the open gateway objects of one merchant in this process.

    It knows only what it saw: another process may have captured or refunded more. The gateway has the last word.
    """

    def __init__(self) -> None:
        """Start knowing nothing."""
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # Gateway objects on the event loops of several threads share it.
        self._lock = threading.Lock()

    def check(self, request: Request) -> None:
        """Refuse a capture or refund above what is known, or in another currency.

        :raises InvalidRequest: naming the amount's field.
        """
        kind = _TAKES_FROM.get(request.operation.payment_type or "")
        known = self._known.get(request.subject or "")
        if kind is None or known is None or request.amount is None:
            return
        bound: Money | None = getattr(known, kind)
        if bound is None:
            return
        facts = {"operation": request.operation.name}
        if bound.currency != request.amount.currency:
            raise InvalidRequest(
                "currency", f"{bound.currency}, in which the payment was {kind}", **facts
            )
        if request.amount > bound:
            raise InvalidRequest(
                "amount", f"at most the {bound} that is known to be {kind} and left", **facts
            )

    def begin(self, request: Request) -> None:
        """Record that a capture, reversal or refund is about to be sent."""
        needed = _ACTS_ON.get(request.operation.payment_type or "")
        if needed is None or request.subject is None:
            return
        with self._lock:
            known = self._known.setdefault(request.subject, _Known())
            # A trace that was there before is another process's, or an earlier follow-up's.
            is_traced = any(
                trace_of(request.operation.name, status) is not None for status in known.shown
            )
            is_known = getattr(known, needed) is not None and not is_traced
            known.begun.append(_FollowUp(request, is_known=is_known))
            self._forget()

    def is_only(self, request: Request) -> bool:
        """Return whether a trace on the payment can be the work of this follow-up alone.

        It must be asked when a trace is judged, not before the inquiry: another follow-up may have been sent since. It
        is true only if the payment was known, without such a trace, before the follow-up, none was begun since that was
        not plainly refused, and none before, except captures that were plainly done: they leave no trace that a refund
        leaves.
        """
        known = self._known.get(request.subject or "")
        begun = [] if known is None else known.begun
        place = next((place for place, other in enumerate(begun) if other.request is request), None)
        if place is None or not begun[place].is_known or place != len(begun) - 1:
            return False
        is_refund = request.operation.payment_type == "RF"
        return all(
            is_refund and other.is_done and other.request.operation.payment_type == "CP"
            for other in begun[:place]
        )

    def refused(self, request: Request) -> None:
        """Record that a follow-up was plainly refused, or not sent: it left no trace."""
        known = self._known.get(request.subject or "")
        if known is not None:
            with self._lock:
                known.begun = [other for other in known.begun if other.request is not request]

    def learn(self, request: Request, result: OperationResult) -> None:
        """Remember what a result says of the payment's amounts."""
        kind = request.operation.payment_type or ""
        gives, takes = _GIVES.get(kind), _TAKES_FROM.get(kind)
        amount = request.amount
        if result.payment_id is None or amount is None or result.outcome is not Outcome.SUCCEEDED:
            return
        if result.outcome_source is OutcomeSource.INQUIRY and takes is not None:
            # The inquiry tells that it happened, not of how much.
            return
        if gives is None and takes is None:
            return
        known = self._known.setdefault(result.payment_id, _Known())
        self._known.move_to_end(result.payment_id)
        for follow_up in known.begun:
            follow_up.is_done = follow_up.is_done or follow_up.request is request
        if takes is not None and (bound := getattr(known, takes)) is not None:
            setattr(known, takes, bound - amount)
        if gives is not None:
            earlier = getattr(known, gives)
            setattr(known, gives, amount if earlier is None else earlier + amount)
        self._forget()

    def learn_of(self, transaction: Transaction) -> None:
        """Take from an inquiry what is not known of a payment: its amount is the most that it can be.

        Another process may have captured it, and an attempt that was never sent says nothing about it.
        """
        status, amount, identifier = (
            long_status(transaction.status),
            transaction.amount,
            transaction.payment_id,
        )
        if status is None or identifier is None:
            return
        kind = _SHOWN_BY.get(status.name)
        if kind is not None and amount is not None:
            known = self._known.setdefault(identifier, _Known())
            if kind == "captured" and transaction.captured is not None:
                amount = transaction.captured
            if getattr(known, kind) is None:
                setattr(known, kind, amount)
        if identifier in self._known:
            self._known[identifier].shown.add(status.name)
        self._forget()

    def _forget(self) -> None:
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


@define(eq=False)
class SharedBounds:
    """Gives every open gateway object of one merchant and base URL the same `Bounds`.

    What one of them has begun on a payment, the trace that another one finds may be of.
    """

    _open: dict[tuple[str, str], tuple[Bounds, int]] = field(factory=dict)
    _lock: threading.Lock = field(factory=threading.Lock)

    def join(self, base_url: str, member_id: str) -> Bounds:
        """Return the bounds for a gateway object that is opened."""
        key = (base_url, member_id)
        with self._lock:
            bounds, users = self._open.get(key) or (Bounds(), 0)
            self._open[key] = (bounds, users + 1)
            return bounds

    def leave(self, base_url: str, member_id: str) -> None:
        """Forget the bounds with the last gateway object that is closed."""
        key = (base_url, member_id)
        with self._lock:
            bounds, users = self._open[key]
            if users > 1:
                self._open[key] = (bounds, users - 1)
            else:
                del self._open[key]


#: All open gateway objects of this process.
SHARED: Final = SharedBounds()
