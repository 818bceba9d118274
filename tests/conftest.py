"""Shared fixtures: a merchant, cards, sandboxes with and without TLS, and every transport."""

from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import HealthCheck, settings
from support.ports import free_port
from support.stores import store_url  # noqa: F401 - a fixture
from support.transports import KINDS, made

from gatewaypy import Card, Gateway, Money, Timeouts
from gatewaypy.sandbox import MERCHANT, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from gatewaypy import Credentials
    from gatewaypy.transport import Transport

# The duration of an example depends on the machine and its load, so it fails no test.
settings.register_profile("gatewaypy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatewaypy")

# What coverage passes to the processes that a traced one starts.
_TRACING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
QUICK = Timeouts(connect=2, read=2, total=5, inquiry=3)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Require one docstring sentence of each test."""
    silent = [item.nodeid for item in items if not getattr(item, "obj", None).__doc__]
    if silent:
        raise pytest.UsageError("tests without a docstring: " + ", ".join(silent))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Disable the coverage tracer in tests with many repetitions, and in their processes."""
    if item.get_closest_marker("untraced") is None:
        return (yield)
    tracer, settings = (
        sys.gettrace(),
        {name: os.environ.pop(name) for name in _TRACING if name in os.environ},
    )
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        os.environ.update(settings)


@pytest.fixture
def merchant() -> Credentials:
    """Return the account that every sandbox has."""
    return MERCHANT


@pytest.fixture
def card() -> Card:
    """Return a card without 3-D Secure."""
    return Card("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")


@pytest.fixture
def three_d_card() -> Card:
    """Return a card that needs the challenge page."""
    return Card("4000 0000 0000 0002", 7, 2030, "237", "Ada Lovelace")


@pytest.fixture
def euros() -> Callable[[str], Money]:
    """Return a function that builds amounts."""
    return lambda amount: Money(amount, "EUR")


@pytest.fixture
def quiet_port() -> int:
    """Return a port on which only this test listens."""
    return free_port()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Run a test on every transport."""
    pytest.importorskip(request.param.split()[0])
    return request.param


@pytest.fixture
async def transport(kind: str) -> AsyncIterator[Transport]:
    """Build each transport; the gateway that gets it opens it."""
    async with made(kind) as one:
        yield one


@pytest.fixture
async def tls_transport(kind: str, authority: trustme.CA) -> AsyncIterator[Transport]:
    """Build each transport that trusts the authority of this run."""
    async with made(kind, authority) as one:
        yield one


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Create a certificate authority for this run."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Create a certificate for the loopback addresses."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Create a context that trusts the authority of this run."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Serve a sandbox on a socket."""
    async with Sandbox().serve() as served:
        yield served


@pytest.fixture
async def tls_sandbox(certificate: tuple[str, str]) -> AsyncIterator[Sandbox]:
    """Serve a sandbox on a socket with TLS."""
    async with Sandbox().serve(certfile=certificate[0], keyfile=certificate[1]) as served:
        yield served


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """Open a gateway to the sandbox of the test."""
    async with Gateway(sandbox.base_url, sandbox.credentials, timeouts=QUICK) as opened:
        yield opened


@pytest.fixture
async def tls_client(tls_sandbox: Sandbox, tls_transport: Transport) -> AsyncIterator[Gateway]:
    """Open a gateway to the sandbox of the test over TLS, on each transport."""
    async with Gateway(
        tls_sandbox.base_url, tls_sandbox.credentials, transport=tls_transport, timeouts=QUICK
    ) as opened:
        yield opened
