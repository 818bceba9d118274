"""What recurring payments need of the initial payment, without card data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol, Self

from attrs import asdict, fields, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.models.outcome import Outcome
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from gatewaypy.money import Money

_RULE: Final = "must be the text of Mandate.to_json()"


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
    """A payer's consent to recurring payments, without card data.

    Args:
        payment_id: The initial payment's id. Repeats use it if there is no registration (our
            choice of path and rule).
        registration_id: The stored card's id, if the initial payment stored it (documented).
        payment_mode: The initial payment's mode, which repeats must send again.
        payment_brand: As ``payment_mode``.
        terminal_id: The initial payment's terminal.
        merchant_transaction_id: Your own id of the initial payment.
        currency: The initial payment's currency. A repeat in another one is rejected.

    Example:
        ``Mandate.from_json(mandate.to_json())`` returns an equal mandate.

    Protocol section 4.
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
        """Build the mandate of a successful initial payment.

        Args:
            payment: The payment. After a redirect, the result of an inquiry.

        Returns:
            The mandate.

        Raises:
            InvalidRequest: The payment has not succeeded, or not yet.
        """
        if payment.outcome is not Outcome.SUCCEEDED or payment.payment_id is None:
            raise InvalidRequest(
                "mandate",
                "must be of a successful payment; after a redirect, call gateway.inquire first",
                f"outcome {payment.outcome.name}",
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
        """Return the mandate as a JSON object of strings, without the missing fields."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a mandate.

        Args:
            text: The text of `to_json`.

        Returns:
            The mandate.

        Raises:
            InvalidRequest: The text is not a mandate.
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
