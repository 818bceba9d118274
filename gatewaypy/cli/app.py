"""The commands, each a thin layer over the library."""

from __future__ import annotations

import enum
from datetime import datetime  # noqa: TC003 - typer reads the annotations
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from gatewaypy.cli.callbacks import app as callbacks
from gatewaypy.cli.checksum import show_checksum
from gatewaypy.cli.command import errors_named, run
from gatewaypy.cli.demo import Demo
from gatewaypy.cli.inquire import show_inquiry
from gatewaypy.cli.options import TRANSPORT, TransportChoice
from gatewaypy.cli.output import PlainConsole
from gatewaypy.cli.payouts.commands import app as payouts
from gatewaypy.cli.transactions import Query, show_transactions

#: Exit codes that all commands share.
EPILOG = (
    "Exit codes: 0 done; 1 an error, which is named, or a command's own 'no'; 2 the command was not understood;"
    " 70 an internal error; 130 interrupted; 141 the reader of the output went away."
    " 'gatewaypy payouts' has more: see its commands' help."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # Plain text: a panel would wrap paths and values, and rich would read markup in them.
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="The card-payment gateway's client, sandbox and tools.",
    epilog=EPILOG,
)

app.add_typer(callbacks, name="callbacks")
app.add_typer(payouts, name="payouts")


class Form(enum.Enum):
    """The format of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command()
def demo(
    payouts: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a CSV file of payouts to run")
    ] = None,
) -> None:
    """Run every kind of payment against a sandbox on a real socket, and compare the books. Exit code 1 if they differ."""
    run(Demo(PlainConsole(), payouts).run)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="the port to listen on; 0 takes a free one")
    ] = 8600,
    certfile: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, readable=True, help="a certificate in PEM form: speak TLS"
        ),
    ] = None,
    keyfile: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="the certificate's key, if it is another file",
        ),
    ] = None,
    token_lifetime: Annotated[float, typer.Option(help="seconds that a token lives")] = 3600.0,
    inquiry_delay: Annotated[
        float, typer.Option(help="seconds before an inquiry finds a new record")
    ] = 0.0,
    reply_delay: Annotated[float, typer.Option(help="seconds that every reply takes")] = 0.0,
    *,
    accept_duplicates: Annotated[
        bool, typer.Option(help="execute a used id again instead of refusing it")
    ] = False,
) -> None:
    """Serve the sandbox until it is interrupted."""
    from gatewaypy.cli.sandbox import serve  # noqa: PLC0415 - the sandbox is an extra of its own

    run(
        serve,
        PlainConsole(),
        {
            "token_lifetime": token_lifetime,
            "inquiry_delay": inquiry_delay,
            "reply_delay": reply_delay,
            "refuse_duplicates": not accept_duplicates,
        },
        {
            "host": host,
            "port": port,
            "certfile": certfile and str(certfile),
            "keyfile": keyfile and str(keyfile),
        },
    )


@app.command()
def inquire(
    url: Annotated[str, typer.Option(help="the gateway's base URL")],
    payment_id: Annotated[str | None, typer.Option(help="the gateway's id")] = None,
    merchant_transaction_id: Annotated[str | None, typer.Option(help="your own id")] = None,
    transport: TRANSPORT = TransportChoice.AUTO,
) -> None:
    """Ask what became of a payment or payout. Credentials come from GATEWAYPY_MEMBER_ID and its like."""
    run(show_inquiry, PlainConsole(), url, payment_id, merchant_transaction_id, transport)


@app.command()
def transactions(
    url: Annotated[str, typer.Option(help="the gateway's base URL")],
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day")],
    status: Annotated[
        str | None, typer.Option(help="only those with this status, such as capturesuccess")
    ] = None,
    date_format: Annotated[
        str, typer.Option(help="how this host writes days; %m/%d/%Y was seen too")
    ] = "%d/%m/%Y",
    form: Annotated[Form, typer.Option("--format", help="how to write the rows")] = Form.TABLE,
    transport: TRANSPORT = TransportChoice.AUTO,
    *,
    statement: Annotated[
        bool, typer.Option("--statement", help="add up per currency in place of listing")
    ] = False,
) -> None:
    """List payments and payouts, or add them up. Exit code 1 if a statement had to leave transactions out."""
    query = Query(
        url=url,
        start=start.date(),
        end=end.date(),
        status=status,
        date_format=date_format,
        form=form.value,
        add_up=statement,
        transport=transport,
    )
    run(show_transactions, PlainConsole(), query)


@app.command()
def checksum(
    rule: Annotated[str, typer.Argument(help="the rule's letter, such as A for a payment")],
    values: Annotated[
        list[str] | None,
        typer.Argument(help="name=value for each signed field but memberId and the key"),
    ] = None,
) -> None:
    """Show the text that a checksum is made of, its key masked, and the digest. The key comes from GATEWAYPY_SECRET_KEY."""
    with errors_named():
        show_checksum(PlainConsole(), rule, values or [])
