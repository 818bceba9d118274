"""Resolve a doubt about a request by the answer to an inquiry.

Nothing here causes a request to be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from gatewaypy.models import OperationResult, Outcome, OutcomeSource, Payment, Payout, ResultCode
from gatewaypy.protocol import codes, decode, requests
from gatewaypy.protocol.classify import matches_amount, subject_of
from gatewaypy.protocol.evidence import Evidence, judge, mismatch_of, mismatch_of_amount
from gatewaypy.protocol.operation_types import InquireBy, ReplyKind
from gatewaypy.protocol.parse import UnreadableError, read_fields
from gatewaypy.protocol.statuses import long_status
from gatewaypy.protocol.transitions import Transition, classify_transition, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Invoice, Transaction
    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireFailure, WireReply


@frozen
class Unresolved:
    """The answer does not state an outcome.

    Args:
        reason: What the answer states instead.
        final: Another inquiry cannot change that.
        payment_id: The gateway's id, if the answer has it.
        status: The long status, if the answer has it.
    """

    reason: str
    final: bool = False
    payment_id: str | None = None
    status: str | None = None


@frozen
class _Traces:
    """The statuses that a follow-up leaves on the payment that it acts on."""

    done: frozenset[str]
    under_way: frozenset[str]
    refused: frozenset[str] = frozenset()


# A payment that was refunded or charged back had been captured. Only the gateway knows the amount,
# so the result has the amount of the record.
_FOLLOW_UPS: Final[Mapping[str, _Traces]] = {
    "capture": _Traces(
        done=frozenset(
            {"capturesuccess", "settled", "markedforreversal", "reversed", "chargeback"}
        ),
        under_way=frozenset({"capturestarted"}),
        refused=frozenset({"capturefailed"}),
    ),
    "reversal": _Traces(
        done=frozenset({"authcancelled"}),
        under_way=frozenset({"cancelstarted", "markedforreversal"}),
    ),
    "refund": _Traces(done=frozenset({"reversed"}), under_way=frozenset({"markedforreversal"})),
}


def trace_of(operation: str, long: str | None) -> Outcome | None:
    """Return the outcome of a capture, reversal or refund that a payment's long status shows.

    ``None`` if the status shows no trace of it.
    """
    status, traces = long_status(long), _FOLLOW_UPS[operation]
    name = "" if status is None else status.name
    for outcome, names in (
        (Outcome.SUCCEEDED, traces.done),
        (Outcome.PENDING, traces.under_way),
        (Outcome.FAILED, traces.refused),
    ):
        if name in names:
            return outcome
    return None


def is_over(operation: str, long: str | None) -> bool:
    """Return whether a payment's long status ends the wait for a capture, reversal or refund on it.

    Its trace shows, or no trace can follow this status any more.
    """
    trace = trace_of(operation, long)
    if trace is not None or long_status(long) is None:
        return trace not in {None, Outcome.PENDING}
    state, traces = state_of(long, None), _FOLLOW_UPS[operation]
    return not any(
        classify_transition(state, trace) is Transition.FORWARD
        for trace in (*traces.done, *traces.under_way, *traces.refused)
    )


def inquiry_about(request: Request) -> Request:
    """Return the inquiry about another request."""
    if request.operation.inquire_by is InquireBy.MERCHANT_INVOICE_ID:
        return requests.invoice_status(str(request.fields["merchantInvoiceId"]))
    if request.operation.inquire_by is InquireBy.PAYMENT_ID:
        return requests.inquiry(payment_id=request.subject)
    return requests.inquiry(merchant_transaction_id=request.merchant_transaction_id)


def read_transaction(inquiry: Request, answer: WireReply | WireFailure) -> Transaction:
    """Read the answer to an inquiry about a payment or payout.

    Raises:
        UnreadableError: There is no reply, it is unreadable, or its record does not have the id
            of the inquiry.
    """
    transaction = decode.transaction(read_fields(answer))
    if inquiry.merchant_transaction_id is None:
        is_about = transaction.payment_id == inquiry.subject
    else:
        is_about = transaction.merchant_transaction_id == inquiry.merchant_transaction_id
    if transaction.found and not is_about:
        msg = "the record is of another payment than the requested one"
        raise UnreadableError(msg)
    return transaction


def resolve_invoice(request: Request, invoice: Invoice) -> Invoice | Unresolved:
    """Return the result of an invoice's generation, if the invoice's status states it."""
    if invoice.outcome is not Outcome.SUCCEEDED:
        return Unresolved("invoice not found")
    if (invoice.status or "").casefold() in {"cancelled", "replaced"}:
        return Unresolved(f"an older invoice with this id, which is {invoice.status}", final=True)
    if invoice.merchant_invoice_id != request.fields["merchantInvoiceId"] or not matches_amount(
        request, invoice
    ):
        return Unresolved("another invoice with this id", final=True)
    # The inquiry's code is about the look-up.
    return evolve(invoice, outcome_source=OutcomeSource.INQUIRY, result=ResultCode())


def resolve(
    request: Request,
    transaction: Transaction,
    *,
    duplicate: bool = False,
    is_only: bool = False,
    own_code: ResultCode | None = None,
) -> OperationResult | Unresolved:
    """Return the result of the request that an inquiry was made about, if the answer states it.

    Args:
        request: The request whose outcome is in doubt.
        transaction: What the inquiry found. Its code is about the look-up, not about the request.
        duplicate: The gateway answered that the merchant transaction id was used before.
        is_only: Only this follow-up can have left a trace on the payment, up to now. Otherwise a
            refunded payment may be the work of another refund, and verifies nothing.
        own_code: Code and description of the request's own reply, if it was about this payment.
    """
    settled = _resolve(
        request, transaction, duplicate=duplicate, is_only=is_only, own_code=own_code
    )
    if not isinstance(settled, Unresolved):
        return settled
    return evolve(settled, payment_id=transaction.payment_id, status=transaction.status)


def _resolve(
    request: Request,
    transaction: Transaction,
    *,
    duplicate: bool,
    is_only: bool,
    own_code: ResultCode | None,
) -> OperationResult | Unresolved:
    if not transaction.found:
        return Unresolved("record not found")
    if transaction.outcome is Outcome.UNKNOWN:
        long, short = transaction.status or "(none)", transaction.transaction_status or "(none)"
        return Unresolved(f"status {long} / {short}")
    if request.operation.reply is ReplyKind.FOLLOW_UP:
        return _resolve_follow_up(request, transaction, is_only=is_only, own_code=own_code)
    return _resolve_new(request, transaction, duplicate=duplicate, own_code=own_code)


def _resolve_new(
    request: Request, transaction: Transaction, *, duplicate: bool, own_code: ResultCode | None
) -> OperationResult | Unresolved:
    evidence = Evidence.of(transaction)
    if evidence.amount is None:
        return Unresolved("a record with this id and without an amount")
    judgement = judge(subject_of(request), evidence)
    if judgement.mismatch is not None:
        return Unresolved(f"a record with this id, but {judgement.mismatch.reason}", final=True)
    kind: type[Payment | Payout] = (
        Payout if request.operation.reply is ReplyKind.PAYOUT else Payment
    )
    return decode.result(
        kind,
        transaction.raw,
        outcome=judgement.outcome,
        outcome_source=OutcomeSource.INQUIRY,
        duplicate=duplicate,
        result=_agreeing_code(request, own_code, judgement.outcome),
    )


def _agreeing_code(request: Request, own_code: ResultCode | None, outcome: Outcome) -> ResultCode:
    """Return the reply's code if it agrees with the outcome that was found, else an empty one."""
    if own_code is None:
        return ResultCode()
    is_refusal = codes.is_refusal(own_code.code)
    agrees = {
        Outcome.SUCCEEDED: own_code.code in request.operation.success,
        Outcome.FAILED: is_refusal,
        Outcome.CANCELLED: is_refusal or own_code.code == codes.CANCELLED,
        Outcome.PENDING: own_code.code == codes.THREE_D_PENDING,
    }
    return own_code if agrees.get(outcome, False) else ResultCode()


