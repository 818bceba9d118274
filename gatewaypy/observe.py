"""Events for observers: ended calls, results of cancelled callers, failed token renewals.

An observer is a function of one event. Events contain no field of a request, no amount and no
secret.
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
    """A call ended.

    Attributes:
        operation: Name of the operation.
        outcome: Outcome of the result, or None.
        error: Name of the error's class, or None.
        http_status: Status of the last reply, or None.
        requests: Number of requests.
        seconds: Duration of the call.
    """

    operation: str
    outcome: Outcome | None
    error: str | None
    http_status: int | None
    requests: int
    seconds: float


@frozen(kw_only=True)
class LateResult:
    """A call ended whose caller was cancelled after the request was sent.

    Attributes:
        operation: Name of the operation.
        merchant_transaction_id: Your own id, or None.
        payment_id: The gateway's id, or None.
        result: The result, or None.
        error: The error, or None.
    """

    operation: str
    merchant_transaction_id: str | None
    payment_id: str | None
    result: OperationResult | None
    error: BaseException | None


@frozen(kw_only=True)
class TokenRenewalFailed:
    """A token could not be renewed before it expires; calls use the old one until then.

    Attributes:
        root: The service root that the token is for.
        reason: Why, as text.
    """

    root: str
    reason: str


@frozen(kw_only=True)
class TokenStoreUnavailable:
    """The shared token store failed, so that this process gets tokens without it.

    Reported once, until the store has worked again.

    Attributes:
        reason: Why, as text.
    """

    reason: str


ObserverEvent: TypeAlias = CallEnded | LateResult | TokenRenewalFailed | TokenStoreUnavailable
Observer: TypeAlias = "Callable[[ObserverEvent], None]"


def log_event(event: ObserverEvent) -> None:
    """Log an event to the logger ``gatewaypy``; the default observer."""
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
                "%s %s: the caller was cancelled after it was sent; it ended as %s (payment id %s)",
                event.operation,
                event.merchant_transaction_id or "",
                event.result.outcome.name if event.result is not None else event.error,
                event.payment_id,
            )
        case TokenRenewalFailed():
            logger.warning("the token for %s was not renewed: %s", event.root, event.reason)
        case TokenStoreUnavailable():
            logger.warning(
                "the shared token store failed (%s); this process gets its tokens without it",
                event.reason,
            )


def notify(observer: Observer, event: ObserverEvent) -> None:
    """Call an observer. Its errors are logged and do not stop a payment."""
    try:
        # An observer may return something despite its type.
        result: object = observer(event)  # type: ignore[func-returns-value]
        if result is not None:
            check_result("the observer", result)
    except Exception:
        logger.exception("the observer failed at %s", type(event).__name__)
