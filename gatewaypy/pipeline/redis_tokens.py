"""Tokens that processes share through Redis. No payment depends on Redis."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import secrets
import ssl
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from gatewaypy.backoff import Backoff
from gatewaypy.config import check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.protocol.auth_token import AuthToken
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

# A token with a smaller part of its lifetime left is not shared: it would be renewed at once.
_WORTH_SHARING: Final = 0.1
_BACKOFF: Final = Backoff(initial_delay=0.02, max_delay=0.25, factor=1.5)
_LOCK: Final = ":lock"
_DROP: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
_TEXT: Final = frozenset(map(chr, range(0x21, 0x7F)))


class RedisTokens:
    """A ``token_store`` in Redis for all processes with the same account and gateway.

    A process that needs a token takes the shared one. If there is none, one process calls the
    gateway and the others wait for its token. Redis keeps a token for its lifetime. A token that
    the gateway rejected is deleted, unless a newer one has replaced it.

    **Redis then has bearer tokens in clear text.** Their reader can call the gateway as you, except
    for requests that need a signature. Give Redis a password, TLS (``rediss://``) and no other
    users. Its keys are digests.

    If Redis is unreachable, slow or broken, each process calls the gateway as without a store, and
    the observer gets `TokenStoreUnavailable` once.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``. Its password is never shown.
        command_timeout: Timeout of one Redis command, in seconds.
        lock_timeout: How long to wait for another process's token call, in seconds.
        prefix: Prefix of every key.

    Raises:
        ConfigurationError: The extra ``gatewaypy[redis]`` is missing, or the URL is invalid.

    Example:
        ``Gateway(platform, credentials, token_store=RedisTokens("rediss://tokens.internal"))``
    """

    def __init__(
        self,
        url: str,
        *,
        command_timeout: float = 0.5,
        lock_timeout: float = 5.0,
        prefix: str = "gatewaypy:token:",
    ) -> None:
        """Set the server; the first token opens a connection."""
        check_number("command_timeout", command_timeout, above=0)
        check_number("lock_timeout", lock_timeout, least=0)
        self._command_timeout = command_timeout
        self._lock_timeout = lock_timeout
        self._prefix = prefix
        self._place = ""
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        client = _client(url, command_timeout)
        if client is not None:
            self._place = _place(url)
            self._url = Secret(url)
            self._client: Any = client
            return
        # The traceback keeps this frame, and the URL may have a password.
        del url
        msg = (
            "RedisTokens needs a URL such as 'rediss://host:6379/0' and the extra: "
            "pip install 'gatewaypy[redis]'"
        )
        raise ConfigurationError(msg)

    def __repr__(self) -> str:
        """Show the server without user and password."""
        return f"RedisTokens({self._place})"

    async def __aenter__(self) -> Self:
        """Add a user."""
        loop = asyncio.get_running_loop()
        if self._users and loop is not self._loop:
            msg = "RedisTokens is in use on another event loop; make one for each event loop"
            raise ConfigurationError(msg)
        if not self._users and self._loop not in {None, loop}:
            # Its connections and locks belong to the loop on which they were made.
            self._client = _client(self._url.reveal(), self._command_timeout)
        self._loop = loop
        self._users += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove a user; disconnect after the last."""
        self._users -= 1
        if self._users == 0:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._command_timeout):
                    await self._client.aclose()

    async def get(
        self,
        name: str,
        fetch: Callable[[], Awaitable[AuthToken]],
        *,
        replacing: Secret | None,
        rejected: bool,
        on_status: Callable[[str | None], None],
    ) -> AuthToken:
        """Return the token of that name; see `TokenStore.get`."""
        key, ticket = self._prefix + name, secrets.token_hex(8)
        found, is_usable = None, True
        try:
            found = await self._find(key, ticket, replacing, rejected=rejected)
        except Exception as error:  # noqa: BLE001 - a token call needs no Redis
            # The type only: a message of Redis may repeat what it was sent.
            on_status(type(error).__name__)
            is_usable = False
        # Outside of the except clause: an error of the token call has no Redis error as context.
        if not is_usable:
            return await fetch()
        on_status(None)
        if found is not None:
            return found
        try:
            granted = await fetch()
        except BaseException:
            await self._keep(key, ticket, None, on_status)
            raise
        await self._keep(key, ticket, granted, on_status)
        return granted

    async def _find(
        self, key: str, ticket: str, replacing: Secret | None, *, rejected: bool
    ) -> AuthToken | None:
        """Return another process's token; ``None`` if this process must fetch one.

        It must if it has the lock, or if the lock timeout has passed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lock_timeout
        for attempt in itertools.count():
            found = await self._look(key, replacing, rejected=rejected)
            if found is not None:
                return found
            async with asyncio.timeout(self._command_timeout):
                is_mine = await self._client.set(
                    key + _LOCK, ticket, nx=True, px=_milliseconds(2 * self._lock_timeout)
                )
            if is_mine:
                # The previous owner of the lock may have stored a token between the two commands.
                return await self._look(key, replacing, rejected=rejected)
            if loop.time() >= deadline:
                break
            await asyncio.sleep(_BACKOFF.delay(attempt))
        return None

    async def _look(
        self, key: str, replacing: Secret | None, *, rejected: bool
    ) -> AuthToken | None:
        async with asyncio.timeout(self._command_timeout):
            text, left = await self._client.pipeline().get(key).pttl(key).execute()
            kept, stored = _read(text, left / 1000), Secret(text or "")
            # The traceback of an error keeps this frame.
            del text
            if kept is None or kept.value != replacing:
                return kept
            if rejected:
                await self._client.eval(_DROP, 1, key, stored.reveal())
        return None

    async def _keep(
        self,
        key: str,
        ticket: str,
        granted: AuthToken | None,
        on_status: Callable[[str | None], None],
    ) -> None:
        """Store a token for the other processes, then release the lock."""
        try:
            async with asyncio.timeout(self._command_timeout):
                if granted is not None:
                    lifetime = granted.lifetime
                    await self._client.set(
                        key, f"{lifetime:.3f} {granted.value.reveal()}", px=_milliseconds(lifetime)
                    )
                await self._client.eval(_DROP, 1, key + _LOCK, ticket)
        except Exception as error:  # noqa: BLE001 - see get; the lock expires
            on_status(type(error).__name__)


def _read(text: str | None, left: float) -> AuthToken | None:
    """Read a stored token; ``None`` if it is not a valid token or about to expire."""
    lived, _, token = (text or "").partition(" ")
    try:
        lifetime = float(lived)
    except ValueError:
        return None
    # A value from outside must not add a header.
    is_token = bool(token) and _TEXT.issuperset(token) and math.isfinite(lifetime)
    return (
        AuthToken(value=Secret(token), lifetime=left)
        if is_token and left > lifetime * _WORTH_SHARING
        else None
    )


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)


def _client(url: str, command_timeout: float) -> Any:  # noqa: ANN401 - an extra
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - an extra
        from redis.backoff import NoBackoff  # noqa: PLC0415 - an extra

        # The default retries for seconds, while a payment waits.
        once = Retry(NoBackoff(), 0)
        # The default minimum is OpenSSL's, and Debian's Python has none.
        tls: dict[str, Any] = (
            {"ssl_min_version": ssl.TLSVersion.TLSv1_2} if url.startswith("rediss:") else {}
        )
        return Redis.from_url(
            url,
            retry=once,
            socket_timeout=command_timeout,
            socket_connect_timeout=command_timeout,
            decode_responses=True,
            max_connections=8,
            **tls,
        )
    except (ImportError, ValueError):
        return None


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
