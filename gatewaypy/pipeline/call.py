"""One call on its way: its request, its caller, its deadline, and the errors that it can end in."""

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

    ``secrets`` are the request's own: no reply of the call may be quoted with them.
    ``caller`` is what the caller awaits, and cancels by being cancelled; ``None`` for what no caller waits for by itself.
    ``code`` is the code of the call's own reply, if that was about the request.
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
        """Whether the caller has gone away."""
        return self.caller is not None and self.caller.cancelled()

    def may_send(self) -> bool:
        """Answer the transport's last question: a caller who has gone away wants nothing sent that can still be held back.

        Once a request has begun to go out, only its own guard can break it off: its process may have been frozen meanwhile.
        """
        if self.is_abandoned and not self.began:
            return False
        self.began = self.send_guard is None or self.send_guard() is True
        return self.began

    # Errors

    @property
    def facts(self) -> dict[str, Any]:
        """What every error tells of the call."""
        return {
            "operation": self.request.operation.name,
            "merchant_transaction_id": self.request.merchant_transaction_id,
        }

    def not_sent(self, reason: str) -> NotSent:
        """Make the error of a request of which no byte left."""
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
