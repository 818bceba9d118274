"""What a merchant writes on an invoice."""

from __future__ import annotations

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.money import Money


@frozen
class Product:
    """One line of an invoice (protocol section 6, documented).

    :param description: what is sold.
    :param price: the price of one.
    :param quantity: how many, at least one.
    """

    description: str
    price: Money
    quantity: int = 1

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.price, Money):
            raise InvalidRequest("product.productAmount", "Money, such as Money('50.00', 'EUR')")
        if type(self.quantity) is not int or self.quantity < 1:
            raise InvalidRequest("product.quantity", "an integer of at least 1")

    @property
    def total(self) -> Money:
        """The price of all of them."""
        return self.price * self.quantity
