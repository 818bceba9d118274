"""Token calls, to test credentials or for partner calls; other operations get tokens themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.operation_types import Login
from gatewaypy.resources.resource import Resource

if TYPE_CHECKING:
    from gatewaypy.protocol.auth_token import AuthToken


class Tokens(Resource):
    """``gateway.tokens``: the gateway's token calls (protocol section 3)."""

    async def merchant(self) -> AuthToken:
        """Get a merchant token, which later calls of this gateway use.

        Returns:
            The token.

        Raises:
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: No usable answer.

        Protocol section 3. Documented, seen.
        """
        pipeline = self._get_pipeline()
        token = await pipeline.token(requests.merchant_token(pipeline.credentials))
        pipeline.tokens.accept(token)
        return token

    async def regenerate(self, old: AuthToken) -> AuthToken:
        """Exchange a token for a new one, which later calls of this gateway use.

        Args:
            old: The token to exchange.

        Returns:
            The new token.

        Raises:
            AuthenticationFailed: The gateway rejected the old token.
            UnreadableReply: No usable answer.

        Protocol section 3. Documented.
        """
        pipeline = self._get_pipeline()
        token = await pipeline.token(requests.regenerated_token(pipeline.credentials, old.value))
        pipeline.tokens.accept(token)
        return token

    async def partner(self) -> AuthToken:
        """Get the partner's token.

        The credentials must have ``partner_username`` and ``partner_secret_key``.

        Returns:
            The token.

        Raises:
            ConfigurationError: The credentials lack the partner's login or key.
            AuthenticationFailed: The gateway rejected them.
            UnreadableReply: No usable answer.

        Protocol section 3. Documented.
        """
        pipeline = self._get_pipeline()
        return await pipeline.token(requests.token_of(Login.PARTNER, pipeline.credentials))
