"""The file beside a journal in a file: who runs it, and how many intents have been written into it."""

from __future__ import annotations

import os
from typing import Final

from gatewaypy.errors import ConfigurationError

_DIGITS: Final = 20


class OwnerFile:
    """Locks a journal for one process, and tells when the journal is older than what was sent from it.

    The count is written after an intent is on disk and before its payout is sent. A journal with fewer intents in it than were
    counted is a copy from before some of them: restored from a backup.
    """

    def __init__(self, journal: str) -> None:
        """Name the journal's file; the one beside it is made when it is acquired."""
        self._journal = journal
        self._path = ""
        self._file = -1
        self.intents = 0

    def acquire(self) -> None:
        """Take the lock, which ends with this process however it ends, and read the count.

        :raises ConfigurationError: where another process has it, or the file cannot be made.
        """
        # One journal has one lock, whatever links and folders it is reached by.
        self._path = os.path.realpath(self._journal) + ".owner"
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            _lock(self._file)
        except BlockingIOError:
            self.release()
            reason = f"another process runs this journal: {self._path} is locked; wait for it, or stop it"
        except OSError as error:
            self.release()
            reason = f"cannot use {self._path}: {error}"
        else:
            text = os.pread(self._file, _DIGITS, 0)
            self.intents = int(text) if text.isdigit() else 0
            return
        raise ConfigurationError(reason)

    def count(self, intents: int) -> None:
        """Write the count down."""
        self.intents = intents
        os.pwrite(self._file, b"%0*d" % (_DIGITS, intents), 0)

    def release(self) -> None:
        """Let another process in; the count stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


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
