"""A shop with Starlette: the gateway opened by the lifespan and kept in its state, callbacks mounted at /gateway.

Try it against a sandbox (``gatewaypy sandbox --port 8600``), with the account that it shows in GATEWAYPY_MEMBER_ID,
GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000 uvicorn --app-dir examples starlette_shop:app
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

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
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    async with gateway, callbacks:
        yield {"gateway": gateway}


async def pay(request: Request) -> JSONResponse:
    order, gateway = request.path_params["order"], request.state.gateway
    if order in orders:
        return JSONResponse({"order": order, "error": "this order was tried before"}, 409)
    orders[order] = "unpaid"
    try:
        # The address ends with its slash: Starlette redirects /gateway to it, and a gateway follows no redirects.
        payment = await gateway.debit(PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway/")
    except OutcomeUnknown:
        # It was sent, so it is not sent again: the callback will tell.
        return JSONResponse({"order": order, "outcome": "UNKNOWN"})
    return JSONResponse({"order": order, "outcome": payment.outcome.name})


async def show(request: Request) -> JSONResponse:
    order = request.path_params["order"]
    return JSONResponse({"order": order, "state": orders.get(order, "unpaid")})


app = Starlette(
    routes=[Route("/pay/{order}", pay, methods=["POST"]), Route("/orders/{order}", show), Mount("/gateway", callbacks)],
    lifespan=lifespan,
)
