"""The one place that decides whether a reply is a result or a doubt (protocol section 7).

A reply is a result only if its codes and statuses agree and it is about the request. Every other
answer, and a missing one, is a `Doubt`: an inquiry must find out what happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from gatewaypy.errors import ConfigurationError
from gatewaypy.models import CustomerAccounts, Invoice, OperationResult, Outcome, StoredCard
from gatewaypy.protocol import codes, decode
from gatewaypy.protocol.charset import media_type
from gatewaypy.protocol.evidence import (
    Evidence,
    Subject,
    mismatch_of,
    mismatch_of_amount,
    reading,
)
from gatewaypy.protocol.operation_types import InquireBy, ReplyKind
from gatewaypy.protocol.parse import UnreadableError, parse, read_fields
from gatewaypy.protocol.records import record
from gatewaypy.protocol.reply_fields import read_code, read_text
from gatewaypy.protocol.statuses import outcome_of, short_outcome
from gatewaypy.protocol.wire import WireFailure, WireReply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import ResultCode
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests import Request

_FIRST_ERROR: Final = 300
_NOT_THERE: Final = frozenset({301, 302, 307, 308, 404, 405, 410})
_API_TYPES: Final = ("json", "xml")


@frozen
class Doubt:
    """Why an answer does not decide what happened to a request.

    Args:
        reason: What is wrong with the answer, without values of the payer.
        is_unreadable: The answer is missing or unreadable; see `explain_unreadable`.
        is_duplicate: The gateway answered that the merchant transaction id was used before (20015).
        own_code: Code and description, if the reply is about the request. A duplicate's code is
            about this attempt and not about the payment that has the id.
    """

    reason: str
    is_unreadable: bool = False
    is_duplicate: bool = False
    own_code: ResultCode | None = None

    @property
    def code(self) -> str | None:
        """The code of the request's own reply."""
        if self.is_duplicate:
            return codes.DUPLICATE
        return None if self.own_code is None else self.own_code.code or None

    def explain(self, operation: Operation, answer: WireReply | WireFailure, base_url: str) -> str:
        """Return the reason, with HTTP status and URL if they help; see `explain_unreadable`."""
        if not self.is_unreadable:
            return self.reason
        return explain_unreadable(self.reason, operation, answer, base_url)


def classify(request: Request, answer: WireReply | WireFailure) -> OperationResult | Doubt:
    """Classify the answer to a request that must not be executed twice. Never raises."""
    fields, is_duplicate, is_unreadable = None, False, False
    try:
        if not request.operation.moves_money:
            return _classify_change(request, answer)
        fields = read_fields(answer)
        is_duplicate = read_code(fields) == codes.DUPLICATE
        result = _classify_payment(request, fields)
        if not isinstance(result, Doubt):
            return result
        reason = result.reason
    except UnreadableError as unreadable:
        reason, is_unreadable = str(unreadable), True
        is_duplicate = _is_duplicate(answer)
    except Exception as error:  # noqa: BLE001 - the request was sent
        reason = f"the reply could not be read ({type(error).__name__})"
    own_code = None if fields is None else _own_code(request, fields)
    return Doubt(reason, is_unreadable, is_duplicate, own_code)


def _classify_change(request: Request, answer: WireReply | WireFailure) -> OperationResult | Doubt:
    changed: OperationResult = read_record(request, answer)
    can_inquire = request.operation.inquire_by is InquireBy.MERCHANT_INVOICE_ID
    if changed.outcome is Outcome.UNKNOWN and can_inquire:
        return Doubt(f"the reply's code {changed.result.code} is neither a success nor a refusal")
    return changed


