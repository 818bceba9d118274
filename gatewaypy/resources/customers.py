"""Customers of a merchant who are signed up with the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Address, Customer, SignedUpCustomer
    from gatewaypy.secret import Secret


class Customers(Resource):
    """``gateway.customers``: customer sign-up (protocol section 4)."""

    async def sign_up(
        self,
        customer: Customer,
        *,
        address: Address | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> SignedUpCustomer:
        """Sign up a customer.

        Args:
            customer: ``given_name``, ``surname`` and ``email`` are signed and must not contain
                ``|``.
            address: The customer's address.
            extra: Further fields by their wire names.

        Returns:
            The customer's ``customer_id``. If the gateway knows the e-mail address already, the
            outcome is ``FAILED`` with code ``10024``.

        Raises:
            InvalidRequest: A field is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: No usable answer. The customer may be signed up nevertheless.

        Protocol section 4. Documented; the checksum rule has one source.
        """
        extra = wrap_extra(extra)
        request = requests.sign_up_customer(customer=customer, address=address, extra=extra)
        signed_up: SignedUpCustomer = await self._run(request)
        return signed_up
