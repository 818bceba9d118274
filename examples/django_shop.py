"""A shop with Django under ASGI, in one file.

The entry point opens the gateway for the server's lifespan and sends /gateway to the callbacks. Async
views do the rest. In your project, `app` belongs into asgi.py and the views where your views are.

Run it with a sandbox (``gatewaypy sandbox --port 8600``). The sandbox prints the account for
GATEWAYPY_MEMBER_ID, GATEWAYPY_PARTNER_ID, GATEWAYPY_USERNAME and GATEWAYPY_SECRET_KEY::

    export GATEWAY_URL=http://127.0.0.1:8600 PUBLIC_URL=http://127.0.0.1:8000
    uvicorn --lifespan on --app-dir examples django_shop:app
    curl -X POST http://127.0.0.1:8000/pay/ORDER-1
    curl http://127.0.0.1:8000/orders/ORDER-1

Open http://127.0.0.1:8000/checkout/ORDER-2 in a browser for a payment with 3-D Secure. The payer's
return to /back is a POST from another site. Browsers send no session cookie with it
(``SameSite=Lax``), and Django's CSRF check refuses it. So /back is exempt, and only redirects to a
page of this shop.
"""

import os
import secrets
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from gatewaypy import Card, Credentials, Gateway, Money
from gatewaypy.callbacks import CallbackApp, CallbackEvent, PaymentSucceeded, Router
from gatewaypy.errors import OutcomeUnknown

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SECRET_KEY=secrets.token_hex(),
    USE_TZ=True,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",  # SameSite=Lax
)

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
<body><form method="post">{csrf}<button>Pay 50.00 EUR</button></form></body>
</html>
"""

orders: dict[str, str] = {}
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


@csrf_exempt  # for curl: this view uses no session
async def pay(request: HttpRequest, order: str) -> JsonResponse:
    if request.method != "POST" or order in orders:
        return JsonResponse({"order": order, "error": "one POST for each order"}, status=409)
    orders[order] = "unpaid"
    try:
        payment = await gateway.debit(
            PRICE, CARD, merchant_transaction_id=order, notification_url=f"{PUBLIC_URL}/gateway"
        )
    except OutcomeUnknown:
        # The request was sent, so do not send it again. The callback brings the outcome.
        return JsonResponse({"order": order, "outcome": "UNKNOWN"})
    return JsonResponse({"order": order, "outcome": payment.outcome.name})


async def show(_: HttpRequest, order: str) -> JsonResponse:
    return JsonResponse({"order": order, "state": orders.get(order, "unpaid")})


async def checkout(request: HttpRequest, order: str) -> HttpResponse:
    if request.method != "POST":
        token = f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
        return HttpResponse(CHECKOUT.format(csrf=token))
    if order in orders:
        return JsonResponse({"order": order, "error": "this order was already started"}, status=409)
    orders[order] = "unpaid"
    request.session["orders"] = [*request.session.get("orders", []), order]
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
        return HttpResponseRedirect(f"/thanks/{order}", status=303)
    if payment.redirect is not None:
        return HttpResponse(payment.redirect.html())
    return HttpResponseRedirect(f"/thanks/{order}", status=303)


@csrf_exempt
@require_POST
async def back(_: HttpRequest, order: str) -> HttpResponse:
    # This POST has no session, and any person can send it, so it decides nothing.
    # The GET that follows has the session.
    return HttpResponseRedirect(f"/thanks/{order}", status=303)


async def thanks(request: HttpRequest, order: str) -> JsonResponse:
    if order not in request.session.get("orders", []):
        return JsonResponse({"error": "not found"}, status=404)
    return JsonResponse({"order": order, "state": orders[order]})


urlpatterns = [
    path("pay/<str:order>", pay),
    path("orders/<str:order>", show),
    path("checkout/<str:order>", checkout),
    path("back/<str:order>", back),
    path("thanks/<str:order>", thanks),
]
shop = get_asgi_application()


async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
    if scope["type"] == "lifespan":
        await receive()
        async with gateway, callbacks:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"].rstrip("/") == "/gateway":
        await callbacks({**scope, "root_path": "/gateway"}, receive, send)
    else:
        await shop(scope, receive, send)
