"""Tokens in Redis are shared by processes, and a failure of Redis stops no payment."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import secrets
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from support.services import need_redis

from gatewaypy import (
    Credentials,
    Customer,
    Gateway,
    Money,
    Payout,
    RedisTokens,
    Secret,
    Timeouts,
    TokenStoreUnavailable,
    errors,
)
from gatewaypy.protocol.auth_token import AuthToken
from gatewaypy.sandbox import MERCHANT, FaultKind, Sandbox

redis = pytest.importorskip("redis.asyncio")
TESTS = Path(__file__).parent.parent
QUICK = Timeouts(connect=20, read=20, total=30, inquiry=3)
#: Timeouts for tests that wait for Redis to answer, and for tests that wait until it has not.
SLOW, SOON = 20.0, 0.2
NUMBERS = count()


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    """Return keys for this test, and delete them afterwards."""
    name = f"gatewaypy-test-{secrets.token_hex(6)}:"
    yield name
    async with redis.Redis.from_url(need_redis()) as client:
        async for key in client.scan_iter(f"{name}*"):
            await client.delete(key)


async def kept(prefix: str) -> dict[str, str]:
    """Return what Redis stores under the keys of a test."""
    async with redis.Redis.from_url(need_redis(), decode_responses=True) as client:
        return {key: await client.get(key) async for key in client.scan_iter(f"{prefix}*")}


async def pay(gateway: Gateway) -> Payout:
    return await gateway.payout(
        Money("5.00", "EUR"),
        merchant_transaction_id=f"T-{next(NUMBERS)}",
        customer=Customer(email="a@b.example"),
    )


class Proxy:
    """A proxy to Redis that can be closed or stopped."""

    def __init__(self) -> None:
        self.still = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = need_redis().split("//")[1].split("/")[0].split(":")
        there, onward = await asyncio.open_connection(address[0], int(address[1]))
        self.writers += [writer, onward]
        for source, sink in ((reader, onward), (there, writer)):
            task = asyncio.create_task(self._copy(source, sink))
            self.tasks.add(task)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.still.is_set():
                    await asyncio.Event().wait()
                sink.write(data)
        sink.close()


def make(sandbox: Sandbox, store: RedisTokens, events: list[object]) -> Gateway:
    return Gateway(
        sandbox.base_url,
        sandbox.credentials,
        token_store=store,
        observer=events.append,
        timeouts=QUICK,
    )


def losses(events: list[object]) -> list[object]:
    return [event for event in events if isinstance(event, TokenStoreUnavailable)]


async def speak(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    await process.stdin.drain()


async def read_line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).strip()


async def test_redis_four_processes_make_one_token_call(sandbox: Sandbox, prefix: str) -> None:
    """One process requests a token and all use it; after a rejection one requests again."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    arguments = [
        str(TESTS / "support" / "token_process.py"),
        sandbox.base_url,
        need_redis(),
        prefix,
        "5",
    ]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    assert [await read_line(process) for process in processes] == [b"ready"] * 4
    for asked in (1, 2):
        await asyncio.gather(*(speak(process, b"go\n") for process in processes))
        assert [await read_line(process) for process in processes] == [b"5"] * 4
        # One, if Redis answers in time; on a busy machine some callers time out and request a token
        # themselves.
        assert asked <= sandbox.requests["token"] < 20 * asked
        if asked == 1:
            sandbox.tokens.expire_all()
            assert [await read_line(process) for process in processes] == [b"ready"] * 4
    assert [await process.wait() for process in processes] == [0] * 4
    assert len(sandbox.ledger.entries) == 40


async def test_redis_later_process_uses_stored_token(sandbox: Sandbox, prefix: str) -> None:
    """A token is stored under an opaque name for its lifetime, and later processes use it."""
    for _ in range(3):
        async with make(
            sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), []
        ) as gateway:
            assert (await pay(gateway)).succeeded
    assert sandbox.requests["token"] == 1
    ((key, _),) = (await kept(prefix)).items()
    assert re.fullmatch(r"\w+:[0-9a-f]{32}", key.removeprefix(prefix))
    async with redis.Redis.from_url(need_redis()) as client:
        assert 3500 < await client.ttl(key) <= 3600


