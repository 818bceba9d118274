"""Results about stored cards and accounts, and about sign-ups."""

from __future__ import annotations

from attrs import field, frozen

from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.results import OperationResult


@frozen(kw_only=True)
class StoredCard(OperationResult):
    """A stored or deleted card or account (protocol section 7); pay with ``registration_id``."""

    registration_id: str | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None


@frozen(kw_only=True)
class CardOnFile:
    """A customer's stored card, masked; ``status`` is the gateway's, such as ``ACTIVE``."""

    registration_id: str | None = None
    status: str | None = None
    brand: str | None = None
    bin: str | None = None
    last_four: str | None = None
    expiry_month: str | None = None
    expiry_year: str | None = None
    extra: Fields = field(default=NO_FIELDS, repr=False)


@frozen(kw_only=True)
class AccountOnFile:
    """A customer's stored bank account; ``iban`` is masked, ``extra`` has no account numbers."""

    registration_id: str | None = None
    status: str | None = None
    iban: str | None = None
    bic: str | None = None
    extra: Fields = field(default=NO_FIELDS, repr=False)


@frozen(kw_only=True)
class CustomerAccounts(OperationResult):
    """A customer's stored cards and accounts (protocol section 7)."""

    customer_id: str | None = None
    cards: tuple[CardOnFile, ...] = ()
    accounts: tuple[AccountOnFile, ...] = ()


@frozen(kw_only=True)
class SignedUpCustomer(OperationResult):
    """A customer who was signed up (protocol section 7); ``customer_id`` is the gateway's id."""

    customer_id: str | None = None


@frozen(kw_only=True)
class SignedUpMerchant(OperationResult):
    """A merchant that a partner signed up, with its ``member_id`` (our choice: undocumented)."""

    member_id: str | None = None
