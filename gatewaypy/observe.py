"""What a gateway tells whoever watches it: each call's end, results that nobody waited for, trouble with tokens.

An observer is a function of one event. Events hold an allow-list of plain facts: no field of a request, no amount, no secret.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from gatewaypy.callables import check_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.models import OperationResult, Outcome

logger: Final = logging.getLogger("gatewaypy")


@frozen(kw_only=True)
class CallEnded:
    """A call's end: its outcome, or the name of its error; the reply's HTTP status; how many requests and seconds it took."""

    operation: str
    outcome: Outcome | None
    error: str | None
    http_status: int | None
    requests: int
    seconds: float


@frozen(kw_only=True)
class LateResult:
    """What became of a call whose caller had been cancelled after it was sent: a result, or an error."""

    operation: str
    merchant_transaction_id: str | None
    payment_id: str | None
    result: OperationResult | None
    error: BaseException | None


@frozen(kw_only=True)
class TokenRenewalFailed:
    """A token could not be renewed ahead of its expiry; calls go on with the old one while it lives."""

    root: str
    reason: str


@frozen(kw_only=True)
class TokenStoreUnavailable:
    """The shared token store could not be used: tokens are asked for without it. PayoutStatus once, until it has worked again."""

    reason: str


ObserverEvent: TypeAlias = CallEnded | LateResult | TokenRenewalFailed | TokenStoreUnavailable
Observer: TypeAlias = "Callable[[ObserverEvent], None]"


def log_event(event: ObserverEvent) -> None:
    """Be the observer where the caller gave none: write to the logger ``gatewaypy`` what must not be lost."""
    match event:
        case CallEnded():
            logger.debug(
                "%s: %s, HTTP %s, %d requests, %.3f s",
                event.operation,
                event.error or (event.outcome.name if event.outcome is not None else "done"),
                event.http_status,
                event.requests,
                event.seconds,
            )
        case LateResult():
            logger.warning(
                "%s %s was cancelled by its caller after it was sent; it ended as %s (payment id %s)",
                event.operation,
                event.merchant_transaction_id or "",
                event.result.outcome.name if event.result is not None else event.error,
                event.payment_id,
            )
        case TokenRenewalFailed():
            logger.warning("no new token for %s: %s", event.root, event.reason)
        case TokenStoreUnavailable():
            logger.warning(
                "the shared token store cannot be used (%s): tokens are asked for without it",
                event.reason,
            )


def notify(observer: Observer, event: ObserverEvent) -> None:
    """Tell an observer; an error of its own is logged and stops no payment."""
    try:
        result: object = observer(event)  # type: ignore[func-returns-value]  # it may not be what its type says
        if result is not None:
            check_result("the observer", result)
    except Exception:
        logger.exception("the observer failed at %s", type(event).__name__)
