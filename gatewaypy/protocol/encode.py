"""Write a request as a form or as nested JSON, checked and signed (protocol section 2)."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.models import HostedForm
from gatewaypy.pan import replace_digits
from gatewaypy.protocol.checksum import KEY, RULES, checksum, signed_values
from gatewaypy.protocol.fields import check
from gatewaypy.protocol.operation_types import Login, ReplyKind
from gatewaypy.protocol.wire import WireRequest
from gatewaypy.secret import Secret, SecretBytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.config import Credentials
    from gatewaypy.platforms import Platform
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.protocol.requests import Request

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.~-]", re.ASCII)

_OWN_NUMBER: Final = "must not contain the card number, because ids are logged and shown"

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
CONTENT_TYPES: Final[Mapping[str, str]] = {"form": FORM, "json": JSON}
ACCEPTS: Final[Mapping[str, str]] = {"json": JSON, "xml": "application/xml"}


def encode(
    request: Request,
    *,
    platform: Platform,
    credentials: Credentials,
    body: str = "form",
    accept: str = "json",
) -> WireRequest:
    """Check, sign and write a request; its token is added when it is sent.

    Args:
        request: The request.
        platform: The platform that gets it.
        credentials: The merchant's account.
        body: Format of the body, ``form`` or ``json``, if the operation does not set one.
        accept: Format of the reply.

    Raises:
        InvalidRequest: Names the field that breaks its rule. Nothing was sent.
    """
    operation = request.operation.for_platform(platform)
    fields = complete(request, platform=platform, credentials=credentials)
    body = operation.body or body
    return WireRequest(
        url=f"{platform.base_url}{operation.root.value}{_path(operation, request.subject)}",
        content_type=CONTENT_TYPES[body],
        accept=ACCEPTS[accept],
        body=write(fields, body),
    )


def hosted_form(request: Request, *, platform: Platform, credentials: Credentials) -> HostedForm:
    """Check and sign a form that the payer's browser posts to one of the gateway's pages.

    Raises:
        InvalidRequest: Names the field that breaks its rule.
    """
    operation = request.operation.for_platform(platform)
    fields = complete(request, platform=platform, credentials=credentials)
    return HostedForm(
        f"{platform.base_url}{operation.root.value}{operation.path}", tuple(fields.items())
    )


def complete(
    request: Request, *, platform: Platform, credentials: Credentials
) -> dict[str, str | Secret]:
    """Return every field of a request as this platform names them, checked and signed.

    Raises:
        InvalidRequest: Names the field that breaks its rule.
        ConfigurationError: ``platform.field_names`` gives two fields the same name.
    """
    operation = request.operation.for_platform(platform)
    try:
        fields = _complete(operation, request, credentials)
    except InvalidRequest as refusal:
        raise InvalidRequest(
            refusal.field,
            refusal.rule,
            refusal.shape,
            operation=operation.name,
            merchant_transaction_id=None
            if refusal.rule == _OWN_NUMBER
            else request.merchant_transaction_id,
        ) from None
    if not platform.field_names:
        return fields
    names = {name: _renamed(name, platform) for name in fields}
    spelled = set(names.values())
    if len(spelled) != len(names) or any(
        other.startswith(f"{name}.") for name in spelled for other in spelled
    ):
        msg = f"platform.field_names: must not give two fields of {operation.name} the same name"
        raise ConfigurationError(msg)
    return {names[name]: value for name, value in fields.items()}


def _renamed(name: str, platform: Platform) -> str:
    """Return a field's name on a platform; ``product[1].quantity`` keeps its position."""
    if "[" not in name:
        return platform.field_names.get(name, name)
    group, _, rest = name.partition("[")
    position, _, leaf = rest.partition("].")
    spelled = platform.field_names.get(f"{group}.{leaf}", f"{group}.{leaf}")
    head, _, tail = spelled.partition(".")
    return f"{head}[{position}].{tail}"


def _complete(
    operation: Operation, request: Request, credentials: Credentials
) -> dict[str, str | Secret]:
    is_page = operation.reply is ReplyKind.PAGE
    fields: dict[str, str | Secret] = {}
    if operation.login is Login.MERCHANT and operation.reply is not ReplyKind.TOKEN:
        fields["memberId" if is_page else "authentication.memberId"] = credentials.member_id
    fields.update(operation.fixed)
    fields.update(request.fields)
    for name in operation.required:
        if name not in fields:
            raise InvalidRequest(name, "required")
    check(fields)
    if "card.number" in fields and _has_card_number(fields):
        raise InvalidRequest("merchantTransactionId", _OWN_NUMBER)
    key = (
        credentials.partner_secret_key
        if operation.login is Login.PARTNER
        else credentials.secret_key
    )
    signed: dict[str, str | Secret] = {
        **fields,
        "memberId": credentials.member_id,
        KEY: key or credentials.secret_key,
    }
    if request.subject is not None:
        check({operation.subject: request.subject})
        # In rule C the name of either id is "id".
        signed |= {operation.subject: request.subject, "id": request.subject}
        if "{id}" not in operation.path:
            # Newer hosts take the ids in the body (protocol section 13, one source).
            fields.setdefault(operation.subject, request.subject)
    elif "{id}" in operation.path:
        raise InvalidRequest(operation.subject, "required: the id that the operation acts on")
    if operation.rule is not None:
        rule = RULES[operation.rule]
        digest = checksum(rule, signed_values(rule, signed))
        fields["checksum" if is_page else "authentication.checksum"] = Secret(digest)
    return fields


def _has_card_number(fields: Mapping[str, str | Secret]) -> bool:
    number, own_id = fields["card.number"], fields.get("merchantTransactionId", "")
    text = own_id.reveal() if isinstance(own_id, Secret) else own_id
    digits = number.reveal() if isinstance(number, Secret) else number
    return replace_digits(text, digits, "") != text


def _path(operation: Operation, subject: str | None) -> str:
    return (
        operation.path
        if subject is None
        else operation.path.replace("{id}", quote(subject, safe=""))
    )


def write(fields: Mapping[str, str | Secret], body: str) -> SecretBytes:
    """Write fields as a body. Only this function reveals secrets, and then it cannot raise."""
    texts = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in fields.items()
    }
    if body == "form":
        return SecretBytes(
            "&".join(
                [f"{_quoted_name(name)}={_quoted(text)}" for name, text in texts.items()]
            ).encode("ascii")
        )
    return SecretBytes(json.dumps(_nested(texts)).encode())


# Names repeat, so they are cached. Of values only single characters are cached, never a value.
_quoted_name: Final = lru_cache(quote_plus)
_quoted_character: Final = lru_cache(quote_plus)


def _quoted(text: str) -> str:
    """Quote a value as `urllib.parse.quote_plus` does, but touch unsafe characters only."""
    return _UNSAFE.sub(lambda found: _quoted_character(found[0]), text)


def _nested(fields: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *branches, leaf = name.split(".")
        node = tree
        for branch in branches:
            group, bracket, _ = branch.partition("[")
            if bracket:
                # product[0], product[1], … come in order, each with all its fields before the next.
                listed = node.setdefault(group, [])
                if branch != f"{group}[{len(listed) - 1}]":
                    listed.append({})
                node = listed[-1]
            else:
                node = node.setdefault(branch, {})
        node[leaf] = value
    return tree
