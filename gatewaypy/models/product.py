"""The lines of an invoice."""

from __future__ import annotations

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.money import Money


@frozen
class Product:
    """One line of an invoice.

    Args:
        description: What is sold.
        price: Price of one item.
        quantity: Number of items, at least 1.

    Raises:
        InvalidRequest: ``price`` is not Money, or ``quantity`` not an integer of at least 1.

    Protocol section 6. Documented.
    """

    description: str
    price: Money
    quantity: int = 1

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.price, Money):
            raise InvalidRequest(
                "product.productAmount", "must be Money, such as Money('50.00', 'EUR')"
            )
        if type(self.quantity) is not int or self.quantity < 1:
            raise InvalidRequest("product.quantity", "must be an integer of at least 1")

    @property
    def total(self) -> Money:
        """The price of all items."""
        return self.price * self.quantity
