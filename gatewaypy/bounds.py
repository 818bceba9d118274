"""What this gateway object knows of earlier payments: enough to refuse what the gateway could only refuse, and to tell whether a
status that an inquiry finds can be the work of the request that is asked about.
"""  # noqa: D205 - one thought

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

from attrs import define, field

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Outcome, SettledBy
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


@define
class _Known:
    """The most that may be captured and refunded of one payment, ``None`` where that is unknown; the follow-ups begun on it."""

    authorised: Money | None = None
    captured: Money | None = None
    begun: Counter[str] = field(factory=Counter)


class Bounds:
    """Remembers the last ten thousand payments that went through this gateway object.

    It knows only what it saw: another process may have captured or refunded more. The gateway has the last word.
    """

    def __init__(self) -> None:
        """Start knowing nothing."""
        self._known: OrderedDict[str, _Known] = OrderedDict()

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
            raise InvalidRequest("currency", f"{bound.currency}, in which the payment was {kind}", **facts)
        if request.amount > bound:
            raise InvalidRequest("amount", f"at most the {bound} that is known to be {kind} and left", **facts)

    def begin(self, request: Request) -> bool:
        """Note that a follow-up goes out, and tell whether the payment is known to bear no trace of an earlier one.

        Only then does a status that is found afterwards prove that this follow-up was carried out, and no other.
        """
        needed = _ACTS_ON.get(request.operation.payment_type or "")
        if needed is None or request.subject is None:
            return False
        known = self._known.setdefault(request.subject, _Known())
        is_first = getattr(known, needed) is not None and not known.begun.total()
        known.begun[request.operation.name] += 1
        self._forget()
        return is_first

    def refused(self, request: Request) -> None:
        """Note that a follow-up was plainly refused, or not sent: it left no trace. Another of its kind may have left one."""
        known = self._known.get(request.subject or "")
        if known is not None and known.begun[request.operation.name]:
            known.begun[request.operation.name] -= 1

    def learn(self, request: Request, result: OperationResult) -> None:
        """Remember what a result says of the payment's amounts."""
        kind = request.operation.payment_type or ""
        gives, takes = _GIVES.get(kind), _TAKES_FROM.get(kind)
        amount = request.amount
        if result.payment_id is None or amount is None or result.outcome is not Outcome.SUCCEEDED:
            return
        if result.settled_by is SettledBy.INQUIRY and takes is not None:
            # The inquiry tells that it happened, not of how much.
            return
        if gives is None and takes is None:
            return
        known = self._known.setdefault(result.payment_id, _Known())
        self._known.move_to_end(result.payment_id)
        if takes is not None and (bound := getattr(known, takes)) is not None:
            setattr(known, takes, bound - amount)
        if gives is not None:
            earlier = getattr(known, gives)
            setattr(known, gives, amount if earlier is None else earlier + amount)
        self._forget()

    def learn_of(self, transaction: Transaction) -> None:
        """Take what an inquiry tells of a payment that nothing is known of: its amount is the most that it can be."""
        status, amount = long_status(transaction.status), transaction.amount
        if status is None or amount is None or transaction.payment_id is None or transaction.payment_id in self._known:
            return
        if status.name == "authsuccessful":
            self._known[transaction.payment_id] = _Known(authorised=amount)
        elif status.name in {"capturesuccess", "settled"}:
            self._known[transaction.payment_id] = _Known(captured=amount)
        self._forget()

    def _forget(self) -> None:
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
