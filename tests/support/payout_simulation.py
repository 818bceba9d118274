"""A payout job in a simulated world on one thread, reproducible by its seed.

The world has a clock, a disk, a network, a gateway and processes that die. The code of the journal
and the job is the real one. Time passes only when all tasks wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import selectors
import sqlite3
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define, field

from gatewaypy import Credentials, Customer, Money, Outcome, Payout, Transaction, errors
from gatewaypy.models import Fields, OutcomeSource, ResultCode
from gatewaypy.payouts import Journal, PayoutJob, PayoutOrder, State
from gatewaypy.storage.sqlite import _dialect, bind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MERCHANT = Credentials(
    member_id="11344", partner_id="4", username="shop", secret_key="simulatedKey0000000000"
)
QUIET = 60.0
LONGEST_EXECUTION = 40.0


class KilledError(Exception):
    """Raised in code of a dead process that still runs."""


class StoreLostError(Exception):
    """The connection of a transaction was lost: it may have been committed, or not."""


class World:
    """What survives a process: time, the disk, and the gateway with the requests in flight."""

    def __init__(self, seed: int, *, refuses_duplicates: bool = True) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.disk = sqlite3.connect(":memory:", isolation_level=None)
        weakref.finalize(self, self.disk.close)
        # Weak, because a connection hides its functions from the garbage collector.
        world = weakref.proxy(self)
        self.disk.create_function("gatewaypy_now", 0, lambda: world.now)
        self.refuses_duplicates = refuses_duplicates
        self.on_its_way: list[tuple[float, int, str, str]] = []
        self.executions: Counter[str] = Counter()
        self.status: dict[str, str] = {}
        self.visible: dict[str, float] = {}
        self.sent_without_intent: list[str] = []
        self.sends = 0
        self.reports: list[tuple[str, str]] = []
        self.home = 0

    def restore(self, backup: bytes) -> None:
        """Replace the disk by an old copy of it, on another server."""
        self.disk.deserialize(backup)
        self.home += 1

    def arrive(self, merchant_transaction_id: str, fate: str, delay: float) -> None:
        """Send a request; it arrives even if its sender dies."""
        self.sends += 1
        heapq.heappush(
            self.on_its_way, (self.now + delay, self.sends, merchant_transaction_id, fate)
        )

    def settle(self) -> None:
        """Let everything happen that is due."""
        while self.on_its_way and self.on_its_way[0][0] <= self.now:
            when, _, merchant_transaction_id, fate = heapq.heappop(self.on_its_way)
            if fate == "decided":
                self._become(
                    merchant_transaction_id,
                    "payoutsuccessful" if merchant_transaction_id[-1] != "7" else "payoutfailed",
                )
                continue
            if merchant_transaction_id in self.status and self.refuses_duplicates:
                continue
            self.visible.setdefault(
                merchant_transaction_id, when + self.random.choice((0.0, 0.0, 2.0))
            )
            if fate == "declined":
                if merchant_transaction_id not in self.status:
                    self._become(merchant_transaction_id, "payoutfailed")
                continue
            self.executions[merchant_transaction_id] += 1
            self._become(
                merchant_transaction_id,
                "payoutstarted" if fate == "pending" else "payoutsuccessful",
            )
            if fate == "pending":
                heapq.heappush(
                    self.on_its_way,
                    (
                        when + self.random.uniform(0, 30),
                        self.sends,
                        merchant_transaction_id,
                        "decided",
                    ),
                )

    def _become(self, merchant_transaction_id: str, status: str) -> None:
        self.status[merchant_transaction_id] = status
        self.reports.append((merchant_transaction_id, status))


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop with the simulated clock: when all tasks wait, time jumps to the next deadline."""

    def __init__(self, world: World) -> None:
        self.world = world
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.world.now


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and for nothing")
        if timeout > 0:
            self.loop.world.now += timeout
        return super().select(0)


