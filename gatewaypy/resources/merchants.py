"""Merchants of a partner, signed up with the partner's own login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.protocol.operations import Login
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.models import SignedUpMerchant
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class Merchants:
    """``gateway.merchants``: merchant sign-up by a partner (protocol section 1 names it; all the rest of it is our choice)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

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
        """Sign a merchant up, with the partner's token (our choice: the vendor documents that it exists, and no more).

        Should your partner's papers say otherwise, ``Platform.operations["merchant sign-up"]`` changes the path and the rule, and
        ``Platform.field_names`` the fields' names.

        :param username: the login that the merchant will ask for tokens with.
        :param country: ISO 3166-1 alpha-2.
        :returns: the merchant's ``member_id``; its secret key comes by other ways.
        :raises ConfigurationError: where the credentials lack the partner's login and key.
        :raises UnreadableReply: where no usable answer came; the merchant may be signed up all the same.
        """
        extra = wrap_extra(extra)
        pipeline = self._pipeline()
        # Asked here for the error's sake: without the partner's login there is nothing to send.
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
        signed_up: SignedUpMerchant = await pipeline.run(request)
        return signed_up
