"""Merchants that a partner signs up with the partner's own login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.operation_types import Login
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import SignedUpMerchant
    from gatewaypy.secret import Secret


class Merchants(Resource):
    """``gateway.merchants``: merchant sign-up by a partner.

    Protocol section 1 names it; everything else about it is our choice.
    """

    async def sign_up(
        self,
        username: str,
        *,
        company_name: str,
        email: str,
        contact_name: str | None = None,
        phone: str | None = None,
        country: str | None = None,
        website: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> SignedUpMerchant:
        """Sign up a merchant, with the partner's token.

        If your partner's documents differ, ``Platform.operations["merchant sign-up"]`` changes
        the path and the checksum rule, and ``Platform.field_names`` the names of the fields.

        Args:
            username: The login that the merchant will get tokens with.
            company_name: The merchant's name.
            email: The merchant's e-mail address.
            contact_name: Name of a person.
            phone: Phone number.
            country: ISO 3166-1 alpha-2.
            website: URL of the merchant's site.
            extra: Further fields by their wire names.

        Returns:
            The merchant's ``member_id``. The reply does not contain its secret key.

        Raises:
            ConfigurationError: The credentials lack the partner's login and key.
            InvalidRequest: A field is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the partner's credentials.
            UnreadableReply: No usable answer. The merchant may be signed up nevertheless.

        Our choice: the vendor documents only that the operation exists.
        """
        extra = wrap_extra(extra)
        pipeline = self._get_pipeline()
        # Raises its own error if the partner's login is missing.
        requests.token_of(Login.PARTNER, pipeline.credentials)
        request = requests.sign_up_merchant(
            partner_id=pipeline.credentials.partner_id,
            username=username,
            company_name=company_name,
            email=email,
            contact_name=contact_name,
            phone=phone,
            country=country,
            website=website,
            extra=extra,
        )
        signed_up: SignedUpMerchant = await self._run(request)
        return signed_up
