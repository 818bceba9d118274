"""``gatewaypy sandbox``: serve a sandbox and say how to reach it."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from gatewaypy.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


async def serve(console: Console, behaviour: Mapping[str, Any], address: Mapping[str, Any]) -> int:
    """Serve until SIGINT or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with Sandbox(**behaviour).serve(**address) as sandbox:
            account = sandbox.credentials
            print_line = partial(console.print, soft_wrap=True, highlight=False)
            for line in (
                f"sandbox listening on {sandbox.base_url}",
                f"member {account.member_id}, partner {account.partner_id}, terminal {account.terminal_id}",
                f"user {account.username}",
                f"secret key {account.secret_key.reveal()} (of the sandbox alone)",
                f"ledger: {sandbox.base_url}/sandbox/ledger",
            ):
                print_line(line)
            async for _ in signals:
                break
    return 0
