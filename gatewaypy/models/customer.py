"""The people in a payment: who pays or is paid, and where goods go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from gatewaypy.pan import mask

if TYPE_CHECKING:
    from datetime import date


def _shown(value: object) -> str:
    """Show what a person wrote into a field: a card number in the wrong one is masked."""
    return repr(mask(value)) if isinstance(value, str) else mask(repr(value))


@frozen
class Customer:
    """The payer, or the person paid out to (protocol section 6, documented).

    ``phone_country_code`` is free form (``"091"``, ``"+44"``), ``ip`` the payer's address, ``customer_id`` the gateway's id
    of a customer who signed up. ``birth_date`` goes out as ``YYYYMMDD``.
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
    """Where goods go (protocol section 6, documented); ``country`` is ISO 3166-1 alpha-2."""

    country: str | None = field(default=None, repr=_shown)
    city: str | None = field(default=None, repr=_shown)
    state: str | None = field(default=None, repr=_shown)
    postcode: str | None = field(default=None, repr=_shown)
    street: str | None = field(default=None, repr=_shown)
