"""The examples as a person runs them: own processes and real sockets, against a sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.example_shops import SHOPS, WAIT_TIMEOUT, eventually, running

from gatewaypy.callbacks import sign_callback
from gatewaypy.sandbox import MERCHANT, Sandbox


@pytest.mark.parametrize("shop", SHOPS)
async def test_example_shop_paid_order_gets_callback(
    shop: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The sandbox's callback marks the order as paid; a forged callback is refused."""
    async with running(shop, sandbox, tmp_path) as client:
        forged = {
            "paymentId": "1",
            "merchantTransactionId": "FORGED",
            "amount": "50.00",
            "status": "capturesuccess",
        }
        forged |= {
            "transactionStatus": "Y",
            "checksum": sign_callback({**forged, "transactionStatus": "Y"}, MERCHANT),
        }
        forged["merchantTransactionId"] = "FORGED-2"
        # The address that the shop sends to the gateway is also the target of the forged callback.
        paid = await client.post("/pay/PAID")
        assert (paid.status_code, paid.json()) == (200, {"order": "PAID", "outcome": "SUCCEEDED"})
        address = sandbox.callback_sender.deliveries[0].url
        assert (await client.post(address, json=forged)).status_code == 401
        await eventually(client, "/orders/PAID", "paid")
        assert (await client.post("/pay/PAID")).status_code == 409
        # The forged callback came before this one: if it was accepted, its effect is visible by
        # now.
        assert (await client.post("/pay/LATER")).status_code == 200
        await eventually(client, "/orders/LATER", "paid")
        await eventually(client, "/orders/FORGED", "unpaid")
        await eventually(client, "/orders/FORGED-2", "unpaid")
    async with asyncio.timeout(WAIT_TIMEOUT):
        await sandbox.callback_sender.idle()
    assert [delivery.answers for delivery in sandbox.callback_sender.deliveries] == [[200], [200]]
    assert sandbox.ledger.summary()
