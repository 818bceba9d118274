"""How well a fact of the protocol is known; every table of this package states it."""

from __future__ import annotations

import enum


class Grade(enum.Enum):
    """Where a fact comes from."""

    DOCUMENTED = "documented by the vendor"
    SEEN = "seen in a recorded reply or a running integration"
    ONE_SOURCE = "from one source only, plausible, never proved"
    OUR_CHOICE = "our choice where nothing is documented"
