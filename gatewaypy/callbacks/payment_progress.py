"""A payment's names, and what is known of it under each of them.

A payment has up to two names: the merchant's own id and the gateway's id, each together with the
merchant. A callback may have one of them or both, so an event is looked up by every name that it
has. What is recorded under a name also holds the payment's other name, once an event had both.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.protocol.fields import check
from gatewaypy.protocol.operation_types import ReplyKind
from gatewaypy.protocol.operations import OPERATIONS
from gatewaypy.protocol.transitions import Transition, classify_transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@frozen
class PaymentNames:
    """The names of one payment: by the merchant's own id, and by the gateway's id."""

    own: str | None
    payment: str | None

    @property
    def all(self) -> list[str]:
        """The names that are known."""
        return [name for name in (self.own, self.payment) if name is not None]

    def may_be(self, other: PaymentNames) -> bool:
        """Return whether no name of the two payments differs."""
        pairs = ((self.own, other.own), (self.payment, other.payment))
        return all(mine is None or theirs is None or mine == theirs for mine, theirs in pairs)


def names_of(
    member_id: str | None, merchant_transaction_id: str | None, payment_id: str | None
) -> PaymentNames:
    """Return the names of the payment that has these ids; equal ids of two merchants differ."""
    own, payment = merchant_transaction_id, payment_id
    return PaymentNames(
        own=None if own is None else json.dumps([member_id, own, None]),
        payment=None if payment is None else json.dumps([member_id, None, payment]),
    )


def queue_of(member_id: str | None, names: PaymentNames, *, signed: bool) -> str:
    """Return the queue that an event waits in: events of one queue are handled one after the other.

    It is named by the merchant's own id, else by the gateway's. Unsigned events have queues of
    their own, so that they do not delay signed ones.
    """
    name = names.own or names.payment or json.dumps([member_id, None, None])
    return name if signed else f"{name} unsigned"


def other_queues(
    member_id: str | None, names: PaymentNames, *, signed: bool
) -> list[tuple[str, int, str]]:
    """Return where other events of an event's payment may wait.

    Returns:
        A queue, the number after which to look, and a name that events in any queue may have. The
        queue or the name is empty.
    """
    queues = [(queue_of(member_id, names, signed=not signed), 0, "")]
    if names.payment is None:
        return queues
    if names.own is None:
        return [*queues, ("", 0, names.payment)]
    by_payment = PaymentNames(None, names.payment)
    both = (queue_of(member_id, by_payment, signed=is_signed) for is_signed in (True, False))
    return [*queues, *((queue, 0, "") for queue in both)]


def check_ids(*, payment_id: str | None, merchant_transaction_id: str | None) -> None:
    """Check that an inquiry by these ids is possible.

    Raises:
        InvalidRequest: Neither id, or an id outside its format.
    """
    ids = {"paymentId": payment_id, "merchantTransactionId": merchant_transaction_id}
    known = {name: value for name, value in ids.items() if value is not None}
    if not known:
        raise InvalidRequest("payment_id", "must be given, or merchant_transaction_id")
    check(known)


def check_owner(member_id: str, operation: str | None) -> None:
    """Check a merchant's id and the name of an operation.

    Raises:
        InvalidRequest: The merchant's id is outside its format.
        ConfigurationError: No operation of that name makes or changes a payment or payout.
    """
    check({"authentication.memberId": member_id})
    if operation is None:
        return
    known = OPERATIONS.get(operation)
    if known is None or known.reply not in {
        ReplyKind.PAYMENT,
        ReplyKind.PAYOUT,
        ReplyKind.FOLLOW_UP,
    }:
        msg = "operation: must be the name of an operation, such as 'debit'"
        raise ConfigurationError(msg)


def usable_ids(payment_id: str | None, merchant_transaction_id: str | None) -> dict[str, str]:
    """Return the id to inquire by: the gateway's, else the merchant's own.

    An id outside its format is omitted, because no gateway accepts it.
    """
    for name, by in (
        ("payment_id", {"paymentId": payment_id}),
        ("merchant_transaction_id", {"merchantTransactionId": merchant_transaction_id}),
    ):
        for value in by.values():
            if value is not None and has_format(by):
                return {name: value}
    return {}


def has_format(fields: Mapping[str, str | None]) -> bool:
    """Return whether every value is a string that has its field's format."""
    try:
        check(fields)  # type: ignore[arg-type]  # it refuses what is not a string
    except InvalidRequest:
        return False
    return True


@frozen
class Progress:
    """The last state that moved a payment forward, and its event.

    ``amount`` and ``currency`` are the event's texts. ``event`` is its number in the inbox, and
    ``evidence`` its fields as JSON; both are ``None`` for the event that is being handled.
    """

    names: PaymentNames
    state: str
    amount: str | None = None
    currency: str | None = None
    event: int | None = None
    evidence: str | None = None


def matching(names: PaymentNames, found: Iterable[Progress]) -> list[Progress]:
    """Return the records of the payment that has these names.

    One own id may have been used for two payments, which differ in the gateway's id then.
    """
    return [known for known in found if names.may_be(known.names)]


def furthest(known: Sequence[Progress]) -> Progress | None:
    """Return the record that is ahead of the others; ``None`` if there is none."""
    ahead: Progress | None = None
    for record in known:
        if ahead is None or classify_transition(ahead.state, record.state) is Transition.FORWARD:
            ahead = record
    return ahead


def joined(names: PaymentNames, known: Iterable[Progress]) -> PaymentNames:
    """Return an event's names, completed by the payment's other name where that is known."""
    for record in known:
        names = evolve(
            names,
            own=names.own if names.own is not None else record.names.own,
            payment=names.payment if names.payment is not None else record.names.payment,
        )
    return names


def linking(names: PaymentNames, known: Sequence[Progress]) -> Progress | None:
    """Return the record to write under every name of a payment, if one of them lacks it.

    That happens after an event that is already known, but is the first to have both names.
    """
    ahead, both = furthest(known), joined(names, known)
    if ahead is None:
        return None
    is_complete = len(known) == len(both.all) and all(
        record.names == both and record.state == ahead.state for record in known
    )
    return None if is_complete else evolve(ahead, names=both)
