"""Thousands of simulated payout jobs, each from a reproducible seed, with and without each guard.

The assertion names a failing seed; ``Simulation(seed, …).run().complaints()`` runs it again, event
by event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.payout_simulation import SETTINGS, Simulation

from gatewaypy.payouts import Journal, PayoutJob, State
from gatewaypy.payouts.journal.sql import DOUBT

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.heavy, pytest.mark.untraced]
SEEDS_A_TEST = 100


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("first", range(0, 300, SEEDS_A_TEST))
def test_simulation_killed_jobs_pay_each_order_once(name: str, first: int) -> None:
    """However jobs die, freeze and restart, nothing is paid twice or lost, and no row is wrong."""
    for seed in range(first, first + SEEDS_A_TEST):
        assert Simulation(seed, **SETTINGS[name]).run().complaints() == [], (
            f"seed {seed}, {SETTINGS[name]}"
        )


def send_without_intent(job: PayoutJob) -> None:
    async def intend(row: Any) -> int:
        return 1

    job.journal.record_intent = intend  # type: ignore[method-assign]


def send_what_is_anothers(job: PayoutJob) -> None:
    """Write the intent for a row of any owner and state."""

    async def intend(row: Any) -> int:
        sql = "UPDATE gatewaypy_payouts SET state = 'sending', attempt = attempt + 1 WHERE id = ?"
        await job.journal._store.run((sql, (row.id,)))
        return int(row.attempt) + 1

    job.journal.record_intent = intend  # type: ignore[method-assign]


class LateReader:
    """A gateway that reads its clock after the intent is on disk, not before its request."""

    def __init__(self, gateway: Any, clock: Callable[[], float]) -> None:
        self.credentials, self.inquire = gateway.credentials, gateway.inquire
        self._payout, self._clock = gateway.payout, clock

    async def payout(self, *arguments: Any, **options: Any) -> Any:
        now = self._clock()
        return await self._payout(
            *arguments, **(options | {"send_guard": lambda: self._clock() - now <= 5.0})
        )


def read_the_clock_late(job: PayoutJob) -> None:
    job.gateway = LateReader(job.gateway, job._clock)


def plan_what_was_being_sent(job: PayoutJob) -> None:
    """Claim rows as if the request of their owner had not been sent."""
    take = job.journal.claim

    async def taking(state: State, **options: Any) -> Any:
        if state is State.SENDING:
            await job.journal._store.run(
                ("UPDATE gatewaypy_payouts SET state = 'planned' WHERE state = 'sending'", ())
            )
            return []
        return await take(state, **options)

    job.journal.claim = taking  # type: ignore[method-assign]


def keep_the_fence(job: PayoutJob) -> None:
    """Claim rows without a new owner and fence."""
    take = job.journal.claim

    async def taking(state: State, **options: Any) -> Any:
        rows = await take(state, **options)
        for row in rows:
            sql = "UPDATE gatewaypy_payouts SET owner = '', fence = 0 WHERE id = ?"
            await job.journal._store.run((sql, (row.id,)))
        return [type(row)(row.id, row.order, row.state, row.attempt, "", 0) for row in rows]

    async def planning(orders: Any, **options: Any) -> Any:
        rows = await plan(orders, **options)
        await job.journal._store.run(("UPDATE gatewaypy_payouts SET owner = '', fence = 0", ()))
        return [
            row if not hasattr(row, "fence") else type(row)(row.id, row.order, row.state, 0, "", 0)
            for row in rows
        ]

    async def mine(state: State, **options: Any) -> Any:
        job.journal.owner = ""
        return await own(state, **options)

    plan, own = job.journal.plan, job.journal.owned_rows
    job.journal.claim, job.journal.plan, job.journal.owned_rows = taking, planning, mine  # type: ignore[method-assign]


def accept_the_last_report(journal: Journal) -> None:
    """Let the last report decide, forward or not."""

    async def record(merchant_transaction_id: str, finding: Any, **_: Any) -> State:
        sql = "UPDATE gatewaypy_payouts SET state = ? WHERE merchant_transaction_id = ?"
        await journal._store.run((sql, (finding.state.value, merchant_transaction_id)))
        return finding.state

    journal.record = record  # type: ignore[method-assign]


def trust_at_once(job: PayoutJob) -> None:
    """Use up the mark of a restored journal when it is opened."""
    opening = job.journal.__aenter__

    async def opened() -> Journal:
        journal = await opening()
        await journal._store.run(("UPDATE gatewaypy_journal SET restored = ''", ()))
        return journal

    job.journal.__aenter__ = opened  # type: ignore[method-assign]


class Undoubting:
    """A store that leaves the open rows of a restored journal unchanged."""

    def __init__(self, store: Any) -> None:
        self.home, self._run = store.home, store.run

    async def run(self, *statements: Any) -> Any:
        return await self._run(
            *((sql if sql != DOUBT else f"{sql} AND 0 = 1", values) for sql, values in statements)
        )


def trust_open_rows(job: PayoutJob) -> None:
    """Let the planned orders of a restored journal be sent at once."""
    job.journal._trust.store = Undoubting(job.journal._store)  # type: ignore[assignment]


def take_no_answer_for_absence(job: PayoutJob) -> None:
    """Send again at once what got no clear answer."""

    async def unknown(merchant_transaction_id: str, finding: Any, **options: Any) -> State | None:
        if finding.state is State.UNKNOWN:
            sql = "UPDATE gatewaypy_payouts SET state = 'planned' WHERE merchant_transaction_id = ? AND state = 'sending'"
            await job.journal._store.run((sql, (merchant_transaction_id,)))
            return State.PLANNED
        return await record(merchant_transaction_id, finding, **options)

    record = job.journal.record
    job.journal.record = unknown  # type: ignore[method-assign]


TAKES_USED_IDS = {"refuses_duplicates": False}
RESTORED = {"restores": 1, "resends": False, **TAKES_USED_IDS}
CONTROLS: dict[str, tuple[dict[str, Any], Callable[[PayoutJob], None] | None]] = {
    "no quiet period": ({"quiet_period": 0.0, **TAKES_USED_IDS}, None),
    "no quiet period before the review list": ({"quiet_period": 0.0, "resends": False}, None),
    "no deadline at the first byte": (
        {"checks_deadline": False, "jobs_at_once": 2, "kills": 0, **TAKES_USED_IDS},
        None,
    ),
    "a clock that is read after the intent": (
        {"jobs_at_once": 2, "kills": 0, **TAKES_USED_IDS},
        read_the_clock_late,
    ),
    "no intent": (TAKES_USED_IDS, send_without_intent),
    "an intent for what is another's": (
        {"jobs_at_once": 2, **TAKES_USED_IDS},
        send_what_is_anothers,
    ),
    "no fence": ({"jobs_at_once": 2, **TAKES_USED_IDS}, keep_the_fence),
    "what was being sent is planned again": (TAKES_USED_IDS, plan_what_was_being_sent),
    "what got no answer is planned again": (TAKES_USED_IDS, take_no_answer_for_absence),
    "a restored journal is trusted about what it lacks": (RESTORED, trust_at_once),
    "a restored journal is trusted about what is open in it": (RESTORED, trust_open_rows),
    "the last word decides": ({"change_journal": accept_the_last_report}, None),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_simulation_without_a_guard_fails(name: str) -> None:
    """With any guard disabled, the simulation finds a payment made twice, lost or misreported."""
    options, change = CONTROLS[name]
    changed = options | ({"change": change} if change is not None else {})
    for seed in range(600):
        if Simulation(seed, **changed).run().complaints():
            return
    pytest.fail(f"600 seeds and nothing went wrong without this guard: {name}")


def test_simulation_seed_is_reproducible() -> None:
    """The same seed gives the same sends, executions and end."""
    stories = []
    for _ in range(2):
        world = Simulation(11).run().world
        rows = world.disk.execute(
            "SELECT merchant_transaction_id, state, attempt, evidence FROM gatewaypy_payouts ORDER BY id"
        ).fetchall()
        stories.append((world.sends, world.executions, world.now, rows))
    assert stories[0] == stories[1]
