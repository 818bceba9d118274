"""``gatewaypy payouts``: run files of payouts, finish what was begun, report, and take a person's decisions."""

from __future__ import annotations

import enum
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from gatewaypy.cli.command import run as run_command
from gatewaypy.cli.existing import existing
from gatewaypy.cli.options import TRANSPORT, TransportChoice
from gatewaypy.cli.output import PlainConsole
from gatewaypy.cli.payouts import trust as trust_commands
from gatewaypy.cli.payouts.exit_codes import EPILOG
from gatewaypy.cli.payouts.report import ReportQuery, member_id, show_report
from gatewaypy.cli.payouts.run import PayoutRun, RunSettings
from gatewaypy.errors import InvalidRequest
from gatewaypy.pan import contains, mask
from gatewaypy.payouts import Journal, State
from gatewaypy.printable import printable
from gatewaypy.secret import shape_of

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run payout jobs that survive anything."
)

_JOURNAL = Annotated[
    str,
    typer.Option(
        envvar="GATEWAYPY_JOURNAL", help="sqlite:///payouts.db or postgresql://user@host/database"
    ),
]
_URL = Annotated[str, typer.Option(help="the gateway's base URL")]
_CONCURRENCY = Annotated[int, typer.Option(min=1, help="payouts on their way at a time")]
_PER_SECOND = Annotated[
    float | None, typer.Option(min=0.01, help="payouts begun in a second, at most")
]
_QUIET_PERIOD = Annotated[
    float,
    typer.Option(
        min=0,
        help="seconds of 'not found' after which a payout whose answer was lost counts as not made",
    ),
]
_RESEND = Annotated[
    bool,
    typer.Option(
        "--resend-unknown",
        help="send it again then, as the platform refuses a used id; else it is for review",
    ),
]
_PATIENCE = Annotated[
    float,
    typer.Option(min=0, help="seconds to go on asking about pending payouts once all else is done"),
]
_PAUSE_AFTER = Annotated[
    int, typer.Option(min=1, help="failures in a row after which the job pauses, longer each time")
]
_TIMEOUT = Annotated[
    float, typer.Option(min=0.1, help="seconds for one payout, from its turn to its answer")
]
_INQUIRY_TIMEOUT = Annotated[
    float, typer.Option(min=0.1, help="seconds to go on asking about it after that")
]
_PROGRESS_INTERVAL = Annotated[
    float,
    typer.Option(min=0.1, help="seconds between two lines of progress where there is no terminal"),
]


class Form(enum.Enum):
    """How a report is written."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


class Decision(enum.Enum):
    """What a person may decide of a payout on the review list."""

    PAID = "paid"
    NOT_PAID = "not-paid"
    SEND_AGAIN = "send-again"

    @property
    def state(self) -> State:
        """The row's state from then on."""
        return {
            Decision.PAID: State.SUCCEEDED,
            Decision.NOT_PAID: State.FAILED,
            Decision.SEND_AGAIN: State.PLANNED,
        }[self]


@app.command(epilog=EPILOG)
def run(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="orders as CSV or JSON Lines (docs/payout-files.md)"
        ),
    ],
    journal: _JOURNAL,
    url: _URL,
    concurrency: _CONCURRENCY = 100,
    per_second: _PER_SECOND = None,
    quiet_period: _QUIET_PERIOD = 120.0,
    batch: Annotated[
        str | None,
        typer.Option(help="these orders' name in the journal; the file's name by default"),
    ] = None,
    pending_timeout: _PATIENCE = 60.0,
    failure_threshold: _PAUSE_AFTER = 20,
    timeout: _TIMEOUT = 90.0,
    inquiry_timeout: _INQUIRY_TIMEOUT = 30.0,
    progress_interval: _PROGRESS_INTERVAL = 5.0,
    transport: TRANSPORT = TransportChoice.AUTO,
    *,
    resend_unknown: _RESEND = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="read the whole file first; with one bad row, pay nothing"),
    ] = False,
) -> None:
    """Pay out a file's orders, after finishing what the journal holds. Run it again to go on: nothing is paid twice.

    Stopped by SIGINT or SIGTERM, it lets what is on its way end. Credentials come from GATEWAYPY_MEMBER_ID and its like.
    """
    settings = RunSettings(
        journal=journal,
        url=url,
        concurrency=concurrency,
        per_second=per_second,
        quiet_period=quiet_period,
        resend_unknown=resend_unknown,
        pending_timeout=pending_timeout,
        failure_threshold=failure_threshold,
        timeout=timeout,
        inquiry_timeout=inquiry_timeout,
        progress_interval=progress_interval,
        transport=transport,
        strict=strict,
        batch=file.name if batch is None else batch,
    )
    run_command(PayoutRun(PlainConsole(ends_with_reader=False), settings, file).run)