async def test_redis_other_account_has_own_token(prefix: str) -> None:
    """Tokens are separate by gateway, account and service root."""
    other = Credentials(
        member_id="11345",
        partner_id="4",
        username="other",
        secret_key="another0Key0For0The0Other0Shop00",
    )
    async with Sandbox((MERCHANT, other)).serve() as sandbox:
        for account in (MERCHANT, other):
            store = RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW)
            async with Gateway(
                sandbox.base_url, account, token_store=store, timeouts=QUICK
            ) as gateway:
                assert (await pay(gateway)).succeeded
        assert sandbox.requests["token"] == 2
    assert len(await kept(prefix)) == 2


async def test_redis_token_near_expiry_is_not_shared(sandbox: Sandbox, prefix: str) -> None:
    """A token with less than a tenth of its lifetime left is not copied."""
    async with make(
        sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), []
    ) as gateway:
        await pay(gateway)
    ((key, _),) = (await kept(prefix)).items()
    async with redis.Redis.from_url(need_redis()) as client:
        await client.expire(key, 300)
    async with make(
        sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), []
    ) as gateway:
        await pay(gateway)
    assert sandbox.requests["token"] == 2


@pytest.mark.parametrize("planted", ["", "x", "3600 a\r\nb: c", "inf abc", "3600 ", "nan abc"])
async def test_redis_invalid_token_is_replaced(sandbox: Sandbox, prefix: str, planted: str) -> None:
    """An invalid value under the key is never sent, and a valid token replaces it."""
    async with make(
        sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), []
    ) as gateway:
        await pay(gateway)
    ((key, token),) = (await kept(prefix)).items()
    async with redis.Redis.from_url(need_redis()) as client:
        await client.set(key, planted, px=3_600_000)
    async with make(
        sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), []
    ) as gateway:
        assert (await pay(gateway)).succeeded
    assert (await kept(prefix))[key] not in {token, planted}


async def test_redis_stale_shared_token_costs_no_payment(sandbox: Sandbox, prefix: str) -> None:
    """If the local token and the newer stored one are rejected, a new one is requested."""
    events: list[object] = []
    async with (
        make(
            sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), events
        ) as first,
        make(
            sandbox, RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW), events
        ) as second,
    ):
        await asyncio.gather(pay(first), pay(second))
        sandbox.tokens.expire_all()
        await pay(first)
        sandbox.tokens.expire_all()
        assert (await pay(second)).succeeded
    assert sandbox.requests["token"] == 3
    assert losses(events) == []


async def test_redis_rejected_token_is_dropped_if_unchanged(prefix: str) -> None:
    """A newer stored token is used after a rejection; the rejected one is deleted."""
    calls = count(1)

    async def fetch() -> AuthToken:
        return AuthToken(value=Secret(f"token-{next(calls)}"), lifetime=100.0)

    async def ask(store: RedisTokens, replacing: str | None, *, rejected: bool) -> str:
        old = None if replacing is None else Secret(replacing)
        granted = await store.get(
            "x", fetch, replacing=old, rejected=rejected, on_status=lambda _: None
        )
        return granted.value.reveal()

    async with RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW) as store:
        assert await ask(store, None, rejected=False) == "token-1"
        assert await ask(store, "older", rejected=True) == "token-1"
        assert await ask(store, "token-1", rejected=False) == "token-2"
        assert await ask(store, "token-1", rejected=True) == "token-2"

        async def fail() -> AuthToken:
            assert await kept(prefix) == {
                f"{prefix}x:lock": (await kept(prefix))[f"{prefix}x:lock"]
            }
            raise errors.NotSent("no connection")

        with pytest.raises(errors.NotSent):
            await store.get(
                "x", fail, replacing=Secret("token-2"), rejected=True, on_status=lambda _: None
            )
    assert await kept(prefix) == {}


async def test_redis_wait_for_other_process_is_limited(prefix: str) -> None:
    """If the process that holds the lock never returns, the others request a token."""

    async def fetch() -> AuthToken:
        return AuthToken(value=Secret("mine"), lifetime=100.0)

    async with redis.Redis.from_url(need_redis()) as client:
        await client.set(f"{prefix}x:lock", "another process's")
        async with RedisTokens(
            need_redis(), prefix=prefix, command_timeout=SLOW, lock_timeout=0.2
        ) as store:
            granted = await store.get(
                "x", fetch, replacing=None, rejected=False, on_status=lambda _: None
            )
        assert granted.value == Secret("mine")
        assert await client.get(f"{prefix}x:lock") == b"another process's"


