"""The transports that tests run on, and how they differ."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import pytest

from gatewaypy import AiohttpTransport, HttptoolsTransport, HttpxTransport, PyreqwestTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trustme

    from gatewaypy.transport import Transport

KINDS = ("httpx", "httpx2", "aiohttp", "aiohttp shared", "httptools", "pyreqwest")
#: These call the send guard last before they connect.
ASK_BEFORE_CONNECTING = {"pyreqwest"}
#: These cannot abort a request between its headers and its body, as they write both at once.
ASK_ONCE = {"httptools", "pyreqwest"}

#: These do not report which side closed a TLS connection: a reply without a length is never
#: complete for them.
WANT_A_LENGTH = {"aiohttp", "aiohttp shared"}


@contextlib.asynccontextmanager
async def made(
    kind: str, authority: trustme.CA | None = None, keepalive_timeout: float = 15.0
) -> AsyncIterator[Transport]:
    """Build a transport that trusts the authority of the test, or those of the system."""
    library = kind.split(maxsplit=1)[0]
    pytest.importorskip(library)
    context = None
    if authority is not None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
    if library == "pyreqwest":
        pem = None if authority is None else authority.cert_pem.bytes()
        yield PyreqwestTransport(ca_certificates=pem, keepalive_timeout=keepalive_timeout)
    elif kind == "aiohttp shared":
        import aiohttp

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=keepalive_timeout)
        ) as session:
            yield AiohttpTransport(session, ssl_context=context)
    elif kind == "aiohttp":
        yield AiohttpTransport(ssl_context=context, keepalive_timeout=keepalive_timeout)
    elif kind == "httptools":
        yield HttptoolsTransport(ssl_context=context, keepalive_timeout=keepalive_timeout)
    else:
        yield HttpxTransport(
            library="httpx2" if library == "httpx2" else "httpx",
            ssl_context=context,
            keepalive_timeout=keepalive_timeout,
        )
