"""A shop with FastAPI.

The lifespan opens the gateway, Depends injects it, and the callbacks are mounted at /gateway.

Run it with a sandbox (``gatewaypy sandbox --port 8600``). The sandbox prints the account for
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    export GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000
    uvicorn --app-dir examples fastapi_shop:app
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
from typing import Annotated, Any

from fastapi import Cookie, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

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
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with gateway, callbacks:
        yield {"gateway": gateway}


async def opened_gateway(request: Request) -> Gateway:
    opened: Gateway = request.state.gateway
    return opened


app = FastAPI(lifespan=lifespan)
app.mount("/gateway", callbacks)


@app.post("/pay/{order}")
async def pay(order: str, gateway: Annotated[Gateway, Depends(opened_gateway)]) -> dict[str, str]:
    if order in orders:
        raise HTTPException(409, "this order was already started")
    orders[order] = "unpaid"
    try:
        # With the slash, because Starlette redirects /gateway and a gateway follows no redirects.
        payment = await gateway.debit(
            PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway/"
        )
    except OutcomeUnknown:
        # The request was sent, so do not send it again. The callback brings the outcome.
        return {"order": order, "outcome": "UNKNOWN"}
    return {"order": order, "outcome": payment.outcome.name}


@app.get("/orders/{order}")
async def show(order: str) -> dict[str, str]:
    return {"order": order, "state": orders.get(order, "unpaid")}


@app.get("/checkout/{order}")
async def checkout(order: str, session: Annotated[str, Cookie()] = "") -> Response:  # noqa: ARG001 - part of the path
    page = HTMLResponse(CHECKOUT)
    page.set_cookie(
        "session", session or secrets.token_urlsafe(), httponly=True, samesite="lax"
    )  # and secure=True over https
    return page


@app.post("/checkout/{order}")
async def start(
    order: str,
    gateway: Annotated[Gateway, Depends(opened_gateway)],
    session: Annotated[str, Cookie()] = "",
) -> Response:
    if order in orders:
        raise HTTPException(409, "this order was already started")
    orders[order], payers[order] = "unpaid", session
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


@app.post("/back/{order}")
async def back(order: str) -> Response:
    # This POST has no session, and any person can send it, so it decides nothing.
    # The GET that follows has the session.
    return RedirectResponse(f"/thanks/{order}", 303)


@app.get("/thanks/{order}")
async def thanks(order: str, session: Annotated[str, Cookie()] = "") -> dict[str, str]:
    if not session or payers.get(order) != session:
        raise HTTPException(404)
    return {"order": order, "state": orders[order]}