async def test_redis_down_costs_one_token_call(sandbox: Sandbox, quiet_port: int) -> None:
    """Without Redis each process has its own token, and the observer is notified once."""
    events: list[object] = []
    async with make(
        sandbox, RedisTokens(f"redis://127.0.0.1:{quiet_port}/0", command_timeout=SLOW), events
    ) as gateway:
        for _ in range(3):
            assert (await pay(gateway)).succeeded
            sandbox.tokens.expire_all()
    assert sandbox.requests["token"] == 3
    assert losses(events) == [TokenStoreUnavailable(reason="ConnectionError")]


async def test_redis_loss_without_observer_is_logged(
    sandbox: Sandbox, quiet_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an observer the loss is a warning in the log, once."""
    store = RedisTokens(f"redis://127.0.0.1:{quiet_port}/0", command_timeout=SLOW)
    async with Gateway(
        sandbox.base_url, sandbox.credentials, token_store=store, timeouts=QUICK
    ) as gateway:
        await pay(gateway)
        sandbox.tokens.expire_all()
        await pay(gateway)
    assert caplog.text.count("the shared token store failed (ConnectionError)") == 1


async def test_redis_store_serves_two_gateways(sandbox: Sandbox, prefix: str) -> None:
    """The store stays connected until the last of its gateways is closed."""
    store = RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW)
    async with make(sandbox, store, []) as first:
        async with make(sandbox, store, []) as second:
            await pay(second)
        sandbox.tokens.expire_all()
        assert (await pay(first)).succeeded
    assert sandbox.requests["token"] == 2


@pytest.mark.parametrize("how", ["gone", "still"])
async def test_redis_failing_during_run_stops_no_payment(
    sandbox: Sandbox, prefix: str, how: str
) -> None:
    """If Redis stops or hangs during a run, payments continue, with one report."""
    events: list[object] = []
    async with Proxy() as proxy:
        store = RedisTokens(proxy.url, prefix=prefix, command_timeout=SLOW)
        await _goes_away(sandbox, proxy, store, events, how)
    assert sandbox.requests["token"] == 4
    assert len(losses(events)) == 1


async def _goes_away(
    sandbox: Sandbox, proxy: Proxy, store: RedisTokens, events: list[object], how: str
) -> None:
    async with make(sandbox, store, events) as gateway:
        assert (await pay(gateway)).succeeded
        assert losses(events) == []
        if how == "gone":
            await proxy.cut()
        else:
            proxy.still.set()
            store._timeout = SOON
        for _ in range(3):
            sandbox.tokens.expire_all()
            assert all(
                payout.succeeded
                for payout in await asyncio.gather(*(pay(gateway) for _ in range(10)))
            )


async def test_redis_each_outage_is_reported_once(sandbox: Sandbox, prefix: str) -> None:
    """Each outage is reported once, however many calls it lasts for."""
    events: list[object] = []
    async with Proxy() as proxy:
        store = RedisTokens(proxy.url, prefix=prefix, command_timeout=SLOW)
        async with make(sandbox, store, events) as gateway:
            for is_still in (True, True, False, True, True):
                (proxy.still.set if is_still else proxy.still.clear)()
                store._timeout = SOON if is_still else SLOW
                sandbox.tokens.expire_all()
                await pay(gateway)
    assert len(losses(events)) == 2


async def test_redis_failing_during_token_call_keeps_token(
    prefix: str,
) -> None:
    """A token that could not be stored is still used."""
    reasons: list[str | None] = []
    async with (
        Proxy() as proxy,
        RedisTokens(proxy.url, prefix=prefix, command_timeout=SLOW) as store,
    ):

        async def fetch() -> AuthToken:
            await proxy.cut()
            return AuthToken(value=Secret("mine"), lifetime=100.0)

        granted = await store.get(
            "x", fetch, replacing=None, rejected=False, on_status=reasons.append
        )
    assert granted.value == Secret("mine")
    assert reasons == [None, "ConnectionError"]


async def test_redis_rejected_credentials_reach_caller(prefix: str) -> None:
    """A rejected token call raises with and without a store, and the lock is released."""
    async with Sandbox().serve() as sandbox:
        wrong = Credentials(
            member_id="11344",
            partner_id="4",
            username="shop",
            secret_key="not0the0Key0That0Was0Agreed0On00",
        )
        store = RedisTokens(need_redis(), prefix=prefix, command_timeout=SLOW)
        async with Gateway(sandbox.base_url, wrong, token_store=store, timeouts=QUICK) as gateway:
            with pytest.raises(errors.AuthenticationFailed):
                await pay(gateway)
    assert await kept(prefix) == {}


def test_redis_store_shows_no_password() -> None:
    """Neither the repr of the store nor the error about a URL shows a secret."""
    pytest.importorskip("redis")
    assert repr(RedisTokens("redis://user:hunter2@tokens.internal:6380/1?password=hunter3")) == (
        "RedisTokens(redis://tokens.internal:6380/1)"
    )
    with pytest.raises(errors.ConfigurationError) as caught:
        RedisTokens("http://user:hunter2@tokens.internal")
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "hunter2" not in shown.replace('RedisTokens("http://user:hunter2@tokens.internal")', "")


async def test_redis_store_without_extra_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """If redis is not installed, the error comes before anything is sent."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[redis\]"):
        RedisTokens("redis://127.0.0.1")


