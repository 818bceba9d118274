"""Orders as text in a journal's rows, encrypted if the caller passes hooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.callables import check_plain_function
from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal.rows import Row
from gatewaypy.payouts.orders import PayoutOrder
from gatewaypy.payouts.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENCRYPTED: Final = "encrypted:"


class OrderCodec:
    """Writes orders as text and reads them back.

    Args:
        encrypt: Encrypts the bytes of an order; None to store them as they are.
        decrypt: Reverses `encrypt`.

    Raises:
        ConfigurationError: Only one hook is set, or a hook is not a plain function.
    """

    def __init__(
        self, encrypt: Callable[[bytes], bytes] | None, decrypt: Callable[[bytes], bytes] | None
    ) -> None:
        """Check the hooks."""
        if (encrypt is None) is not (decrypt is None):
            msg = "encrypt, decrypt: must be set together, or neither of them"
            raise ConfigurationError(msg)
        for name, hook in (("encrypt", encrypt), ("decrypt", decrypt)):
            if hook is not None:
                check_plain_function(name, hook)
        self._encrypt = encrypt
        self._decrypt = decrypt

    @property
    def encrypts(self) -> bool:
        """Whether orders are encrypted, so that they may contain card numbers."""
        return self._encrypt is not None

    def write(self, fields: Mapping[str, Any]) -> str:
        """Return the text of an order's plain fields."""
        text = json.dumps(fields)
        return text if self._encrypt is None else _ENCRYPTED + self._encrypt(text.encode()).hex()

    def read(self, details: str) -> PayoutOrder:
        """Read an order from its text.

        Raises:
            ConfigurationError: The order is encrypted and there is no hook.
        """
        if not details.startswith(_ENCRYPTED):
            return PayoutOrder.from_json(details.encode())
        if self._decrypt is None:
            msg = "this journal's orders are encrypted; pass encrypt= and decrypt="
            raise ConfigurationError(msg)
        return PayoutOrder.from_json(self._decrypt(bytes.fromhex(details.removeprefix(_ENCRYPTED))))

    def read_row(self, values: tuple[Any, ...]) -> Row:
        """Read a row from the columns of `sql.COLUMNS`."""
        (
            row_id,
            _,
            state,
            attempt,
            owner,
            fence,
            details,
            not_found_by,
            not_found_since,
            payment_id,
            is_resent,
        ) = values
        return Row(
            row_id,
            self.read(details),
            State(state),
            attempt,
            owner,
            fence,
            not_found_by,
            float(not_found_since),
            payment_id,
            bool(is_resent),
        )
