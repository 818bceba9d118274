"""``gatewaypy payouts trust``, ``distrust`` and ``change-gateway``."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from gatewaypy.cli.options import check_existing
from gatewaypy.cli.payouts.report import member_id
from gatewaypy.payouts import Journal

if TYPE_CHECKING:
    from gatewaypy.cli.output import PlainConsole


async def trust(console: PlainConsole, url: str, because: str) -> int:
    """End a journal's mark; exit code 1 if it has none."""
    async with Journal(check_existing(url), member_id()) as journal:
        is_ended = await journal.trust(because, person=_person())
    if not is_ended:
        sys.exit("the journal does not count as restored; nothing was changed")
    console.say("The journal is trusted again: new orders are planned and sent.")
    return 0


async def distrust(console: PlainConsole, url: str, because: str) -> int:
    """Mark a journal as restored."""
    async with Journal(check_existing(url), member_id()) as journal:
        await journal.distrust(because, person=_person())
    console.say(
        "The journal counts as restored: the job inquires about open and new orders before it sends"
        " them."
    )
    return 0


async def change_gateway(console: PlainConsole, url: str, base_url: str, because: str) -> int:
    """Set another base URL of a journal's gateway."""
    async with Journal(check_existing(url), member_id()) as journal:
        await journal.change_gateway(base_url, because, person=_person())
    console.say(f"The journal of merchant {member_id()} now pays at {base_url}.")
    return 0


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
