"""What an inquiry's answer means for the request that it was made about; nothing here ever causes a second send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from gatewaypy.models import OperationResult, Outcome, Payment, Payout, SettledBy
from gatewaypy.protocol import decode
from gatewaypy.protocol.operations import InquireBy, ReplyKind
from gatewaypy.protocol.statuses import long_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Transaction
    from gatewaypy.protocol.requests import Request


@frozen
class Unsettled:
    """The answer leaves it open. ``hopeless`` where asking again cannot change that."""

    reason: str
    hopeless: bool = False


@frozen
class _Traces:
    """The statuses that a follow-up leaves on the payment that it acts on."""

    done: frozenset[str]
    under_way: frozenset[str]
    refused: frozenset[str] = frozenset()


# A payment that was refunded or charged back had been captured. The gateway allows one refund a payment (overview), so a
# "reversed" payment is refunded; by how much, only the gateway can say, and the result's amount is left to it.
_FOLLOW_UPS: Final[Mapping[str, _Traces]] = {
    "capture": _Traces(
        done=frozenset({"capturesuccess", "settled", "markedforreversal", "reversed", "chargeback"}),
        under_way=frozenset({"capturestarted"}),
        refused=frozenset({"capturefailed"}),
    ),
    "reversal": _Traces(done=frozenset({"authcancelled"}), under_way=frozenset({"cancelstarted", "markedforreversal"})),
    "refund": _Traces(done=frozenset({"reversed"}), under_way=frozenset({"markedforreversal"})),
}


def inquiry_about(request: Request) -> dict[str, str]:
    """Return what to inquire by: the arguments of ``requests.inquiry``."""
    if request.operation.inquire_by is InquireBy.PAYMENT_ID:
        return {"payment_id": request.subject or ""}
    return {"merchant_transaction_id": request.merchant_transaction_id or ""}


def is_about(transaction: Transaction, *, payment_id: str | None = None, merchant_transaction_id: str | None = None) -> bool:
    """Tell whether a record is the one asked for; an id that the reply leaves out is no objection."""
    if payment_id is not None:
        return transaction.payment_id in {None, payment_id}
    return transaction.merchant_transaction_id in {None, merchant_transaction_id}


def settle(request: Request, transaction: Transaction, *, duplicate: bool = False) -> OperationResult | Unsettled:
    """Turn an inquiry's answer into the result of the request that it was made about, where it can be."""
    if not transaction.found:
        return Unsettled("record not found")
    if transaction.outcome is Outcome.UNKNOWN:
        return Unsettled(f"status {transaction.status or '(none)'} / {transaction.transaction_status or '(none)'}")
    if request.operation.reply is ReplyKind.FOLLOW_UP:
        return _settle_follow_up(request, transaction)
    return _settle_new(request, transaction, duplicate=duplicate)


def _settle_new(request: Request, transaction: Transaction, *, duplicate: bool) -> OperationResult | Unsettled:
    if request.amount is not None and transaction.amount not in {None, request.amount}:
        return Unsettled(f"a record with this id, but of {transaction.amount}, not {request.amount}", hopeless=True)
    status = long_status(transaction.status)
    is_payout = request.operation.reply is ReplyKind.PAYOUT
    if status is not None and status.name != "failed" and status.name.startswith("payout") is not is_payout:
        return Unsettled(f"a record with this id, but of another kind: {status.name}", hopeless=True)
    outcome = transaction.outcome
    if status is not None and status.name == "authsuccessful" and request.operation.payment_type == "DB":
        # A debit is authorised first and captured next: its money is held, and not yet taken.
        outcome = Outcome.PENDING
    kind: type[Payment | Payout] = Payout if is_payout else Payment
    return decode.result(kind, transaction.raw, outcome=outcome, settled_by=SettledBy.INQUIRY, duplicate=duplicate)


def _settle_follow_up(request: Request, transaction: Transaction) -> OperationResult | Unsettled:
    status, traces = long_status(transaction.status), _FOLLOW_UPS[request.operation.name]
    name = status.name if status is not None else ""
    if name in traces.done:
        outcome = Outcome.SUCCEEDED
    elif name in traces.under_way:
        outcome = Outcome.PENDING
    elif name in traces.refused:
        outcome = Outcome.FAILED
    else:
        return Unsettled(f"the payment's status is {transaction.status or transaction.transaction_status}")
    told = {"capture": transaction.captured, "refund": transaction.refunded}.get(request.operation.name)
    if outcome is Outcome.SUCCEEDED and told is not None and told != request.amount:
        return Unsettled(f"the payment's status is {name}, but of {told}, not {request.amount}", hopeless=True)
    return decode.result(
        decode.FOLLOW_UPS[request.operation.name],
        transaction.raw,
        outcome=outcome,
        settled_by=SettledBy.INQUIRY,
        payment_id=request.subject,
        amount=told,
    )
