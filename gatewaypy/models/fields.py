"""The fields of a reply or callback, by the gateway's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fields(Mapping[str, Any]):
    """The gateway's fields, by the gateway's own names.

    It reads like a dict. ``repr`` shows only the number of fields.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - the gateway may send any JSON
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - faster than Mapping.get
        """Return a field's value, or the default."""
        return self._values.get(name, default)

    def __repr__(self) -> str:
        return f"<{len(self._values)} fields>"


NO_FIELDS: Final = Fields()
