"""What varies between hosts (protocol section 13), against a sandbox with only that variation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gatewaypy import (
    BrowserInfo,
    Card,
    Customer,
    Gateway,
    HttpxTransport,
    Money,
    Outcome,
    Platform,
    errors,
)
from gatewaypy.callbacks import CallbackApp, CallbackEvent, Router
from gatewaypy.protocol.operations import OPERATIONS
from gatewaypy.sandbox import MERCHANT, CallbackStyle, Sandbox
from gatewaypy.sandbox.server import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

EUROS = Money("50.00", "EUR")
CARD = Card("4000000000000051", 7, 2030, "745")
HERE = {"name": "there", "base_url": "http://localhost"}


async def inquire(gateway: Gateway, _: Sandbox) -> None:
    paid = await gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER 1")
    assert (await gateway.inquire(payment_id=paid.payment_id)).succeeded
    assert (await gateway.inquire(merchant_transaction_id="ORDER 1")).payment_id == paid.payment_id


async def refund(gateway: Gateway, _: Sandbox) -> None:
    paid = await gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")
    assert (await gateway.refund(paid.payment_id or "", EUROS)).succeeded


async def stored_card(gateway: Gateway, _: Sandbox) -> None:
    stored = (await gateway.stored_cards.store(CARD)).registration_id or ""
    assert (
        await gateway.stored_cards.pay(stored, EUROS, merchant_transaction_id="ORDER-1")
    ).succeeded
    assert (await gateway.stored_cards.delete(stored)).succeeded


async def transactions(gateway: Gateway, _: Sandbox) -> None:
    await gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER-1")
    today = datetime.now(UTC).date()
    assert len([row async for row in gateway.transactions(today - timedelta(1), today)]) == 1


async def only_three_d(gateway: Gateway, sandbox: Sandbox) -> None:
    payment = await gateway.debit(EUROS, CARD, merchant_transaction_id="ORDER-1", three_d="only3D")
    assert payment.outcome is Outcome.REDIRECT
    assert sandbox.ledger.records[payment.payment_id or ""].fields["attemptThreeD"] == "Only3D"


async def sign_up(gateway: Gateway, sandbox: Sandbox) -> None:
    customer = await gateway.customers.sign_up(Customer("Ada", "Lovelace", "ada@shop.example"))
    assert customer.customer_id in sandbox.payments.invoices.vault.customers


async def cancel(gateway: Gateway, _: Sandbox) -> None:
    sent = await gateway.invoices.generate(
        EUROS,
        merchant_invoice_id="INV-1",
        customer=Customer(email="a@shop.example"),
        redirect_url="https://shop.example",
    )
    assert (await gateway.invoices.cancel(sent.invoice_id or "")).succeeded


VARIATIONS: dict[str, tuple[dict[str, Any], Callable[[Gateway, Sandbox], Awaitable[None]]]] = {
    "inquiries at a path of their own": ({"inquiry_path": "/inquiry"}, inquire),
    "refunds at a path of their own": ({"refund_path": "/refund/{id}"}, refund),
    "stored cards under registrations": ({"stored_card_path": "/registrations/{id}"}, stored_card),
    "days with the month first": ({"list_date_format": "%m-%d-%Y"}, transactions),
    "another spelling of attemptThreeD": (
        {"three_d_spelling": ("direct", "3D", "Only3D")},
        only_three_d,
    ),
    "another path and rule for sign-up": (
        {"operations": {"customer sign-up": {"path": "/signup", "rule": "E"}}},
        sign_up,
    ),
    "other names of fields": (
        {"field_names": {"customer.givenName": "customer.firstName", "email": "x"}},
        sign_up,
    ),
    "cancelling signed like regenerating": (
        {"operations": {"invoice cancel": {"rule": "E", "required": ("invoiceId",)}}},
        cancel,
    ),
}


@pytest.mark.parametrize("name", VARIATIONS)
async def test_platform_with_its_data_succeeds(name: str) -> None:
    """With the platform's own data the operation succeeds."""
    changes, walk = VARIATIONS[name]
    platform = Platform(**HERE, **changes)
    sandbox = Sandbox(platform=platform)
    async with Gateway(platform, MERCHANT, transport=HttpxTransport(app=sandbox)) as gateway:
        await walk(gateway, sandbox)
    assert sandbox.requests.get("rejected", 0) == 0


