"""Payment sources besides cards: wallets, banks, accounts and vouchers (protocol section 6)."""

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
            attribute.name,
            "must be one of the gateway's words, such as 'EW' or 'APPLEPAY'",
            shape_of(value),
        )


@frozen
class Wallet:
    """A wallet, to which the payer is redirected. Documented.

    Args:
        brand: Such as ``"APPLEPAY"``, ``"GOOGLEPAY"``, ``"SKRILL"`` or ``"NETELLER"``.
        mode: The ``paymentMode``.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="EW", validator=_word, kw_only=True)


@frozen
class NetBanking:
    """The payer's own bank, to which the payer is redirected. Documented.

    Args:
        brand: Such as ``"SOFORT"``, ``"IDEAL"`` or ``"GIROPAY"``.
        mode: The ``paymentMode``.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="NB", validator=_word, kw_only=True)


@frozen
class Voucher:
    """A prepaid voucher, to whose issuer the payer is redirected. Documented.

    Args:
        brand: The gateway's name of the issuer.
        mode: The ``paymentMode``.
    """

    brand: str = field(validator=_word)
    mode: str = field(default="PV", validator=_word, kw_only=True)


# The following constructors delete their parameters: the traceback of an error keeps the frame.


@frozen(init=False)
class SepaAccount:
    """A bank account in the SEPA area.

    The mode is documented; the names of the account's fields are our choice.

    Args:
        iban: Kept as a `Secret`.
        bic: Kept as a `Secret`.
        brand: The ``paymentBrand``.
        mode: The ``paymentMode``.
    """

    iban: Secret
    bic: Secret
    brand: str = field(validator=_word)
    mode: str = field(validator=_word)

    def __init__(
        self, iban: str | Secret, bic: str | Secret, *, brand: str = "SEPA", mode: str = "SEPA"
    ) -> None:
        numbers = Secret.wrap(iban), Secret.wrap(bic)
        del iban, bic
        self.__attrs_init__(*numbers, brand, mode)  # pyright: ignore[reportAttributeAccessIssue]


@frozen(init=False)
class AchAccount:
    """A bank account in the United States.

    The mode is documented; the names of the account's fields are our choice.

    Args:
        account_number: Kept as a `Secret`.
        routing_number: Kept as a `Secret`.
        account_type: One of the gateway's words, if it requires one.
        brand: The ``paymentBrand``.
        mode: The ``paymentMode``.
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
        numbers = Secret.wrap(account_number), Secret.wrap(routing_number)
        del account_number, routing_number
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            *numbers, account_type, brand, mode
        )


@frozen(init=False)
class Upi:
    """A virtual payment address of India's UPI.

    The mode is documented; the name of the address field is our choice.

    Args:
        address: Such as ``name@bank``; kept as a `Secret`. Without it the payer enters it on the
            gateway's page.
        brand: The ``paymentBrand``.
        mode: The ``paymentMode``.
    """

    address: Secret | None
    brand: str = field(validator=_word)
    mode: str = field(validator=_word)

    def __init__(
        self, address: str | Secret | None = None, *, brand: str = "UPI", mode: str = "UPI"
    ) -> None:
        wrapped = None if address is None else Secret.wrap(address)
        del address
        self.__attrs_init__(wrapped, brand, mode)  # pyright: ignore[reportAttributeAccessIssue]


@frozen(init=False)
class OtherSource:
    """Any other of the gateway's more than 200 ways to pay.

    Args:
        mode: The ``paymentMode``.
        brand: The ``paymentBrand``.
        fields: Further fields by their wire names, each kept as a `Secret`.
    """

    mode: str = field(validator=_word)
    brand: str = field(validator=_word)
    fields: Mapping[str, Secret] = field(hash=False)

    def __init__(self, mode: str, brand: str, fields: Mapping[str, str | Secret] = {}) -> None:
        wrapped = {name: Secret.wrap(value) for name, value in fields.items()}
        del fields
        self.__attrs_init__(mode, brand, wrapped)  # pyright: ignore[reportAttributeAccessIssue]


#: The sources of a debit or preauthorization.
PaymentSource: TypeAlias = (
    Card | Wallet | NetBanking | Voucher | SepaAccount | AchAccount | Upi | OtherSource
)
