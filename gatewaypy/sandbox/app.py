"""The sandbox: a gateway to develop against, as an ASGI application with state.

It is served on a socket, or called in process.
"""

from __future__ import annotations

import asyncio
import contextlib
import random as random_module
import time
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gatewaypy.config import Credentials, check_flag, check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.platforms import Platform
from gatewaypy.protocol.operation_types import (
    Login,
    ReplyKind,
    ServiceRoot,
)
from gatewaypy.protocol.operations import check_platform
from gatewaypy.sandbox import replies
from gatewaypy.sandbox.bills import Bills
from gatewaypy.sandbox.callbacks import CallbackSender, CallbackStyle
from gatewaypy.sandbox.challenge_pages import PayerPages
from gatewaypy.sandbox.fault_injection import inject_fault
from gatewaypy.sandbox.faults import FaultKind, Faults
from gatewaypy.sandbox.hosted_pages import HostedPages
from gatewaypy.sandbox.invoices import Invoices
from gatewaypy.sandbox.ledger import ImpossibleMoveError, Ledger
from gatewaypy.sandbox.payments import Payments
from gatewaypy.sandbox.rate_limits import RateLimits
from gatewaypy.sandbox.server import bind, listen, make_server
from gatewaypy.sandbox.tokens import TokenIssuer
from gatewaypy.sandbox.validation import RejectedError, Routes, named, validate
from gatewaypy.sandbox.vault import Vault
from gatewaypy.sandbox.wire import MalformedError, read_fields, write_reply

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping
    from random import Random

    import uvicorn
    from starlette.types import Receive, Scope, Send

    from gatewaypy.sandbox.ledger import Record

#: The merchant of a sandbox without ``merchants``. Its keys are valid for sandboxes only.
MERCHANT: Final = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="sandboxKeyOpensNoRealDoor0000000",  # noqa: S106 - made up
    terminal_id="1106",
    partner_username="partner",
    partner_secret_key="sandboxPartnerKeyOpensNoDoor0000",  # noqa: S106 - made up
    partner_name="SandboxPartner",
)

# Answers a request: returns the reply's fields, or None if the token is not valid.
_Answer: TypeAlias = "Callable[[Request], dict[str, Any] | None]"