@app.command(epilog=EPILOG)
def resume(
    journal: _JOURNAL,
    url: _URL,
    concurrency: _CONCURRENCY = 100,
    per_second: _PER_SECOND = None,
    quiet_period: _QUIET_PERIOD = 120.0,
    pending_timeout: _PATIENCE = 60.0,
    failure_threshold: _PAUSE_AFTER = 20,
    timeout: _TIMEOUT = 90.0,
    inquiry_timeout: _INQUIRY_TIMEOUT = 30.0,
    progress_interval: _PROGRESS_INTERVAL = 5.0,
    transport: TRANSPORT = TransportChoice.AUTO,
    *,
    resend_unknown: _RESEND = False,
) -> None:
    """Finish what the journal holds: ask about what may have been sent, then send what is planned."""

    async def finish() -> int:
        settings = RunSettings(
            journal=existing(journal),
            url=url,
            concurrency=concurrency,
            per_second=per_second,
            quiet_period=quiet_period,
            resend_unknown=resend_unknown,
            pending_timeout=pending_timeout,
            failure_threshold=failure_threshold,
            timeout=timeout,
            inquiry_timeout=inquiry_timeout,
            progress_interval=progress_interval,
            transport=transport,
        )
        return await PayoutRun(PlainConsole(ends_with_reader=False), settings).run()

    run_command(finish)


@app.command(epilog=EPILOG)
def report(
    journal: _JOURNAL,
    form: Annotated[
        Form, typer.Option("--format", help="text sums up; csv and json give every row")
    ] = Form.TEXT,
    state: Annotated[
        State | None, typer.Option(help="only rows in this state; the text lists review by default")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="write into this file")
    ] = None,
    histogram: Annotated[
        Path | None, typer.Option(dir_okay=False, help="draw the latency into this PNG file")
    ] = None,
) -> None:
    """Say what a journal holds; it may be asked while a job runs. Needs GATEWAYPY_MEMBER_ID alone."""
    query = ReportQuery(
        journal=journal, form=form.value, state=state, output=output, histogram=histogram
    )
    run_command(show_report, query)


@app.command()
def resolve(
    merchant_transaction_id: Annotated[
        str, typer.Argument(metavar="MTID", help="the payout's own id")
    ],
    journal: _JOURNAL,
    decision: Annotated[
        Decision, typer.Option("--as", help="what is true of it, or is to be done")
    ],
    because: Annotated[str, typer.Option(help="how you know; kept as evidence")],
) -> None:
    """Take a person's decision on a payout of the review list; exit code 1 where it is not on it.

    send-again plans it anew under its own id, and resume sends it: only where you know that it was not carried out.
    """
    run_command(_resolve, journal, merchant_transaction_id, decision, because)


async def _resolve(url: str, merchant_transaction_id: str, decision: Decision, because: str) -> int:
    _check_reason(because)
    async with Journal(existing(url), member_id()) as journal:
        is_decided = await journal.resolve(merchant_transaction_id, decision.state, because)
    merchant_transaction_id = printable(mask(merchant_transaction_id))
    if not is_decided:
        sys.exit(
            f"{merchant_transaction_id} is not on the review list of member {member_id()}: see 'gatewaypy payouts report'"
        )
    further = ": 'gatewaypy payouts resume' sends it" if decision is Decision.SEND_AGAIN else ""
    PlainConsole().say(f"{merchant_transaction_id} is {decision.state.value}{further}")
    return 0


@app.command()
def trust(
    journal: _JOURNAL,
    because: Annotated[
        str,
        typer.Option(
            help="how you know that no order is missing that was sent; kept in the journal"
        ),
    ],
) -> None:
    """End the mark of a journal that was restored: orders that are new to it are sent again. Exit code 1 where it has none.

    First run the files that were run since the backup, until all of their orders are settled.
    """

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.trust(PlainConsole(), journal, because)

    run_command(work)


@app.command()
def distrust(
    journal: _JOURNAL,
    because: Annotated[str, typer.Option(help="what was restored, and when; kept in the journal")],
) -> None:
    """Mark a journal as restored from a backup, which it cannot notice where all of its files were restored together.

    Every open order, and every order that is new to it, is asked about before it is sent, until 'trust' ends that.
    """

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.distrust(PlainConsole(), journal, because)

    run_command(work)


@app.command("change-gateway")
def change_gateway(
    journal: _JOURNAL,
    url: Annotated[str, typer.Option(help="the base URL that the same gateway has now")],
    because: Annotated[
        str, typer.Option(help="how you know that it is the same gateway; kept in the journal")
    ],
) -> None:
    """Let a journal pay at another base URL: only where the same gateway, with the same payments, has moved there."""

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.change_gateway(PlainConsole(), journal, url, because)

    run_command(work)


def _check_reason(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise InvalidRequest("because", "what you know, on one line", shape_of(text))
    if contains(text):
        raise InvalidRequest(
            "because",
            "must not contain a card number; its last four digits will do",
            shape_of(text),
        )
