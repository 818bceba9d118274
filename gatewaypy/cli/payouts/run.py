"""``gatewaypy payouts run`` and ``resume``: a payout job with progress, signals and a summary."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from typing import TYPE_CHECKING, Final

import anyio
from attrs import define, field, frozen

from gatewaypy.cli.options import TransportChoice
from gatewaypy.cli.payouts.exit_codes import choose_exit_code, open_orders
from gatewaypy.cli.payouts.order_import import (
    ImportJournal,
    OrderImport,
    about_how_many,
    check_whole,
    is_read_twice,
)
from gatewaypy.cli.payouts.progress import PayoutProgress
from gatewaypy.cli.payouts.restored_notice import notice
from gatewaypy.client import Gateway
from gatewaypy.config import Credentials, Limits, Timeouts
from gatewaypy.errors import ConfigurationError, GatewayError
from gatewaypy.payouts import PayoutJob, State
from gatewaypy.payouts.order_files import shown_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from gatewaypy.cli.output import PlainConsole
    from gatewaypy.payouts import Journal, PayoutOrder, Report

#: Slots for inquiries, in addition to those of the payouts.
_INQUIRY_SLOTS: Final = 100
#: Thresholds of the garbage collector. With Python's defaults, it traverses all payouts in flight
#: too often, which takes a sixth of a job's time.
_GC_THRESHOLDS: Final = (20_000, 20, 20)


@frozen(kw_only=True)
class RunSettings:
    """The options of a run; see their help."""

    journal: str
    url: str
    concurrency: int
    per_second: float | None
    quiet_period: float
    resend_unknown: bool
    pending_timeout: float
    failure_threshold: int
    timeout: float
    inquiry_timeout: float
    progress_interval: float
    strict: bool = False
    batch: str = ""
    transport: TransportChoice = TransportChoice.AUTO

    def gateway(self, credentials: Credentials) -> Gateway:
        """Create a client with a slot for every payout in flight, and for inquiries."""
        usual = Timeouts()
        timeouts = Timeouts(
            connect=min(usual.connect, self.timeout),
            read=min(usual.read, self.timeout),
            total=self.timeout,
            inquiry=self.inquiry_timeout,
        )
        limits = Limits(
            max_in_flight=max(Limits().max_in_flight, self.concurrency + _INQUIRY_SLOTS)
        )
        return Gateway(
            self.url, credentials, transport=self.transport.make(), timeouts=timeouts, limits=limits
        )

    def job(self, gateway: Gateway, journal: Journal) -> PayoutJob:
        """Create the job."""
        return PayoutJob(
            gateway,
            journal=journal,
            concurrency=self.concurrency,
            per_second=self.per_second,
            quiet_period=self.quiet_period,
            resend_unknown=self.resend_unknown,
            pending_timeout=self.pending_timeout,
            failure_threshold=self.failure_threshold,
            batch=self.batch,
        )


@define(eq=False)
class PayoutRun:
    """One run of a job from the command line.

    Args:
        console: Where messages are printed.
        settings: The options.
        path: The file to run; None to finish the open orders of the journal.
    """

    console: PlainConsole
    settings: RunSettings
    path: Path | None = None
    is_interrupted: bool = False
    feed: OrderImport = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.feed = OrderImport(self.say)

    async def run(self) -> int:
        """Run the job; return the exit code.

        Raises:
            GatewayError: The error that ended the run, after the summary.
        """
        gc.set_threshold(*_GC_THRESHOLDS)
        credentials = Credentials.from_env()
        settings = self.settings
        orders, rows = self._open_file()
        journal = ImportJournal(settings.journal, credentials.member_id, self.feed)
        failure: GatewayError | None = None
        async with (
            contextlib.aclosing(orders),
            settings.gateway(credentials) as gateway,
            settings.job(gateway, journal) as job,
        ):
            before = await job.report()
            self._say_restored(before)
            progress = PayoutProgress(
                self.console,
                self.feed,
                journal,
                settings.progress_interval,
                open_orders(before),
                rows,
            )
            async with self._stopped_by_signals(job), progress:
                try:
                    async with contextlib.aclosing(job.run(orders)) as results:  # type: ignore[type-var]
                        async for result in results:
                            progress.count(result)
                except GatewayError as error:
                    failure = error
            report = await job.report()
            failures = self.feed.bad + self.feed.conflicts + await self._failures(journal, report)
        self._sum_up(progress, report)
        if failure is not None:
            raise failure
        code = choose_exit_code(report, failures=failures, is_interrupted=self.is_interrupted)
        self._say_how_to_go_on(report)
        return code

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.say(text)

    def _open_file(self) -> tuple[AsyncGenerator[PayoutOrder, None], int | None]:
        """Open and check the file; return its orders, and their approximate number."""
        if self.path is None:
            self.feed.is_read = True
            return _nothing(), 0
        if not is_read_twice(self.path):
            if self.settings.strict:
                msg = (
                    "--strict reads a file before it pays anything, and a pipe can be read only"
                    " once; use a regular file"
                )
                raise ConfigurationError(msg)
            return self.feed.orders(self.path, strict=False), None
        orders = self.feed.orders(self.path, strict=self.settings.strict)
        if self.settings.strict:
            check_whole(self.path)
        return orders, about_how_many(self.path)

    @contextlib.asynccontextmanager
    async def _stopped_by_signals(self, job: PayoutJob) -> AsyncIterator[None]:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

            async def stop() -> None:
                async for _ in signals:
                    if not self.is_interrupted:
                        self.is_interrupted = True
                        self.say(
                            "Stopping: no further payout begins; the payouts in flight end first."
                        )
                        job.stop()

            listening = asyncio.get_running_loop().create_task(stop())
            try:
                yield
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    async def _failures(self, journal: Journal, report: Report) -> int:
        """Count the failed orders of this file's batch; without a file, of the whole journal."""
        if self.path is None or not report.failed:
            return report.failed
        count = after = 0
        while page := await journal.list_entries(after=after, state=State.FAILED):
            after = page[-1].id
            count += sum(row.batch == self.settings.batch for row in page)
        return count

    def _sum_up(self, progress: PayoutProgress, report: Report) -> None:
        feed = self.feed
        if self.path is not None:
            self.say(
                f"{shown_name(self.path)}: {feed.taken:,} rows read: {feed.new:,} new,"
                f" {feed.known:,} in the journal before, {feed.bad:,} bad,"
                f" {feed.conflicts:,} in conflict."
            )
        ended = [
            f"{progress.ended.get(state, 0):,} {state.value}"
            for state in (State.SUCCEEDED, State.FAILED, State.REVIEW)
        ]
        self.say(f"In this run: {', '.join(ended)}.")
        counts = [
            f"{report.by_state[state]:,} {state.value}"
            for state in State
            if report.by_state.get(state)
        ]
        self.say(
            f"The journal has {report.total:,} orders{': ' * bool(counts)}{', '.join(counts)}."
        )

    def _say_restored(self, report: Report) -> None:
        if report.restored:
            self.say(notice(report))

    def _say_how_to_go_on(self, report: Report) -> None:
        self._say_restored(report)
        if report.review:
            self.say(
                f"{report.review:,} orders are on the review list: see 'gatewaypy payouts report"
                " --journal …', and decide with 'gatewaypy payouts resolve …'."
            )
        left = open_orders(report)
        if self.path is not None and not self.feed.is_taken:
            self.say(
                "The file was not read to its end: run the same command again; nothing is paid"
                " twice."
            )
        elif left:
            self.say(
                f"{left:,} orders have not ended: run the same command again, or 'gatewaypy payouts"
                " resume …'."
            )
        if self.feed.bad or self.feed.conflicts:
            self.say("Bad rows and conflicts were not paid: correct them and run the file again.")


async def _nothing() -> AsyncGenerator[PayoutOrder, None]:
    return
    yield
