"""CallbackApp on uvicorn, hypercorn and granian over real sockets, and in process on plain ASGI."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import pytest
from asgiref.testing import ApplicationCommunicator
from attrs import field, frozen
from support.ports import free_port

from gatewaypy.callbacks import CallbackApp, CallbackEvent, EventContext, Router, sign_callback
from gatewaypy.callbacks import app as app_module
from gatewaypy.sandbox import MERCHANT

VECTOR: Final = (
    Path(__file__).parent.parent / "vectors" / "callbacks" / "payment-captured-long-status.json"
)
WAIT_TIMEOUT: Final = 20.0
KIB: Final = 1024
MIB: Final = 1024 * KIB
JSON: Final = {"content-type": "application/json"}
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}

#: What the servers run: the application alone, and mounted by each framework and by hand.
SHOP: Final = """
import os
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount
from gatewaypy.callbacks import CallbackApp, CallbackEvent, Router
from gatewaypy.sandbox import MERCHANT

router = Router()

@router.on(CallbackEvent)
def handle(event, context):
    with open(os.environ["HANDLED"], "a") as file:
        file.write(f"{context.key} {event.merchant_transaction_id}\\n")

alone = CallbackApp(router, MERCHANT, inbox=os.environ["INBOX"])
by_starlette = Starlette(routes=[Mount("/starlette", alone)])
by_litestar = Litestar([asgi("/litestar", is_mount=True, copy_scope=True)(alone)], logging_config=None)

async def mounted(scope, receive, send):
    if scope["type"] == "lifespan":
        await alone(scope, receive, send)
    elif scope["path"].startswith("/starlette"):
        await by_starlette(scope, receive, send)
    elif scope["path"].startswith("/litestar"):
        await by_litestar(scope, receive, send)
    else:
        await alone({**scope, "root_path": "/by-hand"}, receive, send)
"""

COMMANDS: Final = {
    "uvicorn": "-m uvicorn --host 127.0.0.1 --port {port} --lifespan on shop:{app}",
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} shop:{app}",
    "granian": "-m granian --interface asgi --host 127.0.0.1 --port {port} shop:{app}",
}
# After its lifespan, uvicorn ends by the signal that it received.
EXITS: Final = {"uvicorn": {0, -signal.SIGTERM}, "hypercorn": {0}, "granian": {0}}


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Host(Protocol):
    """Runs the application."""

    async def send(
        self,
        pieces: Iterable[bytes],
        headers: dict[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        chunked: bool = False,
    ) -> Answer: ...

    def handled(self) -> list[str]: ...


# Requests


def callback(order: str, **changes: str) -> dict[str, Any]:
    """Build a signed callback of an order."""
    fields = {**json.loads(VECTOR.read_text()), "merchantTransactionId": order, **changes}
    return {**fields, "checksum": sign_callback(fields, MERCHANT)}


def as_json(fields: dict[str, Any]) -> list[bytes]:
    return [json.dumps(fields).encode()]


async def wait_until_handled(host: Host, order: str) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not any(line.endswith(f" {order}") for line in host.handled()):
            await asyncio.sleep(0.02)


# A client on a socket that reads while it writes, for servers that answer before they have received
# the whole request.


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_TIMEOUT) as client:
        client.setblocking(False)
        yield client


def parsed(received: bytes) -> Answer | None:
    """Parse an answer if it is complete."""
    head, end, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if not end or len(body) < int(headers["content-length"]):
        return None
    return Answer(int(lines[0].split(" ")[1]), headers, body)


def exchange(
    port: int,
    pieces: Iterable[bytes],
    *,
    insist: bool = False,
    answer_timeout: float = WAIT_TIMEOUT,
) -> Answer | None:
    """Send the chunks, and return the answer, or ``None`` if the server closed without one.

    With ``insist`` it continues to send after the answer, until the server closes, or has read
    nothing for 1 s.
    """
    coming, rest, received, is_closed = iter(pieces), b"", b"", False
    deadline = time.monotonic() + answer_timeout
    with connected(port) as client:
        while not is_closed and (insist or parsed(received) is None):
            rest = rest or next(coming, b"")
            if not rest and parsed(received) is not None:
                break
            pause = 1.0 if parsed(received) is not None else max(deadline - time.monotonic(), 0)
            readable, writable, _ = select.select([client], [client] if rest else [], [], pause)
            if not readable and not writable:
                assert parsed(received) is not None, (
                    f"neither an answer nor an end after {answer_timeout} s"
                )
                break
            try:
                if readable:
                    piece = client.recv(64 * KIB)
                    received, is_closed = received + piece, not piece
                elif writable:
                    rest = rest[client.send(rest) :]
            except ConnectionResetError:
                is_closed = True
            except BrokenPipeError:
                # The server no longer reads; what it sent before can still be read.
                coming, rest = iter(()), b""
    return parsed(received)


def request(
    pieces: Iterable[bytes],
    headers: dict[str, str],
    *,
    method: str = "POST",
    path: str = "/",
    chunked: bool = False,
) -> Iterator[bytes]:
    pieces = pieces if chunked else list(pieces)
    length = (
        {"transfer-encoding": "chunked"}
        if chunked
        else {"content-length": str(sum(map(len, pieces)))}
    )
    lines = [
        f"{name}: {value}" for name, value in {"host": "127.0.0.1", **length, **headers}.items()
    ]
    yield "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


# Hosts


@frozen
class Served:
    """A server in its own processes."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    async def send(self, pieces: Iterable[bytes], headers: dict[str, str], **how: Any) -> Answer:
        answer = await asyncio.to_thread(exchange, self.port, request(pieces, headers, **how))
        assert answer is not None
        return answer

    def handled(self) -> list[str]:
        file = self.folder / "handled"
        return file.read_text().splitlines() if file.exists() else []

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def pids(self) -> set[int]:
        """Return the ids of its processes: some servers run workers as children."""
        found, new = set[int](), {self.process.pid}
        while new:
            found |= new
            new = {
                int(child)
                for pid in new
                for children in Path(f"/proc/{pid}/task").glob("*/children")
                for child in children.read_text().split()
            }
        return found

    def peaks(self) -> dict[int, int]:
        """Return the peak memory of each process in bytes."""
        statuses = {
            pid: Path(f"/proc/{pid}/status").read_text().splitlines() for pid in self.pids()
        }
        words = {
            pid: line.split()
            for pid, lines in statuses.items()
            for line in lines
            if line.startswith("VmHWM:")
        }
        return {pid: int(kibibytes) * KIB for pid, (_, kibibytes, _) in words.items()}


