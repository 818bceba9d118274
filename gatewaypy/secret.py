"""Types that mask their value: for card numbers, CVVs, keys and tokens."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

MASK: Final = "***"
_MAX_DESCRIBED: Final = 1000


class Secret:
    """A string that only ``reveal()`` shows.

    ``repr``, ``str`` and ``format`` are masked. It cannot be pickled or iterated, and has no
    length and no ``__dict__``. Two secrets are compared in constant time.

    Args:
        text: The value.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    @classmethod
    def wrap(cls, value: str | Secret) -> Secret:
        """Return a secret itself, or a string as a secret."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the value. Call it only where the value is sent."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        msg = (
            "a Secret cannot be pickled; let the other process read the value from its source, "
            "such as a vault or the environment"
        )
        raise TypeError(msg)


class SecretBytes(bytes):
    """The bytes of a request or reply, with a ``repr`` that shows only their number."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SecretBytes({len(self)} bytes)"

    def __str__(self) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        msg = "SecretBytes cannot be pickled, because they may contain a card number"
        raise TypeError(msg)


def wrap_extra(extra: Mapping[str, str | Secret] | None) -> dict[str, Secret] | None:
    """Wrap the values of extra fields: any of them can be an account detail.

    Assign the result to the parameter: a traceback keeps the caller's variables.
    """
    return None if extra is None else {name: Secret.wrap(value) for name, value in extra.items()}


def shape_of(value: object) -> str:
    """Describe an invalid value without showing it: its length and kinds of characters."""
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    if not value:
        return "an empty string"
    length = f"{len(value)} character{'s' if len(value) != 1 else ''}"
    if len(value) > _MAX_DESCRIBED:
        # The work must not grow with the length of the value.
        length, value = f"{length}, the first {_MAX_DESCRIBED}", value[:_MAX_DESCRIBED]
    kinds = []
    if any(c.isascii() and c.isdigit() for c in value):
        kinds.append("digits")
    if any(c.isascii() and c.isalpha() for c in value):
        kinds.append("letters")
    if " " in value:
        kinds.append("spaces")
    marks = sorted(
        {c for c in value if c.isascii() and c.isprintable() and not c.isalnum() and c != " "}
    )
    kinds += [f"'{mark}'" for mark in marks]
    if any(not c.isascii() for c in value):
        kinds.append("non-ASCII characters")
    if any(not c.isprintable() and c.isascii() for c in value):
        kinds.append("control characters")
    return f"{length}: {', '.join(kinds)}"
