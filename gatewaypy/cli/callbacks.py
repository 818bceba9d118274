"""``gatewaypy callbacks``: listen, sign and verify by hand, and replay parked events."""

from __future__ import annotations

import json
import signal
from typing import Annotated

import anyio
import typer

from gatewaypy.callbacks import (
    CallbackApp,
    CallbackEvent,
    Inbox,
    Router,
    sign_callback,
    verify_callback,
)
from gatewaypy.callbacks.body import JSON, read_body
from gatewaypy.cli.command import Ending, errors_named, run
from gatewaypy.cli.options import check_existing
from gatewaypy.cli.output import PlainConsole
from gatewaypy.config import Credentials

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Receive, sign and verify callbacks; replay parked ones.",
)

_INBOX = Annotated[str, typer.Option(help="sqlite:///file.db or postgresql://user@host/database")]
_BODY = Annotated[
    typer.FileBinaryRead, typer.Argument(help="the body, as it was received; - for stdin")
]


@app.command()
def sign(
    body: _BODY,
    status: Annotated[
        str | None, typer.Option(help="the status to sign; the short one by default")
    ] = None,
) -> None:
    """Print a callback with its checksum, by the key in GATEWAYPY_SECRET_KEY."""
    with errors_named():
        fields = read_body(body.read(), JSON)
        signed = {
            **fields,
            "checksum": sign_callback(fields, Credentials.from_env(), status=status),
        }
        # JSON escapes characters that a terminal cannot show.
        PlainConsole().out(json.dumps(signed, indent=1), highlight=False)


@app.command()
def verify(
    body: _BODY, content_type: Annotated[str, typer.Option(help="as it was received")] = JSON
) -> None:
    """Show a callback and whose signature it has; exit code 1 if no key matches."""
    with errors_named():
        event = verify_callback(read_body(body.read(), content_type), Credentials.from_env())
        PlainConsole().say(_line(event))


@app.command()
def replay(
    inbox: _INBOX,
    identifiers: Annotated[
        list[int] | None, typer.Argument(help="events to put back; all that are parked by default")
    ] = None,
) -> None:
    """Put parked events back, to be handled again, and list what needs a person."""
    run(_replay, inbox, tuple(identifiers or ()))


async def _replay(url: str, identifiers: tuple[int, ...]) -> int:
    console = PlainConsole()
    async with Inbox(check_existing(url, what="inbox")) as inbox:
        console.say(f"{await inbox.replay(*identifiers)} put back")
        for kept in await inbox.list_entries("parked", "review"):
            order = kept.fields.get("merchantTransactionId") or kept.fields.get("paymentId")
            status = kept.fields.get("status") or kept.fields.get("transactionStatus")
            console.say(
                f"{kept.state} {kept.id}: member {kept.member} {order} {status}: {kept.reason}"
            )
    return 0


@app.command()
def listen(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="the port; 0 takes a free one")
    ] = 8601,
    inbox: Annotated[
        str | None,
        typer.Option(
            help="keep events in this inbox of its own, never a shop's: what is shown is done"
        ),
    ] = None,
) -> None:
    """Receive callbacks and show each whose signature matches, until interrupted."""
    run(_listen, host, port, inbox)


async def _listen(host: str, port: int, inbox: str | None) -> int:
    from gatewaypy.sandbox.server import serving  # noqa: PLC0415 - uvicorn is an extra

    router, console, code = Router(), PlainConsole(), 0

    @router.on(CallbackEvent)
    async def show(event: CallbackEvent) -> None:
        nonlocal code
        try:
            console.say(_line(event))
        except BrokenPipeError:
            code = Ending.BROKEN_PIPE
            signal.raise_signal(signal.SIGTERM)

    callbacks = CallbackApp(router, Credentials.from_env(), inbox=inbox)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with callbacks, serving(callbacks, host, port) as url:
            console.say(f"listening for callbacks on {url}")
            async for _ in signals:
                break
    return code


def _line(event: CallbackEvent) -> str:
    status = event.status or event.transaction_status
    content = f"{event.merchant_transaction_id} payment {event.payment_id} {event.amount} {status}"
    return f"{type(event).__name__} {content} (member {event.member_id})"
