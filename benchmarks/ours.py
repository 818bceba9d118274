"""A complete ``gateway.payout()`` on one transport, from the checksum to the typed result.

python benchmarks/ours.py TRANSPORT PORT REQUESTS IN_FLIGHT [patient]
"""

from __future__ import annotations

import contextlib
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

from drive import measure

from gatewaypy import (
    AiohttpTransport,
    Credentials,
    Customer,
    Gateway,
    HttptoolsTransport,
    HttpxTransport,
    Limits,
    Money,
    PyreqwestTransport,
    Timeouts,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="benchmarkKey00000000000000000000",  # noqa: S106
)
CUSTOMER = Customer(given_name="Ada", surname="Lovelace", email="ada@example.com")
AMOUNT = Money("100.00", "EUR")
TRANSPORTS: dict[str, Callable[[], Any]] = {
    "httpx": HttpxTransport,
    "httpx2": lambda: HttpxTransport(library="httpx2"),
    "aiohttp": AiohttpTransport,
    "httptools": HttptoolsTransport,
    "pyreqwest": PyreqwestTransport,
}


@contextlib.asynccontextmanager
async def client(
    port: int, in_flight: int, transport: str = "httpx"
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Open a gateway; yield a function that makes one payout."""
    numbers = count()
    limits, timeouts = Limits(max_in_flight=in_flight), Timeouts(connect=30, read=60, total=90)
    chosen = TRANSPORTS[transport]()
    async with Gateway(
        f"http://127.0.0.1:{port}", MERCHANT, transport=chosen, limits=limits, timeouts=timeouts
    ) as gateway:

        async def call() -> None:
            paid = await gateway.payout(
                AMOUNT, merchant_transaction_id=f"PAYOUT-{next(numbers)}", customer=CUSTOMER
            )
            if not paid.succeeded:
                sys.exit(f"a payout ended as {paid}")

        yield call


if __name__ == "__main__":
    measure(lambda port, in_flight: client(port, in_flight, sys.argv[1]), *sys.argv[2:])
