"""A call in progress: its task continues if its caller is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewaypy.errors import NOTHING_DONE
from gatewaypy.models import OperationResult
from gatewaypy.observe import CallEnded, LateResult, notify
from gatewaypy.pipeline.call import CLOSED
from gatewaypy.protocol.operation_types import RetryPolicy

if TYPE_CHECKING:
    import asyncio

    from gatewaypy.observe import Observer
    from gatewaypy.pipeline.call import Call


class InFlight:
    """The future that a caller awaits, and the end of the task that completes it.

    A caller that is cancelled cancels the future only. The task ends by itself, because a request
    must not be aborted after it was sent, and the observer gets its result as `LateResult`.
    """

    __slots__ = ("_call", "_loop", "_observer", "caller")

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop, observer: Observer) -> None:
        """Make the future of a call."""
        self._call = call
        self._loop = loop
        self._observer = observer
        self.caller: asyncio.Future[Any] = loop.create_future()
        call.caller = self.caller

    def report_unread(self) -> None:
        """Report a result that the task set just before its caller was cancelled."""
        caller = self.caller
        if not caller.cancelled():
            error = caller.exception()
            self._report_late(error, None if error else caller.result())

    def end(self, task: asyncio.Task[Any]) -> None:
        """Pass a task's result to the caller and to the observer."""
        call, caller = self._call, self.caller
        # A task that was closed before its first step has sent nothing.
        error = call.not_sent(CLOSED) if task.cancelled() else task.exception()
        result = None if error is not None else task.result()
        is_late = caller.done()
        # The caller comes first: an observer may do anything.
        if not is_late:
            if error is not None:
                caller.set_exception(error)
            else:
                caller.set_result(result)
        if not task.cancelled():
            notify(
                self._observer,
                CallEnded(
                    operation=call.request.operation.name,
                    outcome=result.outcome if isinstance(result, OperationResult) else None,
                    error=None if error is None else type(error).__name__,
                    http_status=call.http_status,
                    requests=call.requests,
                    seconds=self._loop.time() - call.started,
                ),
            )
        if is_late:
            self._report_late(error, result)

    def _report_late(self, error: BaseException | None, result: Any) -> None:  # noqa: ANN401
        request = self._call.request
        if request.operation.retry is RetryPolicy.ALWAYS or isinstance(error, NOTHING_DONE):
            return
        notify(
            self._observer,
            LateResult(
                operation=request.operation.name,
                merchant_transaction_id=request.merchant_transaction_id,
                payment_id=request.payment_id if result is None else result.payment_id,
                result=result,
                error=error,
            ),
        )
