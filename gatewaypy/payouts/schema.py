"""The journal's tables, and which rows a finding may move: the SQL that the table of states is carried out by."""

from __future__ import annotations

from typing import Final

from gatewaypy.payouts.restoration import NEW_TO_RESTORED
from gatewaypy.payouts.states import MOVES, State

# Said again in each query for open rows, as planners use an index of some rows only where it is.
IS_OPEN: Final = "state IN ('planned', 'sending', 'unknown', 'pending', 'review')"
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_payouts (
        id {serial},
        member TEXT NOT NULL,
        mtid TEXT NOT NULL,
        batch TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        amount TEXT NOT NULL,
        currency TEXT NOT NULL,
        details TEXT NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL DEFAULT '',
        fence BIGINT NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL DEFAULT 0,
        resent INTEGER NOT NULL DEFAULT 0,
        absent_by TEXT NOT NULL DEFAULT '',
        absent_since DOUBLE PRECISION NOT NULL DEFAULT 0,
        payment_id TEXT,
        code TEXT,
        description TEXT,
        status TEXT,
        settled_by TEXT,
        seconds DOUBLE PRECISION,
        evidence TEXT,
        planned_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (mtid, member)
    )""",
    f"CREATE INDEX IF NOT EXISTS gatewaypy_payouts_open ON gatewaypy_payouts (state, id) WHERE {IS_OPEN}",
    # What the journal knows of itself, in its one row; see `gatewaypy.payouts.restoration`. "lost" counts intents that were
    # counted next to it and were not in it when it was opened.
    """CREATE TABLE IF NOT EXISTS gatewaypy_journal (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        home TEXT NOT NULL,
        restored TEXT NOT NULL DEFAULT '',
        lost BIGINT NOT NULL DEFAULT 0,
        opening TEXT NOT NULL DEFAULT '',
        opening_before TEXT NOT NULL DEFAULT '',
        opening_intents BIGINT NOT NULL DEFAULT 0
    )""",
    "CREATE TABLE IF NOT EXISTS gatewaypy_journal_gateways (member TEXT PRIMARY KEY, gateway TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS gatewaypy_journal_history (
        id {serial},
        happened_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        event TEXT NOT NULL,
        reason TEXT NOT NULL,
        person TEXT NOT NULL
    )""",
)

COLUMNS: Final = "id, mtid, state, attempt, owner, fence, details, absent_by, absent_since, payment_id, resent"


def _may_move() -> str:
    """Write `MOVES` down as a condition on a row ``payout`` and what was found, ``given``.

    What is planned has not been sent, whatever became of an earlier attempt: only what is being sent becomes unknown.
    A row that was never sent is settled by nothing, but evidence that its id was used sends it to review. While a row is
    being sent, only the answer to that attempt sends it to review. A row on review is left to a person, unless it is
    there because the gateway did not know it.
    """
    cases = []
    for found in State:
        before = [state for state, following in MOVES.items() if found in following]
        if found is State.UNKNOWN:
            before = [State.SENDING]
        among = ", ".join(f"'{state.value}'" for state in before)
        cases.append(f"WHEN '{found.value}' THEN payout.state IN ({among})")
    return (
        f"CASE given.found {' '.join(cases)} END AND (payout.state <> 'review' OR payout.settled_by = 'absence')"
        " AND (payout.state <> 'planned' OR (given.found = 'review') = (payout.resent = 0))"
        " AND (given.found <> 'review' OR payout.state <> 'sending' OR payout.attempt = given.attempt)"
    )


# What an attempt came to says nothing of a later one, unless it is that the money moved or is about to. Who tells without knowing
# of attempts may mean an earlier one, as long as nobody knows what became of the last.
_IS_OF_THIS_ATTEMPT: Final = (
    "(given.found IN ('succeeded', 'pending', 'review') OR payout.attempt = given.attempt"
    " OR (given.attempt IS NULL AND (payout.state NOT IN ('sending', 'unknown') OR payout.attempt < 2)))"
)

# Two payments under one id are for a person to look at, whatever each of them came to.
_IS_OF_THIS_PAYMENT: Final = (
    "(given.found = 'review' OR given.payment IS NULL OR payout.payment_id IS NULL OR payout.payment_id = given.payment)"
)

LEARN: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = given.found, payment_id = COALESCE(given.payment, payout.payment_id),"  # noqa: S608
    " code = given.answer, description = given.words, status = given.said, settled_by = given.teller,"
    " seconds = COALESCE(given.took, payout.seconds), evidence = COALESCE(given.reason, payout.evidence),"
    " changed_at = CURRENT_TIMESTAMP FROM {given order_id TEXT, attempt BIGINT, found TEXT, payment TEXT, answer TEXT,"
    " words TEXT, said TEXT, teller TEXT, took DOUBLE PRECISION, reason TEXT}"
    " WHERE payout.member = ? AND payout.mtid = given.order_id"
    f" AND {_may_move()} AND {_IS_OF_THIS_ATTEMPT} AND {_IS_OF_THIS_PAYMENT} RETURNING mtid"
)
INTEND: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = 'sending', attempt = payout.attempt + 1"
    " FROM {given number BIGINT, own TEXT, mark BIGINT} WHERE payout.id = given.number AND payout.state = 'planned'"
    " AND payout.owner = given.own AND payout.fence = given.mark RETURNING id, attempt"
)
# An order that is new to a restored journal may be one that it lost. The journal's row is locked, so that no order is planned by
# what the mark was before.
PLAN: Final = (
    "INSERT INTO gatewaypy_payouts (member, mtid, batch, fingerprint, amount, currency, details, state, owner, evidence)"  # noqa: S608
    " SELECT ?, given.order_id, ?, given.mark, given.sum, given.unit, given.written,"
    " CASE WHEN journal.restored = '' THEN 'planned' ELSE 'unknown' END, ?,"
    f" CASE WHEN journal.restored = '' THEN NULL ELSE '{NEW_TO_RESTORED}' END"
    " FROM {given order_id TEXT, mark TEXT, sum TEXT, unit TEXT, written TEXT}"
    " CROSS JOIN gatewaypy_journal AS journal WHERE journal.id = 1{share journal}"
    " ON CONFLICT (mtid, member) DO NOTHING RETURNING mtid, id, state"
)
FINGERPRINTS: Final = (
    "SELECT payout.mtid, payout.fingerprint FROM {given order_id TEXT} CROSS JOIN gatewaypy_payouts AS payout"
    " WHERE payout.member = ? AND payout.mtid = given.order_id"
)
REMEMBER: Final = "INSERT INTO gatewaypy_journal_history (event, reason, person) VALUES (?, ?, ?)"
MARK: Final = "UPDATE gatewaypy_journal SET restored = ? WHERE id = 1"
# A copy from before some intents: what it calls planned may have been sent, so nothing open is trusted.
DOUBT: Final = (
    "UPDATE gatewaypy_payouts SET state = 'unknown', evidence = ?, owner = '', fence = fence + 1"
    " WHERE state IN ('planned', 'sending')"
)
DOUBT_REVIEWED: Final = "UPDATE gatewaypy_payouts SET evidence = COALESCE(evidence, '') || ? WHERE state = 'review'"
ENDED: Final = (
    f"SELECT {COLUMNS}, evidence FROM {{given number BIGINT}} CROSS JOIN gatewaypy_payouts AS payout"  # noqa: S608
    " WHERE payout.id = given.number AND payout.member = ? AND payout.state IN ('succeeded', 'failed', 'review')"
)
