"""A shop with aiohttp's server: the gateway under an application key, opened by a cleanup context, and a Receiver in a route.

Try it against a sandbox (``gatewaypy sandbox --port 8600``), with the account that it shows in GATEWAYPY_MEMBER_ID,
GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000 PORT=8000 python examples/aiohttp_shop.py
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1
"""

import os
from collections.abc import AsyncIterator

from aiohttp import web

from gatewaypy import Card, Credentials, Gateway, Money
from gatewaypy.callbacks import CallbackEvent, PaymentSucceeded, Receiver, Router
from gatewaypy.errors import OutcomeUnknown

PRICE = Money("50.00", "EUR")
CARD = Card("4000 0000 0000 0051", 7, 2030, "745")  # a test card; a real shop's comes from the payer
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")
GATEWAY = web.AppKey("GATEWAY", Gateway)
RECEIVER = web.AppKey("RECEIVER", Receiver)

orders: dict[str, str] = {}
router = Router()
routes = web.RouteTableDef()


@router.on(PaymentSucceeded)
async def mark_paid(event: PaymentSucceeded) -> None:
    orders[event.merchant_transaction_id or ""] = "paid"


def fits_order(event: CallbackEvent) -> bool:
    """What was paid must be what was asked for; anything else is kept for a person to look at."""
    return event.amount == PRICE


async def opened(app: web.Application) -> AsyncIterator[None]:
    credentials = Credentials.from_env()
    inbox = os.environ.get("INBOX", "sqlite:///callbacks.db")
    async with (
        Gateway(os.environ["GATEWAY_URL"], credentials) as app[GATEWAY],
        Receiver(router, credentials, inbox=inbox, confirm=app[GATEWAY], check=fits_order) as app[RECEIVER],
    ):
        yield


@routes.post("/gateway")
async def receive(request: web.Request) -> web.Response:
    # aiohttp itself refuses a body above client_max_size; how long one may take is the proxy's to say.
    answer = await request.app[RECEIVER].receive(await request.read(), request.headers.get("Content-Type", ""))
    return web.Response(status=answer.status, body=answer.body)


@routes.post("/pay/{order}")
async def pay(request: web.Request) -> web.Response:
    order, gateway = request.match_info["order"], request.app[GATEWAY]
    if order in orders:
        return web.json_response({"order": order, "error": "this order was tried before"}, status=409)
    orders[order] = "unpaid"
    try:
        payment = await gateway.debit(PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway")
    except OutcomeUnknown:
        # It was sent, so it is not sent again: the callback will tell.
        return web.json_response({"order": order, "outcome": "UNKNOWN"})
    return web.json_response({"order": order, "outcome": payment.outcome.name})


@routes.get("/orders/{order}")
async def show(request: web.Request) -> web.Response:
    order = request.match_info["order"]
    return web.json_response({"order": order, "state": orders.get(order, "unpaid")})


def make_app() -> web.Application:
    app = web.Application(client_max_size=65 * 1024)
    app.cleanup_ctx.append(opened)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
