"""Customers of a merchant, signed up with the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.models import Address, Customer, SignedUpCustomer
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class Customers:
    """``gateway.customers``: customer sign-up (protocol section 4)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

    async def sign_up(
        self,
        customer: Customer,
        *,
        address: Address | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> SignedUpCustomer:
        """Sign a customer up (documented, rule from one source).

        :param customer: ``given_name``, ``surname`` and ``email`` are signed, and may not have a ``|`` in them.
        :returns: the customer's ``customer_id``; outcome ``FAILED`` with code ``10024`` where the e-mail address is known.
        :raises UnreadableReply: where no usable answer came; the customer may be signed up all the same.
        """
        extra = wrap_extra(extra)
        request = requests.sign_up_customer(customer=customer, address=address, extra=extra)
        signed_up: SignedUpCustomer = await self._pipeline().run(request)
        return signed_up
