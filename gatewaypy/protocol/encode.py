"""From a request to its bytes: the fields checked, signed and written as a form or as nested JSON (protocol section 2)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol.checksum import KEY, RULES, checksum
from gatewaypy.protocol.fields import check
from gatewaypy.protocol.operations import ReplyKind
from gatewaypy.protocol.wire import WireRequest
from gatewaypy.secret import SealedBytes, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.requests import Request

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
CONTENT_TYPES: Final[Mapping[str, str]] = {"form": FORM, "json": JSON}
ACCEPTS: Final[Mapping[str, str]] = {"json": JSON, "xml": "application/xml"}


def encode(
    request: Request, *, platform: Platform, credentials: Credentials, body: str = "form", accept: str = "json"
) -> WireRequest:
    """Check, sign and write a request; its token is added when it is sent.

    :raises InvalidRequest: naming the field that breaks its rule; nothing has been sent.
    """
    operation = request.operation
    try:
        fields = _complete(request, credentials)
        path = _path(request, platform, fields)
    except InvalidRequest as refusal:
        raise InvalidRequest(
            refusal.field,
            refusal.rule,
            refusal.shape,
            operation=operation.name,
            merchant_transaction_id=request.merchant_transaction_id,
        ) from None
    return WireRequest(
        url=f"{platform.base_url}{operation.root.value}{path}",
        content_type=CONTENT_TYPES[body],
        accept=ACCEPTS[accept],
        body=write(fields, body),
    )


def _complete(request: Request, credentials: Credentials) -> dict[str, str | Secret]:
    operation = request.operation
    fields: dict[str, str | Secret] = {}
    if operation.reply is not ReplyKind.TOKEN:
        fields["authentication.memberId"] = credentials.member_id
    if operation.payment_type is not None:
        fields["paymentType"] = operation.payment_type
    fields.update(request.fields)
    for name in operation.required:
        if name not in fields:
            raise InvalidRequest(name, "required")
    for name, value in fields.items():
        check(name, value)
    if request.subject is not None:
        check("merchantTransactionId" if request.subject == request.merchant_transaction_id else "paymentId", request.subject)
    if operation.rule is not None:
        subject = request.subject or ""
        values = {
            "memberId": credentials.member_id,
            KEY: credentials.secret_key,
            "id": subject,
            "paymentId": subject,
            **request.fields,
        }
        fields["authentication.checksum"] = Secret(checksum(RULES[operation.rule], values))
    return fields


def _path(request: Request, platform: Platform, fields: dict[str, str | Secret]) -> str:
    path = request.operation.path_on(platform)
    if request.subject is None:
        if "{id}" in path:
            raise InvalidRequest("paymentId", "required: the payment that is acted on")
        return path
    if "{id}" not in path:
        # Newer hosts take the ids in the body (protocol section 13, one source).
        fields.setdefault("paymentId" if request.merchant_transaction_id is None else "merchantTransactionId", request.subject)
    return path.replace("{id}", quote(request.subject, safe=""))


def write(fields: Mapping[str, str | Secret], body: str) -> SealedBytes:
    """Write fields as a body. The only place where secrets are revealed; nothing here raises once they are."""
    if body == "form":
        return SealedBytes(
            urlencode([(n, v.reveal() if isinstance(v, Secret) else v) for n, v in fields.items()]).encode("ascii")
        )
    return SealedBytes(json.dumps(_nested({n: v.reveal() if isinstance(v, Secret) else v for n, v in fields.items()})).encode())


def _nested(fields: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *branches, leaf = name.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    return tree
