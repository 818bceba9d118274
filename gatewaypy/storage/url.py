"""Strict parser of store URLs: an unknown part is refused, as it could name another store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from gatewaypy.errors import ConfigurationError
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
#: Options of a PostgreSQL URL that are ignored if the URL itself has the part.
_PARTS: Final = {
    "host": "hostname",
    "port": "port",
    "user": "username",
    "password": "password",
    "dbname": "path",
    "database": "path",
}


def sqlite_path(url: str) -> str | None:
    """Return the path of a SQLite URL.

    Args:
        url: Any URL of a store.

    Returns:
        The path as it is written; ``None`` if it is not a SQLite URL.

    Raises:
        ConfigurationError: The URL has no path, an option, a fragment, an escape, a control
            character, or a space at an end of the path. It would name a new, empty store.
    """
    if not url.startswith(_SQLITE):
        return None
    path = url.removeprefix(_SQLITE)
    if not path.strip():
        reason = "must name a file: sqlite:///payouts.db, or sqlite:////var/lib/payouts.db"
    elif "?" in path or "#" in path:
        reason = "must not have options or a fragment; write the path alone"
    elif path.startswith("file:"):
        reason = "must name a path, not a file: URI"
    elif _ESCAPE.search(path):
        reason = "must not have percent escapes; write the path as the file system has it"
    elif path != path.strip() or not path.isprintable():
        reason = "must not have control characters, nor blanks at its ends"
    else:
        return path
    msg = f"SQLite URL: {reason}; got {shape_of(path)}"
    raise ConfigurationError(msg)


def is_postgres(url: str) -> bool:
    """Return whether a URL is a PostgreSQL URL, and check its options.

    Args:
        url: Any URL of a store.

    Returns:
        True if it is a valid PostgreSQL URL, False if it is of another kind.

    Raises:
        ConfigurationError: The URL is malformed. Or an option is empty, repeated or set in the
            URL itself too: the driver would ignore it, and use another database or schema.
    """
    if not url.startswith(_POSTGRES):
        return False
    try:
        parts = urlsplit(url)
        # A list of hosts does not have a single port; the driver parses it.
        port = None if "," in parts.netloc else parts.port
    except ValueError:
        reason = "must be readable; write special characters in a password as percent escapes"
    else:
        given = {"hostname": parts.netloc, "port": port, "path": parts.path.strip("/")}
        given |= {"username": parts.username, "password": parts.password}
        reason = _fault_of(url) or _fault_of_options(parts.query, given)
    if reason:
        msg = f"PostgreSQL URL: {reason}"
        raise ConfigurationError(msg)
    return True


def _fault_of(url: str) -> str:
    if url != url.strip() or not url.isprintable():
        return "must not have control characters, nor blanks at its ends"
    return "must not have a fragment; write '#' in a password as %23" if "#" in url else ""


def _fault_of_options(query: str, given: Mapping[str, object]) -> str:
    names: set[str] = set()
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        name = unquote(name.replace("+", " "))
        shown = f"option {name}" if name.isidentifier() else "an option"
        if not value:
            return f"{shown}: must have a value"
        if name in names:
            return f"{shown}: must not be repeated"
        if given.get(_PARTS.get(name, "")):
            return f"{shown}: must not be given twice, as the URL itself has it"
        names.add(name)
    return ""
