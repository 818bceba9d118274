"""The tokens of all calls: cached, renewed before they expire, fetched once for all callers."""

from __future__ import annotations

import asyncio
import hashlib
from contextvars import Context
from typing import TYPE_CHECKING, Final, Protocol, Self

from attrs import define, field

from gatewaypy.errors import (
    AuthenticationFailed,
    ConfigurationError,
    GatewayError,
    InvalidRequest,
    NotSent,
)
from gatewaypy.observe import TokenRenewalFailed, TokenStoreUnavailable, notify
from gatewaypy.protocol import auth_token, requests
from gatewaypy.protocol.operation_types import Login, ServiceRoot
from gatewaypy.protocol.operations import DEBIT
from gatewaypy.protocol.parse import read_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from gatewaypy.config import Credentials
    from gatewaypy.observe import Observer
    from gatewaypy.pipeline.call import Call
    from gatewaypy.protocol.auth_token import AuthToken
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests import Request
    from gatewaypy.protocol.wire import WireFailure, WireReply
    from gatewaypy.secret import Secret

# Renewed when a tenth of its lifetime is left; not used for the last hundredth, because a request
# takes time to arrive.
_RENEW_AT: Final = 0.9
_STALE_AT: Final = 0.99
# Delay after a renewal that failed, in seconds.
_RENEWAL_DELAY: Final = 5.0


class TokenStore(Protocol):
    """Where processes share their tokens; `RedisTokens` is one.

    Each `Gateway` that uses it enters it once. It closes its connections when the last one exits.
    If the store fails, it must call ``fetch``: a store must never cost more than a token call.
    """

    async def __aenter__(self) -> Self:
        """Add a user."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove a user."""
        ...

    async def get(
        self,
        name: str,
        fetch: Callable[[], Awaitable[AuthToken]],
        *,
        replacing: Secret | None,
        rejected: bool,
        on_status: Callable[[str | None], None],
    ) -> AuthToken:
        """Return the token that is shared under a name, or fetch one, once for all processes.

        Args:
            name: Identifies an account's token at one service root; it has nothing secret.
            fetch: Makes the token call. The store passes its errors on.
            replacing: A token that must be replaced.
            rejected: The gateway rejected that token, so no caller may get it again.
            on_status: Called with the reason if the store failed, with ``None`` if it worked.
        """
        ...


@define(eq=False)
class SharedTokens:
    """A gateway's access to the store. The observer is notified of a failing store once."""

    store: TokenStore
    observer: Observer
    _is_lost: bool = False

    async def get(
        self,
        name: str,
        fetch: Callable[[], Awaitable[AuthToken]],
        *,
        replacing: Secret | None,
        rejected: bool,
    ) -> AuthToken:
        """Return a token; see `TokenStore.get`."""
        return await self.store.get(
            name, fetch, replacing=replacing, rejected=rejected, on_status=self._report_status
        )

    def _report_status(self, reason: str | None) -> None:
        if reason is not None and not self._is_lost:
            notify(self.observer, TokenStoreUnavailable(reason=reason))
        self._is_lost = reason is not None


