"""``gatewaypy payouts``: run payout files, resume, report, and record decisions."""

from __future__ import annotations

import enum
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from gatewaypy.cli.command import run as run_command
from gatewaypy.cli.options import TRANSPORT, TransportChoice, check_existing
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
    no_args_is_help=True, rich_markup_mode=None, help="Run payout jobs that can be resumed."
)

_JOURNAL = Annotated[
    str,
    typer.Option(
        envvar="GATEWAYPY_JOURNAL", help="sqlite:///payouts.db or postgresql://user@host/database"
    ),
]
_URL = Annotated[str, typer.Option(help="the gateway's base URL")]
_CONCURRENCY = Annotated[int, typer.Option(min=1, help="maximum number of payouts in flight")]
_PER_SECOND = Annotated[
    float | None, typer.Option(min=0.01, help="maximum number of payouts that begin in a second")
]
_QUIET_PERIOD = Annotated[
    float,
    typer.Option(
        min=0,
        help="seconds of 'not found' before a payout without an answer counts as not executed",
    ),
]
_RESEND = Annotated[
    bool,
    typer.Option(
        "--resend-unknown",
        help="send such a payout again, because the platform refuses a used id; otherwise a"
        " person must decide",
    ),
]
_PENDING_TIMEOUT = Annotated[
    float,
    typer.Option(min=0, help="seconds to inquire about pending payouts once all others have ended"),
]
_PAUSE_AFTER = Annotated[
    int, typer.Option(min=1, help="failures in a row before the job pauses, longer each time")
]
_TIMEOUT = Annotated[
    float,
    typer.Option(min=0.1, help="timeout of one payout in seconds, from its start to its answer"),
]
_INQUIRY_TIMEOUT = Annotated[
    float, typer.Option(min=0.1, help="seconds to inquire about it after that")
]
_PROGRESS_INTERVAL = Annotated[
    float,
    typer.Option(min=0.1, help="seconds between two lines of progress without a terminal"),
]


class Form(enum.Enum):
    """The format of a report."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


class Decision(enum.Enum):
    """A person's decision on a payout of the review list."""

    PAID = "paid"
    NOT_PAID = "not-paid"
    SEND_AGAIN = "send-again"

    @property
    def state(self) -> State:
        """The state of the row after it."""
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
        typer.Option(help="name of these orders in the journal; by default the file's name"),
    ] = None,
    pending_timeout: _PENDING_TIMEOUT = 60.0,
    failure_threshold: _PAUSE_AFTER = 20,
    timeout: _TIMEOUT = 90.0,
    inquiry_timeout: _INQUIRY_TIMEOUT = 30.0,
    progress_interval: _PROGRESS_INTERVAL = 5.0,
    transport: TRANSPORT = TransportChoice.AUTO,
    *,
    resend_unknown: _RESEND = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="read the whole file first; if a row is bad, pay nothing"),
    ] = False,
) -> None:
    """Pay out the orders of a file, after the open orders of the journal.

    To continue, run it again: nothing is paid twice. On SIGINT or SIGTERM the payouts in flight end
    first. The credentials are read from GATEWAYPY_MEMBER_ID and the other variables.
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
    pending_timeout: _PENDING_TIMEOUT = 60.0,
    failure_threshold: _PAUSE_AFTER = 20,
    timeout: _TIMEOUT = 90.0,
    inquiry_timeout: _INQUIRY_TIMEOUT = 30.0,
    progress_interval: _PROGRESS_INTERVAL = 5.0,
    transport: TRANSPORT = TransportChoice.AUTO,
    *,
    resend_unknown: _RESEND = False,
) -> None:
    """Finish the open orders of the journal: inquire about sent ones, then send planned ones."""

    async def finish() -> int:
        settings = RunSettings(
            journal=check_existing(journal),
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
        Form, typer.Option("--format", help="text is a summary; csv and json list every row")
    ] = Form.TEXT,
    state: Annotated[
        State | None,
        typer.Option(help="list only rows in this state; text lists review by default"),
    ] = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="write to this file")] = None,
    histogram: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="write a plot of the response times to this PNG file"),
    ] = None,
) -> None:
    """Report on a journal, also while a job runs. Needs only GATEWAYPY_MEMBER_ID."""
    query = ReportQuery(
        journal=journal, form=form.value, state=state, output=output, histogram=histogram
    )
    run_command(show_report, query)


@app.command()
def resolve(
    merchant_transaction_id: Annotated[
        str, typer.Argument(metavar="MTID", help="id of the payout")
    ],
    journal: _JOURNAL,
    decision: Annotated[Decision, typer.Option("--as", help="the decision")],
    because: Annotated[str, typer.Option(help="how you know; stored as evidence")],
) -> None:
    """Record a decision on a payout of the review list. Exit code 1 if it is not on the list.

    send-again plans it again under its id, and resume sends it. Use it only if you know that the
    payout was not executed.
    """
    run_command(_resolve, journal, merchant_transaction_id, decision, because)


async def _resolve(url: str, merchant_transaction_id: str, decision: Decision, because: str) -> int:
    _check_reason(because)
    async with Journal(check_existing(url), member_id()) as journal:
        is_decided = await journal.resolve(merchant_transaction_id, decision.state, because)
    merchant_transaction_id = printable(mask(merchant_transaction_id))
    if not is_decided:
        sys.exit(
            f"{merchant_transaction_id} is not on the review list of member {member_id()};"
            " see 'gatewaypy payouts report'"
        )
    further = (
        "; to send it, run 'gatewaypy payouts resume'" if decision is Decision.SEND_AGAIN else ""
    )
    PlainConsole().say(f"{merchant_transaction_id} is {decision.state.value}{further}")
    return 0


@app.command()
def trust(
    journal: _JOURNAL,
    because: Annotated[
        str,
        typer.Option(help="how you know that no sent order is missing; stored in the journal"),
    ],
) -> None:
    """End the mark of a restored journal, so that new orders are sent. Exit code 1 if it has none.

    First run the files that were run since the backup, until all of their orders have ended.
    """

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.trust(PlainConsole(), journal, because)

    run_command(work)


@app.command()
def distrust(
    journal: _JOURNAL,
    because: Annotated[
        str, typer.Option(help="what was restored, and when; stored in the journal")
    ],
) -> None:
    """Mark a journal as restored from a backup.

    The journal does not notice it if all of its files were restored together. Until 'trust', the
    job inquires about open and new orders before it sends them.
    """

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.distrust(PlainConsole(), journal, because)

    run_command(work)


@app.command("change-gateway")
def change_gateway(
    journal: _JOURNAL,
    url: Annotated[str, typer.Option(help="the new base URL of the same gateway")],
    because: Annotated[
        str, typer.Option(help="how you know that it is the same gateway; stored in the journal")
    ],
) -> None:
    """Set another base URL of a journal's gateway, if the same gateway has moved there."""

    async def work() -> int:
        _check_reason(because)
        return await trust_commands.change_gateway(PlainConsole(), journal, url, because)

    run_command(work)


def _check_reason(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise InvalidRequest("because", "must be a reason on one line", shape_of(text))
    if contains(text):
        raise InvalidRequest(
            "because",
            "must not contain a card number; use its last four digits",
            shape_of(text),
        )
