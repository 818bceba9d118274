"""Signatures of callbacks and browser returns by rule S (protocol section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gatewaypy.callbacks.body import JSON, nest_fields, read_body
from gatewaypy.callbacks.events import read_event
from gatewaypy.config import Credentials
from gatewaypy.errors import InvalidRequest, SignatureMismatch, UnreadableCallback
from gatewaypy.models import Outcome
from gatewaypy.protocol.checksum import KEY, RULES, checksum, matches
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.reply_fields import read_text
from gatewaypy.protocol.statuses import long_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatewaypy.callbacks.events import CallbackEvent
    from gatewaypy.secret import Secret

#: By outcome: the short statuses that may correspond to a long status.
_SHORT: Final[Mapping[Outcome, tuple[str, ...]]] = {
    Outcome.SUCCEEDED: ("Y",),
    Outcome.FAILED: ("N",),
    Outcome.CANCELLED: ("C", "N"),
    Outcome.PENDING: ("P", "3D"),
    Outcome.REFUNDED: ("Y", "N"),
    Outcome.CHARGED_BACK: ("N", "Y"),
}


def sign_callback(
    fields: Mapping[str, Any], credentials: Credentials, *, status: str | None = None
) -> str:
    """Return the checksum that a callback with these fields carries.

    Args:
        fields: The callback's fields.
        credentials: The merchant's credentials. Their secret key signs the callback.
        status: The status to sign. The default is the short status or, if that is missing or empty,
            the long status.

    Returns:
        The checksum.

    Raises:
        InvalidRequest: A signed value contains ``|``, a line break or a NUL character.
    """
    signed = (
        status
        if status is not None
        else str(fields.get("transactionStatus") or fields.get("status") or "")
    )
    values = {name: str(fields.get(name) or "") for name in _NAMES}
    return checksum(_RULE, {**values, "status": signed, KEY: credentials.secret_key})


_RULE: Final = RULES["S"]
_NAMES: Final = ("paymentId", "merchantTransactionId", "amount")


def verify_callback(
    body: bytes | Mapping[str, Any],
    credentials: Credentials | Iterable[Credentials],
    *,
    content_type: str = JSON,
) -> CallbackEvent:
    """Verify a callback and return it as a typed event, without I/O.

    Args:
        body: The bytes as they were received, or the fields read from them.
        credentials: One account, or several that share the URL. The current key of each account is
            tried, then its previous keys.
        content_type: The ``Content-Type`` header of the request. Ignored if ``body`` is a mapping.

    Returns:
        The event.

    Raises:
        UnreadableCallback: The body is not a valid callback.
        SignatureMismatch: The signature is missing or does not match any key.
    """
    fields = read_body(body, content_type) if isinstance(body, bytes) else nest_fields(body)
    accounts = (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)
    signer = find_signer(fields, accounts)
    if signer is None:
        reason = (
            "the callback has no signature"
            if not fields.get("checksum")
            else "the callback signature does not match any configured key"
        )
        raise SignatureMismatch(reason)
    return read_event(fields, signed=True, member_id=signer.member_id)


def find_signer(fields: Mapping[str, Any], accounts: Iterable[Credentials]) -> Credentials | None:
    """Return the first account for which the signature matches a key, or None.

    Each key is compared in constant time.

    Raises:
        UnreadableCallback: A signed field is not a string, or contains ``|``, a line break or a NUL
            character.
    """
    try:
        received = read_text(fields, "checksum")
        values: dict[str, str | Secret] = {name: read_text(fields, name) or "" for name in _NAMES}
        statuses = _statuses(fields)
        if received is None:
            return None
        return next(
            (
                account
                for account in accounts
                for key in account.verifying_keys
                for status in statuses
                if matches(checksum(_RULE, {**values, KEY: key, "status": status}), received)
            ),
            None,
        )
    except UnreadableError as unreadable:
        reason = str(unreadable)
    except InvalidRequest as refusal:
        reason = f"{refusal.field}: {refusal.rule}"
    raise UnreadableCallback(reason)


def _statuses(fields: Mapping[str, Any]) -> list[str]:
    """Return the statuses that the signature may cover: short (documented) or long (seen).

    If the callback has no short status, the short forms of its long status are tried too. Otherwise
    they are not, so that they do not replace a short status that was changed.
    """
    short, long = read_text(fields, "transactionStatus"), read_text(fields, "status")
    statuses = [status for status in (short, long) if status]
    if "transactionStatus" in fields:
        return statuses
    known = long_status(long)
    return statuses if known is None else [*statuses, *_SHORT.get(known.outcome, ())]