def _resolve_follow_up(
    request: Request, transaction: Transaction, *, is_only: bool, own_code: ResultCode | None
) -> OperationResult | Unresolved:
    whole = evolve(subject_of(request), amount=None, currency=None)
    mismatch = mismatch_of(whole, Evidence.of(transaction))
    if mismatch is not None:
        return Unresolved(mismatch.reason, final=True)
    status = long_status(transaction.status)
    name = status.name if status is not None else ""
    outcome = trace_of(request.operation.name, transaction.status)
    if outcome is None:
        return Unresolved(
            f"the payment's status is {transaction.status or transaction.transaction_status}"
        )
    if not is_only:
        return Unresolved(
            f"the payment's status is {name}, but that may be the work of another capture, "
            "reversal or refund",
            final=True,
        )
    mine, field = (
        subject_of(request),
        {"capture": "captureamount", "refund": "refundamount"}.get(request.operation.name, ""),
    )
    theirs = transaction.raw.get(field)
    if outcome is Outcome.SUCCEEDED and theirs is not None:
        mismatch = mismatch_of_amount(
            mine.amount, mine.currency, str(theirs), Evidence.of(transaction).currency
        )
        if mismatch is not None:
            return Unresolved(f"the payment's status is {name}, but {mismatch.reason}", final=True)
    return decode.result(
        decode.FOLLOW_UPS[request.operation.name],
        transaction.raw,
        outcome=outcome,
        outcome_source=OutcomeSource.INQUIRY,
        payment_id=request.subject,
        amount=decode.money(theirs, transaction.raw.get("currency")),
        result=_agreeing_code(request, own_code, outcome),
    )
