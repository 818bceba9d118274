"""A shop with Litestar.

A lifespan opens the gateway, Provide injects it, and the callbacks are mounted at /gateway.

Run it with a sandbox (``gatewaypy sandbox --port 8600``). The sandbox prints the account for
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    export GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000
    uvicorn --app-dir examples litestar_shop:app
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1

Open http://127.0.0.1:8000/checkout/ORDER-2 in a browser for a payment with 3-D Secure. The payer's
return to /back is a POST from another site. Browsers send no session cookie with it
(``SameSite=Lax``), so /back only redirects to a page of this shop.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, MediaType, Request, Response, asgi, get, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import ClientException, NotFoundException
from litestar.response import Redirect

from gatewaypy import Card, Credentials, Gateway, Money
from gatewaypy.callbacks import CallbackApp, CallbackEvent, PaymentSucceeded, Router
from gatewaypy.errors import OutcomeUnknown

PRICE = Money("50.00", "EUR")
# Test cards. The bank of the second one requires 3-D Secure.
CARD = Card("4000 0000 0000 0051", 7, 2030, "745")
CARD_3D = Card("4000 0000 0000 0002", 7, 2030, "237")
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")
CHECKOUT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Checkout</title>
</head>
<body><form method="post"><button>Pay 50.00 EUR</button></form></body>
</html>
"""

orders: dict[str, str] = {}
payers: dict[str, str] = {}  # the session that an order belongs to
router = Router()


@router.on(PaymentSucceeded)
async def mark_paid(event: PaymentSucceeded) -> None:
    orders[event.merchant_transaction_id or ""] = "paid"


def fits_order(event: CallbackEvent) -> bool:
    """Check that the paid amount is the price. Another amount goes to review."""
    return event.amount == PRICE


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with app.state.gateway, callbacks:
        yield


async def opened_gateway(state: State) -> Gateway:
    opened: Gateway = state.gateway
    return opened


@post("/pay/{order:str}", status_code=200)
async def pay(order: str, gateway: Gateway) -> dict[str, str]:
    if order in orders:
        raise ClientException(status_code=409)  # this order was already started
    orders[order] = "unpaid"
    try:
        payment = await gateway.debit(
            PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway"
        )
    except OutcomeUnknown:
        # The request was sent, so do not send it again. The callback brings the outcome.
        return {"order": order, "outcome": "UNKNOWN"}
    return {"order": order, "outcome": payment.outcome.name}


@get("/orders/{order:str}")
async def show(order: str) -> dict[str, str]:
    return {"order": order, "state": orders.get(order, "unpaid")}


@get("/checkout/{order:str}", media_type=MediaType.HTML)
async def checkout(order: str, request: Request[Any, Any, Any]) -> Response[str]:  # noqa: ARG001 - part of the path
    page = Response(CHECKOUT, media_type=MediaType.HTML)
    session = request.cookies.get("session") or secrets.token_urlsafe()
    page.set_cookie("session", session, httponly=True, samesite="lax")  # and secure=True over https
    return page


@post("/checkout/{order:str}", status_code=200)
async def start(order: str, gateway: Gateway, request: Request[Any, Any, Any]) -> Response[Any]:
    if order in orders:
        raise ClientException(status_code=409)  # this order was already started
    orders[order], payers[order] = "unpaid", request.cookies.get("session", "")
    notification_url, redirect_url = f"{PUBLIC_URL}/gateway", f"{PUBLIC_URL}/back/{order}"
    try:
        payment = await gateway.debit(
            PRICE,
            CARD_3D,
            merchant_transaction_id=order,
            notification_url=notification_url,
            redirect_url=redirect_url,
        )
    except OutcomeUnknown:
        return Redirect(f"/thanks/{order}", status_code=303)
    if payment.redirect is not None:
        return Response(payment.redirect.html(), media_type=MediaType.HTML)
    return Redirect(f"/thanks/{order}", status_code=303)


@post("/back/{order:str}", status_code=303)  # with Litestar's CSRFConfig: exclude="/back"
async def back(order: str) -> Redirect:
    # This POST has no session, and any person can send it, so it decides nothing.
    # The GET that follows has the session.
    return Redirect(f"/thanks/{order}", status_code=303)


@get("/thanks/{order:str}")
async def thanks(order: str, request: Request[Any, Any, Any]) -> dict[str, str]:
    session = request.cookies.get("session", "")
    if not session or payers.get(order) != session:
        raise NotFoundException
    return {"order": order, "state": orders[order]}


credentials = Credentials.from_env()
gateway = Gateway(os.environ["GATEWAY_URL"], credentials)
inbox = os.environ.get("INBOX", "sqlite:///callbacks.db")
callbacks = CallbackApp(router, credentials, inbox=inbox, confirm=gateway, check=fits_order)
app = Litestar(
    [
        pay,
        show,
        checkout,
        start,
        back,
        thanks,
        asgi("/gateway", is_mount=True, copy_scope=True)(callbacks),
    ],
    dependencies={"gateway": Provide(opened_gateway)},
    lifespan=[lifespan],
    state=State({"gateway": gateway}),
)
