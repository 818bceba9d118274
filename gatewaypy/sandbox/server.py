"""Serving the sandbox on a real socket: uvicorn, with hold of each connection, so that it can be broken on purpose."""

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

#: The key in ``scope["extensions"]`` under which a request finds its `Connection`.
EXTENSION: Final = "gatewaypy.sandbox.connection"

_KEEPALIVE: Final = 75
_BACKLOG: Final = 4096


class Connection:
    """The connection that a request came in on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Take hold of it."""
        self._transport = transport

    def close(self) -> None:
        """Close it without another byte."""
        self._transport.abort()

    def reset(self) -> None:
        """Close it with a TCP reset."""
        with contextlib.suppress(OSError, AttributeError):
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


# uvicorn chooses its protocol when it is imported, by what is installed: type checkers see a variable, not a class.
_Base: Any = AutoHTTPProtocol


class _Protocol(_Base):  # type: ignore[misc]
    """uvicorn's HTTP protocol, telling each request its connection."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        connection, app = Connection(transport), self.app

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = connection
            await app(scope, receive, send)

        self.app = tell


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program that the sandbox runs in."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Take a port, on which nobody is heard yet; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY on TCP sockets alone, and takes one without a name for another.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        # Python's own error does not say which address is in use, or unknown.
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    except BaseException:
        bound.close()
        raise
    return bound


def listen(bound: socket.socket) -> socket.socket:
    """Listen on the port that a socket has taken."""
    bound.listen(_BACKLOG)
    return bound


def make_server(app: ASGIApp, *, certfile: str | None, keyfile: str | None) -> uvicorn.Server:
    """Make a server that says nothing by itself and leaves signals alone."""
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
    """Serve an application on a socket while the block runs, and give its URL."""
    listener = listen(bind(host, port))
    url = f"http://{host}:{listener.getsockname()[1]}"
    server = make_server(app, certfile=None, keyfile=None)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0)
    try:
        yield url
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait([task])
