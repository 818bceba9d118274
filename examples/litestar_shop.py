"""A shop with Litestar: the gateway opened by a lifespan and injected with Provide, callbacks mounted at /gateway.

Try it against a sandbox (``gatewaypy sandbox --port 8600``), with the account that it shows in GATEWAYPY_MEMBER_ID,
GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000 uvicorn --app-dir examples litestar_shop:app
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi, get, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import ClientException

from gatewaypy import Card, Credentials, Gateway, Money
from gatewaypy.callbacks import CallbackApp, CallbackEvent, PaymentSucceeded, Router
from gatewaypy.errors import OutcomeUnknown

PRICE = Money("50.00", "EUR")
CARD = Card("4000 0000 0000 0051", 7, 2030, "745")  # a test card; a real shop's comes from the payer
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")

orders: dict[str, str] = {}
router = Router()


@router.on(PaymentSucceeded)
async def mark_paid(event: PaymentSucceeded) -> None:
    orders[event.merchant_transaction_id or ""] = "paid"


def fits_order(event: CallbackEvent) -> bool:
    """What was paid must be what was asked for; anything else is kept for a person to look at."""
    return event.amount == PRICE


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with app.state.gateway, callbacks:
        yield


async def opened_gateway(state: State) -> Gateway:
    return state.gateway


@post("/pay/{order:str}", status_code=200)
async def pay(order: str, gateway: Gateway) -> dict[str, str]:
    if order in orders:
        raise ClientException(status_code=409)  # this order was tried before
    orders[order] = "unpaid"
    try:
        payment = await gateway.debit(PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway")
    except OutcomeUnknown:
        # It was sent, so it is not sent again: the callback will tell.
        return {"order": order, "outcome": "UNKNOWN"}
    return {"order": order, "outcome": payment.outcome.name}


@get("/orders/{order:str}")
async def show(order: str) -> dict[str, str]:
    return {"order": order, "state": orders.get(order, "unpaid")}


credentials = Credentials.from_env()
gateway = Gateway(os.environ["GATEWAY_URL"], credentials)
inbox = os.environ.get("INBOX", "sqlite:///callbacks.db")
callbacks = CallbackApp(router, credentials, inbox=inbox, confirm=gateway, check=fits_order)
app = Litestar(
    [pay, show, asgi("/gateway", is_mount=True, copy_scope=True)(callbacks)],
    dependencies={"gateway": Provide(opened_gateway)},
    lifespan=[lifespan],
    state=State({"gateway": gateway}),
)
