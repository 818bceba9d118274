"""From a reply's bytes to its fields: JSON or XML, read strictly, or said to be unreadable (protocol section 2)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError

from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewaypy.protocol.wire import WireReply

MAX_DEPTH: Final = 20


class UnreadableError(Exception):
    """The bytes are no reply. The text says why and never quotes them."""


def parse(reply: WireReply) -> dict[str, Any]:
    """Read a reply's fields. Every scalar comes as the text that was received: ``00001`` and ``50.00`` stay what they are.

    :raises UnreadableError: for anything but one JSON object or one XML element: an HTML page, an empty or cut body, twice the
        same name, NaN, a DTD or an entity, nesting deeper than 20.
    """
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        reason = "the body is not UTF-8"
    else:
        start = text.lstrip()[:1]
        if start == "{":
            return parse_json(text)
        if start == "<" and "xml" in reply.content_type and "xhtml" not in reply.content_type:
            return parse_xml(text)
        kind = reply.content_type or "no content type"
        reason = f"the body is {'empty' if not start else f'no JSON object or XML ({kind})'}"
    raise UnreadableError(reason)


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
    """Read one XML element: the names of the JSON form as elements, repeated ones as a list (our choice: no sample is known)."""
    try:
        import xmltodict  # noqa: PLC0415 - an extra
    except ImportError:
        msg = "XML replies need the extra: pip install 'gatewaypy[xml]'"
        raise ConfigurationError(msg) from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        msg = "the body has a DTD or an entity"
        raise UnreadableError(msg)
    reason = "the body is not valid XML"
    try:
        (content,) = xmltodict.parse(text, disable_entities=True).values()
    except (ExpatError, ValueError):
        pass
    else:
        if isinstance(content, dict):
            return _shallow({name: _plain(value) for name, value in content.items()})
        reason = "the body's root element has no fields"
    raise UnreadableError(reason)


def _refuse(constant: str) -> None:
    msg = f"the body has {constant}, which is no JSON"
    raise UnreadableError(msg)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        msg = "the body has a name twice"
        raise UnreadableError(msg)
    return fields


_WHITESPACE: Final = " \t\n\r"
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse, object_pairs_hook=_without_duplicates)


def _plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """Give XML's values the form that JSON's have: an empty element is an empty text."""
    if depth > MAX_DEPTH:
        msg = f"the body is nested deeper than {MAX_DEPTH}"
        raise UnreadableError(msg)
    if isinstance(value, dict):
        return {name: _plain(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, depth + 1) for inner in value]
    return "" if value is None else value


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
