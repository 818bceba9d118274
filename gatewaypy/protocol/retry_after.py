"""The delay that a gateway requests with ``Retry-After`` (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatewaypy.protocol.wire import WireReply

#: The HTTP status that asks a client to slow down.
TOO_MANY: Final = 429
#: The longest delay that is respected, in seconds (our choice). A longer one is a mistake or a day
#: of maintenance, and a job that sends a request in ten minutes does no harm.
LONGEST_DELAY: Final = 600.0
#: The delay after a 429 that names none, in seconds (our choice).
DEFAULT_DELAY: Final = 1.0

_SECONDS: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?")
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# The date that servers write, and the two obsolete ones that clients must read.
_DATES: Final = (
    re.compile(
        r"[A-Za-z]{3}, (?P<day>[0-9]{2}) (?P<month>[A-Za-z]{3}) (?P<year>[0-9]{4}) "
        + _CLOCK
        + " GMT"
    ),
    re.compile(
        r"[A-Za-z]{6,9}, (?P<day>[0-9]{2})-(?P<month>[A-Za-z]{3})-(?P<year>[0-9]{2}) "
        + _CLOCK
        + " GMT"
    ),
    re.compile(
        r"[A-Za-z]{3} (?P<month>[A-Za-z]{3}) +(?P<day>[0-9]{1,2}) " + _CLOCK + " (?P<year>[0-9]{4})"
    ),
)
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_CENTURY: Final = 100


def read_delay(reply: WireReply, *, now: float) -> float | None:
    """Return how many seconds a reply asks to wait, from 0 to 600.

    A date counts from the reply's own ``Date``, so that a wrong clock on either side does not
    matter. A value that is neither, or lies in the past, counts as absent.

    Args:
        reply: Any reply; 429 asks to wait one second if it names no delay.
        now: The wall clock in seconds since the epoch, for replies without a ``Date``.

    Returns:
        ``None`` if the reply does not ask to wait.
    """
    value, delay = (reply.retry_after or "").strip(), None
    if _SECONDS.fullmatch(value):
        delay = float(value)
    elif (until := _read_date(value, now)) is not None:
        sent = _read_date((reply.date or "").strip(), now)
        delay = until - (now if sent is None else sent)
    if delay is None or delay < 0:
        return DEFAULT_DELAY if reply.http_status == TOO_MANY else None
    return min(delay, LONGEST_DELAY)


def _read_date(text: str, now: float) -> float | None:
    found = next((match for date in _DATES if (match := date.fullmatch(text))), None)
    if found is None or found["month"].lower() not in _MONTHS:
        return None
    day, year, hour, minute, second = (
        int(found[name]) for name in ("day", "year", "hour", "minute", "second")
    )
    if year < _CENTURY:
        # A year of two digits that seems to be more than 50 years ahead is of the century before.
        this_year = datetime.fromtimestamp(now, UTC).year
        year += this_year // _CENTURY * _CENTURY
        year -= _CENTURY if year > this_year + _CENTURY // 2 else 0
    month = _MONTHS.index(found["month"].lower()) + 1
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except ValueError:
        return None
