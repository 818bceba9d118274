"""Whether a journal lost rows: what it keeps of its last opening, compared with what was counted next to it.

A journal that was restored from a backup lacks the orders and intents that were written since. Its
store must not be trusted about what it does not hold, so such a journal is marked in its store
until a person ends the mark. A SQLite journal is compared with the file next to it (`JournalLock`):

- The file counts intents. A journal with fewer intents than that is older than what was sent.
- Each opening has a random name, written into the journal first and into the file then. Journal
  and file with different names are not of one time, unless a process ended between the two writes.

A PostgreSQL journal is compared with the server, database and table in which it was made.
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
    """What a journal's store keeps of itself.

    Args:
        home: Where it was when it was opened last.
        opening: The name of its last opening; empty if none had a file next to it.
        opening_before: The name in the file when it was opened last.
        opening_intents: How many intents it held then.
        intents: How many intents it holds, those included that it was found to have lost.
    """

    home: str
    opening: str
    opening_before: str
    opening_intents: int
    intents: int


@frozen
class Tally:
    """What the file next to a journal keeps: the name of the last opening, and the number of intents.

    ``is_missing`` is whether there was no such file.
    """

    opening: str
    intents: int
    is_missing: bool = False


def sign_of_loss(memory: Memory, home: str, tally: Tally | None) -> str:
    """Return the sign that a journal lost rows since it was opened last; empty if there is none.

    Args:
        memory: What its store keeps.
        home: Where it is now.
        tally: What the file next to it keeps; ``None`` for a journal without such a file.
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
