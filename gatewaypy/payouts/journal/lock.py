"""The file next to a SQLite journal: its lock, and its count of intents."""

from __future__ import annotations

import os
from typing import Final

from attrs import evolve

from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal.restoration import Tally

_DIGITS: Final = 20
_NAME: Final = 32


class JournalLock:
    """Locks a journal for one process, and counts its intents.

    The count is written after an intent is on disk and before its payout is sent. It never
    decreases. The name of an opening is synced to disk, a count is not. See `restoration` for how
    both are used.

    Args:
        journal: The path of the journal.
    """

    def __init__(self, journal: str) -> None:
        """Set the path; the file is created when the lock is acquired."""
        self._journal = journal
        self._path = ""
        self._file = -1
        self.tally = Tally("", 0)

    def acquire(self) -> None:
        """Acquire the lock and read the file. The lock ends with the process.

        Raises:
            ConfigurationError: Another process has the lock, or the file cannot be created.
        """
        # One journal has one lock, even if it is opened through a link.
        self._path = os.path.realpath(self._journal) + ".owner"
        is_missing = not os.path.exists(self._path)  # noqa: PTH110 - one system call
        try:
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600
            )
            _lock(self._file)
        except BlockingIOError:
            self.release()
            reason = (
                f"another process runs this journal: {self._path} is locked; wait for that process,"
                " or stop it"
            )
        except OSError as error:
            self.release()
            reason = f"cannot use {self._path}: {error}"
        else:
            self.tally = evolve(
                _tally(os.pread(self._file, _DIGITS + _NAME, 0)), is_missing=is_missing
            )
            return
        raise ConfigurationError(reason)

    def look(self) -> Tally:
        """Read the file without the lock."""
        try:
            with open(os.path.realpath(self._journal) + ".owner", "rb") as file:  # noqa: PTH123
                return _tally(file.read(_DIGITS + _NAME))
        except OSError as error:
            return Tally("", 0, is_missing=isinstance(error, FileNotFoundError))

    def begin(self, opening: str, intents: int) -> None:
        """Write the name of an opening and the number of intents, and sync them to disk."""
        self.tally = Tally(opening, max(intents, self.tally.intents))
        os.pwrite(self._file, b"%0*d%s" % (_DIGITS, self.tally.intents, opening.encode()), 0)
        os.fsync(self._file)

    def count(self, intents: int) -> None:
        """Add intents to the count."""
        self.tally = Tally(self.tally.opening, self.tally.intents + intents)
        os.pwrite(self._file, b"%0*d" % (_DIGITS, self.tally.intents), 0)

    def release(self) -> None:
        """Release the lock; the file stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _tally(text: bytes) -> Tally:
    digits, name = text[:_DIGITS], text[_DIGITS:]
    if not digits.isdigit():
        return Tally("", 0)
    return Tally(name.decode("ascii", "replace"), int(digits))


def _lock(file: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:  # pragma: no cover - Windows locks by other means
        import msvcrt  # noqa: PLC0415 - see above

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
