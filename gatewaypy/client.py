"""The client: one `Gateway` object with one coroutine per operation."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from gatewaypy import resources
from gatewaypy.callables import check_methods, check_plain_function
from gatewaypy.config import Credentials, Limits, Timeouts
from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.imports import missing_extra
from gatewaypy.observe import log_event
from gatewaypy.platforms import Platform
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.operations import check_platform
from gatewaypy.resources import PaymentOptions, TransactionList, pay, wrap_options, wrap_source
from gatewaypy.secret import wrap_extra
from gatewaypy.transport import HttpxTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from types import TracebackType

    from gatewaypy.models import (
        Capture,
        Customer,
        Payment,
        PaymentSource,
        Payout,
        Refund,
        Reversal,
        Transaction,
    )
    from gatewaypy.money import Money
    from gatewaypy.observe import Observer
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.pipeline.token_source import TokenStore
    from gatewaypy.protocol.requests import Request
    from gatewaypy.secret import Secret
    from gatewaypy.transport import Transport


def _platform_of(platform_or_url: Platform | str | None) -> Platform:
    if isinstance(platform_or_url, Platform):
        return platform_or_url
    if isinstance(platform_or_url, str):
        return Platform(name="custom", base_url=platform_or_url)
    raise InvalidRequest(
        "platform_or_url",
        "must be a Platform, such as platforms.TRANSACTWORLD.test, or a base URL",
        f"a value of type {type(platform_or_url).__name__}",
    )


def _check_type(name: str, value: object, kind: type) -> None:
    """Check the type of an option."""
    if not isinstance(value, kind):
        msg = f"{name}: must be {kind.__name__}; got a value of type {type(value).__name__}"
        raise ConfigurationError(msg)


class Gateway:
    """A client of one platform for one merchant.

    Open it with ``async with`` on the event loop that uses it.

    Every operation that moves money ends in one of these ways:

    - a result; a decline is a result too;
    - `InvalidRequest` or `NotSent`: nothing was sent;
    - `AuthenticationFailed`: no money moved;
    - `OutcomeUnknown`, after inquiries for up to ``timeouts.inquiry``.

    The library never sends such a request again if a byte of it was sent.

    A request that was sent continues if its caller is cancelled. Its end is reported to the
    observer as a `LateResult`.

    Args:
        platform_or_url: One of `gatewaypy.platforms`, or the base URL of another host.
        credentials: The merchant's account.
        transport: The HTTP client. The default is `HttpxTransport`.
        timeouts: Timeouts of each call.
        limits: Limits of this object.
        body: Format of requests: ``"form"``, which every known integration uses, or nested
            ``"json"``.
        accept: Format of replies: ``"json"``, or ``"xml"`` (extra ``gatewaypy[xml]``).
        observer: Function that is called with each `gatewaypy.observe.ObserverEvent`. The
            default logs to the logger ``gatewaypy``.
        token_store: Shares tokens with other processes, such as ``RedisTokens("rediss://...")``.
            By default each process has its own.

    Raises:
        InvalidRequest: The base URL is malformed, or not https (http for loopback).
        ConfigurationError: An option has the wrong type; the message names it.

    Example:
        ``async with Gateway(platforms.TRANSACTWORLD.test, Credentials.from_env()) as gateway:``
    """

    def __init__(
        self,
        platform_or_url: Platform | str | None,
        credentials: Credentials,
        *,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        body: Literal["form", "json"] = "form",
        accept: Literal["json", "xml"] = "json",
        observer: Observer | None = None,
        token_store: TokenStore | None = None,
    ) -> None:
        if body not in {"form", "json"}:
            raise InvalidRequest("body", "must be 'form' or 'json'")
        if accept not in {"json", "xml"}:
            raise InvalidRequest("accept", "must be 'json' or 'xml'")
        _check_type("credentials", credentials, Credentials)
        if transport is not None:
            check_methods("transport", transport, "send", "__aenter__", "__aexit__")
        if timeouts is not None:
            _check_type("timeouts", timeouts, Timeouts)
        if limits is not None:
            _check_type("limits", limits, Limits)
        self.platform: Platform = _platform_of(platform_or_url)
        self.credentials: Credentials = credentials
        check_platform(self.platform)
        self.tokens: resources.Tokens = resources.Tokens(self._open_pipeline)
        self.recurring: resources.Recurring = resources.Recurring(self._open_pipeline)
        self.stored_cards: resources.StoredCards = resources.StoredCards(self._open_pipeline)
        self.customers: resources.Customers = resources.Customers(self._open_pipeline)
        self.merchants: resources.Merchants = resources.Merchants(self._open_pipeline)
        self.invoices: resources.Invoices = resources.Invoices(self._open_pipeline)
        self.links: resources.Links = resources.Links(self._open_pipeline)
        self.checkout: resources.Checkout = resources.Checkout(self._open_pipeline)
        self._transport: Transport = HttpxTransport() if transport is None else transport
        self._timeouts = Timeouts() if timeouts is None else timeouts
        self._limits = Limits() if limits is None else limits
        self._body = body
        self._accept = accept
        if observer is not None:
            check_plain_function("observer", observer)
        if token_store is not None:
            check_methods("token_store", token_store, "get", "__aenter__", "__aexit__")
        self._observer: Observer = log_event if observer is None else observer
        self._token_store = token_store
        self._pipeline: Pipeline | None = None
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def retry_delay(self) -> float:
        """The gateway's request to wait (``Retry-After``), in seconds; 0.0 if there is none.

        Until then no payout, inquiry or token call is sent, and payout jobs start no payout. It
        is 0.0 too while this object is closed.
        """
        pipeline = self._pipeline
        return pipeline.retry_delay if pipeline is not None and pipeline.holds.until else 0.0

    async def __aenter__(self) -> Self:
        """Open the client on this event loop."""
        if self._pipeline is not None:
            msg = "this Gateway is already open; create one for each 'async with'"
            raise ConfigurationError(msg)
        # Only an open gateway needs these modules. They are imported before the first payment,
        # because an import can fail, or wait for a disk.
        from gatewaypy.pipeline import (  # noqa: PLC0415 - see above
            known_payments,
            pipeline,
            slots,
            token_source,
        )

        try:
            # A gateway may answer in XML although the request accepts JSON.
            import xmltodict  # noqa: F401, PLC0415 - an extra
        except ImportError:
            if self._accept == "xml":
                raise missing_extra("accept='xml'", "xml") from None
        self._loop = asyncio.get_running_loop()
        transport = await self._transport.__aenter__()
        try:
            store = None if self._token_store is None else await self._token_store.__aenter__()
        except BaseException:
            await self._transport.__aexit__(None, None, None)
            raise
        self._pipeline = pipeline.Pipeline(
            loop=self._loop,
            platform=self.platform,
            credentials=self.credentials,
            transport=transport,
            slots=slots.Slots(self._limits.max_in_flight, self._loop),
            known_payments=known_payments.SHARED.join(
                self.platform.base_url, self.credentials.member_id
            ),
            timeouts=self._timeouts,
            limits=self._limits,
            body=self._body,
            accept=self._accept,
            observer=self._observer,
            wall_clock=time.time,
            random=random.Random(),  # noqa: S311 - for jitter, not for security
            shared_tokens=None
            if store is None
            else token_source.SharedTokens(store, self._observer),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client; see `aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for sent requests, for at most one call's timeouts, then close all connections.

        Calls that wait for a slot are not sent. It is safe to close twice, and after a cancelled
        close.
        """
        pipeline = self._pipeline
        if pipeline is None:
            return
        self._is_closing = True
        await pipeline.aclose()
        if self._pipeline is pipeline:
            from gatewaypy.pipeline import known_payments  # noqa: PLC0415 - loaded by __aenter__

            self._pipeline = None
            self._is_closing = False
            known_payments.SHARED.leave(self.platform.base_url, self.credentials.member_id)
            await self._transport.__aexit__(None, None, None)
            if self._token_store is not None:
                await self._token_store.__aexit__(None, None, None)

    def _open_pipeline(self) -> Pipeline:
        if self._pipeline is None or self._is_closing:
            msg = "this Gateway is not open; use it inside 'async with Gateway(...) as gateway:'"
            raise ConfigurationError(msg)
        if asyncio.get_running_loop() is not self._loop:
            msg = "this Gateway was opened on another event loop; create one for each event loop"
            raise ConfigurationError(msg)
        return self._pipeline

    async def debit(
        self,
        amount: Money,
        source: PaymentSource,
        *,
        merchant_transaction_id: str,
        **options: Unpack[PaymentOptions],
    ) -> Payment:
        """Take money from a card or another source.

        Args:
            amount: What the payer pays.
            source: A `Card`, or a wallet, bank, account or voucher. The payers of all but cards
                are redirected.
            merchant_transaction_id: Your own id of this attempt, never used before: 1 to 100
                characters, letters, digits, spaces, ``.`` and ``-``. Store it before you call:
                after a crash, inquire by it.
            **options: See `PaymentOptions`.

        Returns:
            The payment. Its ``outcome`` is ``SUCCEEDED``, ``FAILED`` (a decline), ``PENDING``
            (inquire later, or wait for the callback), ``REDIRECT`` (send the payer to
            ``payment.redirect``), or the result of an inquiry.

        Raises:
            InvalidRequest: A value is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials. No money moved.
            OutcomeUnknown: It was sent, but its outcome is unknown. Do not send it again.

        Example:
            ``payment = await gateway.debit(Money("50.00", "EUR"), card,
            merchant_transaction_id="ORDER-1001")``

        Protocol section 4, ``DB``. Documented, seen.
        """
        options, source = wrap_options(options), wrap_source(source)
        return await pay(
            self._open_pipeline(),
            operations.DEBIT,
            amount,
            source,
            merchant_transaction_id,
            options,
        )

    async def preauth(
        self,
        amount: Money,
        source: PaymentSource,
        *,
        merchant_transaction_id: str,
        **options: Unpack[PaymentOptions],
    ) -> Payment:
        """Hold money on a card, to capture or reverse it later.

        Args:
            amount: What is held.
            source: As in `debit`.
            merchant_transaction_id: As in `debit`.
            **options: See `PaymentOptions`.

        Returns:
            The payment, as in `debit`. The errors are the same too.

        Protocol section 4, ``PA``. Documented, seen.
        """
        options, source = wrap_options(options), wrap_source(source)
        return await pay(
            self._open_pipeline(),
            operations.PREAUTH,
            amount,
            source,
            merchant_transaction_id,
            options,
        )

    async def capture(self, payment_id: str, amount: Money) -> Capture:
        """Capture all or a part of a preauthorization.

        Args:
            payment_id: The gateway's id of the preauthorization.
            amount: At most the authorized amount, in its currency.

        Returns:
            The capture. If the reply is not usable, the payment's status is inquired. The result
            then has ``outcome_source=OutcomeSource.INQUIRY``, and an ``amount`` only if the
            gateway reported one.

        Raises:
            InvalidRequest: Malformed, or above the amount that this object knows as authorized.
                Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials. No money moved.
            OutcomeUnknown: It was sent, but its outcome is unknown. Do not send it again.

        Protocol section 4, ``CP``. Documented.
        """
        capture: Capture = await self._run(
            requests.follow_up(operations.CAPTURE, payment_id, amount)
        )
        return capture

    async def reversal(self, payment_id: str) -> Reversal:
        """Cancel a preauthorization.

        No amount is sent, because the vendor's pages contradict each other on partial reversals.

        Args:
            payment_id: The gateway's id of the preauthorization.

        Returns:
            The reversal. The errors are those of `debit`.

        Protocol section 4, ``RV``. Documented.
        """
        reversal: Reversal = await self._run(
            requests.follow_up(operations.REVERSAL, payment_id, None)
        )
        return reversal

    async def refund(self, payment_id: str, amount: Money) -> Refund:
        """Refund all or a part of a captured payment, once per payment.

        Args:
            payment_id: The gateway's id of the payment.
            amount: At most the captured amount, in its currency.

        Returns:
            The refund. If the reply is not usable, the outcome is inquired as in `capture`.

        Raises:
            InvalidRequest: Malformed, or above the amount that this object knows as captured.
                Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials. No money moved.
            OutcomeUnknown: It was sent, but its outcome is unknown. Do not send it again.

        Protocol section 4, ``RF``. Documented.
        """
        refund: Refund = await self._run(requests.follow_up(operations.REFUND, payment_id, amount))
        return refund

    async def payout(
        self,
        amount: Money,
        *,
        merchant_transaction_id: str,
        payment_id: str | None = None,
        customer: Customer | None = None,
        stored_card: str | None = None,
        notification_url: str | None = None,
        terminal_id: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
        send_guard: Callable[[], bool] | None = None,
    ) -> Payout:
        """Send money to the payer of an earlier payment, or to a customer's account.

        Set exactly one of ``payment_id``, ``customer`` and ``stored_card``.

        Args:
            amount: What is paid out.
            merchant_transaction_id: Your own id of this payout, as in `debit`.
            payment_id: A captured or settled sale, whose card is paid.
            customer: The payee. The acquirer defines the fields of the account, in ``extra``.
            stored_card: The registration id of a stored card or account (our choice: no field is
                documented).
            notification_url: Where callbacks are sent.
            terminal_id: Overrides the terminal of the credentials.
            extra: Further fields by their wire names.
            send_guard: A plain function that is called right before the first byte is sent. If
                it does not return True, nothing is sent and `NotSent` is raised. A payout
                journal uses it, because its intent may have become too old.

        Returns:
            The payout.

        Raises:
            InvalidRequest: A value is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials. No money moved.
            OutcomeUnknown: It was sent, but its outcome is unknown. Do not send it again.

        Protocol sections 4 and 6. Documented.
        """
        extra = wrap_extra(extra)
        pipeline = self._open_pipeline()
        if send_guard is not None:
            check_plain_function("send_guard", send_guard)
        request = requests.payout(
            credentials=self.credentials,
            amount=amount,
            merchant_transaction_id=merchant_transaction_id,
            payment_id=payment_id,
            customer=customer,
            stored_card=stored_card,
            notification_url=notification_url,
            terminal_id=terminal_id,
            extra=extra,
        )
        payout: Payout = await pipeline.run(request, send_guard=send_guard)
        return payout

    async def inquire(
        self, *, payment_id: str | None = None, merchant_transaction_id: str | None = None
    ) -> Transaction:
        """Look up a payment or payout by the gateway's id or by your own id.

        Args:
            payment_id: The gateway's id. Set exactly one of the two ids.
            merchant_transaction_id: Your id, as sent with the payment or payout.

        Returns:
            The record. If there is none (yet), ``found`` is False and ``outcome`` is ``UNKNOWN``.

        Raises:
            InvalidRequest: Neither id, both ids, or a malformed id. Nothing was sent.
            NotSent: The gateway could not be reached. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: No usable answer after three attempts.

        Example:
            ``record = await gateway.inquire(merchant_transaction_id="ORDER-1001")``

        Protocol sections 4 and 7. By payment id: documented, seen. By your id: one source.
        """
        transaction: Transaction = await self._run(
            requests.inquiry(payment_id=payment_id, merchant_transaction_id=merchant_transaction_id)
        )
        return transaction

    def transactions(
        self, start: date, end: date, *, status: str | None = None, page_size: int = 100
    ) -> TransactionList:
        """List the payments and payouts between two days.

        Args:
            start: First day.
            end: Last day; included.
            status: Only rows with this long status, such as ``"capturesuccess"``.
            page_size: Number of rows of each request.

        Returns:
            An async iterable of transactions, which requests page after page. Its
            ``statement()`` adds them up. If the days are not dates, or in the wrong order, the
            iteration raises `InvalidRequest`. If a page has no usable answer, it raises
            `UnreadableReply`.

        Raises:
            InvalidRequest: ``page_size`` is not an integer of at least 1.

        Example:
            ``async for transaction in gateway.transactions(start, end):``

        Protocol sections 4, 6 and 7. Documented, seen.
        """
        return TransactionList(
            self._open_pipeline, start=start, end=end, status=status, page_size=page_size
        )

    async def _run(self, request: Request) -> Any:  # noqa: ANN401 - the operation's result
        return await self._open_pipeline().run(request)
