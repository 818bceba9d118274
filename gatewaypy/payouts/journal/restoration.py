"""Detecting that a journal was restored from a backup.

A restored journal lacks the orders and intents that were written after the backup, so that an
order that it does not have may have been sent. Such a journal is marked in its store until a person
ends the mark. A SQLite journal is compared with the file next to it (`JournalLock`):

- The file counts intents. A journal with fewer intents is older than the last sent payout.
- Each opening has a random name, which is written to the journal first and to the file second. If
  the names differ, one of the two was replaced, unless a process ended between the two writes.

A PostgreSQL journal is compared with the server, database and table in which it was created.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

#: The evidence of an order that is new to a restored journal; it is written in SQL text.
NEW_TO_RESTORED: Final = (
    "new to a restored journal, which may have lost it: it may have been sent before"
)
OPEN_IN_RESTORED: Final = "the journal was restored from a backup: an intent may be missing"
DECIDED_SINCE: Final = (
    " / the journal was restored: what was decided or sent since the backup is lost"
)


@frozen(kw_only=True)
class Memory:
    """What a journal's store has about itself.

    Args:
        home: The store's identity when it was opened last.
        opening: The name of its last opening; empty if none had a file next to it.
        opening_before: The name in the file when it was opened last.
        opening_intents: How many intents it had then.
        intents: How many intents it has, including those that it is known to have lost.
    """

    home: str
    opening: str
    opening_before: str
    opening_intents: int
    intents: int


@frozen
class Tally:
    """The contents of the file next to a journal.

    Args:
        opening: The name of the last opening.
        intents: Number of intents.
        is_missing: Whether the file did not exist.
    """

    opening: str
    intents: int
    is_missing: bool = False


def sign_of_loss(memory: Memory, home: str, tally: Tally | None) -> str:
    """Return why a journal must have lost rows since it was opened last; empty if there is no sign.

    Args:
        memory: What its store has.
        home: The store's identity now.
        tally: The file next to it; None for a journal without such a file.
    """
    if memory.home != home:
        return "its database was restored, copied, or promoted from a standby"
    if tally is None:
        return ""
    if tally.intents > memory.intents:
        return f"it holds {memory.intents} intents, and {tally.intents} were counted next to it"
    is_cut_off = tally.opening == memory.opening_before and memory.intents == memory.opening_intents
    # Nothing was sent from a journal that was never opened and has no intents.
    is_new = not memory.opening and not memory.intents
    is_lost = tally.is_missing and bool(memory.opening)
    if not is_lost and (tally.opening == memory.opening or is_cut_off or is_new):
        return ""
    reason = "missing or empty" if tally.is_missing or not tally.opening else "of another time"
    return f"the file next to it that counts its intents is {reason}"