@frozen
class InProcess:
    """The application called by plain ASGI, without a server."""

    app: CallbackApp
    lines: list[str] = field(factory=list)

    async def send(
        self,
        pieces: Iterable[bytes],
        headers: dict[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        chunked: bool = False,
    ) -> Answer:
        return await self.talk(list(pieces), headers, method=method, path=path, chunked=chunked)[1]

    def talk(
        self,
        pieces: list[bytes],
        headers: dict[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        chunked: bool = False,
    ) -> tuple[ApplicationCommunicator, Any]:
        length = {} if chunked else {"content-length": str(sum(map(len, pieces)))}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (name.encode(), value.encode()) for name, value in {**length, **headers}.items()
            ],
        }
        communicator = ApplicationCommunicator(self.app, scope)
        return communicator, self._talk(communicator, pieces)

    @staticmethod
    async def _talk(communicator: ApplicationCommunicator, pieces: list[bytes]) -> Answer:
        for piece in pieces:
            communicator.input_queue.put_nowait(
                {"type": "http.request", "body": piece, "more_body": True}
            )
        communicator.input_queue.put_nowait({"type": "http.request"})
        start = await communicator.receive_output(WAIT_TIMEOUT)
        body = await communicator.receive_output(WAIT_TIMEOUT)
        await communicator.wait(WAIT_TIMEOUT)
        assert (start["type"], body["type"], body.get("more_body", False)) == (
            "http.response.start",
            "http.response.body",
            False,
        )
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, body["body"])

    def handled(self) -> list[str]:
        return self.lines


