"""What a person is told of a journal that was restored from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewaypy.payouts import Report


def notice(report: Report) -> str:
    """Say that a journal counts as restored, what that means, and what to do; nothing where it does not."""
    if not report.restored:
        return ""
    return (
        f"This journal counts as restored from a backup: {report.restored_because}.\n"
        "It may have lost orders that were paid. An order that is new to it is asked about and not sent;\n"
        "if it is not found for the quiet period, it goes on the review list (with --resend-unknown it is sent).\n"
        "Run the files that were run since the backup. Once all of their orders are settled, end this:\n"
        "  gatewaypy payouts trust --because '...'"
    )
