"""What the gateway keeps for a merchant's customers: stored cards and accounts, and the customers themselves."""

from __future__ import annotations

from attrs import field, frozen

from gatewaypy.models.fields import NO_FIELDS, Fields
from gatewaypy.models.results import OperationResult


@frozen(kw_only=True)
class StoredCard(OperationResult):
    """A card or account that was stored or deleted (protocol section 7); ``registration_id`` is what to pay with."""

    registration_id: str | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None


@frozen(kw_only=True)
class CardOnFile:
    """A customer's stored card, as much of it as may be shown; ``status`` is the gateway's word, such as ``ACTIVE``."""

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
    """A customer's stored bank account; the middle of its ``iban`` is masked. ``extra`` leaves the account's numbers out."""

    registration_id: str | None = None
    status: str | None = None
    iban: str | None = None
    bic: str | None = None
    extra: Fields = field(default=NO_FIELDS, repr=False)


@frozen(kw_only=True)
class CustomerAccounts(OperationResult):
    """What is stored for a customer (protocol section 7)."""

    customer_id: str | None = None
    cards: tuple[CardOnFile, ...] = ()
    accounts: tuple[AccountOnFile, ...] = ()


@frozen(kw_only=True)
class SignedUpCustomer(OperationResult):
    """A customer who was signed up (protocol section 7); ``customer_id`` names them from now on."""

    customer_id: str | None = None


@frozen(kw_only=True)
class SignedUpMerchant(OperationResult):
    """A merchant that a partner signed up; ``member_id`` is its account with the gateway (our choice: no reply is documented)."""

    member_id: str | None = None
