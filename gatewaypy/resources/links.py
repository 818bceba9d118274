"""Payment links, which the merchant sends to the payer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.resources.resource import Resource
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Customer, PaymentLink
    from gatewaypy.money import Money
    from gatewaypy.secret import Secret


class Links(Resource):
    """``gateway.links``: pay by link (protocol section 4)."""

    async def create(
        self,
        amount: Money,
        *,
        order_id: str,
        customer: Customer,
        description: str | None = None,
        expires: str | None = None,
        extra: Mapping[str, str | Secret] | None = None,
    ) -> PaymentLink:
        """Create a payment link.

        The request is always JSON, even with ``Gateway(body="form")``.

        Args:
            amount: What the payer pays.
            order_id: Your own id of the order. It becomes the merchant transaction id of the
                payment.
            customer: Name, e-mail address and phone number that the page shows.
            description: Text on the page.
            expires: Expiry time, in a format that the gateway does not document.
            extra: Further fields by their wire names.

        Returns:
            The link. Its ``url`` is https. If the gateway refused the request, the outcome is
            ``FAILED``.

        Raises:
            InvalidRequest: A field is malformed. Nothing was sent.
            NotSent: No byte was sent. It is safe to call again.
            AuthenticationFailed: The gateway rejected the credentials.
            UnreadableReply: No usable answer. The gateway may have created a link, but its URL
                is unknown.

        Protocol section 4. Documented.
        """
        extra = wrap_extra(extra)
        request = requests.pay_by_link(
            amount=amount,
            order_id=order_id,
            customer=customer,
            description=description,
            expires=expires,
            extra=extra,
        )
        link: PaymentLink = await self._run(request)
        return link
