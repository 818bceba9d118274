"""A shop with Starlette.

The lifespan opens the gateway and stores it in its state. The callbacks are mounted at /gateway.

Run it with a sandbox (``gatewaypy sandbox --port 8600``). The sandbox prints the account for
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    export GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000
    uvicorn --app-dir examples starlette_shop:app
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

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

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
        return JSONResponse({"order": order, "error": "this order was already started"}, 409)
    orders[order] = "unpaid"
    try:
        # With the slash, because Starlette redirects /gateway and a gateway follows no redirects.
        payment = await gateway.debit(
            PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway/"
        )
    except OutcomeUnknown:
        # The request was sent, so do not send it again. The callback brings the outcome.
        return JSONResponse({"order": order, "outcome": "UNKNOWN"})
    return JSONResponse({"order": order, "outcome": payment.outcome.name})


async def show(request: Request) -> JSONResponse:
    order = request.path_params["order"]
    return JSONResponse({"order": order, "state": orders.get(order, "unpaid")})


async def checkout(request: Request) -> Response:
    page = HTMLResponse(CHECKOUT)
    session = request.cookies.get("session") or secrets.token_urlsafe()
    page.set_cookie("session", session, httponly=True, samesite="lax")  # and secure=True over https
    return page


async def start(request: Request) -> Response:
    order, gateway = request.path_params["order"], request.state.gateway
    if order in orders:
        return JSONResponse({"order": order, "error": "this order was already started"}, 409)
    orders[order], payers[order] = "unpaid", request.cookies.get("session", "")
    notification_url, redirect_url = f"{PUBLIC_URL}/gateway/", f"{PUBLIC_URL}/back/{order}"
    try:
        payment = await gateway.debit(
            PRICE,
            CARD_3D,
            merchant_transaction_id=order,
            notification_url=notification_url,
            redirect_url=redirect_url,
        )
    except OutcomeUnknown:
        return RedirectResponse(f"/thanks/{order}", 303)
    if payment.redirect is not None:
        return HTMLResponse(payment.redirect.html())
    return RedirectResponse(f"/thanks/{order}", 303)


async def back(request: Request) -> Response:
    # This POST has no session, and any person can send it, so it decides nothing.
    # The GET that follows has the session.
    return RedirectResponse(f"/thanks/{request.path_params['order']}", 303)


async def thanks(request: Request) -> Response:
    order, session = request.path_params["order"], request.cookies.get("session", "")
    if not session or payers.get(order) != session:
        return JSONResponse({"error": "not found"}, 404)
    return JSONResponse({"order": order, "state": orders[order]})


app = Starlette(
    routes=[
        Route("/pay/{order}", pay, methods=["POST"]),
        Route("/orders/{order}", show),
        Route("/checkout/{order}", checkout, methods=["GET"]),
        Route("/checkout/{order}", start, methods=["POST"]),
        Route("/back/{order}", back, methods=["POST"]),
        Route("/thanks/{order}", thanks),
        Mount("/gateway", callbacks),
    ],
    lifespan=lifespan,
)
