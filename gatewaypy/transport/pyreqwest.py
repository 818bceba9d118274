"""Requests by pyreqwest, whose connections live in Rust: the cheapest, and the one that knows least about what has left."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from gatewaypy.config import check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.imports import import_extra
from gatewaypy.protocol.wire import WireFailure
from gatewaypy.transport.failures import (
    BROKEN,
    CANCELLED_BEFORE_SEND,
    DEADLINE,
    connect_timeout,
    oversized,
    read_timeout,
)
from gatewaypy.transport.shared import SharedTransport, reply_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.config import Limits, Timeouts
    from gatewaypy.protocol.wire import WireReply, WireRequest

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL
)
#: What Rust's client says of an error of the connection itself, before it was given the request; no error class tells that.
_BEFORE: Final = "client error (Connect)"
#: For how long after a request a thread of pyreqwest's may still hold objects of Python's. Nothing tells when it lets go, and an
#: interpreter that ends in that moment aborts the process: on a busy machine a tenth of those that closed at once, or more.
_LINGERS: Final = 0.05


@define(eq=False, init=False)
class PyreqwestTransport(SharedTransport):
    """The cheapest transport (extra ``pyreqwest``).

    :param ca_certificates: certificate authorities of your own in PEM form, or a file of them; they are trusted beside the
        system's.
    :param keepalive_timeout: how many seconds an idle connection is kept.
    :raises ConfigurationError: where the file cannot be read, or holds no certificate.

    It knows that nothing was sent where no connection came about; everything else counts as sent. And it asks for the last
    time before it connects, not at the first byte: a payment whose process is frozen in between goes out late. Payout jobs
    are better off with `AiohttpTransport`.

    No proxy, no redirect, no cookie, no HTTP/2: one POST, once. Rust's client has no switch for one thing: it takes a request
    to another connection where it finds the first one closed before it began to write.
    """

    _authorities: tuple[bytes, ...] = field(repr=False)
    _keepalive_timeout: float
    _pyreqwest: Any = field(repr=False)
    _clients: dict[Timeouts, Any] = field(repr=False)

    def __init__(
        self, *, ca_certificates: bytes | str | Path | None = None, keepalive_timeout: float = 15.0
    ) -> None:
        super().__init__()
        check_number("keepalive_timeout", keepalive_timeout, least=0)
        self._authorities = _read(ca_certificates)
        self._keepalive_timeout = keepalive_timeout
        self._pyreqwest = None
        self._clients = {}

    def _open(self) -> None:
        import_extra("pyreqwest", feature="PyreqwestTransport", extra="pyreqwest")
        # Rust would load it with the first error.
        import_extra("pyreqwest.exceptions", feature="PyreqwestTransport", extra="pyreqwest")
        self._pyreqwest = import_extra(
            "pyreqwest.client", feature="PyreqwestTransport", extra="pyreqwest"
        )

    async def _close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        if clients:
            await asyncio.gather(*(client.close() for client in clients))
            await asyncio.sleep(_LINGERS)

    async def send(
        self,
        request: WireRequest,
        *,
        timeouts: Timeouts,
        limits: Limits,
        deadline: float,
        send_guard: Callable[[], bool],
    ) -> WireReply | WireFailure:
        """Send a request once; see `Transport.send`."""
        loop = asyncio.get_running_loop()
        try:
            # The deadline is Rust's to keep: it goes on reading a reply that a Python task has stopped to wait for.
            built = self._built(
                request, timeouts, timedelta(seconds=max(deadline - loop.time(), 0.001))
            )
        except Exception as error:  # noqa: BLE001 - it was not handed over yet
            return WireFailure(
                sent=False,
                reason=f"the HTTP client refused the request with {type(error).__name__}",
            )
        if not send_guard():
            return CANCELLED_BEFORE_SEND
        try:
            async with built as response:
                # All of it, or one byte more than is taken: each piece by itself would be a way to Rust's threads and back.
                body = await response.body_reader.read(limits.max_reply_bytes + 1) or b""
                if len(body) > limits.max_reply_bytes:
                    return oversized(limits.max_reply_bytes)
                return reply_of(
                    response.status,
                    _header(response, "content-type"),
                    _header(response, "content-encoding"),
                    body,
                    retry_after=_header(response, "retry-after"),
                    date=_header(response, "date"),
                )
        except Exception as error:  # noqa: BLE001 - pyreqwest's own are not imported, and Rust may raise others
            return _failure(error, timeouts, is_over=loop.time() >= deadline)

    def _built(self, request: WireRequest, timeouts: Timeouts, left: timedelta) -> Any:  # noqa: ANN401 - pyreqwest's own
        client = self._clients.get(timeouts)
        if client is None:
            client = self._clients[timeouts] = self._client(timeouts)
        building = (
            client.post(request.url)
            .header("Content-Type", request.content_type)
            .header("Accept", request.accept)
        )
        if request.token is not None:
            building = building.header("AuthToken", request.token.reveal(), is_sensitive=True)
        return building.timeout(left).body_bytes(request.body).build_streamed()

    def _client(self, timeouts: Timeouts) -> Any:  # noqa: ANN401 - pyreqwest's own
        builder = (
            self._pyreqwest.ClientBuilder()
            .http1_only()
            .no_proxy()
            .follow_redirects(enable=False)
            .referer(enable=False)
            .default_cookie_store(enable=False)
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .min_tls_version("TLSv1.2")
            .user_agent("gatewaypy")
            .default_headers({"Accept-Encoding": "identity"})
            .connect_timeout(timedelta(seconds=timeouts.connect))
            .read_timeout(timedelta(seconds=timeouts.read))
            .pool_idle_timeout(timedelta(seconds=self._keepalive_timeout))
        )
        for authority in self._authorities:
            builder = builder.add_root_certificate_pem(authority)
        return builder.build()


def _read(given: bytes | str | Path | None) -> tuple[bytes, ...]:
    if given is None:
        return ()
    try:
        pem = given if isinstance(given, bytes) else Path(given).read_bytes()
    except OSError as error:
        msg = f"ca_certificates: {error.strerror}"
        raise ConfigurationError(msg) from None
    authorities = tuple(_CERTIFICATE.findall(pem))
    if not authorities:
        msg = "ca_certificates: certificates in PEM form, or a file of them"
        raise ConfigurationError(msg)
    return authorities


def _header(response: Any, name: str) -> str | None:  # noqa: ANN401 - pyreqwest's own
    """Return a header; ``None`` also for one that is not ASCII, which pyreqwest does not read."""
    try:
        value: str | None = response.get_header(name)
    except Exception:  # noqa: BLE001 - the reply is here, whatever its headers are
        return None
    return value


def _failure(error: Exception, timeouts: Timeouts, *, is_over: bool) -> WireFailure:
    """Judge an error by its causes; its class says "connect" and "timeout" of requests that went out, too."""
    causes = [cause["message"] for cause in getattr(error, "details", {}).get("causes") or ()]
    is_before = _BEFORE in causes
    if isinstance(error, TimeoutError):
        late = connect_timeout if is_before else read_timeout
        return WireFailure(sent=not is_before, reason=DEADLINE if is_over else late(timeouts))
    if is_before:
        return WireFailure(sent=False, reason=f"no connection: {causes[-1]}")
    return WireFailure(
        sent=True,
        reason=BROKEN if causes else f"the HTTP client failed with {type(error).__name__}",
    )
