"""What must be kept of an initial payment so that later ones can be taken without the payer: no card data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol, Self

from attrs import asdict, fields, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.models.outcome import Outcome
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from gatewaypy.money import Money

_RULE: Final = "the text that Mandate.to_json() gave"


class _InitialPayment(Protocol):
    """A `Payment` or a `Transaction`."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def payment_id(self) -> str | None: ...
    @property
    def merchant_transaction_id(self) -> str | None: ...
    @property
    def registration_id(self) -> str | None: ...
    @property
    def amount(self) -> Money | None: ...
    @property
    def payment_mode(self) -> str | None: ...
    @property
    def payment_brand(self) -> str | None: ...
    @property
    def terminal_id(self) -> str | None: ...


@frozen(kw_only=True)
class Mandate:
    """A payer's standing consent: the initial payment's id and, where the card was stored, its registration (protocol section 4).

    It holds no card data and may be kept as JSON: ``Mandate.from_json(mandate.to_json())`` is the same mandate.

    :param payment_id: the initial payment's id; repeats go by it where there is no registration (our choice of path and rule).
    :param registration_id: the stored card's id, where the initial payment stored it (documented).
    :param payment_mode: with ``payment_brand``, as the initial payment had them: repeats must say them again.
    :param terminal_id: the terminal that took the initial payment.
    :param merchant_transaction_id: your own id of the initial payment, for your books.
    :param currency: the initial payment's; a repeat in another is refused.
    """

    payment_id: str
    registration_id: str | None = None
    payment_mode: str | None = None
    payment_brand: str | None = None
    terminal_id: str | None = None
    merchant_transaction_id: str | None = None
    currency: str | None = None

    @classmethod
    def of(cls, payment: _InitialPayment) -> Self:
        """Make the mandate of an initial payment that has succeeded.

        :raises InvalidRequest: where it has not, or not yet: after a redirect, make the mandate of what an inquiry finds.
        """
        if payment.outcome is not Outcome.SUCCEEDED or payment.payment_id is None:
            raise InvalidRequest(
                "mandate",
                "an initial payment that has succeeded; ask gateway.inquire once the payer is back",
                f"one with outcome {payment.outcome.name}",
                merchant_transaction_id=payment.merchant_transaction_id,
            )
        return cls(
            payment_id=payment.payment_id,
            registration_id=payment.registration_id,
            payment_mode=payment.payment_mode,
            payment_brand=payment.payment_brand,
            terminal_id=payment.terminal_id,
            merchant_transaction_id=payment.merchant_transaction_id,
            currency=None if payment.amount is None else payment.amount.currency,
        )

    def to_json(self) -> str:
        """Return the mandate as JSON: an object of texts, what is missing left out."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a mandate back.

        :raises InvalidRequest: where the text is no mandate.
        """
        try:
            values = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            values = None
        names = {attribute.name for attribute in fields(cls)}
        if (
            not isinstance(values, dict)
            or not names.issuperset(values)
            or "payment_id" not in values
            or not all(isinstance(value, str) for value in values.values())
        ):
            raise InvalidRequest("mandate", _RULE, shape_of(text))
        return cls(**values)
