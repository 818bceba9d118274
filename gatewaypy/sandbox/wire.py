"""The gateway's side of the wire: a request's body to flat fields, a reply's fields to JSON or XML."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response


class MalformedError(Exception):
    """A body that is neither a form nor nested JSON."""


def read_fields(body: bytes, content_type: str) -> dict[str, str]:
    """Read a form or nested JSON into dotted names.

    :raises MalformedError: for anything else.
    """
    try:
        text = body.decode()
        if content_type.startswith("application/json"):
            return dict(_flattened(json.loads(text), ""))
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    except (ValueError, AttributeError):
        raise MalformedError from None


def _flattened(value: Any, prefix: str) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return [pair for name, inner in value.items() for pair in _flattened(inner, f"{prefix}.{name}" if prefix else name)]
    if isinstance(value, list):
        return [pair for place, inner in enumerate(value) for pair in _flattened(inner, f"{prefix}[{place}]")]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]


def write_reply(fields: dict[str, Any], accept: str, *, http_status: int = 200) -> Response:
    """Write a reply as JSON, or as XML where the request asked for it: the same names as elements under one root."""
    if "application/xml" in accept:
        import xmltodict

        return Response(xmltodict.unparse({"response": fields}), http_status, media_type="application/xml")
    return Response(json.dumps(fields), http_status, media_type="application/json")
