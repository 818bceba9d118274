"""An answer as it came, be it a reply or none, read for the request that it belongs to; a doubt is left for an inquiry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gatewaypy.errors import ConfigurationError
from gatewaypy.models import CustomerAccounts, Invoice, Outcome, StoredCard
from gatewaypy.protocol import codes, decode
from gatewaypy.protocol.classify import Verdict, judge
from gatewaypy.protocol.evidence import Evidence, mismatch_of
from gatewaypy.protocol.inquiry import is_of_another_amount, subject_of
from gatewaypy.protocol.operations import ReplyKind
from gatewaypy.protocol.parse import UnreadableError, parse
from gatewaypy.protocol.records import record
from gatewaypy.protocol.redaction import redact
from gatewaypy.protocol.reply_fields import read_code
from gatewaypy.protocol.wire import WireFailure

if TYPE_CHECKING:
    from gatewaypy.models import OperationResult, ResultCode
    from gatewaypy.protocol.operations import Operation
    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireReply

_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_UNAUTHORIZED: Final = 401
_REDIRECTS: Final = range(300, 400)


def read_fields(answer: WireReply | WireFailure, *, keep_token: bool = False) -> dict[str, Any]:
    """Read a reply's fields, without card numbers and without the secrets that its request knew.

    :param keep_token: a token was asked for: the field that has it stays.
    :raises UnreadableError: where there is no reply, or one that says nothing of the payment.
    """
    if isinstance(answer, WireFailure):
        raise UnreadableError(answer.reason)
    status = answer.http_status
    if status >= _SERVER_ERROR or status in {_UNAUTHORIZED, _TOO_MANY} or status in _REDIRECTS:
        msg = f"HTTP {status}"
        raise UnreadableError(msg)
    return redact(parse(answer), answer.secrets, keep_token=keep_token)


def is_duplicate(answer: WireReply | WireFailure) -> bool:
    """Return whether a reply has the code 20015, whatever its HTTP status."""
    if isinstance(answer, WireFailure):
        return False
    try:
        return read_code(parse(answer)) == codes.DUPLICATE
    except (UnreadableError, ConfigurationError):
        return False


def read_record(request: Request, answer: WireReply | WireFailure) -> Any:  # noqa: ANN401 - one type an operation
    """Read the answer to an operation that moves no money.

    :raises UnreadableError: where there is none, or one that cannot be told from none.
    """
    told = record(request.operation, read_fields(answer))
    if not _is_about(request, told):
        msg = "the reply is about another record than the one asked for"
        raise UnreadableError(msg)
    return told


def _is_about(request: Request, told: object) -> bool:
    """Tell whether a record is the one asked for, as far as it names itself; a refusal needs not."""
    if (
        not isinstance(told, Invoice | CustomerAccounts | StoredCard)
        or told.outcome is not Outcome.SUCCEEDED
    ):
        return True
    asked, named = request.fields, {}
    if isinstance(told, Invoice):
        if is_of_another_amount(request, told):
            return False
        named = {told.merchant_invoice_id: asked.get("merchantInvoiceId")}
    elif isinstance(told, CustomerAccounts):
        named = {told.customer_id: asked.get("customer.customerId")}
    elif request.subject is not None:
        named = {told.registration_id: request.subject}
    return all(None in {mine, theirs} or mine == theirs for theirs, mine in named.items())


def tells_of_something(operation: Operation, answer: WireReply) -> bool:
    """Tell whether a reply with an HTTP status that refuses a token says all the same that something was done."""
    try:
        fields = parse(answer)
        codes_told = {
            read_code({"result": fields.get(name)}) for name in ("result", "statusInvoiceResult")
        }
    except (UnreadableError, ConfigurationError):
        return False
    if not codes_told.isdisjoint(operation.success):
        return True
    return fields.get("transactionStatus") not in (None, "") or fields.get("paymentId") not in (
        None,
        "",
        "-",
    )


def judged(request: Request, fields: dict[str, Any]) -> tuple[Verdict, OperationResult]:
    """Read and judge the reply to a request that moves money."""
    operation, target = request.operation, decode.redirect(fields)
    verdict = judge(operation, fields, redirected=target is not None)
    result: OperationResult
    if operation.reply is ReplyKind.FOLLOW_UP:
        subject = request.subject or ""
        result = decode.follow_up(
            operation.name, fields, verdict, payment_id=subject, amount=request.amount
        )
    elif operation.reply is ReplyKind.PAYOUT:
        result = decode.payout(fields, verdict)
    else:
        result = decode.payment(fields, verdict, target)
    return _matched(request, verdict, fields), result


def _matched(request: Request, verdict: Verdict, fields: dict[str, Any]) -> Verdict:
    """Doubt a verdict whose reply is of another payment, or names none: only an inquiry can tell then."""
    if verdict.doubt is not None:
        return verdict
    asked, evidence = subject_of(request), Evidence.from_fields(fields)
    # A refusal may name nothing at all (our choice): a gateway may refuse before it has read the request.
    must_name = verdict.outcome is not Outcome.FAILED
    mismatch = mismatch_of(asked, evidence)
    if mismatch is not None:
        doubt = mismatch.reason
    elif must_name and asked.payment_id is None and evidence.payment_id is None:
        doubt = "the reply names no paymentId"
    elif (
        must_name
        and asked.merchant_transaction_id is not None
        and evidence.merchant_transaction_id is None
    ):
        doubt = "the reply names no merchantTransactionId"
    else:
        return verdict
    return Verdict(Outcome.UNKNOWN, doubt)


def own_code(request: Request, fields: dict[str, Any]) -> ResultCode | None:
    """Return the code and description of a reply that is about the request; ``None`` if it is about another payment.

    A duplicate's code is about this attempt, and not about the payment that has the id.
    """
    if mismatch_of(subject_of(request), Evidence.from_fields(fields)) is not None:
        return None
    told = decode.result_code(fields.get("result"))
    return None if told.code == codes.DUPLICATE else told
