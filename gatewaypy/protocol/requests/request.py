"""A request before it is written: an operation and its fields by their wire names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.money import Money
from gatewaypy.protocol.checksum import RULES, STANDS_AS
from gatewaypy.protocol.operation_types import DISCRIMINATORS, InquireBy
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.protocol.operation_types import Operation

    Fields: TypeAlias = dict[str, str | Secret]

_NAME: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)


@frozen(kw_only=True)
class Request:
    """An operation with its fields by their wire names, and the values that identify its result.

    ``subject`` is the id that the operation acts on; ``None`` for a new payment or payout.
    """

    operation: Operation
    fields: Mapping[str, str | Secret]
    subject: str | None = None
    merchant_transaction_id: str | None = None
    amount: Money | None = None

    @property
    def payment_id(self) -> str | None:
        """The gateway's id, if the operation acts on an earlier payment."""
        return self.subject if self.operation.inquire_by is InquireBy.PAYMENT_ID else None


def present(values: Mapping[str, str | Secret | None]) -> Fields:
    """Return the values that are not ``None``."""
    return {name: value for name, value in values.items() if value is not None}


def prefixed(prefix: str, values: Mapping[str, str | Secret | None]) -> Fields:
    """Add a group's name before its fields, without those that are ``None``."""
    return {f"{prefix}.{name}": value for name, value in values.items() if value is not None}


def check_type(
    name: str,
    value: object,
    kind: type[object] | tuple[type[object], ...],
    rule: str,
    operation: Operation,
) -> None:
    """Refuse a value of the wrong type before it is used."""
    if not isinstance(value, kind):
        shape = f"a value of type {type(value).__name__}"
        if isinstance(value, str):
            shape = shape_of(value)
        raise InvalidRequest(name, rule, shape, operation=operation.name)


def check_amount(amount: object, operation: Operation) -> None:
    """Refuse any value that is not `Money`."""
    check_type("amount", amount, Money, "must be Money, such as Money('50.00', 'EUR')", operation)


def _signed_places(operation: Operation) -> set[str]:
    """Return the names that a checksum may read, which a caller's own fields must not have."""
    rule = RULES.get(operation.rule or "")
    return (
        set()
        if rule is None
        else {place for name in rule.fields for place in (name, *STANDS_AS.get(name, ()))}
    )


def _overlap(name: str, known: str) -> bool:
    return name == known or known.startswith(f"{name}.") or name.startswith(f"{known}.")


def with_extra(
    fields: Fields, extra: Mapping[str, str | Secret] | None, operation: Operation
) -> Fields:
    """Add a caller's own fields. They must not be the library's, and no checksum may read them."""
    if not extra:
        return fields
    reserved = {
        "memberId",
        "checksum",
        "authentication",
        *DISCRIMINATORS,
        *_signed_places(operation),
    }
    if operation.fixed.get("recurringType") == "REPEATED":
        # No payer can enter a CVV, and a merchant must not have stored one.
        reserved.add("card")
    for name, value in extra.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "extra",
                "names must consist of letters, digits, '_' and '.'",
                shape_of(name),
                operation=operation.name,
            )
        ours = any(_overlap(name, known) for known in reserved)
        # product[1].quantity is reserved as product, because positions do not matter here.
        if ours or any(_overlap(name, known.partition("[")[0]) for known in fields):
            refused = "must not be in extra, because the library sets it"
            raise InvalidRequest(name, refused, operation=operation.name)
        fields[name] = value
    return fields
