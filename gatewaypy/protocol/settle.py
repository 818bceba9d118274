"""What an inquiry's answer means for the request that it was made about; nothing here ever causes a second send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from gatewaypy.models import OperationResult, Outcome, Payment, Payout, SettledBy
from gatewaypy.protocol import decode, requests
from gatewaypy.protocol.operations import InquireBy, ReplyKind
from gatewaypy.protocol.statuses import long_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Invoice, Transaction
    from gatewaypy.protocol.requests import Request


@frozen
class Unsettled:
    """The answer leaves it open. ``hopeless`` where asking again cannot change that; the rest is what it told all the same."""

    reason: str
    hopeless: bool = False
    payment_id: str | None = None
    status: str | None = None
    code: str | None = None


@frozen
class _Traces:
    """The statuses that a follow-up leaves on the payment that it acts on."""

    done: frozenset[str]
    under_way: frozenset[str]
    refused: frozenset[str] = frozenset()


# A payment that was refunded or charged back had been captured. By how much, only the gateway can say, and the result's amount
# is left to it.
_FOLLOW_UPS: Final[Mapping[str, _Traces]] = {
    "capture": _Traces(
        done=frozenset({"capturesuccess", "settled", "markedforreversal", "reversed", "chargeback"}),
        under_way=frozenset({"capturestarted"}),
        refused=frozenset({"capturefailed"}),
    ),
    "reversal": _Traces(done=frozenset({"authcancelled"}), under_way=frozenset({"cancelstarted", "markedforreversal"})),
    "refund": _Traces(done=frozenset({"reversed"}), under_way=frozenset({"markedforreversal"})),
}


def question_about(request: Request) -> Request:
    """Return the request that asks what became of another."""
    if request.operation.inquire_by is InquireBy.MERCHANT_INVOICE_ID:
        return requests.invoice_status(str(request.fields["merchantInvoiceId"]))
    if request.operation.inquire_by is InquireBy.PAYMENT_ID:
        return requests.inquiry(payment_id=request.subject)
    return requests.inquiry(merchant_transaction_id=request.merchant_transaction_id)


def is_about(transaction: Transaction, *, payment_id: str | None = None, merchant_transaction_id: str | None = None) -> bool:
    """Tell whether a record is the one asked for: it must name the id that was asked by."""
    if payment_id is not None:
        return transaction.payment_id == payment_id
    return transaction.merchant_transaction_id == merchant_transaction_id


def is_of(request: Request, fields: Mapping[str, Any]) -> bool:
    """Tell whether a reply's amount is the request's; a reply without one says nothing against it."""
    amount, currency = fields.get("amount"), fields.get("currency")
    if request.amount is None or amount is None:
        return True
    if amount == request.amount.wire() and currency == request.amount.currency:
        return True
    return decode.money(amount, currency if currency is not None else request.amount.currency) == request.amount


def _details(invoice: Invoice) -> Mapping[str, Any]:
    details = invoice.raw.get("invoiceDetails")
    return details if isinstance(details, dict) else {}


def settle_invoice(request: Request, invoice: Invoice) -> Invoice | Unsettled:
    """Turn an invoice's status into the result of its generation, where it can be."""
    if invoice.outcome is not Outcome.SUCCEEDED:
        return Unsettled("invoice not found")
    if (invoice.status or "").casefold() in {"cancelled", "replaced"}:
        return Unsettled(f"an invoice with this id, but an older one, which is {invoice.status}", hopeless=True)
    if invoice.merchant_invoice_id != request.fields["merchantInvoiceId"] or not is_of(request, _details(invoice)):
        return Unsettled("an invoice with this id, but not the one that was sent", hopeless=True)
    return evolve(invoice, settled_by=SettledBy.INQUIRY)


def settle(
    request: Request, transaction: Transaction, *, duplicate: bool = False, is_first: bool = False
) -> OperationResult | Unsettled:
    """Turn an inquiry's answer into the result of the request that it was made about, where it can be.

    :param is_first: whether the payment that a follow-up acts on is known to have borne no trace of an earlier follow-up. Without
        that, a refunded payment may be the work of an earlier refund, and proves nothing of this one.
    """
    settled = _settle(request, transaction, duplicate=duplicate, is_first=is_first)
    if not isinstance(settled, Unsettled):
        return settled
    return evolve(settled, payment_id=transaction.payment_id, status=transaction.status, code=transaction.result.code)


def _settle(request: Request, transaction: Transaction, *, duplicate: bool, is_first: bool) -> OperationResult | Unsettled:
    if not transaction.found:
        return Unsettled("record not found")
    if transaction.outcome is Outcome.UNKNOWN:
        return Unsettled(f"status {transaction.status or '(none)'} / {transaction.transaction_status or '(none)'}")
    if request.operation.reply is ReplyKind.FOLLOW_UP:
        return _settle_follow_up(request, transaction, is_first=is_first)
    return _settle_new(request, transaction, duplicate=duplicate)


def _settle_new(request: Request, transaction: Transaction, *, duplicate: bool) -> OperationResult | Unsettled:
    if transaction.raw.get("amount") is None:
        return Unsettled("a record with this id, but without an amount")
    if not is_of(request, transaction.raw):
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


def _settle_follow_up(request: Request, transaction: Transaction, *, is_first: bool) -> OperationResult | Unsettled:
    status, traces = long_status(transaction.status), _FOLLOW_UPS[request.operation.name]
    name = status.name if status is not None else ""
    outcome = next(
        (
            outcome
            for outcome, names in (
                (Outcome.SUCCEEDED, traces.done),
                (Outcome.PENDING, traces.under_way),
                (Outcome.FAILED, traces.refused),
            )
            if name in names
        ),
        None,
    )
    if outcome is None:
        return Unsettled(f"the payment's status is {transaction.status or transaction.transaction_status}")
    if not is_first:
        return Unsettled(
            f"the payment's status is {name}, but that may be the work of an earlier {request.operation.name}", hopeless=True
        )
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
