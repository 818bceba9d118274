"""Serves the sandbox on a socket with uvicorn, so that faults can break its connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

#: The key of a request's `Connection` in ``scope["extensions"]``.
EXTENSION: Final = "gatewaypy.sandbox.connection"

_KEEPALIVE: Final = 75
_BACKLOG: Final = 4096


class Connection:
    """The connection of a request.

    Args:
        transport: The connection's transport.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Wrap a transport."""
        self._transport = transport

    def close(self) -> None:
        """Close the connection without sending more bytes."""
        self._transport.abort()

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        with contextlib.suppress(OSError, AttributeError):
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


# uvicorn selects its protocol class at import, by the installed packages. Type checkers do not
# accept a variable as a base class.
_Base: Any = AutoHTTPProtocol


class _Protocol(_Base):  # type: ignore[misc]
    """uvicorn's HTTP protocol. This subclass adds the connection to each request's scope."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        connection, app = Connection(transport), self.app

        async def notify(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = connection
            await app(scope, receive, send)

        self.app = notify


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the sandbox."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Reserve a port without listening on it.

    Args:
        host: The address.
        port: The port; 0 selects a free port.

    Returns:
        The bound socket.

    Raises:
        OSError: The address is in use or unknown.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the socket's protocol is `IPPROTO_TCP`, not the default.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        # Python's own error does not name the address that is in use or unknown.
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    except BaseException:
        bound.close()
        raise
    return bound


def listen(bound: socket.socket) -> socket.socket:
    """Listen on a bound socket, and return it."""
    bound.listen(_BACKLOG)
    return bound


def make_server(app: ASGIApp, *, certfile: str | None, keyfile: str | None) -> uvicorn.Server:
    """Build a server without logs and without signal handlers.

    Args:
        app: The application to serve.
        certfile: Path of a certificate in PEM format. If set, the server uses TLS.
        keyfile: Path of its private key in PEM format. Ignored without ``certfile``.

    Returns:
        The server, not started.
    """
    options: dict[str, Any] = {"ssl_certfile": certfile, "ssl_keyfile": keyfile} if certfile else {}
    return _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=_KEEPALIVE,
            timeout_graceful_shutdown=1,
            **options,
        )
    )


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[str]:
    """Serve an application on a socket while the block runs.

    Args:
        app: The application to serve.
        host: The address to listen on.
        port: The port; 0 selects a free port.

    Yields:
        The URL of the application.

    Raises:
        OSError: The address is in use or unknown.
    """
    listener = listen(bind(host, port))
    url = f"http://{host}:{listener.getsockname()[1]}"
    server = make_server(app, certfile=None, keyfile=None)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0)
    try:
        yield url
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait([task])
