"""The clock of journals and inboxes."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Return seconds since this machine started: equal in every process, and never set back."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
