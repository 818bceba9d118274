"""The example shops as a person runs them: own processes and real sockets, against a sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from support.ports import free_port

from gatewaypy.sandbox import MERCHANT, Sandbox

ROOT = Path(__file__).parent.parent.parent
# A limit against hanging: a busy machine needs time to start a shop.
WAIT_TIMEOUT = 60.0
ACCOUNT = {
    "GATEWAYPY_MEMBER_ID": MERCHANT.member_id,
    "GATEWAYPY_PARTNER_ID": MERCHANT.partner_id,
    "GATEWAYPY_USERNAME": MERCHANT.username,
    "GATEWAYPY_SECRET_KEY": MERCHANT.secret_key.reveal(),
}
# The exit code of each after a signal: after its lifespan, uvicorn ends by the signal itself.
UVICORN = {0, -signal.SIGTERM}
SHOPS = ["fastapi", "starlette", "litestar", "django", "aiohttp"]


def command_of(shop: str, port: int) -> list[str]:
    if shop == "aiohttp":
        return [sys.executable, "examples/aiohttp_shop.py"]
    server = [
        sys.executable,
        "-m",
        "uvicorn",
        "--lifespan",
        "on",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    return [*server, "--app-dir", "examples", f"{shop}_shop:app"]


async def eventually(
    client: httpx.AsyncClient,
    path: str,
    state: str | None = None,
    *,
    unless: asyncio.Future[int] | None = None,
) -> None:
    """Repeat a request until its answer has the expected text."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while unless is None or not unless.done():
            try:
                reply = await client.get(path)
            except httpx.TransportError:
                reply = None
            if reply is not None and (state is None or reply.json()["state"] == state):
                return
            await asyncio.sleep(0.05)
    pytest.fail("the shop has ended")


@asynccontextmanager
async def running(
    shop: str, sandbox: Sandbox, folder: Path, *, host: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a shop, and require a clean exit; ``host`` is its name for browsers and the gateway."""
    port = free_port()
    url = f"http://{host}:{port}"
    configuration = {"GATEWAY_URL": sandbox.base_url, "PUBLIC_URL": url, "PORT": str(port)}
    configuration["INBOX"] = f"sqlite:///{folder / 'callbacks.db'}"
    environ = os.environ | ACCOUNT | configuration
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command_of(shop, port), cwd=ROOT, env=environ, stdout=output, stderr=output
        )
    ended = asyncio.ensure_future(process.wait())
    try:
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_TIMEOUT, trust_env=False) as client:
            await eventually(client, "/orders/NONE", unless=ended)
            yield client
        process.terminate()
        async with asyncio.timeout(WAIT_TIMEOUT):
            code = await ended
    except BaseException as error:
        error.add_note(log.read_text())
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = log.read_text()
    assert code in ({0} if shop == "aiohttp" else UVICORN), said
    assert "Traceback" not in said
    assert "Warning" not in said
    assert MERCHANT.secret_key.reveal() not in said
