"""A callback's bytes to its fields: JSON, nested or flat, or a form, read strictly (protocol sections 10 and 11)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from gatewaypy.errors import UnreadableCallback
from gatewaypy.protocol.parse import UnreadableError, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest body that is looked at, in bytes.
MAX_BODY: Final = 64 * 1024
_MAX_FIELDS: Final = 200

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: The names of the flat form (the browser return's, protocol section 11, seen) that have a nested counterpart. The first that
#: is there counts.
_FLAT: Final[Mapping[str, tuple[str, ...]]] = {
    "paymentId": ("paymentId", "trackingid", "trackingId"),
    "merchantTransactionId": ("merchantTransactionId", "desc"),
    "transactionStatus": ("transactionStatus",),
    "registrationId": ("registrationId", "token"),
}


# Every callback of a gateway has the same.
@lru_cache(maxsize=8)
def media_type(content_type: str) -> str:
    """Return a content type in lower case without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a callback's fields, flat ones brought into the nested shape; every scalar is the text that was received.

    :raises UnreadableCallback: for more than 64 KiB, what is neither JSON nor a form, not UTF-8, a name twice, NaN, or
        nesting deeper than 20.
    """
    if len(body) > MAX_BODY:
        reason = f"the body is longer than {MAX_BODY} bytes"
        raise UnreadableCallback(reason)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        reason = "the body is not UTF-8"
    else:
        kind = media_type(content_type)
        if kind == JSON or (not kind and text.lstrip().startswith("{")):
            return _read_json(text)
        if kind in {FORM, ""}:
            return nested(_read_form(text))
        reason = "the content type is neither JSON nor a form"
    raise UnreadableCallback(reason)


def _read_json(text: str) -> dict[str, Any]:
    try:
        fields = parse_json(text)
    except UnreadableError as unreadable:
        reason = str(unreadable)
    else:
        if not _has_half_characters(text, fields):
            return fields if isinstance(fields.get("result"), dict) else nested(fields)
        reason = "the body has half a character, or a NUL"
    raise UnreadableCallback(reason)


def _has_half_characters(text: str, fields: dict[str, Any]) -> bool:
    """Tell of escapes that no database and no UTF-8 takes: half of a surrogate pair, NUL."""
    # By its one character first, which is found five times as fast as both.
    if "\\" not in text or "\\u" not in text:
        return False
    plain = json.dumps(fields, ensure_ascii=False)
    return "\\u0000" in plain or any("\ud800" <= character <= "\udfff" for character in plain)


def _read_form(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        pairs = []
    fields = dict(pairs)
    if not pairs or len(fields) != len(pairs) or "\0" in "".join(f"{name}{value}" for name, value in pairs):
        reason = "the body is no form, or has a name twice or a NUL"
        raise UnreadableCallback(reason)
    return fields


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Bring flat fields into the nested shape; what has no counterpart stays as it is."""
    shaped = dict(fields)
    for name, twins in _FLAT.items():
        found = next((fields[twin] for twin in twins if fields.get(twin) not in (None, "")), None)
        if found is not None:
            shaped[name] = found
    if "resultCode" in fields and "result" not in fields:
        shaped["result"] = {"code": fields["resultCode"], "description": fields.get("resultDescription", "")}
    if "cardBin" in fields and "card" not in fields:
        shaped["card"] = {"bin": fields["cardBin"], "last4Digits": fields.get("cardLast4Digits", "")}
    return shaped
