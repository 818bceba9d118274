"""The result codes of protocol section 9 and what each states about money."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_GRANTED: Final = "200"  # noqa: S105 - a result code
SUCCEEDED: Final = "00001"
CAPTURED: Final = "00004"
REFUNDED: Final = "00005"
CANCELLED: Final = "00006"
CUSTOMER_REGISTERED: Final = "00007"
INVOICE_GENERATED: Final = "00010"
REMINDER_SENT: Final = "00012"
RECORD_FOUND: Final = "00026"
RECORD_NOT_FOUND: Final = "10026"
DUPLICATE: Final = "20015"
THREE_D_PENDING: Final = "90026"


class CodeClass(enum.Enum):
    """What a code states."""

    SUCCESS = "success"
    PENDING = "pending"
    REJECTED = "rejected"
    DUPLICATE = "duplicate: an earlier request with this id exists"
    UNKNOWN = "unknown"


#: Every code that is documented, with its meaning.
MEANINGS: Final[Mapping[str, str]] = {
    TOKEN_GRANTED: "token generated",
    SUCCEEDED: "transaction succeeded",
    CAPTURED: "captured",
    REFUNDED: "refunded",
    CANCELLED: "cancelled",
    CUSTOMER_REGISTERED: "cardholder registered",
    INVOICE_GENERATED: "invoice generated",
    REMINDER_SENT: "reminder sent",
    RECORD_FOUND: "record found",
    THREE_D_PENDING: "3-D authentication pending",
    "10001": "declined or failed",
    "10002": "not permitted",
    "10003": "registration failed",
    "10005": "capture failed",
    "10006": "refund failed",
    "10007": "cancel failed",
    "10008": "registration deletion failed",
    "10009": "member creation failed",
    "10010": "delete-token failed",
    "10011": "invoice not generated",
    "10012": "invoice cancel failed",
    "10013": "reminder not sent",
    "10014": "invoice regeneration failed",
    "10015": "OTP creation failed",
    "10016": "merchant sign-up failed",
    "10017": "token deletion failed",
    "10018": "change password failed",
    "10019": "OTP verification failed",
    "10020": "invoice configuration update failed",
    "10021": "order id set failed",
    "10022": "new password failed",
    "10023": "get invoice configuration failed",
    "10024": "email already verified",
    "10025": "address update failed",
    RECORD_NOT_FOUND: "record not found",
    "10027": "get address failed",
    "11002": "call issuer",
    "11003": "invalid merchant",
    "11004": "retain card",
    "11005": "authorization declined",
    "11006": "sequence error",
    "11009": "wait",
    "11010": "partial approval",
    "11012": "invalid transaction",
    "11013": "invalid amount",
    "11014": "invalid card",
    "11021": "no action",
    "11030": "format error",
    "11033": "card expired",
    "11034": "suspected manipulation",
    "11040": "function not supported",
    "11043": "stolen card",
    "20007": "failed",
    DUPLICATE: "duplicate transaction",
}

#: The bank's own codes (ISO 8583 field 39) that are a refusal. Absent are ``09`` wait, ``10``
#: partial approval, ``21`` no action, ``68`` answer too late, ``91`` and ``96`` out of order: they
#: do not state what happened.
BANK_REFUSALS: Final[Mapping[str, str]] = {
    "01": "refer to issuer",
    "02": "call issuer",
    "03": "invalid merchant",
    "04": "retain card",
    "05": "authorization declined",
    "06": "sequence error",
    "07": "retain card, special condition",
    "12": "invalid transaction",
    "13": "invalid amount",
    "14": "invalid card",
    "15": "no such issuer",
    "30": "format error",
    "31": "bank not supported",
    "33": "card expired",
    "34": "suspected manipulation",
    "36": "restricted card",
    "38": "PIN tries exceeded",
    "39": "no credit account",
    "40": "function not supported",
    "41": "lost card",
    "43": "stolen card",
    "51": "insufficient funds",
    "52": "no current account",
    "53": "no savings account",
    "54": "card expired",
    "55": "wrong PIN",
    "57": "not permitted to the cardholder",
    "58": "not permitted to the terminal",
    "59": "suspected fraud",
    "61": "amount limit exceeded",
    "62": "restricted card",
    "63": "security violation",
    "65": "count limit exceeded",
    "75": "PIN tries exceeded",
}

# Listed among the rejections, but not a refusal: a record that is not found may appear later. For
# the bank's codes see above.
_OPEN: Final = frozenset({RECORD_NOT_FOUND, "11009", "11010", "11021"})

_CODE_LENGTH: Final = 5
_CLASSES: Final[Mapping[str, CodeClass]] = {
    "0": CodeClass.SUCCESS,
    "1": CodeClass.REJECTED,
    "2": CodeClass.REJECTED,
    "9": CodeClass.PENDING,
}


def _well_formed(code: str) -> bool:
    return len(code) == _CODE_LENGTH and code.isascii() and code.isdigit()


def class_of(code: str) -> CodeClass:
    """Return the class of a code, of an unlisted one by its first digit (protocol section 9).

    The class is for people to read. Decisions about money use `is_refusal`, because an unlisted
    code proves nothing.
    """
    if code == DUPLICATE:
        return CodeClass.DUPLICATE
    return _CLASSES.get(code[0], CodeClass.UNKNOWN) if _well_formed(code) else CodeClass.UNKNOWN


def bank_code(code: str) -> str | None:
    """Return the bank's two-digit code (ISO 8583 field 39) in an ``11nnn`` code, else ``None``."""
    return code[-2:] if _well_formed(code) and code.startswith("110") else None


def is_refusal(code: str) -> bool:
    """Return whether a code proves that nothing was executed.

    It does if it is listed as a rejection, or if it has a refusal of the bank.
    """
    if code in _OPEN or class_of(code) is not CodeClass.REJECTED:
        return False
    return code in MEANINGS or bank_code(code) in BANK_REFUSALS


def meaning_of(code: str) -> str | None:
    """Return a code's documented meaning, ``None`` for an unlisted one."""
    return MEANINGS.get(code) or BANK_REFUSALS.get(bank_code(code) or "")