def test_redis_store_serves_one_loop_at_a_time() -> None:
    """A store in use on one event loop is refused on another, until it is free."""
    store, held = RedisTokens("redis://127.0.0.1"), RedisTokens("redis://127.0.0.1")

    async def use(tokens: RedisTokens) -> None:
        async with tokens:
            pass

    async def hold() -> None:
        await held.__aenter__()

    for _ in range(2):
        asyncio.run(use(store))
    asyncio.run(hold())
    with pytest.raises(errors.ConfigurationError, match="another event loop"):
        asyncio.run(use(held))


async def test_redis_store_failing_open_closes_transport(
    sandbox: Sandbox,
) -> None:
    """A store that fails to open leaves nothing open."""

    class Refusing:
        users = 0

        async def __aenter__(self) -> Self:
            raise errors.ConfigurationError("not here")

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("what was not entered is not left")

        async def get(self, *_: object, **__: object) -> None:
            raise AssertionError("no token is asked for")

    class Counting:
        users = 0

        async def __aenter__(self) -> Self:
            self.users += 1
            return self

        async def __aexit__(self, *_: object) -> None:
            self.users -= 1

        async def send(self, *_: object, **__: object) -> None:
            raise AssertionError("nothing is sent")

    transport: Any = Counting()
    store: Any = Refusing()
    with pytest.raises(errors.ConfigurationError, match="not here"):
        await Gateway(
            sandbox.base_url, MERCHANT, transport=transport, token_store=store
        ).__aenter__()
    assert transport.users == 0


async def test_redis_events_and_logs_show_no_secret(
    sandbox: Sandbox,
    prefix: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sharing, rejection and loss leave no token or key in any log, event or error."""
    caplog.set_level(logging.DEBUG)
    output = io.StringIO()
    tokens: set[Secret] = set()
    events: list[object] = []

    def note(gateway: Gateway) -> None:
        tokens.update(Secret(token) for _, token in sandbox.tokens._grants)
        output.write(f"{gateway!r} {events!r}")

    async with Proxy() as proxy:
        store = RedisTokens(proxy.url, prefix=prefix, command_timeout=SLOW)
        output.write(repr(store))
        async with make(sandbox, store, events) as gateway:
            await pay(gateway)
            note(gateway)
            sandbox.tokens.expire_all()
            await pay(gateway)
            note(gateway)
            proxy.still.set()
            store._timeout = SOON
            sandbox.tokens.expire_all()
            sandbox.faults.add(FaultKind.REJECT_TOKEN, times=5)
            with pytest.raises(errors.AuthenticationFailed) as refused:
                await pay(gateway)
            sandbox.faults.clear()
            sandbox.faults.add(FaultKind.SERVER_ERROR, operation="token", times=None)
            with pytest.raises(errors.NotSent) as unsent:
                await pay(gateway)
            note(gateway)
    for caught in (refused, unsent):
        output.write(
            "".join(
                traceback.TracebackException.from_exception(
                    caught.value, capture_locals=True
                ).format()
            )
        )
        output.write(repr(caught.value))
    output.write(" ".join(await kept(prefix)) + caplog.text + "".join(capsys.readouterr()))
    assert len(tokens) >= 2
    shown = output.getvalue()
    assert not [token for token in tokens if token.reveal() in shown]
    assert MERCHANT.secret_key.reveal() not in shown


def test_redis_is_imported_only_if_used() -> None:
    """The package does not import redis for callers that share no tokens."""
    code = "import sys, gatewaypy; gatewaypy.RedisTokens; print(sorted({'redis', 'taskiq'} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        ).stdout.strip()
        == "[]"
    )