def _classify_payment(request: Request, fields: dict[str, Any]) -> OperationResult | Doubt:
    operation, target = request.operation, decode.redirect(fields)
    outcome = classify_fields(operation, fields, is_redirect=target is not None)
    if isinstance(outcome, Doubt):
        return outcome
    reason = _mismatch(request, outcome, fields)
    if reason is not None:
        return Doubt(reason)
    if operation.reply is ReplyKind.FOLLOW_UP:
        subject, amount = request.subject or "", request.amount
        return decode.follow_up(operation.name, fields, outcome, payment_id=subject, amount=amount)
    if operation.reply is ReplyKind.PAYOUT:
        return decode.payout(fields, outcome)
    return decode.payment(fields, outcome, target)


# Codes and statuses


def classify_fields(
    operation: Operation, fields: Mapping[str, Any], *, is_redirect: bool
) -> Outcome | Doubt:
    """Classify the codes and statuses of a reply to an operation that moves money.

    Args:
        operation: The operation that the reply answers.
        fields: The reply's fields.
        is_redirect: The reply sends the payer to a URL that a browser may open.

    Raises:
        UnreadableError: A field that decides has the wrong type.
    """
    code = read_code(fields)
    if code == codes.DUPLICATE:
        return Doubt("the merchantTransactionId was used before (20015)")
    if operation.reply is ReplyKind.FOLLOW_UP:
        return _classify_follow_up(operation, fields, code)
    return _classify_new(operation, fields, code, is_redirect=is_redirect)


def _classify_follow_up(
    operation: Operation, fields: Mapping[str, Any], code: str
) -> Outcome | Doubt:
    brief = short_outcome(read_text(fields, "transactionStatus"))
    if code in operation.success and brief in {None, Outcome.SUCCEEDED}:
        return Outcome.SUCCEEDED
    if codes.is_refusal(code) and brief in {None, Outcome.FAILED, Outcome.CANCELLED}:
        return Outcome.FAILED
    return Doubt(f"the reply's code {code or '(none)'} is neither a success nor a refusal")


def _classify_new(
    operation: Operation, fields: Mapping[str, Any], code: str, *, is_redirect: bool
) -> Outcome | Doubt:
    short, long = read_text(fields, "transactionStatus"), read_text(fields, "status")
    if is_redirect:
        return Outcome.REDIRECT
    brief = short_outcome(short)
    shown = f"the reply's code {code or '(none)'} and status {short or '(none)'}"
    if brief is None:
        return Doubt(f"{shown} state no outcome")
    if long is not None and long.strip() and outcome_of(long, short) is not brief:
        # A payment's reply has no long status (seen); a payout's has one, and it must not
        # contradict the short one.
        return Doubt(f"{shown} contradict its long status")
    match brief:
        case Outcome.SUCCEEDED:
            is_plain = code == codes.SUCCEEDED
        case Outcome.PENDING:
            is_plain = not codes.is_refusal(code)
        case Outcome.FAILED:
            is_plain = codes.is_refusal(code)
        case _:
            is_plain = codes.is_refusal(code) or code == codes.CANCELLED
    if not is_plain:
        return Doubt(f"{shown} contradict each other")
    return reading(operation.payment_type, long, brief) if long else brief


# Whether a reply is about the request


def subject_of(request: Request) -> Subject:
    """Return what a request's own reply, or a new payment's record, is compared with."""
    return Subject(
        payment_type=request.operation.payment_type,
        payment_id=request.payment_id,
        merchant_transaction_id=request.merchant_transaction_id,
        amount=None if request.amount is None else request.amount.wire(),
        currency=None if request.amount is None else request.amount.currency,
    )


def _mismatch(request: Request, outcome: Outcome, fields: dict[str, Any]) -> str | None:
    """Return why a reply is not about the request, ``None`` if it is."""
    subject, evidence = subject_of(request), Evidence.from_fields(fields)
    mismatch = mismatch_of(subject, evidence)
    if mismatch is not None:
        return mismatch.reason
    if outcome is Outcome.FAILED:
        # A gateway may refuse before it has read the ids (our choice).
        return None
    if subject.payment_id is None and evidence.payment_id is None:
        return "the reply has no paymentId"
    if subject.merchant_transaction_id is not None and evidence.merchant_transaction_id is None:
        return "the reply has no merchantTransactionId"
    return None


