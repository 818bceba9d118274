"""An unsigned body: a hint to inquire. Only what the inquiry needs is stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gatewaypy.callbacks.payment_progress import has_format
from gatewaypy.protocol.statuses import long_status, short_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMOUNT: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,3})?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)
_LONGEST_STATUS: Final = 64


def reduced(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return an unsigned body's ids in their format, known statuses, amount and currency.

    They have at most 400 characters. No other text of an unsigned body is stored, logged or shown.
    """
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, str) and _is_kept(name, value)
    }


def _is_kept(name: str, value: str) -> bool:
    match name:
        case "paymentId" | "merchantTransactionId":
            return has_format({name: value})
        case "status" | "transactionStatus":
            is_short = len(value) <= _LONGEST_STATUS
            return is_short and (long_status(value) is not None or short_outcome(value) is not None)
        case "amount":
            return _AMOUNT.fullmatch(value) is not None
        case "currency":
            return _CURRENCY.fullmatch(value) is not None
    return False
