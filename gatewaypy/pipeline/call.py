"""One call: its request, its caller, its deadline, and the errors that it can raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define

from gatewaypy.errors import NotSent, OutcomeUnknown, UnreadableReply
from gatewaypy.protocol.inquiry import Unresolved
from gatewaypy.protocol.operation_types import InquireBy, RetryPolicy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireRequest
    from gatewaypy.secret import Secret

CLOSED: Final = "the gateway object was closed"


@define(eq=False)
class Call:
    """A request and its bytes.

    Args:
        request: The request.
        wire: The request as bytes, without a token.
        started: When the call started, in the loop's time.
        deadline: When it must end, in the loop's time.
        secrets: The request's own secrets, which are removed from every reply of the call.
        send_guard: Called right before the first byte is sent; False prevents the request.
        caller: The future that the caller awaits and cancels; ``None`` if no caller waits for it.
        began: The request may have started to be sent.
        requests: Number of requests sent.
        http_status: Status of the last reply.
        code: Code of the call's own reply, if it was about the request.
    """

    request: Request
    wire: WireRequest
    started: float
    deadline: float
    secrets: tuple[Secret, ...]
    send_guard: Callable[[], bool] | None = None
    caller: asyncio.Future[Any] | None = None
    began: bool = False
    requests: int = 0
    http_status: int | None = None
    code: str | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller was cancelled."""
        return self.caller is not None and self.caller.cancelled()

    def may_send(self) -> bool:
        """Return whether the request may be sent. The transport calls it before the first byte.

        A request of a cancelled caller is not sent. Once its transmission may have started, only
        `send_guard` can abort it, because the process may have been suspended in between.
        """
        if self.is_abandoned and not self.began:
            return False
        self.began = self.send_guard is None or self.send_guard() is True
        return self.began

    # Errors

    @property
    def facts(self) -> dict[str, Any]:
        """What every error states of the call."""
        return {
            "operation": self.request.operation.name,
            "merchant_transaction_id": self.request.merchant_transaction_id,
        }

    def not_sent(self, reason: str) -> NotSent:
        """Make the error of a request of which no byte was sent."""
        return NotSent(reason, **self.facts)

    def unanswered(
        self, reason: str, last: Unresolved | None = None
    ) -> OutcomeUnknown | UnreadableReply:
        """Make the error of a request that was sent and whose outcome is unknown."""
        operation = self.request.operation
        if not operation.moves_money:
            if last is not None:
                reason = f"{reason}; last inquiry: {last.reason}"
            if operation.retry is RetryPolicy.IF_NOT_SENT:
                reason = f"{reason}; it may have been executed, so check before you call again"
            return UnreadableReply(reason, http_status=self.http_status, **self.facts)
        found = Unresolved("none was possible") if last is None else last
        by_payment = operation.inquire_by is InquireBy.PAYMENT_ID
        return OutcomeUnknown(
            reason,
            inquiry=found.reason if last is not None else None,
            payment_id=self.request.subject if by_payment else found.payment_id,
            status=found.status,
            code=self.code,
            **self.facts,
        )