def _own_code(request: Request, fields: dict[str, Any]) -> ResultCode | None:
    try:
        if mismatch_of(subject_of(request), Evidence.from_fields(fields)) is not None:
            return None
        code = decode.result_code(fields.get("result"))
    except Exception:  # noqa: BLE001 - the request was sent
        return None
    return None if code.code == codes.DUPLICATE else code


def matches_amount(request: Request, invoice: Invoice) -> bool:
    """Return whether an invoice's amount and currency, if it states them, are the request's."""
    details = invoice.raw.get("invoiceDetails")
    stated = {**(details if isinstance(details, dict) else {}), **invoice.raw}
    mine, theirs = subject_of(request), Evidence.from_fields(stated)
    return mismatch_of_amount(mine.amount, mine.currency, theirs.amount, theirs.currency) is None


# Operations that move no money


def read_record(request: Request, answer: WireReply | WireFailure) -> Any:  # noqa: ANN401
    """Read the answer to an operation that moves no money.

    Raises:
        UnreadableError: There is no reply, or it is unreadable or about another record.
    """
    read = record(request.operation, read_fields(answer))
    if not _is_about(request, read):
        msg = "the reply is about another record than the requested one"
        raise UnreadableError(msg)
    return read


def _is_about(request: Request, read: object) -> bool:
    """Return whether the ids that a record states are the request's; a refusal may state none."""
    if (
        not isinstance(read, Invoice | CustomerAccounts | StoredCard)
        or read.outcome is not Outcome.SUCCEEDED
    ):
        return True
    sent, named = request.fields, {}
    if isinstance(read, Invoice):
        if not matches_amount(request, read):
            return False
        named = {read.merchant_invoice_id: sent.get("merchantInvoiceId")}
    elif isinstance(read, CustomerAccounts):
        named = {read.customer_id: sent.get("customer.customerId")}
    elif request.subject is not None:
        named = {read.registration_id: request.subject}
    return all(None in {mine, theirs} or mine == theirs for theirs, mine in named.items())


# Duplicates, executions and unreadable answers


def _is_duplicate(answer: WireReply | WireFailure) -> bool:
    """Return whether a reply has the code 20015, with any HTTP status."""
    if isinstance(answer, WireFailure):
        return False
    try:
        return read_code(parse(answer)) == codes.DUPLICATE
    except Exception:  # noqa: BLE001 - the request was sent
        return False


def shows_execution(operation: Operation, answer: WireReply) -> bool:
    """Return whether a reply shows that a request was executed, with any HTTP status."""
    try:
        fields = parse(answer)
        stated = {
            read_code({"result": fields.get(name)}) for name in ("result", "statusInvoiceResult")
        }
    except (UnreadableError, ConfigurationError):
        return False
    except Exception:  # noqa: BLE001 - it does not prove that nothing was executed
        return True
    if not stated.isdisjoint(operation.success):
        return True
    return fields.get("transactionStatus") not in (None, "") or fields.get("paymentId") not in (
        None,
        "",
        "-",
    )


def explain_unreadable(
    reason: str, operation: Operation, answer: WireReply | WireFailure | None, base_url: str
) -> str:
    """Add HTTP status and URL to a reason if the answer may not come from the gateway's API.

    Args:
        reason: What is wrong with the answer.
        operation: As the platform has it.
        answer: The answer that is unreadable.
        base_url: The platform's base URL.
    """
    if not isinstance(answer, WireReply):
        return reason
    status, kind = answer.http_status, media_type(answer.content_type)
    if status < _FIRST_ERROR and kind.endswith(_API_TYPES):
        return reason
    # The path of the table, because an error message must not contain an id.
    place = f"HTTP {status} from {base_url}{operation.root.value}{operation.path}"
    hint = "; check the base URL" if status in _NOT_THERE or "html" in kind else ""
    return f"{place if reason == f'HTTP {status}' else f'{reason} ({place})'}{hint}"
