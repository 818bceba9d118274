"""The message about a journal that was restored from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewaypy.payouts import Report


def notice(report: Report) -> str:
    """Describe a restored journal and what to do; return an empty text for any other."""
    if not report.restored:
        return ""
    return (
        f"This journal counts as restored from a backup: {report.restored_because}.\n"
        "It may lack orders that were paid. The job inquires about new orders and does not send\n"
        "them. If an order is not found for the quiet period, it is put on the review list; with\n"
        "--resend-unknown it is sent. Run the files that were run since the backup. Once all of\n"
        "their orders have ended, run:\n"
        "  gatewaypy payouts trust --because '...'"
    )
