"""Links to pay by, which a merchant sends by its own ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.protocol import requests
from gatewaypy.secret import wrap_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.models import Customer, PaymentLink
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.secret import Secret


class Links:
    """``gateway.links``: pay by link (protocol section 4)."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        """Take the gateway's pipeline, once it is open."""
        self._pipeline = pipeline

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
        """Make a link to pay by (documented). It is always written as JSON, whatever the gateway object was told.

        :param order_id: your own id of the order, which the payment will have as its merchant transaction id.
        :param customer: the name, e-mail address and phone number that the page shows.
        :param expires: when the link ends, in the gateway's own format (not documented).
        :returns: the link, whose ``url`` is https; outcome ``FAILED`` where it was refused.
        :raises UnreadableReply: where no usable answer came. A link that was made all the same is known to nobody.
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
        link: PaymentLink = await self._pipeline().run(request)
        return link
