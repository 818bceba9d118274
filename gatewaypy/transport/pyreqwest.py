"""The transport on pyreqwest, whose connections are in Rust."""

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
    client_failure,
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
#: Rust's message for an error before the request was passed to a connection; no class shows that.
_CONNECT_ERROR: Final = "client error (Connect)"
#: How long after a request a thread of pyreqwest may still hold Python objects, in seconds. Its
#: end is not reported. If the interpreter exits earlier, the process aborts. On a busy machine, at
#: least a tenth of the processes that closed at once aborted.
_RELEASE_DELAY: Final = 0.05


@define(eq=False, init=False)
class PyreqwestTransport(SharedTransport):
    """A transport with its connections in Rust (extra ``pyreqwest``).

    If no connection was established, nothing was sent; any other failure counts as sent. It calls
    ``send_guard`` before it connects, not right before the first byte. If the process is suspended
    in between, a payment is sent late. For payout jobs use `AiohttpTransport`.

    One POST, once: no proxy, redirect, cookie or HTTP/2. One retry cannot be disabled: if a
    connection is closed before the first byte is written, Rust's client uses another one.

    Args:
        ca_certificates: Your own certificate authorities in PEM form, or the path of a file. They
            are trusted in addition to the system's.
        keepalive_timeout: How long an idle connection is kept, in seconds.

    Raises:
        ConfigurationError: The file cannot be read, or contains no certificate.
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
        self._authorities = _read_certificates(ca_certificates)
        self._keepalive_timeout = keepalive_timeout
        self._pyreqwest = None
        self._clients = {}

    def _open(self) -> None:
        import_extra("pyreqwest", feature="PyreqwestTransport", extra="pyreqwest")
        # Rust would import it at the first error.
        import_extra("pyreqwest.exceptions", feature="PyreqwestTransport", extra="pyreqwest")
        self._pyreqwest = import_extra(
            "pyreqwest.client", feature="PyreqwestTransport", extra="pyreqwest"
        )

    async def _close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        if clients:
            await asyncio.gather(*(client.close() for client in clients))
            await asyncio.sleep(_RELEASE_DELAY)

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
            # The deadline is passed to Rust, which reads on if only the Python task is cancelled.
            built = self._build(
                request, timeouts, timedelta(seconds=max(deadline - loop.time(), 0.001))
            )
        except Exception as error:  # noqa: BLE001 - it was not sent yet
            return WireFailure(
                sent=False,
                reason=f"the HTTP client refused the request with {type(error).__name__}",
            )
        if not send_guard():
            return CANCELLED_BEFORE_SEND
        try:
            async with built as response:
                # One read up to a byte above the limit: each read switches to Rust's threads.
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
        except Exception as error:  # noqa: BLE001 - of any class
            return _failure(error, timeouts, is_over=loop.time() >= deadline)

    def _build(self, request: WireRequest, timeouts: Timeouts, left: timedelta) -> Any:  # noqa: ANN401 - pyreqwest's own
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


def _read_certificates(source: bytes | str | Path | None) -> tuple[bytes, ...]:
    if source is None:
        return ()
    try:
        pem = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        msg = f"ca_certificates: {error.strerror}"
        raise ConfigurationError(msg) from None
    authorities = tuple(_CERTIFICATE.findall(pem))
    if not authorities:
        msg = "ca_certificates: must be certificates in PEM form, or the path of a file"
        raise ConfigurationError(msg)
    return authorities


def _header(response: Any, name: str) -> str | None:  # noqa: ANN401 - pyreqwest's own
    """Return a header; None if it is not ASCII, which pyreqwest does not read."""
    try:
        value: str | None = response.get_header(name)
    except Exception:  # noqa: BLE001 - the reply is complete
        return None
    return value


def _failure(error: Exception, timeouts: Timeouts, *, is_over: bool) -> WireFailure:
    """Classify an error by its causes: its class does not show whether a byte was sent."""
    causes = [cause["message"] for cause in getattr(error, "details", {}).get("causes") or ()]
    is_before = _CONNECT_ERROR in causes
    if isinstance(error, TimeoutError):
        late = connect_timeout if is_before else read_timeout
        return WireFailure(sent=not is_before, reason=DEADLINE if is_over else late(timeouts))
    if is_before:
        return WireFailure(sent=False, reason=f"no connection: {causes[-1]}")
    return WireFailure(
        sent=True,
        reason=BROKEN if causes else client_failure(error),
    )
