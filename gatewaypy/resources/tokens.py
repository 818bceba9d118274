"""Tokens by hand: the library asks for its own; a merchant needs these to test credentials, or for partner calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.operations import Login

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.protocol.auth_token import AuthToken


class Tokens:
    """``gateway.tokens``: the gateway's token calls (protocol section 3)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

    async def merchant(self) -> AuthToken:
        """Ask for a merchant token and use it from now on (documented, seen).

        :raises AuthenticationFailed: where the gateway refuses the credentials.
        :raises UnreadableReply: where it gives no usable answer.
        """
        pipeline = self._pipeline()
        granted = await pipeline.token(requests.merchant_token(pipeline.credentials))
        pipeline.keep(granted)
        return granted

    async def regenerate(self, old: AuthToken) -> AuthToken:
        """Exchange a token for a new one and use it from now on (documented).

        :raises AuthenticationFailed: where the gateway refuses the old token.
        :raises UnreadableReply: where it gives no usable answer.
        """
        pipeline = self._pipeline()
        granted = await pipeline.token(requests.regenerated_token(pipeline.credentials, old.value))
        pipeline.keep(granted)
        return granted

    async def partner(self) -> AuthToken:
        """Ask for the partner's token with the credentials' ``partner_username`` and ``partner_secret_key`` (documented).

        :raises ConfigurationError: where the credentials lack them.
        :raises AuthenticationFailed: where the gateway refuses them.
        :raises UnreadableReply: where it gives no usable answer.
        """
        pipeline = self._pipeline()
        return await pipeline.token(requests.token_of(Login.PARTNER, pipeline.credentials))
