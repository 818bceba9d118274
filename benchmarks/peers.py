"""Other clients, used as they document it, in their own environment (locks/peers.txt).

python benchmarks/peers.py PEER PORT REQUESTS IN_FLIGHT [patient]
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from drive import measure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Client = AsyncIterator[Callable[[], Awaitable[Any]]]

FORM = {
    "merchantTransactionId": "PAYOUT-1",
    "amount": "100.00",
    "currency": "EUR",
    "padding": "x" * 250,
}
HEADERS = {"AuthToken": "benchmark-token", "Accept": "application/json"}


@contextlib.asynccontextmanager
async def by_httpx(port: int, in_flight: int, library: str = "httpx") -> Client:
    """``httpx.AsyncClient.post`` with a connection for each call; the reply is read as JSON."""
    httpx = __import__(library)
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=90, trust_env=False) as client:

        async def call() -> None:
            (
                await client.post(f"http://127.0.0.1:{port}/payout", data=FORM, headers=HEADERS)
            ).json()

        yield call


@contextlib.asynccontextmanager
async def by_aiohttp(port: int, in_flight: int) -> Client:
    """``ClientSession.post``; the reply is read as JSON."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call() -> None:
            async with session.post(
                f"http://127.0.0.1:{port}/payout", data=FORM, headers=HEADERS
            ) as response:
                await response.json()

        yield call


@contextlib.asynccontextmanager
async def by_pyreqwest(port: int, in_flight: int) -> Client:
    """Pyreqwest's client; the reply is read as JSON."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().max_connections(in_flight).build() as client:

        async def call() -> None:
            response = (
                await client.post(f"http://127.0.0.1:{port}/payout")
                .headers(HEADERS)
                .form(FORM)
                .build()
                .send()
            )
            await response.json()

        yield call


@contextlib.asynccontextmanager
async def by_stripe(port: int, in_flight: int, library: str = "httpx") -> Client:
    """A typed call of stripe-python, on its default client or on aiohttp."""
    import stripe

    del in_flight
    client = stripe.StripeClient(
        "sk_test_benchmark",
        base_addresses={"api": f"http://127.0.0.1:{port}"},
        http_client=stripe.AIOHTTPClient() if library == "aiohttp" else stripe.HTTPXClient(),
    )

    async def call() -> None:
        await client.v1.payouts.create_async(
            {"amount": 10000, "currency": "eur", "description": "x" * 250}
        )

    try:
        yield call
    finally:
        await client._requestor._client.close_async()  # noqa: SLF001 - it has no public way to close it


PEERS: dict[str, Callable[[int, int], Any]] = {
    "httpx": by_httpx,
    "httpx2": lambda port, in_flight: by_httpx(port, in_flight, "httpx2"),
    "aiohttp": by_aiohttp,
    "pyreqwest": by_pyreqwest,
    "stripe": by_stripe,
    "stripe-aiohttp": lambda port, in_flight: by_stripe(port, in_flight, "aiohttp"),
}

if __name__ == "__main__":
    measure(PEERS[sys.argv[1]], *sys.argv[2:])