@contextmanager
def serving(server: str, folder: Path, app: str = "alone") -> Iterator[Served]:
    """Run a server, and require a clean exit."""
    (folder / "shop.py").write_text(SHOP)
    port = free_port()
    environ = os.environ | {
        "HANDLED": str(folder / "handled"),
        "INBOX": f"sqlite:///{folder}/inbox.db",
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, *COMMANDS[server].format(port=port, app=app).split()]
    with (
        (folder / "log").open("wb") as output,
        subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output) as process,
    ):
        served = Served(process, port, folder)
        try:
            wait_until_answers(served)
            yield served
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_TIMEOUT) in EXITS[server], served.log()
            assert "Traceback" not in served.log(), served.log()
        finally:
            for pid in served.pids() if process.poll() is None else ():
                os.kill(pid, signal.SIGKILL)


def wait_until_answers(served: Served) -> None:
    deadline = time.monotonic() + WAIT_TIMEOUT
    while True:
        assert served.process.poll() is None, served.log()
        assert time.monotonic() < deadline, served.log()
        try:
            if exchange(served.port, request([], {}, method="GET", path="/nowhere")) is not None:
                return
        except ConnectionRefusedError:
            time.sleep(0.02)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start each server once, when a test first needs it."""
    running: dict[str, Served] = {}
    with ExitStack() as stack:

        def start(name: str) -> Served:
            if name not in running:
                running[name] = stack.enter_context(serving(name, tmp_path_factory.mktemp(name)))
            return running[name]

        yield start


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[InProcess]:
    """Run the application through its own lifespan."""
    router = Router()
    host = InProcess(CallbackApp(router, MERCHANT, inbox=f"sqlite:///{folder}/inbox.db"))

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent, context: EventContext) -> None:
        host.lines.append(f"{context.key} {event.merchant_transaction_id}")

    lifespan = ApplicationCommunicator(host.app, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await lifespan.send_input({"type": "lifespan.startup"})
    assert await lifespan.receive_output(WAIT_TIMEOUT) == {"type": "lifespan.startup.complete"}
    yield host
    await lifespan.send_input({"type": "lifespan.shutdown"})
    assert await lifespan.receive_output(WAIT_TIMEOUT) == {"type": "lifespan.shutdown.complete"}
    await lifespan.wait(WAIT_TIMEOUT)


@pytest.fixture(params=[*COMMANDS, "in process"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    """Run a test on each server, and without one."""
    if request.param in COMMANDS:
        yield request.getfixturevalue("servers")(request.param)
        return
    async with in_process(tmp_path) as opened:
        yield opened


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest) -> str:
    """Run a test on each server alone."""
    name: str = request.param
    return name


# Accepted callbacks


async def test_server_repeated_callback_is_handled_once(host: Host) -> None:
    """Each repeat is answered 200 and OK, and the handler runs once."""
    for _ in range(2):
        answer = await host.send(as_json(callback("TWICE")), JSON)
        assert (answer.status, answer.body) == (200, b"OK")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    await wait_until_handled(host, "TWICE")
    # Events are handled in order: a second call for the first event would precede this one.
    await host.send(as_json(callback("AFTER-TWICE")), JSON)
    await wait_until_handled(host, "AFTER-TWICE")
    assert len([line for line in host.handled() if line.endswith(" TWICE")]) == 1


async def test_server_chunked_body_is_joined(host: Host) -> None:
    """A callback in chunks of a few bytes is accepted like one in a single piece."""
    (body,) = as_json(callback("PIECES"))
    answer = await host.send(
        [body[start : start + 7] for start in range(0, len(body), 7)], JSON, chunked=True
    )
    assert (answer.status, answer.body) == (200, b"OK")
    await wait_until_handled(host, "PIECES")


async def test_server_form_with_return_names_is_accepted(host: Host) -> None:
    """The flat form with the names of the browser return is verified and handled."""
    fields = {
        "trackingid": "54300",
        "desc": "FORM",
        "amount": "50.00",
        "currency": "EUR",
        "status": "Y",
    }
    fields |= {
        "resultCode": "00001",
        "resultDescription": "Transaction succeeded",
        "cardBin": "444433",
    }
    signed = {
        "paymentId": "54300",
        "merchantTransactionId": "FORM",
        "amount": "50.00",
        "status": "Y",
    }
    body = urlencode(
        {**fields, "cardLast4Digits": "1111", "checksum": sign_callback(signed, MERCHANT)}
    ).encode()
    assert (await host.send([body], FORM)).status == 200
    await wait_until_handled(host, "FORM")


# Refused requests


async def test_server_invalid_signature_is_401(host: Host) -> None:
    """A wrong signature, none and an empty one are answered 401 with an empty body."""
    forged = callback("FORGED") | {"amount": "5000.00"}
    unsigned = {name: value for name, value in callback("UNSIGNED").items() if name != "checksum"}
    for fields in (forged, unsigned, unsigned | {"checksum": ""}):
        answer = await host.send(as_json(fields), JSON)
        assert (answer.status, answer.body) == (401, b"")
    await host.send(as_json(callback("AFTER-FORGED")), JSON)
    await wait_until_handled(host, "AFTER-FORGED")
    assert not [line for line in host.handled() if line.endswith((" FORGED", " UNSIGNED"))]


async def test_server_other_method_is_405(host: Host) -> None:
    """Another method is answered 405 with the allowed method."""
    for method in ("GET", "PUT", "DELETE"):
        answer = await host.send([], {}, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_server_unknown_content_type_is_415(host: Host) -> None:
    """An unknown content type is answered 415, unless the body starts as JSON."""
    answer = await host.send([b"paymentId=1&status=Y"], {"content-type": "text/plain"})
    assert answer.status == 415


@pytest.mark.parametrize(
    "body", [b"{", b'{"paymentId": NaN}', b"[]", b"\xff", b'{"amount": 1, "amount": 2}']
)
async def test_server_malformed_body_is_400(host: Host, body: bytes) -> None:
    """Broken JSON, a list, invalid UTF-8 and a repeated name are answered 400."""
    assert (await host.send([body], JSON)).status == 400


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_server_body_over_64_kib_is_413(host: Host, chunked: bool) -> None:
    """1 KiB over the limit is 413, by header and by counting; a body at the limit is read."""
    answer = await host.send([b" " * KIB] * 65, JSON, chunked=chunked)
    assert (answer.status, answer.body) == (413, b"too large")
    (body,) = as_json(callback(f"LARGE-{chunked}"))
    full = body.ljust(64 * KIB)
    pieces = [full[start : start + KIB] for start in range(0, len(full), KIB)]
    assert (await host.send(pieces, JSON, chunked=chunked)).status == 200


async def test_server_other_path_is_404(host: Host) -> None:
    """Any path but the root is answered 404."""
    assert (await host.send(as_json(callback("LOST")), JSON, path="/elsewhere")).status == 404


# What only servers can show


async def test_server_mounted_answers_with_and_without_slash(server: str, tmp_path: Path) -> None:
    """The callback is accepted at each path that a mount passes on, with its slash or without."""
    with serving(server, tmp_path, "mounted") as served:
        # Starlette's Mount redirects the path without its slash before it calls CallbackApp.
        for path in ("/by-hand", "/by-hand/", "/litestar", "/litestar/", "/starlette/"):
            order = path.replace("/", "-")
            assert (await served.send(as_json(callback(order)), JSON, path=path)).status == 200, (
                path
            )
            await wait_until_handled(served, order)
        for path in ("/by-hand/more", "/litestar/more", "/starlette/more"):
            assert (await served.send(as_json(callback("LOST")), JSON, path=path)).status == 404, (
                path
            )


async def test_server_alone_starts_and_stops_cleanly(server: str, tmp_path: Path) -> None:
    """On SIGTERM there is no traceback, and the inbox has every callback answered with 200."""
    orders = [f"ALONE-{number}" for number in range(5)]
    with serving(server, tmp_path) as served:
        for order in orders:
            assert (await served.send(as_json(callback(order)), JSON)).status == 200
        for order in orders:
            await wait_until_handled(served, order)
    with ExitStack() as stack:
        inbox = sqlite3.connect(tmp_path / "inbox.db")
        stack.callback(inbox.close)
        assert inbox.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = inbox.execute(
            "SELECT json_extract(fields, '$.merchantTransactionId'), state FROM gatewaypy_inbox ORDER BY id"
        )
        # Handled events are done: no dead process owns one.
        assert kept.fetchall() == [(order, "done") for order in orders]


async def test_server_slow_body_is_408(servers: Any, server: str) -> None:
    """Half a body followed by 5 s of silence is answered 408, or the connection is closed."""
    served = servers(server)
    (body,) = as_json(callback("SLOW"))
    head, *_ = request([body], JSON)
    began = time.monotonic()
    answer = await asyncio.to_thread(partial(exchange, served.port, [head, body[: len(body) // 2]]))
    assert 4 < time.monotonic() - began < 15
    assert answer is None or (answer.status, answer.body) == (408, b"too slow")
    assert (await served.send(as_json(callback("SLOW")), JSON)).status == 200


async def test_server_huge_body_needs_no_memory(servers: Any, server: str) -> None:
    """50 MB without a length are answered 413 on arrival, and peak memory barely grows."""
    served = servers(server)
    await served.send(as_json(callback("BEFORE-HUGE")), JSON)
    before = served.peaks()
    pieces = request([bytes(64 * KIB)] * 800, JSON, chunked=True)
    answer = await asyncio.to_thread(partial(exchange, served.port, pieces, insist=True))
    assert answer is not None
    assert answer.status == 413
    assert (await served.send(as_json(callback("AFTER-HUGE")), JSON)).status == 200
    grown = {pid: peak - before[pid] for pid, peak in served.peaks().items()}
    assert max(grown.values()) < 20 * MIB, grown


# What only plain ASGI can show


async def test_app_incomplete_body_is_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the rest of a body does not arrive in time, the answer is 408."""
    monkeypatch.setattr(app_module, "_BODY_SECONDS", 0.05)
    async with in_process(tmp_path) as opened:
        communicator, talking = opened.talk([b"{"], JSON)
        talking.close()
        await communicator.send_input({"type": "http.request", "body": b"{", "more_body": True})
        assert (await communicator.receive_output(WAIT_TIMEOUT))["status"] == 408
        await communicator.wait(WAIT_TIMEOUT)