class Sandbox:
    """A stateful simulation of the gateway (protocol sections 3 to 12).

    It issues tokens that expire, and checks every field and checksum. It keeps a ledger by the
    gateway's rules, shows payers a challenge page, and sends signed callbacks. `faults` makes it
    fail on purpose. The object itself is the ASGI application.

    Args:
        merchants: The accounts of the sandbox. The default is `MERCHANT`.
        token_lifetime: Lifetime of a token in seconds.
        refuse_duplicates: Whether a used merchant transaction id is refused with 20015. If False,
            it is executed again.
        inquiry_delay: Delay in seconds before an inquiry finds a new record.
        approval_delay: Delay in seconds before an asynchronous payment is approved.
        reply_delay: Delay of every reply in seconds.
        callbacks: How callbacks are sent. See `CallbackStyle`.
        platform: The platform whose paths, rules, names and date format are valid; no others are
            (protocol section 13). Its base URL is ignored.
        rate_limits: The largest number of requests in one second, by operation; ``"*"`` for all
            together. Requests above it get 429 with ``Retry-After``, and are not executed.
        seed: Seed of the random numbers, so that a run can be repeated.
        clock: A monotonic clock in seconds.
        wall_clock: A clock in seconds since the epoch.

    Raises:
        ConfigurationError: An argument is invalid.

    Example::

        async with Sandbox().serve() as sandbox:
            async with Gateway(sandbox.base_url, sandbox.credentials) as gateway: ...
    """

    def __init__(
        self,
        merchants: tuple[Credentials, ...] = (MERCHANT,),
        *,
        token_lifetime: float = 3600.0,
        refuse_duplicates: bool = True,
        inquiry_delay: float = 0.0,
        approval_delay: float = 0.2,
        reply_delay: float = 0.0,
        callbacks: CallbackStyle | None = None,
        platform: Platform | None = None,
        rate_limits: Mapping[str, int] | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a sandbox with an empty ledger."""
        if (
            not isinstance(merchants, tuple)
            or not merchants
            or not all(isinstance(one, Credentials) for one in merchants)
        ):
            msg = "merchants: must be a tuple of one or more Credentials"
            raise ConfigurationError(msg)
        for name, value in (
            ("inquiry_delay", inquiry_delay),
            ("approval_delay", approval_delay),
            ("reply_delay", reply_delay),
        ):
            check_number(name, value, least=0)
        check_number("token_lifetime", token_lifetime, above=0)
        check_flag("refuse_duplicates", refuse_duplicates)
        random: Random = random_module.Random(seed)  # noqa: S311 - repeatable, not secret
        self.platform = platform or Platform(name="sandbox", base_url="http://localhost")
        check_platform(self.platform)
        self.ledger = Ledger(clock=clock, wall_clock=wall_clock)
        self.tokens = TokenIssuer(lifetime=token_lifetime, wall_clock=wall_clock, random=random)
        self.faults = Faults(random)
        self.rate_limits = RateLimits(rate_limits or {}, clock)
        self.callback_sender = CallbackSender(random, callbacks)
        self.payments = Payments(
            ledger=self.ledger,
            tokens=self.tokens,
            invoices=Invoices(
                vault=Vault(),
                invoices=Bills(random),
                links=Bills(random),
                random=random,
                wall_clock=wall_clock,
                base_url=lambda: self.base_url or "http://localhost",
            ),
            merchants=merchants,
            platform=self.platform,
            refuse_duplicates=refuse_duplicates,
            inquiry_delay=inquiry_delay,
            approval_delay=approval_delay,
            on_change=self._notify,
            on_pending=self._approve_later,
        )
        self.reply_delay = reply_delay
        self.base_url = ""
        self.requests: dict[str, int] = {}
        self._routes = Routes(self.platform)
        self._payer = PayerPages(
            ledger=self.ledger, merchant_of=self.payments.merchant_of, notify=self._notify
        )
        self._pages = Starlette(
            routes=[
                *self._payer.routes(),
                *HostedPages(payments=self.payments, onward=self._payer.onward).routes(),
                Route("/sandbox/payments/{payment_id}/{event}", self._set_event, methods=["POST"]),
                Route("/sandbox/ledger", self._show_ledger, methods=["GET"]),
                Route("/sandbox/deliveries", self._show_deliveries, methods=["GET"]),
                Route("/sandbox/faults", self._set_fault, methods=["POST", "DELETE"]),
            ]
        )
        self._address: tuple[str, int] = ("", 0)
        self._servers: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._silent: socket.socket | None = None
        self._is_ending = False
        self._served: tuple[uvicorn.Server, asyncio.Task[None]] | None = None
        self._files: tuple[str | None, str | None] = (None, None)

    @property
    def credentials(self) -> Credentials:
        """The first merchant's account."""
        return self.payments.merchants[0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as an ASGI application."""
        path = scope.get("path", "")
        root = next(
            (
                root.value
                for root in ServiceRoot
                if root is not ServiceRoot.PAGES and path.startswith(f"{root.value}/")
            ),
            None,
        )
        if scope["type"] == "http" and root is not None and scope["method"] == "POST":
            await self._serve(root, path.removeprefix(root), scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    # The gateway's services

    async def _serve(
        self, root: str, path: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if self.reply_delay:
            await asyncio.sleep(self.reply_delay)
        fields: dict[str, str] = {}
        try:
            fields = named(
                read_fields(body, request.headers.get("content-type", "")), self.platform
            )
            name, answer = self._route(root, path, fields)
        except MalformedError:
            name, answer = (
                "unreadable",
                lambda _: replies.rejected("20007", "the body is neither a form nor JSON", None),
            )
        except RejectedError as rejection:
            refused = replies.rejected(
                rejection.code, rejection.description, fields.get("merchantTransactionId")
            )
            name, answer = "rejected", lambda _: refused
        self.requests[name] = self.requests.get(name, 0) + 1
        if (refusal := self.rate_limits.check(name)) is not None:
            await refusal(scope, receive, send)
            return
        fault = self.faults.next_fault(name)
        kind = fault.kind if fault is not None else None
        if kind is FaultKind.EXPIRE_TOKENS:
            self.tokens.expire_all()
        with self.payments.bent_by(fault):
            reply = self._reply(answer, request) if kind is None or kind.executes else None
        if kind is not None and kind.spoils_reply:
            await inject_fault(kind, reply, scope, receive, send)
        elif reply is not None:
            await reply(scope, receive, send)
        if fault is not None and kind is FaultKind.REFUSE:
            self.callback_sender.start(self._refuse(fault.seconds))

    def _route(self, root: str, path: str, fields: dict[str, str]) -> tuple[str, _Answer]:
        """Return the operation's name, as faults use it, and the function that answers."""
        if path == "/authToken":
            return "token", lambda _: self.payments.grant(root, fields)
        if path == "/regenerateToken":
            return "token", lambda _: self.payments.regenerate(root, fields)
        if path == "/partnerAuthToken":
            return "token", lambda _: self.payments.grant_partner(root, fields)
        operation, subject = self._routes.find(root, path, fields)

        def answer(request: Request) -> dict[str, Any] | None:
            # The partner's own token is documented at one service root only.
            is_partners = operation.login is Login.PARTNER
            granted_by = ServiceRoot.TRANSACTIONS.value if is_partners else root
            holder = self.tokens.holder(granted_by, request.headers.get("authtoken"))
            if holder is None or holder.role != operation.login.value:
                return None
            asked = validate(operation, subject, fields, self.payments.merchants)
            if holder.login != (
                asked.merchant.partner_username if is_partners else asked.merchant.username
            ):
                return None
            return self.payments.serve(asked, lambda record: self._payer.redirect(record, request))

        return "inquiry" if operation.reply is ReplyKind.INQUIRY else operation.name, answer

    @staticmethod
    def _reply(answer: _Answer, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        try:
            fields = answer(request)
        except RejectedError as rejection:
            return write_reply(
                replies.rejected(rejection.code, rejection.description, None), accept
            )
        if fields is None:
            return write_reply(
                {"result": replies.result("10002", "Invalid or expired token")},
                accept,
                http_status=401,
            )
        return write_reply(fields, accept)

    # Changes without a request of the merchant

    def _notify(self, record: Record) -> None:
        url = record.fields.get("notificationUrl")
        if url:
            self.callback_sender.send(
                url, replies.callback(record), self.payments.merchant_of(record)
            )

    def _approve_later(self, record: Record, seconds: float) -> None:
        def approve() -> None:
            self.ledger.approve(record)
            self._notify(record)

        self.callback_sender.start(self.callback_sender.later(seconds, approve))

    def settle(self, payment_id: str) -> None:
        """Let the bank pay a captured payment, and send its callback.

        Args:
            payment_id: The gateway's id of the payment.

        Raises:
            KeyError: The payment does not exist.
            ImpossibleMoveError: The payment was not captured, or its status does not allow it.
        """
        record = self.ledger.records[payment_id]
        self.ledger.settle(record)
        self._notify(record)

    def charge_back(self, payment_id: str) -> None:
        """Let the issuer take a captured payment back, and send its callback.

        Args:
            payment_id: The gateway's id of the payment.

        Raises:
            KeyError: The payment does not exist.
            ImpossibleMoveError: The payment was not captured, or its status does not allow it.
        """
        record = self.ledger.records[payment_id]
        self.ledger.charge_back(record)
        self._notify(record)

    # Inspection and control from another process

    async def _show_ledger(self, _: Request) -> Response:
        return JSONResponse(self.ledger.summary())

    async def _show_deliveries(self, _: Request) -> Response:
        return JSONResponse(
            [
                {"url": d.url, "fields": dict(d.fields), "dropped": d.dropped, "answers": d.answers}
                for d in self.callback_sender.deliveries
            ]
        )

    async def _set_event(self, request: Request) -> Response:
        payment_id, event = request.path_params["payment_id"], request.path_params["event"]
        act = {"settle": self.settle, "chargeback": self.charge_back}.get(event)
        if act is None or payment_id not in self.ledger.records:
            return JSONResponse({"error": "no such payment, or neither settle nor chargeback"}, 404)
        try:
            act(payment_id)
        except ImpossibleMoveError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"status": self.ledger.records[payment_id].status})

    async def _set_fault(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
            return JSONResponse({"switches": 0})
        try:
            self.faults.add(**await request.json())
        except (TypeError, ValueError, ConfigurationError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"switches": len(self.faults.switches)})

    # Serving

    @contextlib.asynccontextmanager
    async def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certfile: str | None = None,
        keyfile: str | None = None,
    ) -> AsyncIterator[Self]:
        """Listen on a socket while the block runs. ``base_url`` is its address.

        Args:
            host: The address to listen on.
            port: The port; 0 selects a free port.
            certfile: Path of a certificate in PEM format. If set, the sandbox uses TLS.
            keyfile: Path of its private key in PEM format. Omit it if ``certfile`` contains it.

        Yields:
            This sandbox.

        Raises:
            ConfigurationError: The port is invalid.
            OSError: The address is in use or unknown.
        """
        check_number("port", port, least=0, most=65535, is_whole=True)
        self._files = (certfile, keyfile)
        self._is_ending = False
        listener = listen(bind(host, port))
        self._address = listener.getsockname()[:2]
        name = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        self.base_url = f"{'https' if certfile else 'http'}://{name}:{self._address[1]}"
        await self._start(listener)
        try:
            yield self
        finally:
            self._is_ending = True
            await self.callback_sender.aclose()
            await self._stop()
            if self._servers:
                await asyncio.wait(self._servers)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse every connection while the block runs, as a gateway that is down does.

        Open connections are closed.
        """
        self._refusals += 1
        try:
            await self._stop()
            # A bound socket that does not listen refuses connections, and reserves the port.
            if self._silent is None:
                self._silent = bind(*self._address)
            yield
        finally:
            self._refusals -= 1
            if not self._refusals:
                silent, self._silent = self._silent, None
                if silent is not None and self._is_ending:
                    silent.close()
                elif silent is not None:
                    await self._start(listen(silent))

    async def _refuse(self, seconds: float) -> None:
        async with self.refusing():
            await asyncio.sleep(seconds)

    async def _start(self, listener: socket.socket) -> None:
        server = make_server(self, certfile=self._files[0], keyfile=self._files[1])
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        self._servers.add(task)
        task.add_done_callback(self._servers.discard)
        self._served = (server, task)
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0)

    async def _stop(self) -> None:
        if self._served is not None:
            server, task = self._served
            # A server that gets `should_exit` while it starts leaves its socket open.
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event
                await asyncio.sleep(0)
            self._served = None
            server.should_exit = server.force_exit = True
            # `wait` instead of `await task`: if the caller is cancelled, the server must not be
            # cancelled while it closes its sockets.
            await asyncio.wait([task])
