"""What only pyreqwest has: certificate lists instead of a context, vague errors, and threads."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
import trustme
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError
from support.bare_server import OK, answer_each, listening, read_request, send

from gatewaypy import PyreqwestTransport, Timeouts, errors
from gatewaypy.protocol.wire import WireReply
from gatewaypy.transport.pyreqwest import _failure

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUTS = Timeouts(connect=2, read=3)


def test_pyreqwest_error_is_classified_by_causes() -> None:
    """'ConnectError' and 'ConnectTimeoutError' are raised for sent requests too."""
    before = [{"message": "client error (Connect)"}, {"message": "tcp connect error"}]
    after = [
        {"message": "client error (SendRequest)"},
        {"message": "connection closed before message completed"},
    ]
    assert not _failure(
        ConnectError("connection error", {"causes": before}), TIMEOUTS, is_over=False
    ).sent
    assert not _failure(
        ConnectTimeoutError("connection timeout", {"causes": before}), TIMEOUTS, is_over=False
    ).sent
    for error in (
        ConnectError("", {"causes": after}),
        ConnectTimeoutError("", {"causes": None}),
        ValueError(),
        TimeoutError(),
    ):
        assert _failure(error, TIMEOUTS, is_over=False).sent


async def test_pyreqwest_invalid_request_is_not_sent() -> None:
    """What the client refuses before handing it over was not sent."""
    async with PyreqwestTransport() as transport:
        failure = await send(transport, 70000)
    assert not failure.sent
    assert "refused the request" in failure.reason


async def test_pyreqwest_authorities_are_bytes_or_file(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """One file may have several certificates, and each is trusted."""
    import ssl

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    bundle = tmp_path / "authorities.pem"
    bundle.write_bytes(trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes())
    for given in (bundle, str(bundle), bundle.read_bytes()):
        async with (
            listening(answer_each, server) as port,
            PyreqwestTransport(ca_certificates=given) as transport,
        ):
            assert isinstance(await send(transport, port, scheme="https"), WireReply)


def test_pyreqwest_invalid_certificate_raises(tmp_path: Path) -> None:
    """A missing file or other contents is a configuration error."""
    for wrong in (tmp_path / "missing.pem", b"", b"-----BEGIN PRIVATE KEY-----"):
        with pytest.raises(errors.ConfigurationError, match="ca_certificates"):
            PyreqwestTransport(ca_certificates=wrong)


async def test_pyreqwest_idle_connections_are_replaced() -> None:
    """After its keep-alive time a connection is replaced."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)

    async with listening(serve) as port, PyreqwestTransport(keepalive_timeout=0.05) as transport:
        await send(transport, port)
        await asyncio.sleep(0.1)
        await send(transport, port)
    assert connections == 2


def test_pyreqwest_exit_after_failure_is_clean(quiet_port: int) -> None:
    """Threads that drop a failed request do not crash the interpreter at exit."""
    code = (
        "import asyncio, sys; sys.path.insert(0, 'tests')\n"
        "from support.bare_server import send\n"
        "from gatewaypy import PyreqwestTransport\n"
        "async def main():\n"
        "    async with PyreqwestTransport() as transport:\n"
        f"        await asyncio.gather(*(send(transport, {quiet_port}) for _ in range(20)))\n"
        "asyncio.run(main())\n"
    )
    for _ in range(5):
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


async def test_pyreqwest_exit_after_reply_is_clean() -> None:
    """An interpreter that exits right after a reply does not crash, on a busy machine either."""
    code = (
        "import asyncio, sys; sys.path.insert(0, 'tests')\n"
        "from support.bare_server import answer_each, listening, send\n"
        "from gatewaypy import PyreqwestTransport\n"
        "async def main():\n"
        "    async with listening(answer_each) as port, PyreqwestTransport() as transport:\n"
        "        await send(transport, port)\n"
        "asyncio.run(main())\n"
    )
    for _ in range(3):
        async with asyncio.TaskGroup() as busy:
            for _ in range(5):
                busy.create_task(anyio.run_process([sys.executable, "-c", code]))


async def test_pyreqwest_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "pyreqwest", None)
    with pytest.raises(errors.ConfigurationError, match=r"gatewaypy\[pyreqwest\]"):
        async with PyreqwestTransport():
            pass
