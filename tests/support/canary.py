"""Marked secrets, and every way in which a value can be shown."""

from __future__ import annotations

import pickle
import re
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import attrs

from gatewaypy import Credentials, Money, Timeouts
from gatewaypy.pan import is_luhn_valid

if TYPE_CHECKING:
    from gatewaypy.sandbox import Sandbox

CVV, KEY, LOGIN_KEY = "9173", "canaryKeyQ7xW2zP9canaryKey", "canaryPartnerKeyZ8yV3"
EUROS = Money("5.00", "EUR")
PATIENT = Timeouts(connect=20, read=20, total=30, inquiry=10)
MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key=KEY,
    partner_username="partner",
    partner_secret_key=LOGIN_KEY,
)


ENVIRON = {
    "GATEWAYPY_MEMBER_ID": "1",
    "GATEWAYPY_PARTNER_ID": "4",
    "GATEWAYPY_USERNAME": "shop",
    "GATEWAYPY_SECRET_KEY": KEY,
}


def luhn(stem: str) -> str:
    return next(stem + digit for digit in "0123456789" if is_luhn_valid(stem + digit))


NUMBER = luhn("492912345678901")


def owned(error: BaseException) -> str:
    """Render a traceback with the locals of the library's frames, and of every linked error."""
    parts: list[str] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        summary = traceback.TracebackException.from_exception(
            current, capture_locals=True, compact=False
        )
        parts.extend(
            f"{frame.filename} {frame.name} {frame.locals}"
            for frame in summary.stack
            if "tests/" not in frame.filename
        )
        parts.append(f"{current!r} {current} {vars(current)}")
        waiting += [
            chained for chained in (current.__cause__, current.__context__) if chained is not None
        ]
    return "\n".join(parts)


def found(secret: str, text: str) -> bool:
    """Look for a secret; the digits of a CVV may also be part of a time or an address."""
    return (
        re.search(rf"(?<![0-9A-Za-z.]){CVV}(?![0-9A-Za-z])", text) is not None
        if secret == CVV
        else secret in text
    )


def pickled(value: object) -> str:
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns about iterators in objects that cannot be pickled at all.
            warnings.simplefilter("ignore", DeprecationWarning)
            return pickle.dumps(value).decode("latin-1")
    except (TypeError, pickle.PicklingError) as refused:
        return str(refused)


def shown(value: Any) -> str:
    """Render a result or error in every way that tools do."""
    texts = [repr(value), str(value), f"{value}", pickled(value)]
    if attrs.has(type(value)):
        texts.append(repr(attrs.asdict(value)))
    if isinstance(value, BaseException):
        texts.append(owned(value))
    return "\n".join(texts)


def secrets(sandbox: Sandbox) -> list[str]:
    tokens = [token for _, token in sandbox.tokens._grants]
    return [NUMBER, f"{NUMBER[:4]} {NUMBER[4:8]}", CVV, KEY, LOGIN_KEY, *tokens]
