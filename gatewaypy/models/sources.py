"""What a payment is taken from, besides a card: wallets, banks, accounts, vouchers (protocol section 6, ``paymentMode``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import Attribute, field, frozen

from gatewaypy.cards import Card
from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _word(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidRequest(
            attribute.name, "the gateway's word for it, such as 'EW' or 'APPLEPAY'", shape_of(value)
        )


@frozen
class Wallet:
    """A wallet, ``paymentMode`` ``EW`` (documented): the payer is sent on to it.

    :param brand: ``"APPLEPAY"``, ``"GOOGLEPAY"``, ``"SKRILL"``, ``"NETELLER"`` and others; the list is open.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="EW", validator=_word, kw_only=True)


@frozen
class NetBanking:
    """The payer's own bank, ``paymentMode`` ``NB`` (documented): the payer is sent on to it.

    :param brand: ``"SOFORT"``, ``"IDEAL"``, ``"GIROPAY"`` and others; the list is open.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="NB", validator=_word, kw_only=True)


@frozen
class Voucher:
    """A prepaid voucher, ``paymentMode`` ``PV`` (documented): the payer is sent on to its issuer.

    :param brand: the issuer's name with the gateway; the list is open.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="PV", validator=_word, kw_only=True)


# These write their own constructors: one that raises stays in the traceback, with whatever its names still hold.


@frozen(init=False)
class SepaAccount:
    """A bank account in the SEPA area, ``paymentMode`` ``SEPA`` (mode documented, the account's field names our choice).

    :param iban: kept as a `Secret`, as is the ``bic``.
    """

    iban: Secret
    bic: Secret
    brand: str = field(validator=_word)
    mode: str = field(validator=_word)

    def __init__(
        self, iban: str | Secret, bic: str | Secret, *, brand: str = "SEPA", mode: str = "SEPA"
    ) -> None:
        """Seal the account."""
        numbers = Secret.wrap(iban), Secret.wrap(bic)
        del iban, bic
        self.__attrs_init__(*numbers, brand, mode)  # pyright: ignore[reportAttributeAccessIssue]


@frozen(init=False)
class AchAccount:
    """A bank account in the United States, ``paymentMode`` ``ACH`` (mode documented, the account's field names our choice).

    :param account_number: kept as a `Secret`, as is the ``routing_number``.
    :param account_type: the gateway's word for it, where it wants one.
    """

    account_number: Secret
    routing_number: Secret
    account_type: str | None
    brand: str = field(validator=_word)
    mode: str = field(validator=_word)

    def __init__(
        self,
        account_number: str | Secret,
        routing_number: str | Secret,
        account_type: str | None = None,
        *,
        brand: str = "ACH",
        mode: str = "ACH",
    ) -> None:
        """Seal the account."""
        numbers = Secret.wrap(account_number), Secret.wrap(routing_number)
        del account_number, routing_number
        self.__attrs_init__(*numbers, account_type, brand, mode)  # pyright: ignore[reportAttributeAccessIssue]


@frozen(init=False)
class Upi:
    """A virtual payment address of India's UPI (mode documented, the address's field name our choice).

    :param address: such as ``name@bank``, kept as a `Secret`; without it the payer is asked on the page.
    """

    address: Secret | None
    brand: str = field(validator=_word)
    mode: str = field(validator=_word)

    def __init__(
        self, address: str | Secret | None = None, *, brand: str = "UPI", mode: str = "UPI"
    ) -> None:
        """Seal the address."""
        wrapped = None if address is None else Secret.wrap(address)
        del address
        self.__attrs_init__(wrapped, brand, mode)  # pyright: ignore[reportAttributeAccessIssue]


@frozen(init=False)
class OtherSource:
    """Any other way to pay that the gateway knows under a mode and a brand; there are over 200.

    :param fields: further fields by their wire names, each kept as a `Secret`.
    """

    mode: str = field(validator=_word)
    brand: str = field(validator=_word)
    fields: Mapping[str, Secret] = field(hash=False)

    def __init__(self, mode: str, brand: str, fields: Mapping[str, str | Secret] = {}) -> None:
        """Seal the fields."""
        wrapped = {name: Secret.wrap(value) for name, value in fields.items()}
        del fields
        self.__attrs_init__(mode, brand, wrapped)  # pyright: ignore[reportAttributeAccessIssue]


#: What a debit or preauthorization can be taken from.
PaymentSource: TypeAlias = (
    Card | Wallet | NetBanking | Voucher | SepaAccount | AchAccount | Upi | OtherSource
)
