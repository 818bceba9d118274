"""``gatewaypy sandbox``: serve a sandbox and print its address and account."""

from __future__ import annotations

import signal
import ssl
from typing import TYPE_CHECKING, Any

import anyio

from gatewaypy.errors import ConfigurationError
from gatewaypy.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.cli.output import PlainConsole


async def serve(
    console: PlainConsole, behaviour: Mapping[str, Any], address: Mapping[str, Any]
) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: The certificate or its key cannot be used.
    """
    _check_certificate(address["certfile"], address["keyfile"])
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with Sandbox(**behaviour).serve(**address) as sandbox:
            account = sandbox.credentials
            for line in (
                f"sandbox listening on {sandbox.base_url}",
                f"member {account.member_id}, partner {account.partner_id}, terminal {account.terminal_id}",
                f"user {account.username}",
                f"secret key {account.secret_key.reveal()} (of the sandbox alone)",
                f"ledger: {sandbox.base_url}/sandbox/ledger",
            ):
                console.say(line)
            async for _ in signals:
                break
    return 0


def _check_certificate(certfile: str | None, keyfile: str | None) -> None:
    if certfile is None:
        if keyfile is not None:
            msg = "--keyfile: must come with --certfile, the certificate that it belongs to"
            raise ConfigurationError(msg)
        return
    try:
        # Without a password, OpenSSL would prompt for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password="")
    except (ssl.SSLError, ValueError):
        msg = (
            "--certfile, --keyfile: must be a certificate and its unencrypted key, both in PEM form"
        )
        raise ConfigurationError(msg) from None
