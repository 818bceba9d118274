"""Strict access to the fields of a reply, an inquiry's answer or a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewaypy.protocol.parse import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_text(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a field that decides something, ``None`` if it is missing.

    Raises:
        UnreadableError: It is an object, a list or a truth value.
    """
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    msg = f"the reply field {name!r} is not a string"
    raise UnreadableError(msg)


def read_code(fields: Mapping[str, Any]) -> str:
    """Return the code in ``result``, empty if there is none.

    Raises:
        UnreadableError: ``result`` is not an object, or its code is not a string.
    """
    result = fields.get("result")
    if result is None:
        return ""
    if not isinstance(result, dict):
        msg = "the reply field 'result' is not an object"
        raise UnreadableError(msg)
    return (read_text(result, "code") or "").strip()


def text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a field that decides nothing, ``None`` if it is missing or not a string."""
    value = fields.get(name)
    return value if isinstance(value, str) else None
