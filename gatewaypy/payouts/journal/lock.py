"""The file next to a journal in a file: its lock, and what tells later whether the journal was restored."""

from __future__ import annotations

import os
from typing import Final

from attrs import evolve

from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal.restoration import Tally

_DIGITS: Final = 20
_NAME: Final = 32


class JournalLock:
    """Locks a journal for one process, and counts its intents next to it.

    The count is written after an intent is on disk and before its payout is sent; it never falls. The name of an opening is
    forced to disk, a count is not. See `gatewaypy.payouts.journal.restoration` for what both are compared with.
    """

    def __init__(self, journal: str) -> None:
        """Name the journal's file; the one next to it is made when it is acquired."""
        self._journal = journal
        self._path = ""
        self._file = -1
        self.tally = Tally("", 0)

    def acquire(self) -> None:
        """Take the lock, which ends with this process however it ends, and read what the file keeps.

        :raises ConfigurationError: where another process has it, or the file cannot be made.
        """
        # One journal has one lock, whatever links and folders it is reached by.
        self._path = os.path.realpath(self._journal) + ".owner"
        is_missing = not os.path.exists(self._path)  # noqa: PTH110 - one call of the system, without a Path
        try:
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600
            )
            _lock(self._file)
        except BlockingIOError:
            self.release()
            reason = f"another process runs this journal: {self._path} is locked; wait for it, or stop it"
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
        """Return what the file keeps, without the lock; nothing where there is no file."""
        try:
            with open(os.path.realpath(self._journal) + ".owner", "rb") as file:  # noqa: PTH123 - as above
                return _tally(file.read(_DIGITS + _NAME))
        except OSError as error:
            return Tally("", 0, is_missing=isinstance(error, FileNotFoundError))

    def begin(self, opening: str, intents: int) -> None:
        """Write down the name of an opening, and how many intents the journal holds; return once both are on disk."""
        self.tally = Tally(opening, max(intents, self.tally.intents))
        os.pwrite(self._file, b"%0*d%s" % (_DIGITS, self.tally.intents, opening.encode()), 0)
        os.fsync(self._file)

    def count(self, intents: int) -> None:
        """Count further intents."""
        self.tally = Tally(self.tally.opening, self.tally.intents + intents)
        os.pwrite(self._file, b"%0*d" % (_DIGITS, self.tally.intents), 0)

    def release(self) -> None:
        """Let another process in; what the file keeps stays."""
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
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:  # pragma: no cover - Windows locks by other means
        import msvcrt  # noqa: PLC0415 - see above

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
