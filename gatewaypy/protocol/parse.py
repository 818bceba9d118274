"""Read the fields of a reply, JSON or XML, strictly (protocol section 2)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.imports import missing_extra
from gatewaypy.protocol.charset import decode_text, find_guessed_field, media_type
from gatewaypy.protocol.redaction import redact
from gatewaypy.protocol.wire import WireFailure
from gatewaypy.protocol.xml_fields import MAX_DEPTH, XmlError
from gatewaypy.protocol.xml_fields import read_fields as read_xml_fields

if TYPE_CHECKING:
    from gatewaypy.protocol.wire import WireReply


_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_UNAUTHORIZED: Final = 401
_REDIRECTS: Final = range(300, 400)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.]{1,40}", re.ASCII)


class UnreadableError(Exception):
    """An answer that cannot be read. The text states why and never quotes the body."""


def read_fields(answer: WireReply | WireFailure, *, keep_token: bool = False) -> dict[str, Any]:
    """Read an answer's fields, without card numbers and without the secrets of its request.

    Args:
        answer: The answer to a request.
        keep_token: Keep the field that has a token.

    Raises:
        UnreadableError: There is no reply, or it is unreadable or states nothing of the payment.
    """
    if isinstance(answer, WireFailure):
        raise UnreadableError(answer.reason)
    status = answer.http_status
    if status >= _SERVER_ERROR or status in {_UNAUTHORIZED, _TOO_MANY} or status in _REDIRECTS:
        msg = f"HTTP {status}"
        raise UnreadableError(msg)
    return redact(parse(answer), answer.secrets, keep_token=keep_token)


def parse(reply: WireReply) -> dict[str, Any]:
    """Read a reply's fields. A number stays the text that was received: ``00001``, ``50.00``.

    A body that starts with ``{`` is read as JSON, independent of its content type.

    Raises:
        UnreadableError: The body is not one JSON object or one XML element (an HTML page, an empty
            or incomplete body), has a repeated name, NaN, a DTD, an entity or more than 20 levels,
            or has a deciding field that is not ASCII in a guessed charset.
    """
    text, is_guessed = decode_text(reply.body, reply.content_type)
    start, kind = text.lstrip()[:1], media_type(reply.content_type)
    if start == "{":
        fields = parse_json(text)
    elif start == "<" and "xml" in kind and "xhtml" not in kind:
        fields = parse_xml(text)
    else:
        kind = kind or "no content type"
        reason = (
            f"the body is {'empty' if not start else f'neither a JSON object nor XML ({kind})'}"
        )
        raise UnreadableError(reason)
    if is_guessed:
        refuse_guess(fields)
    return fields


def refuse_guess(fields: dict[str, Any]) -> None:
    """Refuse fields that depend on a guessed charset.

    Raises:
        UnreadableError: A field that decides something is not ASCII.
    """
    name = find_guessed_field(fields)
    if name is not None:
        # The sender of the body chose the name.
        shown = name if _PLAIN_NAME.fullmatch(name) else "deciding field"
        msg = (
            f"the body is not UTF-8 and declares no charset that fits, and its {shown} is not ASCII"
        )
        raise UnreadableError(msg)


def parse_json(text: str) -> dict[str, Any]:
    """Read one JSON object."""
    reason = "the body is not valid JSON"
    text = text.strip(_WHITESPACE)
    try:
        fields, end = _DECODER.raw_decode(text)
    except UnreadableError as refusal:
        reason = str(refusal)
    except RecursionError:
        reason = f"the body is nested deeper than {MAX_DEPTH}"
    except ValueError:
        pass
    else:
        if end == len(text) and isinstance(fields, dict):
            # A body with so few brackets cannot be too deep.
            return fields if text.count("{") + text.count("[") <= MAX_DEPTH else _shallow(fields)
    # Raised here, not where it was caught: the parser's own error would carry the whole body along.
    raise UnreadableError(reason)


def parse_xml(text: str) -> dict[str, Any]:
    """Read one XML element that has the JSON form's names (our choice: no sample is known).

    Raises:
        UnreadableError: It is not well-formed, has a DTD, is too deep, or contradicts itself.
        ConfigurationError: The extra ``gatewaypy[xml]`` is missing.
    """
    try:
        import xmltodict  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("XML", "xml") from None
    try:
        return read_xml_fields(text, xmltodict)
    except XmlError as error:
        reason = str(error)
    # Raised here, not where it was caught: the parser's own error would carry the whole body along.
    raise UnreadableError(reason)


def _refuse(constant: str) -> None:
    msg = f"the body has {constant}, which JSON does not allow"
    raise UnreadableError(msg)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        msg = "the body has a name more than once"
        raise UnreadableError(msg)
    return fields


_WHITESPACE: Final = " \t\n\r"
_DECODER: Final = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_refuse, object_pairs_hook=_without_duplicates
)


def _shallow(fields: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return fields
    msg = f"the body is nested deeper than {MAX_DEPTH}"
    raise UnreadableError(msg)
