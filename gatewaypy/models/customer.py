"""The customer of a payment or payout, and the shipping address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from gatewaypy.pan import mask

if TYPE_CHECKING:
    from datetime import date


def _shown(value: object) -> str:
    """Return a field's ``repr``; a card number in a wrong field is masked."""
    return repr(mask(value)) if isinstance(value, str) else mask(repr(value))


@frozen
class Customer:
    """The payer of a payment, or the payee of a payout.

    Args:
        given_name: First name.
        surname: Last name.
        email: E-mail address.
        phone: Phone number.
        phone_country_code: Free form, such as ``"091"`` or ``"+44"``.
        ip: The payer's IP address.
        birth_date: Sent as ``YYYYMMDD``.
        sex: Free form.
        customer_id: The gateway's id of a customer who is signed up.

    Protocol section 6. Documented.
    """

    given_name: str | None = field(default=None, repr=_shown)
    surname: str | None = field(default=None, repr=_shown)
    email: str | None = field(default=None, repr=_shown)
    phone: str | None = field(default=None, repr=_shown)
    phone_country_code: str | None = field(default=None, repr=_shown)
    ip: str | None = field(default=None, repr=_shown)
    birth_date: date | None = field(default=None, repr=_shown)
    sex: str | None = field(default=None, repr=_shown)
    customer_id: str | None = field(default=None, repr=_shown)


@frozen
class Address:
    """A shipping address.

    Args:
        country: ISO 3166-1 alpha-2.
        city: Free form, as all the others.
        state: State or province.
        postcode: Postal code.
        street: Street and number.

    Protocol section 6. Documented.
    """

    country: str | None = field(default=None, repr=_shown)
    city: str | None = field(default=None, repr=_shown)
    state: str | None = field(default=None, repr=_shown)
    postcode: str | None = field(default=None, repr=_shown)
    street: str | None = field(default=None, repr=_shown)
