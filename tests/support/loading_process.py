"""A gateway in a new process: ``python loading_process.py URL TRANSPORT BODY ACCEPT``.

It runs successful and failing payments and every other operation of an open gateway. It prints as
JSON how each ended and which modules outside the standard library were loaded after the gateway was
opened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gatewaypy
from gatewaypy import Card, Credentials, Customer, Gateway, Money, Product, Timeouts
from gatewaypy.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

EUROS = Money("50.00", "EUR")
CARD = Card("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")
DECLINED = Card("4000 0000 0000 0077", 7, 2030, "745", "Ada Lovelace")
THREE_D = Card("4000 0000 0000 0002", 7, 2030, "237", "Ada Lovelace")
ADA = Customer("Ada", "Lovelace", "ada@shop.example", "201234567", "+44")
BACK = "https://shop.example/back"
QUICK = Timeouts(connect=2, read=2, total=5, inquiry=1)


def loaded() -> set[str]:
    """Return the loaded modules outside the standard library."""
    return {name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names}


async def ended(operation: Awaitable[Any]) -> tuple[str, Any]:
    """Run an operation; return how it ended."""
    try:
        result = await operation
    except GatewayError as error:
        return type(error).__name__, None
    outcome = getattr(result, "outcome", None)
    return type(result).__name__ if outcome is None else outcome.name, result


async def payments(gateway: Gateway) -> AsyncIterator[tuple[str, str]]:
    """Move money in every way, and fail in every way."""
    end, paid = await ended(
        gateway.debit(EUROS, CARD, merchant_transaction_id="DEBIT", customer=ADA)
    )
    yield "debit", end
    end, held = await ended(gateway.preauth(EUROS, CARD, merchant_transaction_id="HELD"))
    yield "preauth", end
    end, kept = await ended(gateway.preauth(EUROS, CARD, merchant_transaction_id="KEPT"))
    yield "another preauth", end
    for name, operation in (
        ("refused", gateway.debit(EUROS, DECLINED, merchant_transaction_id="REFUSED")),
        ("capture", gateway.capture(held.payment_id, EUROS)),
        ("reversal", gateway.reversal(kept.payment_id)),
        ("payout", gateway.payout(EUROS, merchant_transaction_id="PAYOUT", customer=ADA)),
        ("refund", gateway.refund(paid.payment_id, Money("20.00", "EUR"))),
        ("inquiry", gateway.inquire(payment_id=paid.payment_id)),
        ("no record", gateway.inquire(merchant_transaction_id="MISSING")),
        ("never sent", gateway.debit(EUROS, CARD, merchant_transaction_id="a|b")),
        ("reply lost", gateway.payout(EUROS, merchant_transaction_id="LOST", customer=ADA)),
        ("no outcome", gateway.debit(EUROS, CARD, merchant_transaction_id="UNKNOWN")),
    ):
        yield name, (await ended(operation))[0]
    end, sent_on = await ended(
        gateway.debit(EUROS, THREE_D, merchant_transaction_id="3-D", redirect_url=BACK)
    )
    sent_on.redirect.html()
    yield "redirect", end


async def others(gateway: Gateway) -> AsyncIterator[tuple[str, str]]:
    """Use every other part of the gateway."""
    end, initial = await ended(
        gateway.recurring.initial(EUROS, CARD, merchant_transaction_id="FIRST", store_card=True)
    )
    yield "recurring initial", end
    form = await gateway.checkout.form(
        EUROS, merchant_transaction_id="FORM", redirect_url=BACK, description="Tea", customer=ADA
    )
    form.html()
    today = datetime.now(UTC).date()
    for name, operation in (
        (
            "repeat",
            gateway.recurring.repeat(initial.mandate(), EUROS, merchant_transaction_id="SECOND"),
        ),
        ("stored card", gateway.stored_cards.store(CARD)),
        (
            "paid by it",
            gateway.stored_cards.pay(
                initial.registration_id, EUROS, merchant_transaction_id="THIRD"
            ),
        ),
        ("sign-up", gateway.customers.sign_up(ADA)),
        (
            "branch",
            gateway.merchants.sign_up(
                "branch", company_name="Branch", email="b@shop.example", country="GB"
            ),
        ),
        ("link", gateway.links.create(EUROS, order_id="LINK", customer=ADA)),
        (
            "invoice",
            gateway.invoices.generate(
                EUROS,
                merchant_invoice_id="INV",
                customer=ADA,
                redirect_url=BACK,
                products=[Product("Tea", EUROS)],
            ),
        ),
        ("statement", gateway.transactions(today, today).statement()),
        ("token", gateway.tokens.merchant()),
    ):
        yield name, (await ended(operation))[0]


async def main(url: str, transport: str, body: Any, accept: Any) -> None:
    gateway = Gateway(
        url,
        Credentials.from_env(),
        transport=getattr(gatewaypy, transport)(),
        timeouts=QUICK,
        body=body,
        accept=accept,
    )
    async with gateway:
        before = loaded()
        ends = dict(
            [end async for end in payments(gateway)] + [end async for end in others(gateway)]
        )
        late = loaded() - before
    print(json.dumps({"ends": ends, "late": sorted(late)}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
