"""Validation of requests: the operation, the merchant, the format of fields, the checksum."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol import checksum as signing
from gatewaypy.protocol.fields import check
from gatewaypy.protocol.operation_types import (
    DISCRIMINATORS,
    Login,
    ReplyKind,
)
from gatewaypy.protocol.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.secret import Secret


class RejectedError(Exception):
    """A request that is rejected before anything is recorded."""

    def __init__(self, code: str, description: str) -> None:
        """Store the code and its description."""
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description


@frozen
class ValidRequest:
    """A request that passed validation.

    Args:
        operation: The operation.
        merchant: The account of the caller.
        subject: The id of the earlier payment or stored card, if the operation needs one.
        fields: The request's fields.
    """

    operation: Operation
    merchant: Credentials
    subject: str | None
    fields: Mapping[str, str]

    @property
    def member_id(self) -> str:
        """The merchant's member id."""
        return self.merchant.member_id

    def __getitem__(self, name: str) -> str:
        """Return a field; the empty string if it is missing."""
        return self.fields.get(name, "")

    def rejected(self, code: str, description: str) -> dict[str, Any]:
        """Build the reply to a rejected request without a payment."""
        return {"memberId": self.member_id, "result": {"code": code, "description": description}}


class Routes:
    """The operations of a platform by path and discriminators, such as ``paymentType``.

    Args:
        platform: The platform. Its differences from the usual paths and rules are applied.
    """

    def __init__(self, platform: Platform) -> None:
        """Index the operations by service root and discriminators."""
        self._routes: dict[
            tuple[str, tuple[str | None, ...]], list[tuple[re.Pattern[str], Operation]]
        ] = {}
        for row in OPERATIONS.values():
            operation = row.for_platform(platform)
            if operation.reply not in {ReplyKind.TOKEN, ReplyKind.PAGE}:
                place, taken, end = operation.path.partition("{id}")
                pattern = re.compile(
                    f"{re.escape(place)}{'([^/]+)' if taken else ''}{re.escape(end)}"
                )
                key = (
                    operation.root.value,
                    tuple(operation.fixed.get(name) for name in DISCRIMINATORS),
                )
                self._routes.setdefault(key, []).append((pattern, operation))

    def find(self, root: str, path: str, fields: Mapping[str, str]) -> tuple[Operation, str | None]:
        """Find the operation of a request.

        Args:
            root: The service root.
            path: The path below the service root.
            fields: The request's fields under their usual names.

        Returns:
            The operation and its subject: the id of the payment or card that it acts on. The
            subject is ``None`` if the request has none.

        Raises:
            RejectedError: The platform has no operation with this path and ``paymentType``.
        """
        said = tuple(fields.get(name) or None for name in DISCRIMINATORS)
        for pattern, operation in self._routes.get((root, said), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return operation, unquote(found[1]) if pattern.groups else fields.get(
                    operation.subject
                )
        raise RejectedError(
            "20007", "paymentType or recurringType is missing, unknown or not for this path"
        )


def named(fields: Mapping[str, str], platform: Platform) -> dict[str, str]:
    """Rename the fields of a platform with its own field names to the usual names.

    If the platform has its own name for a field, the field under its usual name is dropped.

    Args:
        fields: The fields as received.
        platform: The platform.

    Returns:
        The fields under their usual names.
    """
    usual = {theirs: ours for ours, theirs in platform.field_names.items()}
    return {
        usual.get(name, name): value
        for name, value in fields.items()
        if name not in platform.field_names
    }


def validate(
    operation: Operation,
    subject: str | None,
    fields: Mapping[str, str],
    merchants: Iterable[Credentials],
) -> ValidRequest:
    """Check the merchant, the required fields, every field's format and the checksum.

    Args:
        operation: The operation of the request.
        subject: The id that the operation acts on, if it has one.
        fields: The request's fields under their usual names.
        merchants: The accounts of the sandbox.

    Returns:
        The valid request.

    Raises:
        RejectedError: A check failed. The error has the code and the description of the reply.
    """
    is_page = operation.reply is ReplyKind.PAGE
    if operation.login is Login.PARTNER:
        partner = fields.get("authentication.partnerId")
        merchant = next(
            (m for m in merchants if m.partner_id == partner and m.partner_username is not None),
            None,
        )
    else:
        member = fields.get("memberId" if is_page else "authentication.memberId")
        merchant = next((m for m in merchants if m.member_id == member), None)
    if merchant is None:
        raise RejectedError("20007", "memberId or partnerId is unknown")
    missing = [name for name in operation.required if not fields.get(name)]
    if missing:
        raise RejectedError("20007", f"missing: {', '.join(missing)}")
    refused, is_signed = None, False
    try:
        for name, value in fields.items():
            check({name: value})
        is_signed = _is_signed(operation, merchant, subject, fields)
    except InvalidRequest as refusal:
        refused = refusal.field
    if refused is not None:
        raise RejectedError("20007", f"not in its format, or missing: {refused}")
    if not is_signed:
        raise RejectedError("20007", "checksum is wrong")
    return ValidRequest(operation, merchant, subject, fields)


def _is_signed(
    operation: Operation, merchant: Credentials, subject: str | None, fields: Mapping[str, str]
) -> bool:
    if operation.rule is None:
        return True
    rule = signing.RULES[operation.rule]
    key = merchant.partner_secret_key if operation.login is Login.PARTNER else merchant.secret_key
    given: dict[str, str | Secret] = {
        **fields,
        "memberId": merchant.member_id,
        signing.KEY: key or merchant.secret_key,
    }
    values = given | ({operation.subject: subject, "id": subject} if subject is not None else {})
    received = fields.get(
        "checksum" if operation.reply is ReplyKind.PAGE else "authentication.checksum", ""
    )
    return signing.matches(signing.checksum(rule, signing.signed_values(rule, values)), received)