@pytest.mark.parametrize(
    "name", [name for name in VARIATIONS if name != "another spelling of attemptThreeD"]
)
async def test_platform_without_its_data_is_refused(name: str) -> None:
    """A client with the default data fails there, so the test above proves something."""
    changes, walk = VARIATIONS[name]
    sandbox = Sandbox(platform=Platform(**HERE, **changes))
    async with Gateway(
        "http://localhost", MERCHANT, transport=HttpxTransport(app=sandbox)
    ) as gateway:
        with pytest.raises((AssertionError, errors.UnreadableReply, errors.OutcomeUnknown)):
            await walk(gateway, sandbox)


@pytest.mark.parametrize("body", ["form", "json"])
async def test_platform_both_encodings_carry_every_field(body: Any) -> None:
    """The client selects the encoding: every field arrives under the same name."""
    sandbox = Sandbox()
    browser = BrowserInfo(
        user_agent="Mozilla/5.0",
        accept_header="*/*",
        language="de",
        timezone_offset=-60,
        color_depth=24,
        screen_height=900,
        screen_width=1440,
    )
    async with Gateway(
        "http://localhost", MERCHANT, transport=HttpxTransport(app=sandbox), body=body
    ) as gateway:
        paid = await gateway.debit(
            EUROS, CARD, merchant_transaction_id="ORDER-1", browser=browser, three_d="3D"
        )
    fields = sandbox.ledger.records[paid.payment_id or ""].fields
    assert {name: fields[name] for name in fields if name.startswith("deviceDetails.")} == {
        "deviceDetails.user_Agent": "Mozilla/5.0",
        "deviceDetails.browserAcceptHeader": "*/*",
        "deviceDetails.browserLanguage": "de",
        "deviceDetails.browserTimezoneOffset": "-60",
        "deviceDetails.browserColorDepth": "24",
        "deviceDetails.browserScreenHeight": "900",
        "deviceDetails.browserScreenWidth": "1440",
        "deviceDetails.browserJavaEnabled": "false",
    }


@pytest.mark.parametrize("status", ["short", "long"])
@pytest.mark.parametrize("body", ["json", "form"])
async def test_callback_status_may_be_short_or_long(tmp_path: Path, status: Any, body: Any) -> None:
    """A chargeback is verified with the short or the long status signed, as JSON or a form."""
    events: list[CallbackEvent] = []
    router = Router()

    @router.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        events.append(event)

    app = CallbackApp(router, MERCHANT, inbox=f"sqlite:///{tmp_path}/inbox.db")
    async with (
        serving(app, "127.0.0.1", 0) as url,
        Sandbox(callbacks=CallbackStyle(status=status, body=body)).serve() as sandbox,
        Gateway(sandbox.base_url, MERCHANT) as gateway,
    ):
        paid = await gateway.debit(
            EUROS, CARD, merchant_transaction_id="ORDER-1", notification_url=url
        )
        await sandbox.callback_sender.idle()
        sandbox.charge_back(paid.payment_id or "")
        await sandbox.callback_sender.idle()
        assert [delivery.answers[-1] for delivery in sandbox.callback_sender.deliveries] == [
            200,
            200,
        ]


def test_platform_every_operation_can_be_overridden() -> None:
    """A platform may move any operation; an unknown one is refused at construction."""
    changes = {name: {"path": "/moved"} for name in OPERATIONS}
    Gateway(Platform(**HERE, operations=changes), MERCHANT)
    for wrong in ({"refnd": {}}, {"refund": {"reply": "x"}}, {"refund": {"rule": "Q"}}):
        with pytest.raises(errors.ConfigurationError, match=r"platform\.operations"):
            Gateway(Platform(**HERE, operations=wrong), MERCHANT)
