"""Parses request bodies to flat fields, and writes replies as JSON or XML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from gatewaypy.protocol.charset import decode_text, media_type
from gatewaypy.protocol.form import read_pairs

if TYPE_CHECKING:
    from starlette.requests import Request

_MAX_FIELDS: Final = 1000


class MalformedError(Exception):
    """A body that is neither a form nor nested JSON."""


def read_fields(body: bytes, content_type: str) -> dict[str, str]:
    """Parse a form, or nested JSON, to fields with dotted names.

    Args:
        body: The body as received.
        content_type: The ``Content-Type`` header.

    Returns:
        The fields.

    Raises:
        MalformedError: The body has another format.
    """
    if media_type(content_type) != "application/json":
        return read_form(body, content_type)
    try:
        text, _ = decode_text(body, content_type)
        return dict(_flattened(json.loads(text), ""))
    except (ValueError, AttributeError):
        raise MalformedError from None


def read_form(body: bytes, content_type: str) -> dict[str, str]:
    """Parse a form. If a name is repeated, its last value is used.

    Args:
        body: The body as received.
        content_type: The ``Content-Type`` header.

    Returns:
        The fields; empty for an empty body.

    Raises:
        MalformedError: The body is not empty, and has no ``name=value`` or more than 1,000 fields.
    """
    try:
        pairs, _ = read_pairs(body, content_type, max_fields=_MAX_FIELDS)
    except ValueError:
        pairs = []
    if body and (not pairs or b"=" not in body):
        raise MalformedError
    return dict(pairs)


async def receive_form(request: Request) -> dict[str, str]:
    """Receive the form of a payer's browser; empty if the body is not a form."""
    try:
        return read_form(await request.body(), request.headers.get("content-type", ""))
    except MalformedError:
        return {}


def _flattened(value: Any, prefix: str) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return [
            pair
            for name, inner in value.items()
            for pair in _flattened(inner, f"{prefix}.{name}" if prefix else name)
        ]
    if isinstance(value, list):
        return [
            pair
            for place, inner in enumerate(value)
            for pair in _flattened(inner, f"{prefix}[{place}]")
        ]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]


def write_reply(fields: dict[str, Any], accept: str, *, http_status: int = 200) -> Response:
    """Write a reply as JSON, or as XML with the same names as elements under one root.

    Args:
        fields: The reply's fields.
        accept: The request's ``Accept`` header. ``application/xml`` selects XML.
        http_status: The HTTP status.

    Returns:
        The HTTP response.
    """
    if "application/xml" in accept:
        import xmltodict

        return Response(
            xmltodict.unparse({"response": fields}), http_status, media_type="application/xml"
        )
    return Response(json.dumps(fields), http_status, media_type="application/json")
