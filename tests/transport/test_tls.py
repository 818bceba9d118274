"""TLS contexts that the caller passes."""

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
    """Every transport accepts the default context and then speaks TLS 1.2 or newer."""
    own = context()
    kind(ssl_context=own)
    assert own.minimum_version in {V.TLSv1_2, V.TLSv1_3}


@pytest.mark.parametrize("default", [V.MINIMUM_SUPPORTED, V.TLSv1])
def test_context_with_debians_default_gets_tls_1_2(
    monkeypatch: pytest.MonkeyPatch, default: V
) -> None:
    """The minimum of a new context means nothing, on any build."""
    monkeypatch.setattr(tls, "new_minimum", lambda: default)
    assert tls.validate_context(context(default)).minimum_version is V.TLSv1_2


@pytest.mark.parametrize("minimum", [V.MINIMUM_SUPPORTED, V.TLSv1, V.TLSv1_1])
def test_context_with_lower_minimum_is_refused(monkeypatch: pytest.MonkeyPatch, minimum: V) -> None:
    """A minimum below that of a new context is a choice of its owner, and refused."""
    monkeypatch.setattr(tls, "new_minimum", lambda: V.TLSv1_2)
    with pytest.raises(errors.InsecureConnection, match=minimum.name):
        tls.validate_context(context(minimum))


@pytest.mark.parametrize("minimum", [V.TLSv1_2, V.TLSv1_3, V.MAXIMUM_SUPPORTED])
def test_context_with_higher_minimum_is_kept(minimum: V) -> None:
    """A context that requires TLS 1.2 or newer is not changed."""
    own = context(minimum)
    before = own.minimum_version
    assert tls.validate_context(own).minimum_version is before


@pytest.mark.skipif(
    not hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"), reason="this OpenSSL has no such option"
)
def test_context_ignoring_unexpected_eof_is_changed() -> None:
    """A cut connection must differ from a proper close, with any default of the build."""
    own = context()
    own.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not tls.validate_context(own).options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not tls.default_context().options & ssl.OP_IGNORE_UNEXPECTED_EOF


def test_context_with_lower_maximum_is_refused() -> None:
    """A context limited to TLS 1.1 is refused, not left to fail at the first payment."""
    with pytest.raises(errors.InsecureConnection, match="TLSv1_1"):
        tls.validate_context(context(context().minimum_version, V.TLSv1_1))


async def test_context_of_shared_session_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared session keeps its context; payments use that of the transport."""
    aiohttp = pytest.importorskip("aiohttp")
    monkeypatch.setattr(tls, "new_minimum", lambda: V.MINIMUM_SUPPORTED)
    own = context(V.MINIMUM_SUPPORTED)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=own)) as session,
        AiohttpTransport(session),
    ):
        assert own.minimum_version is V.MINIMUM_SUPPORTED


def test_redis_tokens_require_tls_1_2() -> None:
    """Tokens need at least the TLS version of payments."""
    pytest.importorskip("redis")
    tokens = RedisTokens("rediss://tokens.internal")
    assert tokens._client.connection_pool.connection_kwargs["ssl_min_version"] is V.TLSv1_2
    assert (
        "ssl_min_version"
        not in RedisTokens("redis://127.0.0.1")._client.connection_pool.connection_kwargs
    )
