"""A payout job: it stores each order before it sends it, and inquires until it has ended."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Self

from gatewaypy.config import check_flag, check_number
from gatewaypy.errors import ConfigurationError
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.journal.planning import refusal_of_batch
from gatewaypy.payouts.order_feed import OrderFeed
from gatewaypy.payouts.outcome_poller import OutcomePoller, report_ended
from gatewaypy.payouts.report import Report, make_report
from gatewaypy.payouts.run import PayoutResult, Run
from gatewaypy.payouts.sender import PayoutSender
from gatewaypy.payouts.states import State
from gatewaypy.payouts.throttle import Throttle
from gatewaypy.storage.clock import boot_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
    from types import TracebackType

    from gatewaypy.interfaces import PayoutClient
    from gatewaypy.payouts.orders import PayoutOrder

logger: Final = logging.getLogger("gatewaypy.payouts")


def check_options(
    *,
    concurrency: int,
    per_second: float | None,
    quiet_period: float = 0.0,
    resend_unknown: bool = False,
    pending_timeout: float = 0.0,
    failure_threshold: int = 1,
    max_attempts: int = 1,
) -> None:
    """Check the options of a job or a worker before anything is opened.

    Raises:
        ConfigurationError: It names the first option with an invalid value.
    """
    check_number("concurrency", concurrency, least=1, is_whole=True)
    if per_second is not None:
        check_number("per_second", per_second, above=0)
    check_number("quiet_period", quiet_period, least=0)
    check_flag("resend_unknown", resend_unknown)
    check_number("pending_timeout", pending_timeout, least=0)
    check_number("failure_threshold", failure_threshold, least=1, is_whole=True)
    check_number("max_attempts", max_attempts, least=1, is_whole=True)


class PayoutJob:
    """Pays out orders. It never pays twice by itself and never loses an order.

    The process may be killed at any time; run the same orders again to resume.

    Args:
        gateway: An open `Gateway`.
        journal: A store's URL, or a `Journal`.
        concurrency: Maximum number of payouts in flight.
        per_second: How many payouts may begin in a second; None for no limit. Needs
            ``gatewaypy[payouts]``.
        quiet_period: How long the gateway must answer "not found", without a break and by this
            process's clock, before a payout whose answer was lost counts as not executed. In
            seconds. It must be longer than the gateway may take to execute a request.
        resend_unknown: The platform refuses a used id. A payout that is not found for the quiet
            period is sent again under its id. Otherwise it is put on the review list.
        pending_timeout: How long to inquire about pending payouts once all others have ended, in
            seconds.
        failure_threshold: Failures in a row (no connection, no usable answer) after which the job
            pauses, longer each time.
        max_attempts: How often a payout may be sent in one run if no byte of it leaves. It stays
            planned after that.
        batch: A name for these orders in the journal.
        clock: Seconds since this machine started, the same in every process. Tests replace it.

    Raises:
        ConfigurationError: An option has an invalid value, or the journal belongs to another
            merchant.

    Example::

        async with PayoutJob(gateway, journal="sqlite:///payouts.db", concurrency=500) as job:
            async for result in job.run(orders): ...
    """

    def __init__(
        self,
        gateway: PayoutClient,
        *,
        journal: str | Journal,
        concurrency: int = 100,
        per_second: float | None = None,
        quiet_period: float = 120.0,
        resend_unknown: bool = False,
        pending_timeout: float = 60.0,
        failure_threshold: int = 20,
        max_attempts: int = 5,
        batch: str = "",
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """Configure the job; nothing is opened yet."""
        check_options(
            concurrency=concurrency,
            per_second=per_second,
            quiet_period=quiet_period,
            resend_unknown=resend_unknown,
            pending_timeout=pending_timeout,
            failure_threshold=failure_threshold,
            max_attempts=max_attempts,
        )
        if not isinstance(journal, str | Journal) or not isinstance(batch, str):
            msg = "journal: must be a store's URL or a Journal; batch: must be a string"
            raise ConfigurationError(msg)
        refused = refusal_of_batch(batch)
        if refused is not None:
            # A frame that raises stays in the traceback, with the values of its names.
            del batch
            raise refused
        self.gateway = gateway
        self.journal = (
            journal
            if isinstance(journal, Journal)
            else Journal(journal, gateway.credentials.member_id)
        )
        self.journal.check_merchant(gateway)
        self._concurrency = concurrency
        self._quiet_period = quiet_period
        self._resend_unknown = resend_unknown
        self._pending_timeout = pending_timeout
        self._max_attempts = max_attempts
        self.batch = batch
        self._clock = clock
        self._per_second = per_second
        self._failure_threshold = failure_threshold
        self._stopped = False
        self._run: Run | None = None
        #: The failure of a run whose caller had left its loop.
        self._unraised: Exception | None = None

    async def __aenter__(self) -> Self:
        """Open the journal.

        Raises:
            ConfigurationError: The journal's store is not durable, another process runs the
                journal, or it pays at another gateway.
        """
        await self.journal.__aenter__()
        try:
            await self.journal.check_gateway(self.gateway)
            await warn_if_restored(self.journal)
        except BaseException:
            await self.journal.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the payouts in flight if the caller left the loop; close the journal."""
        try:
            if self._run is not None:
                await self._run.drain()
                self._unraised = self._run.failure
        finally:
            await self.journal.aclose()
        if self._unraised is not None and error is None:
            raise self._unraised

    def stop(self) -> None:
        """Begin no further payout. The run ends once the payouts in flight are journaled."""
        self._stopped = True
        if self._run is not None:
            self._run.stop()

    async def report(self) -> Report:
        """Sum up the journal."""
        return await make_report(self.journal)

    async def run(
        self, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder] = ()
    ) -> AsyncIterator[PayoutResult]:
        """Finish the orders of the journal, then pay out these orders; yield each result.

        An order that the journal has already, with the same amount and payee, is not paid again. To
        resume a job, run the same orders again. Orders are read as they are needed, so that memory
        does not grow with their number.

        Args:
            orders: The new orders.

        Raises:
            AuthenticationFailed: The gateway rejected the credentials. Nothing is lost.
            ConfigurationError: The gateway is not open, or belongs to another event loop. Nothing
                is lost.
        """
        if self._run is not None:
            msg = "the job is already running; one run at a time"
            raise ConfigurationError(msg)
        run = self._run = self._new_run()
        if self._stopped:
            run.stop()
        driver = run.driver = asyncio.get_running_loop().create_task(self._drive(run, orders))
        try:
            while (result := await run.results.get()) is not None:
                yield result
        finally:
            # If the caller left the loop, the payouts in flight must end all the same.
            await run.drain()
            self._run, self._unraised = None, run.failure
        self._unraised = None
        await driver

    def _new_run(self) -> Run:
        return Run(
            results=asyncio.Queue(self._concurrency * 2),
            queue=asyncio.Queue(self._concurrency),
            places=asyncio.Semaphore(self._concurrency),
            throttle=Throttle(
                per_second=self._per_second, failure_threshold=self._failure_threshold
            ),
        )

    async def _acquire(self, run: Run) -> bool:
        """Wait until one more payout may begin; False if none may."""
        # A client that is not a Gateway need not have the attribute.
        while (
            not run.stopping.is_set() and (delay := getattr(self.gateway, "retry_delay", 0.0)) > 0
        ):
            await run.throttle.hold(delay)
        return await run.throttle.acquire()

    async def _drive(
        self, run: Run, orders: Iterable[PayoutOrder] | AsyncIterable[PayoutOrder]
    ) -> None:
        sender = PayoutSender(
            job_run=run,
            gateway=self.gateway,
            journal=self.journal,
            clock=self._clock,
            max_attempts=self._max_attempts,
            acquire=lambda: self._acquire(run),
        )
        poller = OutcomePoller(
            job_run=run,
            gateway=self.gateway,
            journal=self.journal,
            clock=self._clock,
            quiet_period=self._quiet_period,
            pending_timeout=self._pending_timeout,
            record=sender.record,
            resend=sender.send if self._resend_unknown else None,
        )
        try:
            await self.journal.check_gateway(self.gateway)
            await self._claim_sent(run)
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(poller.run())
                # Half as many again as there are places, to record the payouts before.
                senders = [
                    group.create_task(sender.run())
                    for _ in range(self._concurrency + self._concurrency // 2 + 1)
                ]
                await OrderFeed(run, self.journal, self.batch).run(orders)
                for _ in senders:
                    await run.queue.put(None)
                await asyncio.gather(*senders)
                run.fed = True
                if run.failure is not None:
                    # The orders ended early. The planned ones are sent; the run does not wait.
                    run.stop()
                run.wake.set()
                await polling
            await report_ended(run, self.journal, run.open)
        except Exception as error:  # noqa: BLE001 - it is raised below, after the results
            run.fail(error)
        await run.results.put(None)
        if run.failure is not None:
            raise run.failure

    async def _claim_sent(self, run: Run) -> None:
        """Claim every row that may have been sent, to inquire about it before anything is sent.

        Rows are claimed only once. If two jobs claimed them from each other in turn, no quiet
        period would end.
        """
        for state in (State.SENDING, State.UNKNOWN, State.PENDING):
            after = 0
            while rows := await self.journal.claim(state, after=after):
                after = rows[-1].id
                run.open.update(row.id for row in rows)
                run.followed.update(row.id for row in rows)


async def warn_if_restored(journal: Journal) -> None:
    """Log that a journal counts as restored, and what that means."""
    because = await journal.restored_because()
    if because:
        logger.warning(
            "the journal counts as restored from a backup: %s; new orders are inquired about and"
            " not sent; to end this, run 'gatewaypy payouts trust'",
            because,
        )
