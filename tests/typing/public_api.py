"""What a merchant's type checker sees; mypy and pyright check this file, and it never runs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, assert_type

from gatewaypy import (
    AiohttpTransport,
    Capture,
    Card,
    Credentials,
    Gateway,
    HostedForm,
    Invoice,
    Money,
    Outcome,
    Payment,
    Payout,
    Redirect,
    RedisTokens,
    Refund,
    Reversal,
    StoredCard,
    Transaction,
    fastest_transport,
)
from gatewaypy.callbacks import CallbackApp, Inbox, Receiver, Reconciler
from gatewaypy.payouts import BadRow, PayoutOrder, read_orders

if TYPE_CHECKING:
    # A mistyped name is found, even if its module is loaded lazily.
    from gatewaypy import Gatewya  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: F401
    from gatewaypy.transport import HttpxTransport, Transport


async def operations(gateway: Gateway, card: Card) -> None:
    """Every operation has its own result type."""
    euros = Money("50.00", "EUR")
    payment = await gateway.debit(
        euros, card, merchant_transaction_id="A", three_d="3D", store_card=True, extra={"a": "b"}
    )
    assert_type(payment, Payment)
    assert_type(payment.raise_for_outcome(), Payment)
    assert_type(payment.redirect, Redirect | None)
    assert_type(payment.outcome, Outcome)
    assert_type(payment.amount, Money | None)
    assert_type(await gateway.preauth(euros, card, merchant_transaction_id="A"), Payment)
    assert_type(await gateway.capture("1", euros), Capture)
    assert_type(await gateway.reversal("1"), Reversal)
    assert_type(await gateway.refund("1", euros), Refund)
    assert_type(await gateway.payout(euros, merchant_transaction_id="A", payment_id="1"), Payout)
    assert_type(await gateway.inquire(payment_id="1"), Transaction)
    assert_type(euros + euros, Money)


def pages(redirect: Redirect, form: HostedForm) -> None:
    """The pages that redirect a payer take a nonce or none."""
    assert_type(redirect.html(), str)
    assert_type(redirect.html(nonce="r4nd0m"), str)
    assert_type(form.html(nonce=None), str)
    form.html(nonce=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def mistakes(gateway: Gateway, card: Card) -> None:
    """A missing id and a mistyped option are found by the type checker."""
    euros = Money("50.00", "EUR")
    await gateway.debit(euros, card)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.debit(euros, card, merchant_transaction_id="A", redirect="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def inboxes(gateway: Gateway, callbacks: CallbackApp, receiver: Receiver) -> None:
    """A receiver's inbox can be passed to a reconciler."""
    assert_type(receiver.inbox, Inbox)
    Reconciler(gateway, callbacks.receiver.inbox)


def files(path: str, *, is_strict: bool) -> None:
    """A file that is read strictly yields only orders."""
    assert_type(read_orders(path, strict=True), Generator[PayoutOrder, None, None])
    assert_type(read_orders(path), Generator[PayoutOrder | BadRow, None, None])
    assert_type(read_orders(path, strict=is_strict), Generator[PayoutOrder | BadRow, None, None])


def transports(ours: HttpxTransport) -> Transport:
    """The default transport is a Transport."""
    return ours


async def loaded_late(gateway: Gateway, card: Card, credentials: Credentials) -> None:
    """Names that are loaded lazily have their types."""
    assert_type(AiohttpTransport(keepalive_timeout=5.0), AiohttpTransport)
    assert_type(fastest_transport(), Transport)
    assert_type(await gateway.stored_cards.store(card), StoredCard)
    assert_type(await gateway.invoices.status("INV-1"), Invoice)
    Gateway(
        "https://gateway.example",
        credentials,
        transport=fastest_transport(),
        token_store=RedisTokens("rediss://tokens"),
    )
    AiohttpTransport(keepalife=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
