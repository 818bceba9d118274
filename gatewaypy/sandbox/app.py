"""The sandbox: the gateway to develop against, as an ASGI application with state, served on a socket or called in process."""

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
from gatewaypy.sandbox.fault_injection import strike
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

#: The merchant that a sandbox knows where it is told of none. Its key opens nothing but sandboxes.
MERCHANT: Final = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="sandboxKeyOpensNoRealDoor0000000",  # noqa: S106 - made up, for the sandbox alone
    terminal_id="1106",
    partner_username="partner",
    partner_secret_key="sandboxPartnerKeyOpensNoDoor0000",  # noqa: S106 - made up, for the sandbox alone
    partner_name="SandboxPartner",
)

# What answers a request: the reply's fields, or None where its token is not good.
_Answer: TypeAlias = "Callable[[Request], dict[str, Any] | None]"


class Sandbox:
    """A stateful stand-in for the gateway (protocol sections 3 to 12).

    It grants tokens that expire, checks every field and checksum, keeps a ledger by the gateway's rules, sends payers through a
    challenge page, delivers signed callbacks, and fails on purpose where it is told to::

        async with Sandbox().serve() as sandbox:
            async with Gateway(sandbox.base_url, sandbox.credentials) as gateway: ...

    The object itself is the ASGI application.

    :param merchants: the accounts it knows; one of its own where none is given.
    :param token_lifetime: seconds that its tokens live.
    :param refuse_duplicates: whether a merchant transaction id that was used is refused with 20015, or carried out once more.
    :param inquiry_delay: seconds before an inquiry finds a new record.
    :param approval_delay: seconds before an asynchronous payment is approved.
    :param reply_delay: seconds that every reply takes.
    :param callbacks: how callbacks are sent; see `CallbackStyle`.
    :param platform: which paths, rules, names and date format it has (protocol section 13), and no others; its base URL does not
        matter.
    :param rate_limits: how many requests of an operation (``"*"``: of all) it takes in a second; it answers 429 with
        ``Retry-After`` to the rest, and does not carry them out.
    :param seed: makes what is random repeatable.
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
        """Open a sandbox with empty books."""
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
        random: Random = random_module.Random(seed)  # noqa: S311 - it must be repeatable, not secret
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
        """Be an ASGI application."""
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
        fault = self.faults.strike(name)
        kind = fault.kind if fault is not None else None
        if kind is FaultKind.EXPIRE_TOKENS:
            self.tokens.expire_all()
        with self.payments.bent_by(fault):
            reply = self._reply(answer, request) if kind is None or kind.executes else None
        if kind is not None and kind.spoils_reply:
            await strike(kind, reply, scope, receive, send)
        elif reply is not None:
            await reply(scope, receive, send)
        if fault is not None and kind is FaultKind.REFUSE:
            self.callback_sender.start(self._refuse(fault.seconds))

    def _route(self, root: str, path: str, fields: dict[str, str]) -> tuple[str, _Answer]:
        """Find what a request is for: the name that faults know it by, and what answers it."""
        if path == "/authToken":
            return "token", lambda _: self.payments.grant(root, fields)
        if path == "/regenerateToken":
            return "token", lambda _: self.payments.regenerate(root, fields)
        if path == "/partnerAuthToken":
            return "token", lambda _: self.payments.grant_partner(root, fields)
        operation, subject = self._routes.find(root, path, fields)

        def answer(request: Request) -> dict[str, Any] | None:
            # The partner's own token is documented at one root alone.
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

    # What happens by itself

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
        """Have the bank pay a captured payment, and tell the merchant."""
        record = self.ledger.records[payment_id]
        self.ledger.settle(record)
        self._notify(record)

    def charge_back(self, payment_id: str) -> None:
        """Have the issuer take a captured payment back, and tell the merchant."""
        record = self.ledger.records[payment_id]
        self.ledger.charge_back(record)
        self._notify(record)

    # Looking in, and switching faults from another process

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
        """Listen on a socket while the block runs; ``base_url`` says where.

        :param port: 0 takes a free one.
        :param certfile: a certificate in PEM form: the sandbox speaks TLS then.
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
        """Refuse every connection while the block runs, as a gateway that is down does; open ones are closed."""
        self._refusals += 1
        try:
            await self._stop()
            # Who has bound a port and doesn't listen on it refuses, and nobody else can take it meanwhile.
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
            # A server that is told to exit while it starts leaves its socket open.
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0)
            self._served = None
            server.should_exit = server.force_exit = True
            # Waited for, not awaited: whoever cancels this must not cancel the server in the middle of closing its sockets.
            await asyncio.wait([task])