async def test_app_without_lifespan_opens_inbox_on_first_callbacks(tmp_path: Path) -> None:
    """Concurrent callbacks to an application that was not opened are all stored and handled."""
    router, handled = Router(), set[str | None]()
    orders = {f"FIRST-{number}" for number in range(5)}
    all_handled = asyncio.Event()

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        handled.add(event.merchant_transaction_id)
        if handled == orders:
            all_handled.set()

    host = InProcess(CallbackApp(router, MERCHANT, inbox=f"sqlite:///{tmp_path}/inbox.db"))
    try:
        answers = await asyncio.gather(
            *(host.send(as_json(callback(order)), JSON) for order in orders)
        )
        assert [answer.status for answer in answers] == [200] * 5
        async with asyncio.timeout(WAIT_TIMEOUT):
            await all_handled.wait()
    finally:
        await host.app.__aexit__()


async def test_app_failed_open_is_reported_to_server(tmp_path: Path) -> None:
    """The lifespan startup fails and names the file."""
    app = CallbackApp(Router(), MERCHANT, inbox=f"sqlite:///{tmp_path}/missing/inbox.db")
    lifespan = ApplicationCommunicator(app, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await lifespan.send_input({"type": "lifespan.startup"})
    message = await lifespan.receive_output(WAIT_TIMEOUT)
    assert message["type"] == "lifespan.startup.failed"
    assert "missing/inbox.db" in message["message"]
    await lifespan.wait(WAIT_TIMEOUT)


async def test_app_huge_body_is_not_read_to_end(tmp_path: Path) -> None:
    """After 64 KiB no further chunk is requested."""
    async with in_process(tmp_path) as opened:
        communicator, talking = opened.talk([bytes(16 * KIB)] * 3200, JSON, chunked=True)
        assert (await talking).status == 413
        assert communicator.input_queue.qsize() == 3201 - 5


async def test_app_disconnect_mid_body_stores_no_event(tmp_path: Path) -> None:
    """An aborted body is not a callback, even if the received part is a valid one."""
    async with in_process(tmp_path) as opened:
        (body,) = as_json(callback("GONE"))
        communicator, talking = opened.talk([body], JSON)
        talking.close()
        await communicator.send_input({"type": "http.request", "body": body, "more_body": True})
        await communicator.send_input({"type": "http.disconnect"})
        assert (await communicator.receive_output(WAIT_TIMEOUT))["status"] == 400
        await communicator.wait(WAIT_TIMEOUT)
        await opened.send(as_json(callback("AFTER-GONE")), JSON)
        await wait_until_handled(opened, "AFTER-GONE")
        assert [line.split()[1] for line in opened.handled()] == ["AFTER-GONE"]
