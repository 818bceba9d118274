"""TLS contexts of a caller's own."""

from __future__ import annotations

import ssl
import warnings

import pytest

from gatewaypy import AiohttpTransport, HttptoolsTransport, HttpxTransport, RedisTokens, errors
from gatewaypy.transport import tls

V = ssl.TLSVersion


def context(minimum: V | None = None, maximum: V | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if minimum is not None:
            made.minimum_version = minimum
        if maximum is not None:
            made.maximum_version = maximum
    return made


@pytest.mark.parametrize("kind", [HttpxTransport, AiohttpTransport, HttptoolsTransport])
def test_context_without_minimum_gets_tls_1_2(kind: type[HttpxTransport]) -> None:
    """What Python and OpenSSL make on this machine is taken by every transport, and speaks TLS 1.2 or newer then."""
    own = context()
    kind(ssl_context=own)
    assert own.minimum_version in {V.TLSv1_2, V.TLSv1_3}


@pytest.mark.parametrize("default", [V.MINIMUM_SUPPORTED, V.TLSv1])
def test_context_with_debians_default_gets_tls_1_2(
    monkeypatch: pytest.MonkeyPatch, default: V
) -> None:
    """A minimum that a new context has says nothing, whatever it is on this build."""
    monkeypatch.setattr(tls, "new_minimum", lambda: default)
    assert tls.validate_context(context(default)).minimum_version is V.TLSv1_2


@pytest.mark.parametrize("minimum", [V.MINIMUM_SUPPORTED, V.TLSv1, V.TLSv1_1])
def test_context_with_lower_minimum_is_refused(monkeypatch: pytest.MonkeyPatch, minimum: V) -> None:
    """A context that asks for less than a new one is its owner's choice."""
    monkeypatch.setattr(tls, "new_minimum", lambda: V.TLSv1_2)
    with pytest.raises(errors.InsecureConnection, match=minimum.name):
        tls.validate_context(context(minimum))


@pytest.mark.parametrize("minimum", [V.TLSv1_2, V.TLSv1_3, V.MAXIMUM_SUPPORTED])
def test_context_with_higher_minimum_is_kept(minimum: V) -> None:
    """A context that asks for TLS 1.2 or newer stays as it is."""
    own = context(minimum)
    before = own.minimum_version
    assert tls.validate_context(own).minimum_version is before


@pytest.mark.skipif(
    not hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"), reason="this OpenSSL has no such option"
)
def test_context_that_ignores_a_cut_connection_is_changed() -> None:
    """A connection that somebody cut must be told from one that its server ended, whatever the build's default is."""
    own = context()
    own.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not tls.validate_context(own).options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not tls.default_context().options & ssl.OP_IGNORE_UNEXPECTED_EOF


def test_context_with_lower_maximum_is_refused() -> None:
    """A context that allows nothing newer than TLS 1.1 is refused, and not left to fail at the first payment."""
    with pytest.raises(errors.InsecureConnection, match="TLSv1_1"):
        tls.validate_context(context(context().minimum_version, V.TLSv1_1))


async def test_context_of_shared_session_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's own session keeps its context as it is; payments go by the transport's own."""
    aiohttp = pytest.importorskip("aiohttp")
    monkeypatch.setattr(tls, "new_minimum", lambda: V.MINIMUM_SUPPORTED)
    own = context(V.MINIMUM_SUPPORTED)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=own)) as session,
        AiohttpTransport(session),
    ):
        assert own.minimum_version is V.MINIMUM_SUPPORTED


def test_redis_tokens_ask_for_tls_1_2() -> None:
    """Tokens do not travel by less than payments do."""
    pytest.importorskip("redis")
    tokens = RedisTokens("rediss://tokens.internal")
    assert tokens._client.connection_pool.connection_kwargs["ssl_min_version"] is V.TLSv1_2
    assert (
        "ssl_min_version"
        not in RedisTokens("redis://127.0.0.1")._client.connection_pool.connection_kwargs
    )
