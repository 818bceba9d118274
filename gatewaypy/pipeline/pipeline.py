"""The way of every request: slot, token, send, judge, and an inquiry where the reply cannot tell. Only this file loops.

A request that moves money is sent again in one case alone: its token was refused, so nothing was done. Every other doubt is
settled by inquiry or raised as `OutcomeUnknown`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field

from gatewaypy.errors import (
    NOTHING_DONE,
    AuthenticationFailed,
    NotProcessed,
)
from gatewaypy.models import OperationResult, Outcome
from gatewaypy.observe import CallEnded, LateResult, notify
from gatewaypy.pipeline.call import Call
from gatewaypy.pipeline.slots import ClosedError
from gatewaypy.pipeline.token_source import TokenSources, read_granted
from gatewaypy.protocol.classify import (
    Doubt,
    classify,
    explain_unreadable,
    read_record,
    shows_execution,
)
from gatewaypy.protocol.encode import encode
from gatewaypy.protocol.inquiry import (
    Unresolved,
    inquiry_about,
    read_transaction,
    resolve,
    resolve_invoice,
)
from gatewaypy.protocol.operation_types import (
    InquireBy,
    ReplyKind,
    RetryPolicy,
    ServiceRoot,
)
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.redaction import secrets_of
from gatewaypy.protocol.retry_after import TOO_MANY, read_delay
from gatewaypy.protocol.wire import WireFailure, WireReply

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from gatewaypy.config import Credentials, Limits, Timeouts
    from gatewaypy.models import Transaction
    from gatewaypy.observe import Observer
    from gatewaypy.pipeline.known_payments import KnownPayments
    from gatewaypy.pipeline.slots import Slots
    from gatewaypy.pipeline.token_source import SharedTokens
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.auth_token import AuthToken
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireRequest
    from gatewaypy.secret import Secret
    from gatewaypy.transport.base import Transport

_CLOSED: Final = "the gateway object was closed"
_TOO_LATE: Final = "its time was over before it could be sent"
_SHORTEST_QUESTION: Final = 0.5
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 3.0
_READ_TRIES: Final = 3
#: What a payout needs to be carried out and followed.
_PAYOUT_KINDS: Final = (ReplyKind.PAYOUT, ReplyKind.INQUIRY, ReplyKind.TOKEN)


@define(eq=False, kw_only=True)
class Pipeline:
    """Carries requests to one platform for one merchant, on one event loop."""

    loop: asyncio.AbstractEventLoop
    platform: Platform
    credentials: Credentials
    transport: Transport
    slots: Slots
    known_payments: KnownPayments
    timeouts: Timeouts
    limits: Limits
    body: str
    accept: str
    observer: Observer
    wall_clock: Callable[[], float]
    random: Random
    shared_tokens: SharedTokens | None = None
    tokens: TokenSources = field(init=False)
    # Until when the gateway asked not to be called again (the loop's time), by what was asked.
    holds: dict[ReplyKind, float] = field(factory=dict, init=False)
    _keys: tuple[Secret, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._keys = self.credentials.every_key
        self.tokens = TokenSources(
            fetch=self.token,
            credentials=self.credentials,
            base_url=self.platform.base_url,
            timeout=self.timeouts.total,
            clock=self.loop.time,
            observer=self.observer,
            shared=self.shared_tokens,
        )

    async def run(self, request: Request, *, send_guard: Callable[[], bool] | None = None) -> Any:  # noqa: ANN401 - see the client
        """Carry a request to its result.

        :param send_guard: asked right before the first byte goes out; where it answers false, nothing is sent.
        :raises InvalidRequest: refused; nothing was sent.
        :raises NotSent: no byte of it left.
        :raises AuthenticationFailed: no token, or a fresh one refused; nothing was done.
        :raises UnreadableReply: it moves no money, and got no usable answer.
        :raises OutcomeUnknown: it was sent, and nobody could tell what became of it.
        """
        request = self._on_platform(request)
        self.known_payments.check(request)
        wire = encode(
            request,
            platform=self.platform,
            credentials=self.credentials,
            body=self.body,
            accept=self.accept,
        )
        now = self.loop.time()
        deadline, secrets = now + self.timeouts.total, secrets_of(request.fields)
        call = Call(
            request, wire, started=now, deadline=deadline, secrets=secrets, send_guard=send_guard
        )
        await self._take_slot(call)
        # A cancelled caller must not tear a sent request in half: it cancels what it waits for, and the task goes on.
        call.caller = caller = self.loop.create_future()
        _ = self.slots.run(self._carry(call), ended=partial(self._ended, call))
        try:
            return await caller
        except asyncio.CancelledError:
            if not caller.cancelled():
                # It ended just before its caller was cancelled, who never heard of it.
                self._tell_late(
                    call,
                    error=caller.exception(),
                    result=None if caller.exception() else caller.result(),
                )
            raise

    def _on_platform(self, request: Request) -> Request:
        operation = request.operation.for_platform(self.platform)
        return request if operation is request.operation else evolve(request, operation=operation)

    async def aclose(self) -> None:
        """Let what is under way end, for as long as a call may take; then give the token calls up."""
        await self.slots.drain(self.timeouts.total + self.timeouts.inquiry)
        await self.tokens.aclose()

    async def _take_slot(self, call: Call) -> None:
        if self.slots.has_room:
            await self.slots.acquire()
            return
        reason = f"no free slot among {self.limits.max_in_flight} within {self.timeouts.total:g} s"
        try:
            async with asyncio.timeout_at(call.deadline):
                await self.slots.acquire()
        except TimeoutError:
            pass
        except ClosedError:
            reason = _CLOSED
        else:
            return
        raise call.not_sent(reason)

    def _ended(self, call: Call, task: asyncio.Task[Any]) -> None:
        """Tell the caller and the observer how a call ended; one whose caller has gone away is told of as late."""
        # Closed before the task took its first step: nothing was sent, and nobody cancelled the caller.
        error = call.not_sent(_CLOSED) if task.cancelled() else task.exception()
        result = None if error is not None else task.result()
        caller = call.caller
        is_late = caller is None or caller.done()
        # The caller hears of it before anybody else: an observer may do what it likes.
        if caller is not None and not caller.done():
            if error is not None:
                caller.set_exception(error)
            else:
                caller.set_result(result)
        if not task.cancelled():
            notify(
                self.observer,
                CallEnded(
                    operation=call.request.operation.name,
                    outcome=result.outcome if isinstance(result, OperationResult) else None,
                    error=None if error is None else type(error).__name__,
                    http_status=call.http_status,
                    requests=call.requests,
                    seconds=self.loop.time() - call.started,
                ),
            )
        if is_late:
            self._tell_late(call, error=error, result=result)

    def _tell_late(self, call: Call, *, error: BaseException | None, result: Any) -> None:  # noqa: ANN401 - see run
        if call.request.operation.retry is RetryPolicy.ALWAYS or isinstance(error, NOTHING_DONE):
            return
        notify(
            self.observer,
            LateResult(
                operation=call.request.operation.name,
                merchant_transaction_id=call.request.merchant_transaction_id,
                payment_id=call.request.payment_id if result is None else result.payment_id,
                result=result,
                error=error,
            ),
        )

    async def _carry(self, call: Call) -> Any:  # noqa: ANN401 - see run
        try:
            if call.request.operation.retry is RetryPolicy.ALWAYS:
                return await self._execute_query(call)
            if not call.request.operation.moves_money:
                return await self._execute_change(call)
            return await self._execute_payment(call)
        except asyncio.CancelledError:
            # Closing the gateway cancels what has not ended in time. Raised below, where no frame of a client's hangs on to it.
            pass
        if call.requests:
            reason = "the gateway object was closed before the answer was there"
            raise call.unanswered(reason)
        raise call.not_sent(_CLOSED)

    async def _execute_payment(self, call: Call) -> OperationResult:
        """Send a request that moves money once; resolve a doubt by inquiry."""
        self.known_payments.record_attempt(call.request)
        try:
            answer = await self._send_with_token(call)
        except NOTHING_DONE:
            self.known_payments.record_refusal(call.request)
            raise
        result = classify(call.request, answer)
        if isinstance(result, Doubt):
            call.code = result.code
            result = await self._inquire(call, answer, result)
        self._record(call.request, result)
        return result

    async def _execute_change(self, call: Call) -> OperationResult:
        """Send a request that moves no money, but must not be executed twice, once."""
        answer = await self._send_with_token(call)
        result = classify(call.request, answer)
        if not isinstance(result, Doubt):
            return result
        if call.request.operation.inquire_by is not InquireBy.MERCHANT_INVOICE_ID:
            raise call.unanswered(self._explain(call.request, answer, result))
        return await self._inquire(call, answer, result)

    def _explain(self, request: Request, answer: WireReply | WireFailure, doubt: Doubt) -> str:
        return (
            self._explain_unreadable(request, answer, doubt.reason)
            if doubt.is_unreadable
            else doubt.reason
        )

    def _explain_unreadable(
        self, request: Request, answer: WireReply | WireFailure | None, reason: str
    ) -> str:
        operation = request.operation
        return explain_unreadable(operation, answer, reason, base_url=self.platform.base_url)

    def _record(self, request: Request, result: OperationResult) -> None:
        self.known_payments.record_result(request, result)
        if result.outcome is Outcome.FAILED:
            self.known_payments.record_refusal(request)

    async def _send_with_token(self, call: Call) -> WireReply | WireFailure:
        """Send a request with a token; where the token was refused, nothing was done, and it is sent once more with a new one."""
        operation = call.request.operation
        answer: WireReply | WireFailure
        # Of shared tokens the second may be an old one too, which another process has put there.
        for tries_left in reversed(range(2 if self.shared_tokens is None else 3)):
            current = (
                await self.tokens.get(call) if operation.reply is not ReplyKind.TOKEN else None
            )
            answer = await self._send(
                call, call.wire if current is None else call.wire.with_token(current)
            )
            if isinstance(answer, WireFailure):
                return answer
            if not self._is_refused_token(operation, answer):
                if answer.http_status in self.platform.unprocessed_statuses:
                    self._refuse_unprocessed(call, answer)
                return answer
            if current is not None:
                self.tokens.source_of(operation).reject(current)
            if not tries_left or current is None:
                break
        message = f"{operation.name}: the gateway refused a token that it had just given; nothing was done"
        raise AuthenticationFailed(message, http_status=call.http_status, **call.facts)

    def _is_refused_token(self, operation: Operation, answer: WireReply) -> bool:
        """Tell whether a reply says that the token was refused, and so that nothing was done; not where it tells of something."""
        return answer.http_status in self.platform.token_rejected and not shows_execution(
            operation, answer
        )

    def _refuse_unprocessed(self, call: Call, answer: WireReply) -> None:
        """Raise `NotProcessed`, unless the reply says all the same that something was done, or the request is a question."""
        operation = call.request.operation
        if operation.retry is RetryPolicy.ALWAYS or shows_execution(operation, answer):
            return
        error = NotProcessed(f"the gateway answered HTTP {answer.http_status}", **call.facts)
        error.retry_after = read_delay(answer, now=self.wall_clock())
        raise error

    async def _send(self, call: Call, wire: WireRequest) -> WireReply | WireFailure:
        if self.loop.time() >= call.deadline:
            # The event loop was busy with something else: a transport would begin all the same, and be too late to hear of it.
            raise call.not_sent(_TOO_LATE)
        call.requests += 1
        call.began = False
        answer: WireReply | WireFailure
        try:
            answer = await self.transport.send(
                wire,
                timeouts=self.timeouts,
                limits=self.limits,
                deadline=call.deadline,
                send_guard=call.may_send,
            )
        except Exception as error:  # noqa: BLE001 - a transport that raises could not tell, so the request counts as sent
            answer = WireFailure(
                sent=True, reason=f"the transport failed with {type(error).__name__}"
            )
        if not isinstance(answer, WireFailure):
            call.http_status = answer.http_status
            known = (*self._keys, *call.secrets)
            answer.secrets = known if wire.token is None else (*known, wire.token)
            if answer.retry_after is not None or answer.http_status == TOO_MANY:
                self._hold(call.request.operation.reply, answer)
        elif not answer.sent:
            raise call.not_sent(answer.reason)
        return answer

    async def _inquire(
        self, call: Call, unclear: WireReply | WireFailure, doubt: Doubt
    ) -> OperationResult:
        """Inquire about a sent request until the answer resolves the doubt or the time is over.

        The record of a request may appear late.
        """
        question = self._on_platform(inquiry_about(call.request))
        call.deadline = self.loop.time() + self.timeouts.inquiry
        pause, last = _FIRST_PAUSE, Unresolved("none was possible")
        kinds = (call.request.operation.reply, question.operation.reply)
        await self._wait_held(kinds, call.deadline - _SHORTEST_QUESTION)
        while True:
            answer: WireReply | WireFailure | None = None
            try:
                answer = await self._ask(call, question)
                result = self._resolve(call.request, question, answer, doubt)
            except UnreadableError as unreadable:
                shown = self._explain_unreadable(question, answer, str(unreadable))
                last = evolve(last, reason=f"no answer ({shown})")
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with a question, the request was sent
                last = evolve(last, reason=f"no answer ({type(error).__name__})")
            else:
                if not isinstance(result, Unresolved):
                    return result
                last = result
                if last.final:
                    break
            rest = call.deadline - self.loop.time()
            # A gateway that asks to wait longer than that is asked once more, at the end.
            is_held = any(self._is_held(kind, call.deadline) for kind in kinds)
            if rest < (_SHORTEST_QUESTION if is_held else _FIRST_PAUSE):
                break
            # Half of what is left at the most, so that the last question comes near the end.
            await asyncio.sleep(min(pause, rest / 2) * (0.5 + self.random.random() / 2))
            await self._wait_held(kinds, call.deadline - _SHORTEST_QUESTION)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise call.unanswered(self._explain(call.request, unclear, doubt), last)

    def _resolve(
        self, request: Request, question: Request, answer: WireReply | WireFailure, doubt: Doubt
    ) -> OperationResult | Unresolved:
        if not request.operation.moves_money:
            return resolve_invoice(request, read_record(question, answer))
        transaction = self._read_transaction(question, answer)
        # By what is known now: another follow-up may have been sent since this one was. A duplicate
        # was not executed, so the trace is another request's.
        is_only = not doubt.is_duplicate and self.known_payments.is_only(request)
        return resolve(
            request,
            transaction,
            duplicate=doubt.is_duplicate,
            is_only=is_only,
            own_code=doubt.own_code,
        )

    async def _ask(self, call: Call, question: Request) -> WireReply | WireFailure:
        wire = encode(
            question,
            platform=self.platform,
            credentials=self.credentials,
            body=self.body,
            accept=self.accept,
        )
        # Asked even where the caller has gone away: the answer is for the observer then.
        # Each question gets a part of the time that is left: one that is never answered must not use it all up.
        share = max((call.deadline - self.loop.time()) / 3, _SHORTEST_QUESTION)
        deadline = min(call.deadline, self.loop.time() + share)
        inquiry = Call(
            question, wire, started=call.started, deadline=deadline, secrets=call.secrets
        )
        try:
            return await self._send_with_token(inquiry)
        finally:
            call.requests += inquiry.requests

    def _read_transaction(self, question: Request, answer: WireReply | WireFailure) -> Transaction:
        transaction = read_transaction(question, answer)
        self.known_payments.record_transaction(transaction)
        return transaction

    async def _execute_query(self, call: Call) -> Any:  # noqa: ANN401 - see run
        """Carry a request that moves no money; it may be sent again while its deadline lasts."""
        pause, reason = _FIRST_PAUSE, ""
        readers: dict[ReplyKind, Callable[[Request, WireReply | WireFailure], Any]] = {
            ReplyKind.TOKEN: self._read_granted,
            ReplyKind.INQUIRY: self._read_transaction,
        }
        read = readers.get(call.request.operation.reply, read_record)
        kind, tries_left = call.request.operation.reply, _READ_TRIES
        while not self._is_held(kind, call.deadline):
            await self._wait_held((kind,), call.deadline - _SHORTEST_QUESTION)
            answer = await self._send_with_token(call)
            try:
                return read(call.request, answer)
            except UnreadableError as unreadable:
                reason = self._explain_unreadable(call.request, answer, str(unreadable))
            # A gateway that asked to wait did not try to answer.
            tries_left -= not self._is_held(kind, self.loop.time())
            if not tries_left or self.loop.time() + pause >= call.deadline:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        delay = self.holds.get(kind, 0.0) - self.loop.time()
        if delay > 0:
            asked = f"the gateway asked to wait {delay:.0f} s more"
            reason = f"{reason}; {asked}" if reason else asked
        error = call.unanswered(reason)
        error.retry_after = delay if delay > 0 else None
        raise error

    # Waiting, where the gateway asked to

    def _hold(self, kind: ReplyKind, answer: WireReply) -> None:
        """Record how long a reply asks to wait before the next request of its kind."""
        delay = read_delay(answer, now=self.wall_clock())
        if delay is not None:
            self.holds[kind] = max(self.holds.get(kind, 0.0), self.loop.time() + delay)

    def _is_held(self, kind: ReplyKind, until: float) -> bool:
        return self.holds.get(kind, 0.0) > until

    async def _wait_held(self, kinds: tuple[ReplyKind, ...], latest: float) -> None:
        """Wait as long as the gateway asked to, at most until a time of the loop's."""
        while self.holds:
            now = self.loop.time()
            rest = min(max(self.holds.get(kind, 0.0) for kind in kinds), latest) - now
            if rest <= 0:
                return
            # Spread, so that those who wait do not ask all at once.
            await asyncio.sleep(min(rest * (1 + self.random.random() / 2), latest - now))

    @property
    def retry_delay(self) -> float:
        """Seconds for which the gateway asked to send no payout, inquiry or token call; 0.0 if it did not."""
        return max(0.0, *(self.holds.get(kind, 0.0) - self.loop.time() for kind in _PAYOUT_KINDS))

    # Tokens

    async def token(
        self, request: Request, root: ServiceRoot = ServiceRoot.TRANSACTIONS
    ) -> AuthToken:
        """Make one token call, beside the slots: whoever holds one may be waiting for it."""
        rooted = self._on_platform(request)
        rooted = evolve(rooted, operation=evolve(rooted.operation, root=root))
        wire = encode(
            rooted,
            platform=self.platform,
            credentials=self.credentials,
            body=self.body,
            accept=self.accept,
        )
        now, secrets = self.loop.time(), secrets_of(request.fields)
        call = Call(rooted, wire, started=now, deadline=now + self.timeouts.total, secrets=secrets)
        granted: AuthToken = await self._execute_query(call)
        return granted

    def _read_granted(self, request: Request, answer: WireReply | WireFailure) -> AuthToken:
        return read_granted(request, answer, now=self.wall_clock())
