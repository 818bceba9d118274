"""A callback's body: JSON, nested or flat, or a form (protocol sections 10 and 11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.errors import UnreadableCallback
from gatewaypy.protocol.charset import decode_text, media_type
from gatewaypy.protocol.form import read_pairs
from gatewaypy.protocol.parse import UnreadableError, parse_json, refuse_guess

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest body that is read, in bytes.
MAX_BODY: Final = 64 * 1024
_MAX_FIELDS: Final = 200

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: The names of the flat form that have a nested counterpart (the browser return's, protocol
#: section 11, seen). The first one with a value is used.
_FLAT: Final[Mapping[str, tuple[str, ...]]] = {
    "paymentId": ("paymentId", "trackingid", "trackingId"),
    "merchantTransactionId": ("merchantTransactionId", "desc"),
    "transactionStatus": ("transactionStatus",),
    "registrationId": ("registrationId", "token"),
}


#: What may stand before a body's first character: blanks, byte order marks, and the zero bytes of
#: UTF-16 and UTF-32.
_BEFORE: Final = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"


def is_json(body: bytes) -> bool:
    """Return whether a body is JSON by its first character, which no form begins with."""
    return body.lstrip(_BEFORE)[:1] == b"{"


def read_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a callback's fields in the nested shape; each text is as it was received.

    A body whose first character is ``{`` is read as JSON for every content type. The charset is
    found by `gatewaypy.protocol.charset.decode_text`.

    Raises:
        UnreadableCallback: The body is larger than 64 KiB or is neither JSON nor a form. Or it has
            a repeated name, NaN, or more than 20 levels. Or its charset was guessed, and a signed
            field or a code is not ASCII.
    """
    if len(body) > MAX_BODY:
        reason = f"the body is longer than {MAX_BODY} bytes"
        raise UnreadableCallback(reason)
    kind = media_type(content_type)
    if kind == JSON or is_json(body):
        return _read_json(*decode_text(body, content_type))
    if kind in {FORM, ""}:
        return nest_fields(_read_form(body, content_type))
    reason = "the content type is neither JSON nor a form"
    raise UnreadableCallback(reason)


def _read_json(text: str, is_guessed: bool) -> dict[str, Any]:  # noqa: FBT001 - as decode_text returns it
    try:
        fields = parse_json(text)
        if is_guessed:
            refuse_guess(fields)
    except UnreadableError as unreadable:
        reason = str(unreadable)
    else:
        if not _has_unpaired_surrogate_or_nul(text, fields):
            return fields if isinstance(fields.get("result"), dict) else nest_fields(fields)
        reason = "the body contains an unpaired surrogate or a NUL character"
    raise UnreadableCallback(reason)


def _has_unpaired_surrogate_or_nul(text: str, fields: dict[str, Any]) -> bool:
    """Return whether the text has escapes that databases and UTF-8 do not accept."""
    # One character first, which is found five times as fast as both.
    if "\\" not in text or "\\u" not in text:
        return False
    plain = json.dumps(fields, ensure_ascii=False)
    return "\\u0000" in plain or any("\ud800" <= character <= "\udfff" for character in plain)


def _read_form(body: bytes, content_type: str) -> dict[str, str]:
    reason = "the body is not a valid form, or it has a repeated name or a NUL character"
    try:
        pairs, is_guessed = (
            read_pairs(body, content_type, max_fields=_MAX_FIELDS) if b"=" in body else ([], False)
        )
        fields = dict(pairs)
        if (
            pairs
            and len(fields) == len(pairs)
            and "\0" not in "".join(f"{name}{value}" for name, value in pairs)
        ):
            if is_guessed:
                refuse_guess(fields)
            return fields
    except UnreadableError as unreadable:
        reason = str(unreadable)
    except ValueError:
        pass
    raise UnreadableCallback(reason)


def nest_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Bring flat fields into the nested shape; those without a counterpart stay."""
    shaped = dict(fields)
    for name, twins in _FLAT.items():
        found = next((fields[twin] for twin in twins if fields.get(twin) not in (None, "")), None)
        if found is not None:
            shaped[name] = found
    if "resultCode" in fields and "result" not in fields:
        shaped["result"] = {
            "code": fields["resultCode"],
            "description": fields.get("resultDescription", ""),
        }
    if "cardBin" in fields and "card" not in fields:
        shaped["card"] = {
            "bin": fields["cardBin"],
            "last4Digits": fields.get("cardLast4Digits", ""),
        }
    return shaped