@define(eq=False)
class SimulatedStore:
    """The disk as one process sees it: slow, and not usable by a dead process."""

    world: World
    alive: bool = True
    is_reliable: bool = True
    boot: str = "simulated"

    @property
    def home(self) -> str:
        return str(self.world.home)

    async def open(self, schema: Sequence[str]) -> None:
        for statement in schema:
            self.world.disk.execute(_dialect(statement))

    async def run(self, *statements: Any) -> list[Any]:
        random_ = self.world.random
        await asyncio.sleep(random_.choice((0.0, 0.001, 0.01)))
        if not self.alive:
            raise KilledError
        fate = (
            "kept"
            if self.is_reliable or random_.random() > 0.004
            else random_.choice(("lost before", "lost after"))
        )
        if fate == "lost before":
            raise StoreLostError
        self.world.disk.execute("BEGIN")
        try:
            results = [
                self.world.disk.execute(*bind(sql, values)).fetchall() for sql, values in statements
            ]
        except BaseException:
            self.world.disk.execute("ROLLBACK")
            raise
        self.world.disk.execute("COMMIT")
        if fate == "lost after":
            raise StoreLostError
        # The answer arrives a little later: a process may die in between, or be frozen for long.
        await asyncio.sleep(
            random_.choice((0.0, 0.001)) if random_.random() > 0.01 else random_.uniform(6, 300)
        )
        if not self.alive:
            raise KilledError
        return results

    async def aclose(self) -> None:
        pass


@define(eq=False)
class SimulatedGateway:
    """The client and the network between one process and the gateway."""

    world: World
    store: SimulatedStore
    credentials: Credentials = MERCHANT
    checks_deadline: bool = True

    async def payout(
        self,
        amount: Money,
        *,
        merchant_transaction_id: str,
        send_guard: Callable[[], bool],
        **_: Any,
    ) -> Payout:
        world, chance = self.world, self.world.random.random()
        # A slot, a token, a connection; at random the whole process is frozen for long before the
        # first byte is sent.
        await asyncio.sleep(
            world.random.choice((0.0, 0.01, 0.1, 0.1, 1.0, 4.0))
            if chance > 0.03
            else world.random.uniform(6, 300)
        )
        if not self.store.alive:
            raise KilledError
        if self.checks_deadline and not send_guard():
            raise errors.NotSent("the intent is too old")
        if world.random.random() < 0.05:
            raise errors.NotSent("no connection")
        row = world.disk.execute(
            "SELECT state FROM gatewaypy_payouts WHERE merchant_transaction_id = ?",
            (merchant_transaction_id,),
        ).fetchone()
        if row is None or row[0] == "planned":
            world.sent_without_intent.append(merchant_transaction_id)
        return await self._send(amount, merchant_transaction_id)

    async def _send(self, amount: Money, merchant_transaction_id: str) -> Payout:
        world, kind = self.world, self.world.random.random()
        world.settle()
        duplicate = merchant_transaction_id in world.status
        if kind < 0.06:
            await asyncio.sleep(world.random.uniform(0, 3))
            raise errors.OutcomeUnknown(
                "cut before it arrived", merchant_transaction_id=merchant_transaction_id
            )
        fate = (
            "declined"
            if world.random.random() < 0.08
            else "pending"
            if world.random.random() < 0.08
            else "paid"
        )
        slow = (
            world.random.uniform(0, LONGEST_EXECUTION)
            if kind < 0.16
            else world.random.uniform(0, 0.3)
        )
        world.arrive(merchant_transaction_id, fate, slow)
        if kind < 0.24:
            await asyncio.sleep(world.random.uniform(0, 3))
            raise errors.OutcomeUnknown(
                "the answer was lost", merchant_transaction_id=merchant_transaction_id
            )
        await asyncio.sleep(slow + 0.001)
        world.settle()
        if not self.store.alive:
            raise KilledError
        if duplicate and world.random.random() < 0.5:
            raise errors.OutcomeUnknown(
                "the id was used before", merchant_transaction_id=merchant_transaction_id
            )
        outcome = {"payoutstarted": Outcome.PENDING, "payoutsuccessful": Outcome.SUCCEEDED}.get(
            world.status[merchant_transaction_id], Outcome.FAILED
        )
        code = "10001" if outcome is Outcome.FAILED else "00001"
        return Payout(outcome=outcome, payment_id=f"G-{merchant_transaction_id}", merchant_transaction_id=merchant_transaction_id, amount=amount,
                      status=world.status[merchant_transaction_id], result=ResultCode(code, ""), outcome_source=OutcomeSource.REPLY)  # fmt: skip

    async def inquire(
        self, *, payment_id: str | None = None, merchant_transaction_id: str | None = None
    ) -> Transaction:
        assert merchant_transaction_id is not None, payment_id
        world = self.world
        # At random an answer is long in flight, and reports an old state.
        await asyncio.sleep(
            world.random.choice((0.01, 0.1, 0.5))
            if world.random.random() > 0.02
            else world.random.uniform(5, 90)
        )
        if not self.store.alive:
            raise KilledError
        world.settle()
        if world.random.random() < 0.05:
            raise errors.UnreadableReply("HTTP 503")
        if (
            merchant_transaction_id not in world.status
            or world.visible[merchant_transaction_id] > world.now
        ):
            return Transaction(outcome=Outcome.UNKNOWN, found=False)
        status = world.status[merchant_transaction_id]
        return transaction(merchant_transaction_id, status)


