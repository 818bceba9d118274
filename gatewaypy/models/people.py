"""The people in a payment: who pays or is paid, and where goods go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from datetime import date


@frozen
class Customer:
    """The payer, or the person paid out to (protocol section 6, documented).

    ``phone_country_code`` is free form (``"091"``, ``"+44"``), ``ip`` the payer's address, ``customer_id`` the gateway's id
    of a customer who signed up. ``birth_date`` goes out as ``YYYYMMDD``.
    """

    given_name: str | None = None
    surname: str | None = None
    email: str | None = None
    phone: str | None = None
    phone_country_code: str | None = None
    ip: str | None = None
    birth_date: date | None = None
    sex: str | None = None
    customer_id: str | None = None


@frozen
class Address:
    """Where goods go (protocol section 6, documented); ``country`` is ISO 3166-1 alpha-2."""

    country: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    street: str | None = None
