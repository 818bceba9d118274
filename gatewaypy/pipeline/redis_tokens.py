"""Tokens that processes share through Redis: one token call for all of them, and no payment that depends on Redis."""

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

# A token with less of its life left than this part is not handed on: whoever took it would have to renew it at once.
_WORTH_SHARING: Final = 0.1
_BACKOFF: Final = Backoff(initial_delay=0.02, max_delay=0.25, factor=1.5)
_LOCK: Final = ":lock"
_DROP: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
_TEXT: Final = frozenset(map(chr, range(0x21, 0x7F)))


class RedisTokens:
    """A `Gateway`'s ``token_store`` in Redis: tokens are shared by every process with the same account and gateway.

    ::

        Gateway(platform, credentials, token_store=RedisTokens("rediss://tokens.internal"))

    A process that needs a token takes the one that is there; where there is none, one process asks the gateway and the others
    wait for its answer. Redis keeps a token for as long as it lives. A token that the gateway refused is dropped there too,
    unless a newer one has taken its place.

    **Redis then holds bearer tokens in the clear**: whoever can read it can call the gateway as you, short of the signatures that
    only your key makes. Give it a password, TLS (``rediss://``) and no other users. Its keys are digests, and tell nothing.

    Where Redis is down, slow or broken the gateway is asked as if there were no store, and the observer hears of it once, as
    a `TokenStoreUnavailable`.

    :param url: ``redis://``, ``rediss://`` or ``unix://``; a password in it is never shown.
    :param command_timeout: seconds that one command to Redis may take.
    :param lock_timeout: seconds to wait for another process's token call before making one's own.
    :param prefix: what every key begins with.
    :raises ConfigurationError: where the extra ``gatewaypy[redis]`` is missing, or the URL is none of these.
    """

    def __init__(
        self,
        url: str,
        *,
        command_timeout: float = 0.5,
        lock_timeout: float = 5.0,
        prefix: str = "gatewaypy:token:",
    ) -> None:
        """Name the server; nothing is connected before the first token is needed."""
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
        # The frame that raises is kept by the error's traceback, and the URL may hold a password.
        del url
        msg = (
            "RedisTokens needs a URL such as 'rediss://host:6379/0' and the extra: "
            "pip install 'gatewaypy[redis]'"
        )
        raise ConfigurationError(msg)

    def __repr__(self) -> str:
        """Show where it is, and nothing of who it is there."""
        return f"RedisTokens({self._place})"

    async def __aenter__(self) -> Self:
        """Take one more user."""
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
        """Let a user go; disconnect with the last."""
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
        """Return the token of that name; see `TokenStore.token`."""
        key, ticket = self._prefix + name, secrets.token_hex(8)
        found, is_usable = None, True
        try:
            found = await self._find(key, ticket, replacing, rejected=rejected)
        except Exception as error:  # noqa: BLE001 - whatever it is that Redis does, the gateway can be asked without it
            # The kind alone: Redis's own words may repeat what it was sent.
            on_status(type(error).__name__)
            is_usable = False
        # Out here nothing that the token call raises drags what Redis raised along.
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
        """Return another process's token; ``None`` where it is up to this one to ask: it has the lock, or waited long enough."""
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
                # Whoever had the lock before may have left a token between the two questions.
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
            kept, sealed = _read(text, left / 1000), Secret(text or "")
            # A frame that an error passes through stays in its traceback.
            del text
            if kept is None or kept.value != replacing:
                return kept
            if rejected:
                await self._client.eval(_DROP, 1, key, sealed.reveal())
        return None

    async def _keep(
        self,
        key: str,
        ticket: str,
        granted: AuthToken | None,
        on_status: Callable[[str | None], None],
    ) -> None:
        """Put a token where the others find it, then let go of the lock."""
        try:
            async with asyncio.timeout(self._command_timeout):
                if granted is not None:
                    lifetime = granted.lifetime
                    await self._client.set(
                        key, f"{lifetime:.3f} {granted.value.reveal()}", px=_milliseconds(lifetime)
                    )
                await self._client.eval(_DROP, 1, key + _LOCK, ticket)
        except Exception as error:  # noqa: BLE001 - see token; the lock ends by itself
            on_status(type(error).__name__)


def _read(text: str | None, left: float) -> AuthToken | None:
    """Read what lies in Redis; anything but a token that is worth sharing is as good as nothing."""
    lived, _, token = (text or "").partition(" ")
    try:
        lifetime = float(lived)
    except ValueError:
        return None
    # What comes from outside must not be able to write a header of its own.
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

        # Its own default tries again for seconds, while a payment waits.
        once = Retry(NoBackoff(), 0)
        # Its TLS has OpenSSL's own minimum, which on Debian's Python is no minimum at all.
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