class TokenSource:
    """Provides the token of one service root.

    While a token is fresh, `get` returns it without waiting. Near its end the next caller starts a
    renewal and uses the old token. Callers wait only if there is no token or it has expired, all
    for the same call. While the old token is valid, a failed renewal breaks no call, and is
    repeated after 5 s at the earliest.
    """

    def __init__(
        self,
        root: str,
        fetch: Callable[[], Awaitable[AuthToken]],
        *,
        clock: Callable[[], float],
        observer: Observer,
        shared: SharedTokens | None = None,
        name: str = "",
    ) -> None:
        """Make a source.

        Args:
            root: Name of the service root, for the observer.
            fetch: Makes one token call; raises a `GatewayError` if it gets no token.
            clock: A monotonic clock, in seconds. A token that was received depends on no other.
            observer: Is notified of renewals that fail.
            shared: Where processes share their tokens.
            name: Name of this token there.
        """
        self._root = root
        self._fetch = fetch
        self._clock = clock
        self._observer = observer
        self._shared = shared
        self._name = name
        self._token: Secret | None = None
        self._refused: Secret | None = None
        self._renew_at = 0.0
        self._stale_at = 0.0
        self._renewal: asyncio.Task[Secret] | None = None

    def fresh(self) -> Secret | None:
        """Return the cached token if it can be sent; near its end, start its renewal."""
        token, now = self._token, self._clock()
        if token is None or now >= self._stale_at:
            return None
        if now >= self._renew_at:
            _ = self._renew()
        return token

    async def get(self) -> Secret:
        """Return a token that can be sent; wait for it if there is none.

        Raises:
            GatewayError: There is no usable token, and the token call failed.
        """
        token = self.fresh()
        return token if token is not None else await asyncio.shield(self._renew())

    def reject(self, token: Secret) -> None:
        """Drop a token that the gateway rejected; a newer one stays."""
        if token is self._token:
            self._token, self._refused = None, token

    def accept(self, token: AuthToken) -> Secret:
        """Use a token that another call fetched."""
        now = self._clock()
        self._token, self._refused = token.value, None
        self._renew_at = now + token.lifetime * _RENEW_AT
        self._stale_at = now + token.lifetime * _STALE_AT
        return token.value

    async def aclose(self) -> None:
        """Cancel a renewal in progress."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _renew(self) -> asyncio.Task[Secret]:
        if self._renewal is None:
            # All callers wait for it, so it must not have the context variables of the first.
            self._renewal = asyncio.get_running_loop().create_task(self._run(), context=Context())
            self._renewal.add_done_callback(self._ended)
        return self._renewal

    async def _run(self) -> Secret:
        if self._shared is None:
            return self.accept(await self._fetch())
        old, rejected = (
            (self._token, False)
            if self._token is not None
            else (self._refused, self._refused is not None)
        )
        return self.accept(
            await self._shared.get(self._name, self._fetch, replacing=old, rejected=rejected)
        )

    def _ended(self, renewal: asyncio.Task[Secret]) -> None:
        self._renewal = None
        # Without this access asyncio logs an error that no caller retrieved.
        error = None if renewal.cancelled() else renewal.exception()
        if error is not None and self._token is not None:
            self._renew_at = self._clock() + _RENEWAL_DELAY
            reason = str(error) if isinstance(error, GatewayError) else type(error).__name__
            notify(self._observer, TokenRenewalFailed(root=self._root, reason=reason))


@define(eq=False, kw_only=True)
class TokenSources:
    """The token sources of one gateway object, one per service root and login.

    Args:
        fetch: Makes a token call at a service root; raises a `GatewayError` if it gets no token.
        credentials: Whose tokens they are.
        base_url: The platform's base URL.
        timeout: How long a call may wait for a token, in seconds; shown in errors.
        clock: A monotonic clock, in seconds.
        observer: Is notified of renewals that fail.
        shared: Where processes share their tokens.
    """

    fetch: Callable[[Request, ServiceRoot], Awaitable[AuthToken]]
    credentials: Credentials
    base_url: str
    timeout: float
    clock: Callable[[], float]
    observer: Observer
    shared: SharedTokens | None = None
    _sources: dict[tuple[ServiceRoot, Login], TokenSource] = field(factory=dict, init=False)

    def source_of(self, operation: Operation) -> TokenSource:
        """Return the source of the token that an operation needs."""
        # The partner's own token is documented at one root only.
        root = ServiceRoot.TRANSACTIONS if operation.login is Login.PARTNER else operation.root
        key = (root, operation.login)
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = TokenSource(
                root.name.lower(),
                lambda: self.fetch(requests.token_of(operation.login, self.credentials), root),
                clock=self.clock,
                observer=self.observer,
                shared=self.shared,
                name=self._shared_name(root, operation.login),
            )
        return source

    def _shared_name(self, root: ServiceRoot, login: Login) -> str:
        """Name a token for all processes by a digest of its account, which has no key in it."""
        mine = self.credentials
        account = (
            (mine.partner_id, mine.partner_username)
            if login is Login.PARTNER
            else (mine.member_id, mine.username)
        )
        named = "\n".join(map(str, (self.base_url, root.value, login.value, *account)))
        return f"{root.name.lower()}:{hashlib.sha256(named.encode()).hexdigest()[:32]}"

    async def get(self, call: Call) -> Secret:
        """Return a token for a call, and wait for it until the call's deadline.

        Raises:
            AuthenticationFailed: The gateway rejected the credentials. Nothing was sent.
            ConfigurationError: No token call can be made with these credentials.
            NotSent: There is no token.
        """
        source = self.source_of(call.request.operation)
        if (fresh := source.fresh()) is not None:
            return fresh
        reason, retry_after = f"no token within {self.timeout:g} s", None
        try:
            async with asyncio.timeout_at(call.deadline):
                return await source.get()
        except AuthenticationFailed as refused:
            raise AuthenticationFailed(
                str(refused),
                code=refused.code,
                description=refused.description,
                http_status=refused.http_status,
                **call.facts,
            ) from None
        except (InvalidRequest, ConfigurationError) as mistake:
            # Another call would fail in the same way, and no field of the payment is the cause.
            message = f"{call.request.operation.name} was not sent: no token: {mistake}"
            raise ConfigurationError(message, **call.facts) from None
        except GatewayError as error:
            reason = f"no token: {error.reason if isinstance(error, NotSent) else error}"
            retry_after = error.retry_after
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - a store's error; nothing was sent
            reason = f"no token: the token store failed with {type(error).__name__}"
        unsent = call.not_sent(reason)
        unsent.retry_after = retry_after
        raise unsent

    def accept(self, granted: AuthToken) -> None:
        """Use a merchant's token for the payments that follow."""
        self.source_of(DEBIT).accept(granted)

    async def aclose(self) -> None:
        """Cancel every renewal in progress."""
        for source in self._sources.values():
            await source.aclose()


def read_granted(request: Request, answer: WireReply | WireFailure, *, now: float) -> AuthToken:
    """Read the answer to a token call.

    Args:
        request: The token call.
        answer: The answer to it.
        now: The wall clock, in seconds since the epoch.

    Raises:
        UnreadableError: There is no reply, or it has neither a token nor a refusal.
        AuthenticationFailed: The gateway rejected the credentials.
    """
    granted = auth_token.read(read_fields(answer, keep_token=True), now=now)
    if isinstance(granted, auth_token.AuthToken):
        return granted
    name = request.operation.name
    message = (
        f"the gateway rejected the {name}: {granted.code} {granted.description};"
        " check the credentials"
    )
    raise AuthenticationFailed(
        message, operation=name, code=granted.code, description=granted.description
    )