def transaction(merchant_transaction_id: str, status: str) -> Transaction:
    """Build the gateway's record of a payout in some state."""
    outcome = {"payoutstarted": Outcome.PENDING, "payoutsuccessful": Outcome.SUCCEEDED}.get(
        status, Outcome.FAILED
    )
    fields = {"merchantTransactionId": merchant_transaction_id, "status": status, "amount": "5.00", "currency": "EUR", "paymentId": f"G-{merchant_transaction_id}",
              "result": {"code": "00026"}}  # fmt: skip
    return Transaction(outcome=outcome, found=True, status=status, payment_id=f"G-{merchant_transaction_id}", merchant_transaction_id=merchant_transaction_id,
                       amount=Money("5.00", "EUR"), raw=Fields(fields))  # fmt: skip


async def _bury() -> None:
    """Remove the tasks of a dead process: none of them can change the world."""
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        for task in left:
            if not task.cancelled():
                task.exception()


@define(eq=False)
class Simulation:
    """Runs jobs that die and restart until all work is done, then checks the results."""

    seed: int
    orders: int = 12
    kills: int = 3
    jobs_at_once: int = 1
    refuses_duplicates: bool = True
    resends: bool = True
    quiet_period: float = QUIET
    checks_deadline: bool = True
    #: Whether a backup of the journal, which lacks rows, is restored after a run, once or twice.
    restores: int = 0
    change: Callable[[PayoutJob], None] = field(default=lambda _: None)
    change_journal: Callable[[Journal], None] = field(default=lambda _: None)
    world: World = field(init=False)

    def run(self) -> Simulation:
        self.world = World(self.seed, refuses_duplicates=self.refuses_duplicates)
        backup = self._first_day() if self.restores else b""
        for kill in range(self.kills + 1):
            is_last = kill == self.kills
            self._life(None if is_last else self.world.random.uniform(0.01, 90))
            self.world.now += self.world.random.uniform(0, 20)
            if self.kills - self.restores <= kill < self.kills:
                self.world.restore(backup)
        return self

    def _first_day(self) -> bytes:
        """Run the first of the orders; return the backup made then, which lacks the others."""
        every, self.orders = self.orders, self.world.random.randint(0, self.orders)
        # A backup from before the journal existed is an empty database, not a journal that lost
        # rows.
        while not self._is_made():
            self._life(self.world.random.uniform(0.01, 90))
        self.orders = every
        return self.world.disk.serialize()

    def _is_made(self) -> bool:
        with contextlib.suppress(sqlite3.OperationalError):
            return bool(self.world.disk.execute("SELECT id FROM gatewaypy_journal").fetchall())
        return False

    def _orders(self) -> list[PayoutOrder]:
        return [
            PayoutOrder(
                merchant_transaction_id=f"P-{number}",
                amount=Money("5.00", "EUR"),
                customer=Customer(email="a@b.example"),
            )
            for number in range(self.orders)
        ]

    def _life(self, seconds: float | None) -> None:
        loop = SimulatedLoop(self.world)
        stores = [
            SimulatedStore(self.world, is_reliable=seconds is None)
            for _ in range(self.jobs_at_once)
        ]
        try:
            loop.run_until_complete(self._live(stores, seconds))
        finally:
            loop.set_exception_handler(lambda *_: None)
            loop.run_until_complete(_bury())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _live(self, stores: list[SimulatedStore], seconds: float | None) -> None:
        lives = [
            asyncio.ensure_future(self._work(store, number)) for number, store in enumerate(stores)
        ]
        # The task lives as long as the loop.
        receiving = self._receive(stores[0])
        asyncio.ensure_future(receiving)  # type: ignore[unused-awaitable]  # noqa: RUF006
        done, pending = await asyncio.wait(lives, timeout=seconds)
        for store in stores:
            store.alive = False
        for life in done:
            with contextlib.suppress(StoreLostError):
                life.result()
        if seconds is None:
            assert not pending

    async def _receive(self, store: SimulatedStore) -> None:
        """Receive callbacks: late, repeated, out of order, and about any earlier state."""
        world = self.world
        journal = Journal(store, "11344")
        self.change_journal(journal)
        while store.alive:
            await asyncio.sleep(world.random.uniform(0.1, 15))
            world.settle()
            if world.reports:
                merchant_transaction_id, status = world.random.choice(world.reports)
                with contextlib.suppress(KilledError, StoreLostError):
                    await journal.handle_event(transaction(merchant_transaction_id, status))

    async def _work(self, store: SimulatedStore, number: int) -> None:
        world = self.world
        await asyncio.sleep(number * world.random.uniform(0, 30))
        gateway = SimulatedGateway(world, store, checks_deadline=self.checks_deadline)
        journal = Journal(store, "11344")
        self.change_journal(journal)
        options: Any = {
            "concurrency": world.random.choice((1, 4, 20)),
            "resend_unknown": self.resends,
        }
        job = PayoutJob(
            gateway,
            journal=journal,
            quiet_period=self.quiet_period,
            pending_timeout=1200,
            clock=lambda: world.now,
            **options,
        )
        self.change(job)
        async with job:
            async for _ in job.run(self._orders()):
                pass

    # Invariants

    def complaints(self) -> list[str]:
        """Return the violations of the invariants of docs/payouts.md."""
        world = self.world
        world.now += 10 * LONGEST_EXECUTION
        world.settle()
        rows = dict(
            world.disk.execute(
                "SELECT merchant_transaction_id, state FROM gatewaypy_payouts"
            ).fetchall()
        )
        absent = world.disk.execute(
            "SELECT merchant_transaction_id FROM gatewaypy_payouts WHERE state = 'review' AND evidence LIKE 'not found%'"
        )
        violations = [
            f"{merchant_transaction_id} was paid {times} times"
            for merchant_transaction_id, times in world.executions.items()
            if times > 1
        ]
        violations += [
            f"{merchant_transaction_id} is not found, and was paid after all"
            for (merchant_transaction_id,) in absent.fetchall()
            if world.executions[merchant_transaction_id]
        ]
        violations += [
            f"{merchant_transaction_id} was sent without an intent"
            for merchant_transaction_id in world.sent_without_intent
        ]
        violations += [
            f"{order.merchant_transaction_id} was forgotten"
            for order in self._orders()
            if order.merchant_transaction_id not in rows
        ]
        for merchant_transaction_id, text in rows.items():
            state, executed = State(text), world.executions[merchant_transaction_id] > 0
            if executed and state not in {
                State.SUCCEEDED,
                State.PENDING,
                State.REVIEW,
                State.FAILED,
            }:
                violations.append(f"{merchant_transaction_id} was paid, and its row says {text}")
            if (
                state is State.FAILED
                and world.status.get(merchant_transaction_id) != "payoutfailed"
            ):
                violations.append(
                    f"{merchant_transaction_id} is failed, and the gateway says {world.status.get(merchant_transaction_id)}"
                )
            if (
                state is State.SUCCEEDED
                and world.status.get(merchant_transaction_id) != "payoutsuccessful"
            ):
                violations.append(
                    f"{merchant_transaction_id} is succeeded, and the gateway says {world.status.get(merchant_transaction_id)}"
                )
            if (
                state is State.PENDING
                and world.status.get(merchant_transaction_id) != "payoutstarted"
            ):
                violations.append(
                    f"{merchant_transaction_id} is left pending, and the gateway says {world.status.get(merchant_transaction_id)}"
                )
            if state in {State.SENDING, State.UNKNOWN} or (
                state is State.PLANNED and self.jobs_at_once == 1
            ):
                violations.append(f"{merchant_transaction_id} is left {text}")
        return violations


#: The settings of a merchant: a platform that refuses used ids or not, a job that sends again or
#: not, one or two jobs on a journal.
SETTINGS: dict[str, dict[str, Any]] = {
    "one job": {},
    "one job, which sends nothing again": {"resends": False},
    "one job, a platform that takes used ids": {"refuses_duplicates": False},
    "two jobs on one journal": {"jobs_at_once": 2},
    "two jobs, a platform that takes used ids": {"jobs_at_once": 2, "refuses_duplicates": False},
    "a restored journal": {"restores": 1, "refuses_duplicates": False},
    "a restored journal, and nothing sent again": {
        "restores": 1,
        "refuses_duplicates": False,
        "resends": False,
    },
    "a journal restored twice, two jobs": {
        "restores": 2,
        "jobs_at_once": 2,
        "refuses_duplicates": False,
    },
}
