"""What the exit code of ``gatewaypy payouts`` says; where several would fit, money that nobody is sure of comes first."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatewaypy.payouts import Report


class Exit(enum.IntEnum):
    """An exit code."""

    SETTLED = 0
    ERROR = 1
    USAGE = 2
    REVIEW = 3
    FAILURES = 4
    UNFINISHED = 5
    RESTORED = 6
    INTERRUPTED = 130


#: The codes for ``--help`` and the documents.
MEANINGS: Final = {
    Exit.SETTLED: "every order is paid",
    Exit.ERROR: "an error, which is named; what was on its way is in the journal",
    Exit.USAGE: "the command was not understood",
    Exit.REVIEW: "orders are left on the review list: a person has to decide",
    Exit.FAILURES: "all is settled, but orders were refused or declined, or a file had bad rows or conflicts",
    Exit.UNFINISHED: "orders are left planned, pending or unknown: run or resume again",
    Exit.RESTORED: "all is settled, but the journal counts as restored from a backup: see 'gatewaypy payouts trust'",
    Exit.INTERRUPTED: "stopped by SIGINT or SIGTERM: run or resume again",
}

#: The first that fits is the exit code.
PRECEDENCE: Final = (
    *(Exit.USAGE, Exit.ERROR, Exit.REVIEW, Exit.INTERRUPTED, Exit.UNFINISHED),
    *(Exit.RESTORED, Exit.FAILURES, Exit.SETTLED),
)

EPILOG: Final = (
    f"Exit codes: {'; '.join(f'{code.value} {meaning}' for code, meaning in MEANINGS.items())}."
    f" Where several fit, the first of {', '.join(str(code.value) for code in PRECEDENCE)}."
)


def open_orders(report: Report) -> int:
    """Count the orders that have not reached their end."""
    return report.planned + report.sending + report.unknown + report.pending


def judge(report: Report, *, failures: int, is_interrupted: bool = False) -> Exit:
    """Choose the exit code.

    :param failures: orders that were refused or declined, bad rows and conflicts.
    """
    if report.review:
        return Exit.REVIEW
    if is_interrupted:
        return Exit.INTERRUPTED
    if open_orders(report):
        return Exit.UNFINISHED
    if report.restored:
        return Exit.RESTORED
    return Exit.FAILURES if failures else Exit.SETTLED
