"""A shop with FastAPI: the gateway opened by the lifespan and injected with Depends, callbacks mounted at /gateway.

Try it against a sandbox (``gatewaypy sandbox --port 8600``), with the account that it shows in GATEWAYPY_MEMBER_ID,
GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000 uvicorn --app-dir examples fastapi_shop:app
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request

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


credentials = Credentials.from_env()
gateway = Gateway(os.environ["GATEWAY_URL"], credentials)
inbox = os.environ.get("INBOX", "sqlite:///callbacks.db")
callbacks = CallbackApp(router, credentials, inbox=inbox, confirm=gateway, check=fits_order)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with gateway, callbacks:
        yield {"gateway": gateway}


async def opened_gateway(request: Request) -> Gateway:
    return request.state.gateway


app = FastAPI(lifespan=lifespan)
app.mount("/gateway", callbacks)


@app.post("/pay/{order}")
async def pay(order: str, gateway: Annotated[Gateway, Depends(opened_gateway)]) -> dict[str, str]:
    if order in orders:
        raise HTTPException(409, "this order was tried before")
    orders[order] = "unpaid"
    try:
        # The address ends with its slash: Starlette redirects /gateway to it, and a gateway follows no redirects.
        payment = await gateway.debit(PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway/")
    except OutcomeUnknown:
        # It was sent, so it is not sent again: the callback will tell.
        return {"order": order, "outcome": "UNKNOWN"}
    return {"order": order, "outcome": payment.outcome.name}


@app.get("/orders/{order}")
async def show(order: str) -> dict[str, str]:
    return {"order": order, "state": orders.get(order, "unpaid")}
