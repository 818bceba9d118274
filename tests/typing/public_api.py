"""What a merchant's type checker sees; mypy and pyright read this file, nothing runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from gatewaypy import Capture, Card, Gateway, Money, Outcome, Payment, Payout, Redirect, Refund, Reversal, Transaction

if TYPE_CHECKING:
    from gatewaypy.transport import HttpxTransport, Transport


async def operations(gateway: Gateway, card: Card) -> None:
    """Every operation has a result type of its own."""
    euros = Money("50.00", "EUR")
    payment = await gateway.debit(euros, card, merchant_transaction_id="A", three_d="3D", store_card=True, extra={"a": "b"})
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


async def mistakes(gateway: Gateway, card: Card) -> None:
    """A forgotten id and a mistyped option are found before anything runs."""
    euros = Money("50.00", "EUR")
    await gateway.debit(euros, card)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.debit(euros, card, merchant_transaction_id="A", redirect="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def transports(ours: HttpxTransport) -> Transport:
    """The default transport is one."""
    return ours
