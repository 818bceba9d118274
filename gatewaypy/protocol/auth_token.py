"""Reading the reply to a token call (protocol section 3)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from gatewaypy.protocol.charset import decode_text
from gatewaypy.protocol.codes import TOKEN_GRANTED
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.reply_fields import read_code, read_text
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A token is valid for exactly one hour (documented, seen).
LIFETIME: Final = 3600.0
#: How long a token is used whose expiry cannot be read.
UNREADABLE_LIFETIME: Final = 55 * 60.0

_PRINTABLE: Final = frozenset(map(chr, range(0x21, 0x7F)))


@frozen(kw_only=True)
class AuthToken:
    """A token that the gateway granted; ``lifetime`` is what was left on receipt, in seconds."""

    value: Secret
    lifetime: float
    partner_id: str | None = None
    member_id: str | None = None
    login_name: str | None = None


@frozen
class Refused:
    """The gateway's refusal of a token call."""

    code: str
    description: str


def read(fields: Mapping[str, Any], *, now: float) -> AuthToken | Refused:
    """Read a token call's reply. Only code ``200`` with a token that is not empty is a success.

    Args:
        fields: The reply's fields.
        now: The wall clock, in seconds since the epoch; the token's ``exp`` is compared with it.

    Raises:
        UnreadableError: The reply has neither a token nor a refusal.
    """
    code, token = read_code(fields), (read_text(fields, "AuthToken") or "").strip()
    if code == TOKEN_GRANTED and token and _PRINTABLE.issuperset(token):
        return AuthToken(
            value=Secret(token),
            lifetime=lifetime(token, now=now),
            partner_id=read_text(fields, "partnerId"),
            member_id=read_text(fields, "memberId"),
            login_name=read_text(fields, "LoginName"),
        )
    if code and code != TOKEN_GRANTED and not token:
        return Refused(code, read_text(fields["result"], "description") or "")
    msg = "the reply to the token call has no token and no refusal"
    raise UnreadableError(msg)


def lifetime(token: str, *, now: float) -> float:
    """Return how many seconds a fresh token lives by its JWT's ``exp``.

    If a fresh token seems to have expired, or to live longer than an hour, a clock is wrong (this
    machine's or the gateway's). The result is then 55 minutes or an hour. A rejected token is
    dropped at once, independent of its expiry.
    """
    expiry = _expiry(token)
    if expiry is None or expiry <= now:
        return UNREADABLE_LIFETIME
    return min(expiry - now, LIFETIME)


def _expiry(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - a JWT is header, payload and signature
        return None
    try:
        text, _ = decode_text(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), "")
        payload = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        return None
    expiry = payload.get("exp") if isinstance(payload, dict) else None
    if not isinstance(expiry, int | float) or isinstance(expiry, bool):
        return None
    try:
        seconds = float(expiry)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None
