"""Exit codes of ``gatewaypy payouts``. If several apply, an unknown outcome has precedence."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatewaypy.payouts import Report


class ExitCode(enum.IntEnum):
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
    ExitCode.SETTLED: "every order is paid",
    ExitCode.ERROR: "an error, with a message; payouts that were in flight are in the journal",
    ExitCode.USAGE: "wrong usage",
    ExitCode.REVIEW: "orders are on the review list: a person must decide",
    ExitCode.FAILURES: (
        "every order has ended, but orders were refused or declined, or a file had bad rows or"
        " conflicts"
    ),
    ExitCode.UNFINISHED: "orders are planned, pending or unknown: run or resume again",
    ExitCode.RESTORED: (
        "every order has ended, but the journal counts as restored from a backup:"
        " see 'gatewaypy payouts trust'"
    ),
    ExitCode.INTERRUPTED: "stopped by SIGINT or SIGTERM: run or resume again",
}

#: The first that applies is the exit code.
PRECEDENCE: Final = (
    *(ExitCode.USAGE, ExitCode.ERROR, ExitCode.REVIEW, ExitCode.INTERRUPTED, ExitCode.UNFINISHED),
    *(ExitCode.RESTORED, ExitCode.FAILURES, ExitCode.SETTLED),
)

EPILOG: Final = (
    f"Exit codes: {'; '.join(f'{code.value} {meaning}' for code, meaning in MEANINGS.items())}."
    f" If several apply, the first of {', '.join(str(code.value) for code in PRECEDENCE)}."
)


def open_orders(report: Report) -> int:
    """Count the orders that have not ended."""
    return report.planned + report.sending + report.unknown + report.pending


def choose_exit_code(report: Report, *, failures: int, is_interrupted: bool = False) -> ExitCode:
    """Choose the exit code.

    Args:
        report: The journal's counts.
        failures: Number of refused or declined orders, bad rows and conflicts.
        is_interrupted: Whether a signal stopped the run.
    """
    if report.review:
        return ExitCode.REVIEW
    if is_interrupted:
        return ExitCode.INTERRUPTED
    if open_orders(report):
        return ExitCode.UNFINISHED
    if report.restored:
        return ExitCode.RESTORED
    return ExitCode.FAILURES if failures else ExitCode.SETTLED
