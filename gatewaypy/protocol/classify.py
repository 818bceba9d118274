"""What a reply says about money, in the order of protocol section 7; a doubt is never settled by a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from gatewaypy.models import Outcome
from gatewaypy.protocol import codes
from gatewaypy.protocol.evidence import reading
from gatewaypy.protocol.operations import ReplyKind
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.reply_fields import read_code, read_text
from gatewaypy.protocol.statuses import outcome_of, short_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.protocol.operations import Operation


@frozen
class Verdict:
    """An outcome; ``doubt`` says why an inquiry has to decide, ``None`` where the reply decides."""

    outcome: Outcome
    doubt: str | None = None


def _doubt(reason: str) -> Verdict:
    return Verdict(Outcome.UNKNOWN, reason)


def judge(operation: Operation, fields: Mapping[str, Any], *, redirected: bool) -> Verdict:
    """Judge the reply to an operation that moves money.

    :param redirected: whether the reply sends the payer on, to a place that a browser can be sent to.
    :raises UnreadableError: where a field that decides has the wrong type.
    """
    code = read_code(fields)
    if code == codes.DUPLICATE:
        return _doubt("the merchantTransactionId was used before (20015)")
    if operation.reply is ReplyKind.FOLLOW_UP:
        return _judge_follow_up(operation, fields, code)
    return _judge_payment(operation, fields, code, redirected=redirected)


def _judge_follow_up(operation: Operation, fields: Mapping[str, Any], code: str) -> Verdict:
    brief = short_outcome(read_text(fields, "transactionStatus"))
    if code in operation.success and brief in {None, Outcome.SUCCEEDED}:
        return Verdict(Outcome.SUCCEEDED)
    if codes.is_refusal(code) and brief in {None, Outcome.FAILED, Outcome.CANCELLED}:
        return Verdict(Outcome.FAILED)
    return _doubt(
        f"the reply's code {code or '(none)'} says neither that it was done nor that it was refused"
    )


def _judge_payment(
    operation: Operation, fields: Mapping[str, Any], code: str, *, redirected: bool
) -> Verdict:
    short, long = read_text(fields, "transactionStatus"), read_text(fields, "status")
    if redirected:
        return Verdict(Outcome.REDIRECT)
    brief = short_outcome(short)
    said = f"the reply's code {code or '(none)'} and status {short or '(none)'}"
    if brief is None:
        return _doubt(f"{said} say neither yes nor no")
    if long is not None and long.strip() and outcome_of(long, short) is not brief:
        # A payment's reply has no long status (seen); a payout's has one, and it must not contradict the short one.
        return _doubt(f"{said} do not go with its long status")
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
        return _doubt(f"{said} do not go together")
    return Verdict(reading(operation.payment_type, long, brief) if long else brief)


def found(fields: Mapping[str, Any]) -> bool:
    """Tell whether an inquiry found a record (protocol section 7): its code tells of the lookup alone.

    :raises UnreadableError: where it says neither.
    """
    code = read_code(fields)
    has_status = bool(
        (read_text(fields, "status") or "").strip()
        or (read_text(fields, "transactionStatus") or "").strip()
    )
    if code in {codes.RECORD_FOUND, codes.SUCCEEDED} and has_status:
        return True
    if code == codes.RECORD_NOT_FOUND and not has_status:
        return False
    msg = f"the inquiry's code {code or '(none)'} says neither that a record was found nor that there is none"
    raise UnreadableError(msg)
