"""Token calls (protocol section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.errors import ConfigurationError
from gatewaypy.protocol import operations
from gatewaypy.protocol.operation_types import Login
from gatewaypy.protocol.requests.request import Request

if TYPE_CHECKING:
    from gatewaypy.config import Credentials
    from gatewaypy.secret import Secret


def merchant_token(credentials: Credentials) -> Request:
    """Build the call for a merchant's token."""
    return Request(
        operation=operations.AUTH_TOKEN,
        fields={
            "authentication.partnerId": credentials.partner_id,
            "merchant.username": credentials.username,
            "authentication.sKey": credentials.secret_key,
        },
    )


def partner_token(partner_id: str, username: str, secret_key: Secret) -> Request:
    """Build the call for a partner's token, with the partner's own login and key."""
    return Request(
        operation=operations.PARTNER_TOKEN,
        fields={
            "authentication.partnerId": partner_id,
            "partner.userName": username,
            "authentication.sKey": secret_key,
        },
    )


def regenerated_token(credentials: Credentials, old: Secret) -> Request:
    """Build the call that exchanges an old token for a new one."""
    return Request(
        operation=operations.REGENERATE_TOKEN,
        fields={"authentication.partnerId": credentials.partner_id, "authToken": old},
    )


def token_of(login: Login, credentials: Credentials) -> Request:
    """Build the call for the token that an operation needs: the merchant's or the partner's.

    Raises:
        ConfigurationError: The credentials lack the partner's login.
    """
    if login is Login.MERCHANT:
        return merchant_token(credentials)
    if credentials.partner_username is None or credentials.partner_secret_key is None:
        msg = "credentials: must have partner_username and partner_secret_key for a partner token"
        raise ConfigurationError(msg)
    return partner_token(
        credentials.partner_id, credentials.partner_username, credentials.partner_secret_key
    )
