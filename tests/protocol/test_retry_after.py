"""The delay that a reply asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy.protocol.retry_after import DEFAULT_DELAY, LONGEST_DELAY, read_delay
from gatewaypy.protocol.wire import WireReply

# Sun, 06 Nov 1994 08:49:37 GMT
NOW = 784111777.0


def delay(retry_after: str | None, date: str | None = None, status: int = 503) -> float | None:
    return read_delay(WireReply(status, "", b"", retry_after, date), now=NOW)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("5", 5.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("86400", LONGEST_DELAY),
        ("9999999999", LONGEST_DELAY),
        ("Sun, 06 Nov 1994 08:50:00 GMT", 23.0),
        ("Sunday, 06-Nov-94 08:50:00 GMT", 23.0),
        ("Sun Nov  6 08:50:00 1994", 23.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 1999 23:59:60 GMT", LONGEST_DELAY),
        ("Sunday, 06-Nov-93 08:50:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("Sun, 31 Feb 1994 08:50:00 GMT", None),
        ("Sun, 06 Foo 1994 08:50:00 GMT", None),
        ("-5", None),
        ("+5", None),
        ("٥", None),
        ("1e3", None),
        ("inf", None),
        ("99999999999", None),
        ("5, 10", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_read_delay_accepts_seconds_or_date(retry_after: str | None, seconds: float | None) -> None:
    """Seconds and three date forms are read and limited; the rest counts as absent."""
    assert delay(retry_after) == seconds


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 10:00:00 GMT", "Sunday, 06-Nov-94 10:00:00 GMT", "Sun Nov  6 10:00:00 1994"],
)
def test_read_delay_counts_from_date_of_reply(date: str) -> None:
    """A date counts from the clock of the server if the reply shows it."""
    assert delay("Sun, 06 Nov 1994 10:00:07 GMT", date) == 7.0
    assert delay("Sun, 06 Nov 1994 09:59:59 GMT", date) is None
    assert delay("7", date) == 7.0


def test_read_delay_unreadable_date_uses_local_clock() -> None:
    """If the date of the reply cannot be read, the local clock counts."""
    assert delay("Sun, 06 Nov 1994 08:50:00 GMT", "yesterday") == 23.0


@pytest.mark.parametrize("retry_after", [None, "soon", "-1", "Sun, 06 Nov 1994 08:49:36 GMT"])
def test_read_delay_of_429_has_a_default(retry_after: str | None) -> None:
    """A 429 without a delay has a default delay."""
    assert delay(retry_after, status=429) == DEFAULT_DELAY


@given(st.text(max_size=40), st.text(max_size=40), st.floats(0, 4e9))
def test_read_delay_any_text_is_bounded(retry_after: str, date: str, now: float) -> None:
    """Any header is a delay between 0 and the maximum, or none."""
    seconds = read_delay(WireReply(429, "", b"", retry_after, date), now=now)
    assert seconds is not None
    assert 0 <= seconds <= LONGEST_DELAY
