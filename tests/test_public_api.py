"""The public names of the package."""

from __future__ import annotations

import inspect

import pytest

import gatewaypy

OPERATIONS = {"debit", "preauth", "capture", "reversal", "refund", "payout", "inquire"}


def test_public_names_exist() -> None:
    """Each exported name exists once, and is documented."""
    assert len(set(gatewaypy.__all__)) == len(gatewaypy.__all__)
    for name in gatewaypy.__all__:
        value = getattr(gatewaypy, name)
        if inspect.isclass(value):
            assert value.__doc__


def test_gateway_operations_are_documented() -> None:
    """Each operation is a coroutine function whose docstring says what it raises."""
    for name in OPERATIONS:
        method = getattr(gatewaypy.Gateway, name)
        assert inspect.iscoroutinefunction(method)
        assert "Protocol section" in (method.__doc__ or "")


async def test_gateway_unknown_option_raises_type_error() -> None:
    """A mistyped option is never ignored in a payment."""
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
