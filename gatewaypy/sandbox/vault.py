"""The sandbox's stored cards and accounts, and its customers."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.sandbox.ledger import Record
    from gatewaypy.secret import Secret


@define(eq=False)
class Registration:
    """A stored card or account.

    If it was stored with a payment, it is active only after that payment succeeded.
    """

    registration_id: str
    member_id: str
    customer_id: str | None
    mode: str
    brand: str
    number: Secret | None
    card: Mapping[str, str]
    account: Mapping[str, str]
    came_with: Record | None = None
    deleted: bool = False

    @property
    def is_active(self) -> bool:
        """Whether payments with it are possible."""
        return not self.deleted and (self.came_with is None or self.came_with.short == "Y")


@define(eq=False)
class SignedUp:
    """A customer who signed up."""

    customer_id: str
    member_id: str
    email: str


class Vault:
    """Stores registrations and customers."""

    def __init__(self) -> None:
        """Create an empty vault."""
        self.registrations: dict[str, Registration] = {}
        self.customers: dict[str, SignedUp] = {}
        self._registration_ids = count(201)
        self._customer_ids = count(10279)

    def store(
        self,
        *,
        member_id: str,
        customer_id: str | None,
        mode: str,
        brand: str,
        number: Secret | None,
        card: Mapping[str, str],
        account: Mapping[str, str],
        came_with: Record | None = None,
    ) -> Registration:
        """Store a card or an account.

        Args:
            member_id: The merchant's member id.
            customer_id: The customer's id, if there is one.
            mode: The ``paymentMode``.
            brand: The ``paymentBrand``.
            number: The card number, for a card.
            card: The masked card; empty for an account.
            account: The account's fields; empty for a card.
            came_with: The payment that it was stored with, if there is one.

        Returns:
            The registration.
        """
        registration = Registration(
            registration_id=f"REG{next(self._registration_ids)}",
            member_id=member_id,
            customer_id=customer_id,
            mode=mode,
            brand=brand,
            number=number,
            card=card,
            account=account,
            came_with=came_with,
        )
        self.registrations[registration.registration_id] = registration
        return registration

    def find(self, member_id: str, registration_id: str) -> Registration | None:
        """Look up a merchant's active registration; ``None`` if there is none."""
        registration = self.registrations.get(registration_id)
        is_theirs = (
            registration is not None
            and registration.member_id == member_id
            and registration.is_active
        )
        return registration if is_theirs else None

    def of_customer(self, member_id: str, customer_id: str) -> list[Registration]:
        """Return a customer's active registrations with a merchant."""
        return [
            registration
            for registration in self.registrations.values()
            if registration.member_id == member_id
            and registration.customer_id == customer_id
            and registration.is_active
        ]

    def sign_up(self, member_id: str, email: str) -> SignedUp | None:
        """Sign up a customer.

        Args:
            member_id: The merchant's member id.
            email: The customer's e-mail address.

        Returns:
            The customer; ``None`` if the merchant already has one with this address.
        """
        if any(
            known.member_id == member_id and known.email == email
            for known in self.customers.values()
        ):
            return None
        customer = SignedUp(str(next(self._customer_ids)), member_id, email)
        self.customers[customer.customer_id] = customer
        return customer
