"""The package's front door."""

from __future__ import annotations

import inspect

import pytest

import gatewaypy

OPERATIONS = {"debit", "preauth", "capture", "reversal", "refund", "payout", "inquire"}


def test_every_public_name_exists() -> None:
    """What the door lists is there, once, and documented."""
    assert len(set(gatewaypy.__all__)) == len(gatewaypy.__all__)
    for name in gatewaypy.__all__:
        value = getattr(gatewaypy, name)
        if inspect.isclass(value):
            assert value.__doc__


def test_the_client_has_every_operation() -> None:
    """Each operation is a documented coroutine function that says what it raises or where that is said."""
    for name in OPERATIONS:
        method = getattr(gatewaypy.Gateway, name)
        assert inspect.iscoroutinefunction(method)
        assert "protocol section" in (method.__doc__ or "")


async def test_an_unknown_option_is_a_type_error() -> None:
    """A mistyped option never goes unnoticed into a payment."""
    async with gatewaypy.Gateway(
        "http://127.0.0.1:9",
        gatewaypy.Credentials(member_id="1", partner_id="1", username="u", secret_key="k" * 16),
    ) as gateway:
        with pytest.raises(TypeError, match="notification"):
            await gateway.debit(
                gatewaypy.Money(1, "EUR"),
                gatewaypy.Card("4000000000000051", 1, 2030),
                merchant_transaction_id="A",
                notification="x",
            )
