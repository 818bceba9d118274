"""A shop with aiohttp's server.

A cleanup context opens the gateway, which has an application key. A route calls a Receiver.

Run it with a sandbox (``gatewaypy sandbox --port 8600``). The sandbox prints the account for
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    export GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000
    PORT=8000 python examples/aiohttp_shop.py
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1

Open http://127.0.0.1:8000/checkout/ORDER-2 in a browser for a payment with 3-D Secure. The payer's
return to /back is a POST from another site. Browsers send no session cookie with it
(``SameSite=Lax``), so /back only redirects to a page of this shop.
"""

import os
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from gatewaypy import Card, Credentials, Gateway, Money
from gatewaypy.callbacks import CallbackEvent, PaymentSucceeded, Receiver, Router
from gatewaypy.errors import OutcomeUnknown

PRICE = Money("50.00", "EUR")
# Test cards. The bank of the second one requires 3-D Secure.
CARD = Card("4000 0000 0000 0051", 7, 2030, "745")
CARD_3D = Card("4000 0000 0000 0002", 7, 2030, "237")
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")
GATEWAY = web.AppKey("GATEWAY", Gateway)
RECEIVER = web.AppKey("RECEIVER", Receiver)

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
routes = web.RouteTableDef()


@router.on(PaymentSucceeded)
async def mark_paid(event: PaymentSucceeded) -> None:
    orders[event.merchant_transaction_id or ""] = "paid"


def fits_order(event: CallbackEvent) -> bool:
    """Check that the paid amount is the price. Another amount goes to review."""
    return event.amount == PRICE


async def opened(app: web.Application) -> AsyncIterator[None]:
    credentials = Credentials.from_env()
    inbox = os.environ.get("INBOX", "sqlite:///callbacks.db")
    async with (
        Gateway(os.environ["GATEWAY_URL"], credentials) as app[GATEWAY],
        Receiver(router, credentials, inbox=inbox, confirm=app[GATEWAY], check=fits_order) as app[
            RECEIVER
        ],
    ):
        yield


@routes.post("/gateway")
async def receive(request: web.Request) -> web.Response:
    # aiohttp refuses a body above client_max_size. The proxy must limit the time.
    answer = await request.app[RECEIVER].receive(
        await request.read(), request.headers.get("Content-Type", "")
    )
    return web.Response(status=answer.status, body=answer.body)


@routes.post("/pay/{order}")
async def pay(request: web.Request) -> web.Response:
    order, gateway = request.match_info["order"], request.app[GATEWAY]
    if order in orders:
        return web.json_response(
            {"order": order, "error": "this order was already started"}, status=409
        )
    orders[order] = "unpaid"
    try:
        payment = await gateway.debit(
            PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway"
        )
    except OutcomeUnknown:
        # The request was sent, so do not send it again. The callback brings the outcome.
        return web.json_response({"order": order, "outcome": "UNKNOWN"})
    return web.json_response({"order": order, "outcome": payment.outcome.name})


@routes.get("/orders/{order}")
async def show(request: web.Request) -> web.Response:
    order = request.match_info["order"]
    return web.json_response({"order": order, "state": orders.get(order, "unpaid")})


@routes.get("/checkout/{order}")
async def checkout(request: web.Request) -> web.Response:
    page = web.Response(text=CHECKOUT, content_type="text/html")
    session = request.cookies.get("session") or secrets.token_urlsafe()
    page.set_cookie("session", session, httponly=True, samesite="Lax")  # and secure=True over https
    return page


@routes.post("/checkout/{order}")
async def start(request: web.Request) -> web.Response:
    order, gateway = request.match_info["order"], request.app[GATEWAY]
    if order in orders:
        return web.json_response(
            {"order": order, "error": "this order was already started"}, status=409
        )
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
        return web.Response(status=303, headers={"Location": f"/thanks/{order}"})
    if payment.redirect is not None:
        return web.Response(text=payment.redirect.html(), content_type="text/html")
    return web.Response(status=303, headers={"Location": f"/thanks/{order}"})


@routes.post("/back/{order}")
async def back(request: web.Request) -> web.Response:
    # This POST has no session, and any person can send it, so it decides nothing.
    # The GET that follows has the session.
    return web.Response(status=303, headers={"Location": f"/thanks/{request.match_info['order']}"})


@routes.get("/thanks/{order}")
async def thanks(request: web.Request) -> web.Response:
    order, session = request.match_info["order"], request.cookies.get("session", "")
    if not session or payers.get(order) != session:
        raise web.HTTPNotFound
    return web.json_response({"order": order, "state": orders[order]})


def make_app() -> web.Application:
    app = web.Application(client_max_size=65 * 1024)
    app.cleanup_ctx.append(opened)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
