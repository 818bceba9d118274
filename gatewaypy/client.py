"""The gateway as a merchant's code sees it: one object, one coroutine an operation."""

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


def _platform(given: Platform | str | None) -> Platform:
    if isinstance(given, Platform):
        return given
    if isinstance(given, str):
        return Platform(name="custom", base_url=given)
    raise InvalidRequest(
        "platform",
        "a platform such as platforms.TRANSACTWORLD.test, or a base URL",
        f"{type(given).__name__}",
    )


def _check_type(name: str, value: object, kind: type) -> None:
    """Refuse at once what would fail at the first payment."""
    if not isinstance(value, kind):
        msg = f"{name}: must be {kind.__name__}; got a value of type {type(value).__name__}"
        raise ConfigurationError(msg)


class Gateway:
    """A client of one platform for one merchant; open it with ``async with`` on the event loop that uses it.

    Every operation that moves money ends in one of four ways: a result (a decline is one too); `InvalidRequest` or `NotSent`,
    and nothing was sent; `AuthenticationFailed`, and nothing was done; or `OutcomeUnknown`, after the library itself has asked
    the gateway for as long as ``timeouts.inquiry`` allows. It never sends such a request a second time by itself.

    Cancelling a caller does not tear a sent request in half: it goes on to its end, which the observer hears as a `LateResult`.
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
        """Configure a client; nothing is connected, and no HTTP library loaded, before it is opened.

        :param platform_or_url: one of `gatewaypy.platforms`, or the base URL of another host.
        :param transport: the HTTP client; `HttpxTransport` where none is given.
        :param body: how requests are written: as a form, which every known integration runs with, or as nested JSON.
        :param accept: how replies are asked for; XML needs the extra ``gatewaypy[xml]``.
        :param observer: hears of each call's end and of late results; the logger ``gatewaypy`` does where none is given.
        :param token_store: shares tokens with other processes: ``RedisTokens("rediss://…")``; each has its own without it.
        :raises InvalidRequest: for a base URL that is not https (or http to this machine).
        :raises ConfigurationError: for an option of another type than it must have; the message names it.
        """
        if body not in {"form", "json"}:
            raise InvalidRequest("body", "'form' or 'json'")
        if accept not in {"json", "xml"}:
            raise InvalidRequest("accept", "'json' or 'xml'")
        _check_type("credentials", credentials, Credentials)
        if transport is not None:
            check_methods("transport", transport, "send", "__aenter__", "__aexit__")
        if timeouts is not None:
            _check_type("timeouts", timeouts, Timeouts)
        if limits is not None:
            _check_type("limits", limits, Limits)
        self.platform = _platform(platform_or_url)
        self.credentials = credentials
        check_platform(self.platform)
        self.tokens = resources.Tokens(self._open_pipeline)
        self.recurring = resources.Recurring(self._open_pipeline)
        self.stored_cards = resources.StoredCards(self._open_pipeline)
        self.customers = resources.Customers(self._open_pipeline)
        self.merchants = resources.Merchants(self._open_pipeline)
        self.invoices = resources.Invoices(self._open_pipeline)
        self.links = resources.Links(self._open_pipeline)
        self.checkout = resources.Checkout(self._open_pipeline)
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
        """Seconds for which the gateway asked to send no payout, inquiry or token call (``Retry-After``).

        0.0 if it did not ask, or this object is closed. Payout jobs begin no payout meanwhile.
        """
        pipeline = self._pipeline
        return pipeline.retry_delay if pipeline is not None and pipeline.holds else 0.0

    async def __aenter__(self) -> Self:
        """Open the client on this event loop."""
        if self._pipeline is not None:
            msg = "this Gateway is open already: open one for each 'async with'"
            raise ConfigurationError(msg)
        # What carries requests and reads replies is of use to an open gateway alone. All of it is loaded here, before anything
        # is connected: no payment may be the moment at which the library, or an extra, is looked for on a disk.
        from gatewaypy.pipeline import known_payments, pipeline, slots, token_source  # noqa: PLC0415 - see above

        try:
            # A gateway may answer in XML that was asked for JSON.
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
            bounds=known_payments.SHARED.join(self.platform.base_url, self.credentials.member_id),
            timeouts=self._timeouts,
            limits=self._limits,
            body=self._body,
            accept=self._accept,
            observer=self._observer,
            wall_clock=time.time,
            random=random.Random(),  # noqa: S311 - it spreads retries, it guards nothing
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
        """Close the client; see :meth:`aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Let sent requests end, for no longer than a call may take, then close every connection.

        Calls that wait for their turn are not sent. Closing twice is harmless, and ends what a cancelled closing left.
        """
        pipeline = self._pipeline
        if pipeline is None:
            return
        self._is_closing = True
        await pipeline.aclose()
        if self._pipeline is pipeline:
            from gatewaypy.pipeline import known_payments  # noqa: PLC0415 - loaded since it was opened

            self._pipeline = None
            self._is_closing = False
            known_payments.SHARED.leave(self.platform.base_url, self.credentials.member_id)
            await self._transport.__aexit__(None, None, None)
            if self._token_store is not None:
                await self._token_store.__aexit__(None, None, None)

    def _open_pipeline(self) -> Pipeline:
        if self._pipeline is None or self._is_closing:
            msg = "this Gateway is not open: use it inside 'async with Gateway(...) as gateway:'"
            raise ConfigurationError(msg)
        if asyncio.get_running_loop() is not self._loop:
            msg = "this Gateway was opened on another event loop: open one on each"
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
        """Take money from a card, or another source, at once (protocol section 4, ``DB``, documented and seen).

        :param source: a `Card`, or a wallet, bank, account or voucher, whose payers are sent on by a redirect.
        :param merchant_transaction_id: your own id of this attempt: 1 to 100 of letters, digits, space, ``.`` and ``-``, never
            used before. Keep it before you call: it is what to ask by if this process dies.
        :param options: see `PaymentOptions`.
        :returns: a payment whose ``outcome`` is ``SUCCEEDED``, ``FAILED`` (a decline), ``PENDING`` (ask later, or wait for the
            callback), ``REDIRECT`` (send the payer to ``payment.redirect``), or what an inquiry found.
        :raises InvalidRequest: refused before anything was sent.
        :raises NotSent: no byte of it left.
        :raises AuthenticationFailed: no token; nothing was done.
        :raises OutcomeUnknown: sent, and nobody could tell what became of it.
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
        """Hold money on a card, to be captured or reversed later (protocol section 4, ``PA``, documented and seen).

        Parameters, result and errors as in :meth:`debit`.
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
        """Take the whole or a part of what a preauthorization holds (protocol section 4, ``CP``, documented).

        :param amount: at most what was authorised, in its currency.
        :raises InvalidRequest: also for an amount above what this gateway object knows to be authorised.

        Other errors as in :meth:`debit`. A doubt is settled by asking for the payment's status; the result then has
        ``outcome_source=OutcomeSource.INQUIRY`` and an ``amount`` only where the gateway told one.
        """
        capture: Capture = await self._run(
            requests.follow_up(operations.CAPTURE, payment_id, amount)
        )
        return capture

    async def reversal(self, payment_id: str) -> Reversal:
        """Give the whole of a preauthorization back (protocol section 4, ``RV``, documented).

        The vendor's pages disagree on partial reversals; no amount is sent. Errors as in :meth:`debit`.
        """
        reversal: Reversal = await self._run(
            requests.follow_up(operations.REVERSAL, payment_id, None)
        )
        return reversal

    async def refund(self, payment_id: str, amount: Money) -> Refund:
        """Give the whole or a part of a captured payment back, once per payment (protocol section 4, ``RF``, documented).

        :param amount: at most what was captured, in its currency.
        :raises InvalidRequest: also for an amount above what this gateway object knows to be captured.

        Other errors as in :meth:`debit`; a doubt is settled as in :meth:`capture`.
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
        """Send money to the payer of an earlier payment, or to a customer's account (protocol sections 4 and 6, documented).

        :param merchant_transaction_id: your own id of this payout, as in :meth:`debit`.
        :param payment_id: a captured or settled sale whose card is paid; or else
        :param customer: whom to pay, with the account's details in ``extra`` as the acquirer wants them; or else
        :param stored_card: the registration id of a stored card or account (our choice: no field is documented).
        :param send_guard: asked right before the first byte goes out; unless it answers ``True``, nothing is sent and `NotSent` is
            raised. A journal's last word: its intent may have grown too old meanwhile.

        Errors as in :meth:`debit`.
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
        """Ask what became of a payment or payout, by the gateway's id or by your own (protocol sections 4 and 7).

        By payment id: documented and seen; by your own id: seen, from one source.

        :returns: the record; with ``found=False`` and outcome ``UNKNOWN`` where there is none, or none yet.
        :raises UnreadableReply: where there was no usable answer after three tries.
        :raises NotSent: where the gateway could not be reached.
        """
        transaction: Transaction = await self._run(
            requests.inquiry(payment_id=payment_id, merchant_transaction_id=merchant_transaction_id)
        )
        return transaction

    def transactions(
        self, start: date, end: date, *, status: str | None = None, page_size: int = 100
    ) -> TransactionList:
        """List the payments and payouts between two days, both included (protocol sections 4, 6 and 7, documented and seen).

        ``async for transaction in gateway.transactions(start, end)`` gives row after row and asks for page after page;
        ``await gateway.transactions(start, end).statement()`` adds them up.

        :param status: only those with this long status, such as ``"capturesuccess"``.
        :param page_size: how many rows to ask for at a time.
        :raises InvalidRequest: for days that are no dates or in the wrong order, once it is iterated over.
        :raises UnreadableReply: where a page got no usable answer.
        """
        return TransactionList(
            self._open_pipeline, start=start, end=end, status=status, page_size=page_size
        )

    async def _run(self, request: Request) -> Any:  # noqa: ANN401 - each operation names its own result
        return await self._open_pipeline().run(request)
