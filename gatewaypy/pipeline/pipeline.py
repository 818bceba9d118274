"""The route of every request: slot, token, send, classify, and inquire if the reply is doubtful.

Only this file repeats requests. A request that moves money is sent again in one case only: its
token was rejected, so nothing was executed. Every other doubt is resolved by inquiry or raised as
`OutcomeUnknown`.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field

from gatewaypy.backoff import Backoff
from gatewaypy.errors import NOTHING_DONE, AuthenticationFailed, NotProcessed
from gatewaypy.pipeline.call import CLOSED, Call
from gatewaypy.pipeline.holds import Holds
from gatewaypy.pipeline.in_flight import InFlight
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
from gatewaypy.protocol.operation_types import InquireBy, ReplyKind, RetryPolicy, ServiceRoot
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.redaction import secrets_of
from gatewaypy.protocol.retry_after import TOO_MANY, read_delay
from gatewaypy.protocol.wire import WireFailure, WireReply

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from gatewaypy.config import Credentials, Limits, Timeouts
    from gatewaypy.models import OperationResult, Transaction
    from gatewaypy.observe import Observer
    from gatewaypy.pipeline.known_payments import KnownPayments
    from gatewaypy.pipeline.slots import Slots
    from gatewaypy.pipeline.token_source import SharedTokens
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.auth_token import AuthToken
    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireRequest
    from gatewaypy.secret import Secret
    from gatewaypy.transport.base import Transport

_TOO_LATE: Final = "the deadline passed before the request was sent"
_MIN_INQUIRY_TIMEOUT: Final = 0.5
_BACKOFF: Final = Backoff(initial_delay=0.1, max_delay=3.0)
_MAX_QUERIES: Final = 3
#: Replies that a payout and its inquiries need.
_PAYOUT_KINDS: Final = (ReplyKind.PAYOUT, ReplyKind.INQUIRY, ReplyKind.TOKEN)


@define(eq=False, kw_only=True)
class Pipeline:
    """Executes requests on one platform for one merchant, on one event loop."""

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
    holds: Holds = field(init=False)
    _keys: tuple[Secret, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._keys = self.credentials.every_key
        self.holds = Holds(self.loop, self.random)
        self.tokens = TokenSources(
            fetch=self.token,
            credentials=self.credentials,
            base_url=self.platform.base_url,
            timeout=self.timeouts.total,
            clock=self.loop.time,
            observer=self.observer,
            shared=self.shared_tokens,
        )

    async def run(
        self,
        request: Request,
        *,
        send_guard: Callable[[], bool] | None = None,
    ) -> Any:  # noqa: ANN401 - one type for each operation
        """Execute a request.

        Args:
            request: The request.
            send_guard: Called right before the first byte is sent; False prevents the request.

        Raises:
            InvalidRequest: The request breaks a rule. Nothing was sent.
            NotSent: No byte was sent.
            AuthenticationFailed: No token, or a new one was rejected. Nothing was executed.
            UnreadableReply: No usable answer to a request that moves no money.
            OutcomeUnknown: The request was sent and no inquiry returned its outcome.
        """
        request = self._on_platform(request)
        self.known_payments.check(request)
        call = self._new_call(request, self.loop.time() + self.timeouts.total)
        call.send_guard = send_guard
        await self._take_slot(call)
        in_flight = InFlight(call, self.loop, self.observer)
        _ = self.slots.run(self._execute(call), ended=in_flight.end)
        try:
            return await in_flight.caller
        except asyncio.CancelledError:
            in_flight.report_unread()
            raise

    def _on_platform(self, request: Request) -> Request:
        operation = request.operation.for_platform(self.platform)
        return request if operation is request.operation else evolve(request, operation=operation)

    def _new_call(self, request: Request, deadline: float) -> Call:
        wire = encode(
            request,
            platform=self.platform,
            credentials=self.credentials,
            body=self.body,
            accept=self.accept,
        )
        secrets = secrets_of(request.fields)
        return Call(request, wire, self.loop.time(), deadline, secrets)

    async def aclose(self) -> None:
        """Wait for calls in progress, for as long as a call may take, then cancel token calls."""
        await self.slots.drain(self.timeouts.total + self.timeouts.inquiry)
        await self.tokens.aclose()

    async def _take_slot(self, call: Call) -> None:
        try:
            await self.slots.acquire(call.deadline)
        except TimeoutError:
            reason = (
                f"no free slot among {self.limits.max_in_flight} within {self.timeouts.total:g} s"
            )
        except ClosedError:
            reason = CLOSED
        else:
            return
        raise call.not_sent(reason)

    async def _execute(self, call: Call) -> Any:  # noqa: ANN401 - see run
        try:
            if call.request.operation.retry is RetryPolicy.ALWAYS:
                return await self._execute_query(call)
            if not call.request.operation.moves_money:
                return await self._execute_change(call)
            return await self._execute_payment(call)
        except asyncio.CancelledError:
            # Closing the gateway cancels late calls. Raised below: no frame of a transport stays in
            # the error's traceback.
            pass
        if call.requests:
            reason = "the gateway object was closed before the reply was received"
            raise call.unanswered(reason)
        raise call.not_sent(CLOSED)

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
        self.known_payments.record_result(call.request, result)
        return result

    async def _execute_change(self, call: Call) -> OperationResult:
        """Send a request once that moves no money, but must not be executed twice."""
        answer = await self._send_with_token(call)
        result = classify(call.request, answer)
        if not isinstance(result, Doubt):
            return result
        if call.request.operation.inquire_by is not InquireBy.MERCHANT_INVOICE_ID:
            raise call.unanswered(
                result.explain(call.request.operation, answer, self.platform.base_url)
            )
        return await self._inquire(call, answer, result)

    async def _send_with_token(self, call: Call) -> WireReply | WireFailure:
        """Send a request with a token, and again with a new one if the token was rejected.

        A reply with a status of ``platform.token_rejected`` proves that nothing was executed,
        unless it shows the opposite.
        """
        operation = call.request.operation
        # The second of shared tokens may be an old one too, which another process has stored.
        for attempts_left in reversed(range(2 if self.shared_tokens is None else 3)):
            token, wire = None, call.wire
            if operation.reply is not ReplyKind.TOKEN:
                token = await self.tokens.get(call)
                wire = wire.with_token(token)
            answer = await self._send(call, wire)
            if isinstance(answer, WireFailure):
                return answer
            is_rejected = answer.http_status in self.platform.token_rejected
            if not is_rejected or shows_execution(operation, answer):
                if answer.http_status in self.platform.unprocessed_statuses:
                    self._refuse_unprocessed(call, answer)
                return answer
            if token is not None:
                self.tokens.source_of(operation).reject(token)
            if not attempts_left or token is None:
                break
        message = f"{operation.name}: the gateway rejected a new token; nothing was executed"
        raise AuthenticationFailed(message, http_status=call.http_status, **call.facts)

    def _refuse_unprocessed(self, call: Call, answer: WireReply) -> None:
        """Raise `NotProcessed`, unless the reply shows an execution or the request is a query."""
        operation = call.request.operation
        if operation.retry is RetryPolicy.ALWAYS or shows_execution(operation, answer):
            return
        error = NotProcessed(f"the gateway answered HTTP {answer.http_status}", **call.facts)
        error.retry_after = read_delay(answer, now=self.wall_clock())
        raise error

    async def _send(self, call: Call, wire: WireRequest) -> WireReply | WireFailure:
        if self.loop.time() >= call.deadline:
            # The event loop was busy: a transport would still send, and time out at once.
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
        except Exception as error:  # noqa: BLE001 - unknown whether a byte was sent
            reason = f"the transport failed with {type(error).__name__}"
            answer = WireFailure(sent=True, reason=reason)
        if not isinstance(answer, WireFailure):
            call.http_status = answer.http_status
            known = (*self._keys, *call.secrets)
            answer.secrets = known if wire.token is None else (*known, wire.token)
            if answer.retry_after is not None or answer.http_status == TOO_MANY:
                self.holds.add(call.request.operation.reply, answer, now=self.wall_clock())
        elif not answer.sent:
            raise call.not_sent(answer.reason)
        return answer

    async def _inquire(
        self, call: Call, unclear: WireReply | WireFailure, doubt: Doubt
    ) -> OperationResult:
        """Inquire about a sent request until an answer resolves the doubt or the time is over.

        Its record may appear late.
        """
        inquiry = self._on_platform(inquiry_about(call.request))
        call.deadline = self.loop.time() + self.timeouts.inquiry
        last, base_url = Unresolved("none was possible"), self.platform.base_url
        kinds = (call.request.operation.reply, inquiry.operation.reply)
        await self.holds.wait(kinds, call.deadline - _MIN_INQUIRY_TIMEOUT)
        for attempt in itertools.count():
            answer: WireReply | WireFailure | None = None
            try:
                answer = await self._send_inquiry(call, inquiry)
                result = self._resolve(call.request, inquiry, answer, doubt)
            except UnreadableError as unreadable:
                reason = explain_unreadable(str(unreadable), inquiry.operation, answer, base_url)
                last = evolve(last, reason=f"no answer ({reason})")
            except Exception as error:  # noqa: BLE001 - the request itself was sent
                last = evolve(last, reason=f"no answer ({type(error).__name__})")
            else:
                if not isinstance(result, Unresolved):
                    return result
                last = result
                if last.final:
                    break
            rest = call.deadline - self.loop.time()
            # If the gateway asks to wait longer than the deadline, one inquiry is sent at the end.
            is_held = any(self.holds.is_held(kind, call.deadline) for kind in kinds)
            if rest < (_MIN_INQUIRY_TIMEOUT if is_held else _BACKOFF.initial_delay):
                break
            # At most half of the rest, so that the last inquiry is sent near the deadline.
            delay = min(_BACKOFF.delay(attempt), rest / 2)
            await asyncio.sleep(delay * self.random.uniform(0.5, 1.0))
            await self.holds.wait(kinds, call.deadline - _MIN_INQUIRY_TIMEOUT)
        raise call.unanswered(doubt.explain(call.request.operation, unclear, base_url), last)

    def _resolve(
        self, request: Request, inquiry: Request, answer: WireReply | WireFailure, doubt: Doubt
    ) -> OperationResult | Unresolved:
        if not request.operation.moves_money:
            return resolve_invoice(request, read_record(inquiry, answer))
        transaction = self._read_transaction(inquiry, answer)
        # Known now, not before the inquiry: another follow-up may have been sent since. A duplicate
        # was not executed, so the trace is another request's.
        is_only = not doubt.is_duplicate and self.known_payments.is_only(request)
        return resolve(
            request,
            transaction,
            duplicate=doubt.is_duplicate,
            is_only=is_only,
            own_code=doubt.own_code,
        )

    async def _send_inquiry(self, call: Call, inquiry: Request) -> WireReply | WireFailure:
        # It is sent for a cancelled caller too: the observer gets the result.
        # Each inquiry may use a part of the time, so that one without an answer leaves time.
        now = self.loop.time()
        share = max((call.deadline - now) / 3, _MIN_INQUIRY_TIMEOUT)
        inner = self._new_call(inquiry, min(call.deadline, now + share))
        inner.secrets = call.secrets
        try:
            return await self._send_with_token(inner)
        finally:
            call.requests += inner.requests

    def _read_transaction(self, inquiry: Request, answer: WireReply | WireFailure) -> Transaction:
        transaction = read_transaction(inquiry, answer)
        self.known_payments.record_transaction(transaction)
        return transaction

    async def _execute_query(self, call: Call) -> Any:  # noqa: ANN401 - see run
        """Send a request that changes nothing, at most three times before its deadline."""
        readers: dict[ReplyKind, Callable[[Request, WireReply | WireFailure], Any]] = {
            ReplyKind.TOKEN: self._read_granted,
            ReplyKind.INQUIRY: self._read_transaction,
        }
        read = readers.get(call.request.operation.reply, read_record)
        kind, attempts_left, reason = call.request.operation.reply, _MAX_QUERIES, ""
        for attempt in itertools.count():
            if self.holds.is_held(kind, call.deadline):
                break
            await self.holds.wait((kind,), call.deadline - _MIN_INQUIRY_TIMEOUT)
            answer = await self._send_with_token(call)
            try:
                return read(call.request, answer)
            except UnreadableError as unreadable:
                base_url, operation = self.platform.base_url, call.request.operation
                reason = explain_unreadable(str(unreadable), operation, answer, base_url)
            # A reply that asks to wait does not count as an attempt.
            attempts_left -= not self.holds.is_held(kind, self.loop.time())
            delay = _BACKOFF.delay(attempt)
            if not attempts_left or self.loop.time() + delay >= call.deadline:
                break
            await asyncio.sleep(delay)
        delay = self.holds.remaining(kind)
        if delay > 0:
            asked = f"the gateway asked to wait for another {delay:.0f} s"
            reason = f"{reason}; {asked}" if reason else asked
        error = call.unanswered(reason)
        error.retry_after = delay if delay > 0 else None
        raise error

    @property
    def retry_delay(self) -> float:
        """Seconds for which the gateway asked for no payout, inquiry or token call; 0.0 if none."""
        return self.holds.remaining(*_PAYOUT_KINDS)

    # Tokens

    async def token(
        self, request: Request, root: ServiceRoot = ServiceRoot.TRANSACTIONS
    ) -> AuthToken:
        """Make one token call, without a slot: the calls that have one may wait for the token."""
        rooted = self._on_platform(request)
        rooted = evolve(rooted, operation=evolve(rooted.operation, root=root))
        call = self._new_call(rooted, self.loop.time() + self.timeouts.total)
        granted: AuthToken = await self._execute_query(call)
        return granted

    def _read_granted(self, request: Request, answer: WireReply | WireFailure) -> AuthToken:
        return read_granted(request, answer, now=self.wall_clock())
