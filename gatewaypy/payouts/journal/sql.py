"""The journal's tables, and which rows a finding may move: the SQL that the table of states is carried out by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewaypy.payouts.journal.restoration import NEW_TO_RESTORED
from gatewaypy.payouts.states import PAYOUT_TRANSITIONS, State

if TYPE_CHECKING:
    from collections.abc import Iterable

# Said again in each query for such rows, as planners use an index of some rows only where it is.
IS_OPEN: Final = "state IN ('planned', 'sending', 'unknown', 'pending', 'review')"
IS_FOLLOWED: Final = "state IN ('unknown', 'pending')"
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_payouts (
        id {serial},
        member TEXT NOT NULL,
        merchant_transaction_id TEXT NOT NULL,
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
        not_found_by TEXT NOT NULL DEFAULT '',
        not_found_since DOUBLE PRECISION NOT NULL DEFAULT 0,
        payment_id TEXT,
        code TEXT,
        description TEXT,
        status TEXT,
        outcome_source TEXT,
        seconds DOUBLE PRECISION,
        evidence TEXT,
        planned_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (merchant_transaction_id, member)
    )""",
    # An index of earlier versions, in which another member's rows stood among a member's own.
    "DROP INDEX IF EXISTS gatewaypy_payouts_open",
    # Their conditions are for `select_page`.
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_state ON gatewaypy_payouts (member, state, id) WHERE id > 0",
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_followed ON gatewaypy_payouts (owner, state, id)"
    f" WHERE id > 0 AND {IS_FOLLOWED}",
    # What the journal knows of itself, in its one row; see `gatewaypy.payouts.journal.restoration`.
    # "lost" counts intents that were counted next to it and were not in it when it was opened.
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
# For chunks of a batch, which a journal in a file has none of: it would slow each intent and each answer there.
SHARED_SCHEMA: Final = (
    *SCHEMA,
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_batch ON gatewaypy_payouts (member, batch, state, id)"
    f" WHERE batch IS NOT NULL AND {IS_OPEN}",
)

COLUMNS: Final = "id, merchant_transaction_id, state, attempt, owner, fence, details, not_found_by, not_found_since, payment_id, resent"
ENTRY_COLUMNS: Final = (
    "id, merchant_transaction_id, batch, amount, currency, state, attempt, payment_id, code, description, status,"
    " outcome_source, seconds, evidence,"
    " planned_at, changed_at"
)

# PostgreSQL keeps the plan that it made of a statement when the table was empty, and has no statistics of a young table. So each
# statement leaves it one way to find its rows:
#
# - An index for pages is partial, with a condition that every row meets: what does not say the condition has no use for that
#   index, which it would else read from end to end, for the id that comes last in its key.
# - A page is in the order of its index, which no other index gives.
# - `x BETWEEN y AND y` is `x = y` for which there is no other join than an index look-up for each row.
# - `x || '' = y` and `x + 0 = y` are `x = y` for which no index is used.

# The conditions of the indexes for pages, by the columns before the state and the id in their keys. That a batch is not null is
# said by whatever compares it.
_HELD: Final = {"member": "id > 0", "member, batch": IS_OPEN, "owner": f"id > 0 AND {IS_FOLLOWED}"}


def select_page(columns: str, key: str, state: State) -> str:
    """Write a query for a page of rows of one state, in order of their ids.

    Its parameters are the key's values, the id before the first, the number of rows, and the last id.

    Args:
        columns: What is selected, the id among it.
        key: The columns before the state and the id in the index.
        state: The state, which the index must hold.
    """
    values = key.replace(",", " = ? AND")
    return (
        f"SELECT * FROM (SELECT {columns} FROM gatewaypy_payouts WHERE {values} = ?"  # noqa: S608
        f" AND (state, id) > ('{state.value}', ?) AND state <= '{state.value}' AND {_HELD[key]}"
        " ORDER BY state, id LIMIT ?) AS page WHERE id <= ?"
    )


def select_merged_page(columns: str, key: str, states: Iterable[State]) -> str:
    """Write a query for a page of rows of several states, in order of their ids.

    Its parameters are those of `select_page` once for each state, and the number of rows once more.
    """
    pages = (select_page(columns, key, state) for state in states)
    return f"{' UNION ALL '.join(pages)} ORDER BY id LIMIT ?"


def claim_page(key: str, state: State) -> str:
    """Write a statement that gives a page of rows of one state a new owner.

    Its parameters are the owner and those of `select_page`. The state is asked for twice: PostgreSQL waits for whoever has a row,
    and looks again at the outer condition alone. Without it, what was sent meanwhile would be planned again.
    """
    now = State.UNKNOWN if state is State.SENDING else state
    return (
        f"UPDATE gatewaypy_payouts SET owner = ?, fence = fence + 1, state = '{now.value}'"  # noqa: S608
        f" FROM (SELECT id AS number FROM ({select_page('id', key, state)}) AS page) AS chosen"
        f" WHERE id BETWEEN chosen.number AND chosen.number AND state = '{state.value}' RETURNING {COLUMNS}"
    )


#: What is left to be done; an order that is pending is done with, until somebody asks about it again.
UNSETTLED: Final = (State.PLANNED, State.SENDING, State.UNKNOWN)
_IS_UNSETTLED: Final = "state IN ('planned', 'sending', 'unknown')"
# An order may be another batch's, planned at the same time.
COUNT_REMAINING: Final = (
    "WITH chunk AS MATERIALIZED (SELECT member, batch, state, owner FROM gatewaypy_payouts WHERE id BETWEEN ? AND ?)"  # noqa: S608
    f" SELECT COUNT(*), COALESCE(SUM(CASE WHEN {_IS_UNSETTLED} THEN 1 ELSE 0 END), 0),"
    f" COALESCE(SUM(CASE WHEN {_IS_UNSETTLED} AND owner = ? THEN 1 ELSE 0 END), 0)"
    " FROM chunk WHERE member = ? AND batch = ?"
)
COUNT_UNSETTLED: Final = (
    "SELECT COUNT(*) FROM gatewaypy_payouts WHERE member = ? AND batch = ?"  # noqa: S608
    f" AND {_IS_UNSETTLED} AND {IS_OPEN} AND id + 0 BETWEEN ? AND ?"
)


def _may_move() -> str:
    """Write `PAYOUT_TRANSITIONS` down as a condition on a row ``payout`` and what was found, ``given``.

    What is planned has not been sent, whatever became of an earlier attempt: only what is being sent becomes unknown.
    A row that was never sent is settled by nothing, but evidence that its id was used sends it to review. While a row is
    being sent, only the answer to that attempt sends it to review. A row on review is left to a person, unless it is
    there because the gateway did not know it.
    """
    cases = []
    for found in State:
        before = [state for state, following in PAYOUT_TRANSITIONS.items() if found in following]
        if found is State.UNKNOWN:
            before = [State.SENDING]
        among = ", ".join(f"'{state.value}'" for state in before)
        cases.append(f"WHEN '{found.value}' THEN payout.state IN ({among})")
    return (
        f"CASE given.found {' '.join(cases)} END AND (payout.state <> 'review' OR payout.outcome_source = 'absence')"
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
    "(given.found = 'review' OR given.payment IS NULL"
    " OR payout.payment_id IS NULL OR payout.payment_id = given.payment)"
)

RECORD_UPDATES: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = given.found, payment_id = COALESCE(given.payment, payout.payment_id),"  # noqa: S608
    " code = given.answer, description = given.words, status = given.said, outcome_source = given.teller,"
    " seconds = COALESCE(given.took, payout.seconds), evidence = COALESCE(given.reason, payout.evidence),"
    " changed_at = CURRENT_TIMESTAMP FROM {input order_id TEXT, attempt BIGINT, found TEXT, payment TEXT, answer TEXT,"
    " words TEXT, said TEXT, teller TEXT, took DOUBLE PRECISION, reason TEXT}"
    " WHERE payout.merchant_transaction_id BETWEEN given.order_id AND given.order_id AND payout.member || '' = ?"
    f" AND {_may_move()} AND {_IS_OF_THIS_ATTEMPT} AND {_IS_OF_THIS_PAYMENT} RETURNING merchant_transaction_id"
)
RECORD_INTENT: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = 'sending', attempt = payout.attempt + 1"
    " FROM {input number BIGINT, own TEXT, mark BIGINT} WHERE payout.id BETWEEN given.number AND given.number"
    " AND payout.state = 'planned'"
    " AND payout.owner = given.own AND payout.fence = given.mark RETURNING id, attempt"
)
# An order that is new to a restored journal may be one that it lost. The journal's row is locked, so that no order is planned by
# what the mark was before.
PLAN: Final = (
    "INSERT INTO gatewaypy_payouts (member, merchant_transaction_id, batch, fingerprint, amount, currency, details, state, owner, evidence)"  # noqa: S608
    " SELECT ?, given.order_id, ?, given.mark, given.sum, given.unit, given.written,"
    " CASE WHEN journal.restored = '' THEN 'planned' ELSE 'unknown' END, ?,"
    f" CASE WHEN journal.restored = '' THEN NULL ELSE '{NEW_TO_RESTORED}' END"
    " FROM {input order_id TEXT, mark TEXT, sum TEXT, unit TEXT, written TEXT}"
    " CROSS JOIN gatewaypy_journal AS journal WHERE journal.id = 1{share journal}"
    " ON CONFLICT (merchant_transaction_id, member) DO NOTHING RETURNING merchant_transaction_id, id, state"
)
FINGERPRINTS: Final = (
    "SELECT payout.merchant_transaction_id, payout.fingerprint FROM {input order_id TEXT} CROSS JOIN gatewaypy_payouts AS payout"
    " WHERE payout.merchant_transaction_id BETWEEN given.order_id AND given.order_id AND payout.member || '' = ?"
)
REMEMBER: Final = "INSERT INTO gatewaypy_journal_history (event, reason, person) VALUES (?, ?, ?)"
MARK: Final = "UPDATE gatewaypy_journal SET restored = ? WHERE id = 1"
# A copy from before some intents: what it calls planned may have been sent, so nothing open is trusted.
DOUBT: Final = (
    "UPDATE gatewaypy_payouts SET state = 'unknown', evidence = ?, owner = '', fence = fence + 1"
    " WHERE state IN ('planned', 'sending')"
)
DOUBT_REVIEWED: Final = (
    "UPDATE gatewaypy_payouts SET evidence = COALESCE(evidence, '') || ? WHERE state = 'review'"
)
ENDED: Final = (
    f"SELECT {COLUMNS}, evidence FROM {{input number BIGINT}} CROSS JOIN gatewaypy_payouts AS payout"  # noqa: S608
    " WHERE payout.id BETWEEN given.number AND given.number AND payout.member || '' = ?"
    " AND payout.state IN ('succeeded', 'failed', 'review')"
)
MARK_UNSENT: Final = (
    "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ?"
    " WHERE id = ? AND state = 'sending' AND owner = ? AND fence = ? RETURNING id"
)
MARK_REFUSED: Final = (
    "UPDATE gatewaypy_payouts SET state = 'failed', evidence = ?, outcome_source = 'refused'"
    " WHERE id = ? AND state IN ('planned', 'sending') AND owner = ? AND fence = ? RETURNING id"
)
MOVE_TO_REVIEW: Final = (
    "UPDATE gatewaypy_payouts SET state = 'review', outcome_source = ?, evidence = ?,"
    " changed_at = CURRENT_TIMESTAMP"
    " WHERE id = ? AND state IN ('unknown', 'pending') AND owner = ? AND fence = ? RETURNING id"
)
RECORD_NOT_FOUND: Final = (
    "UPDATE gatewaypy_payouts SET not_found_since ="
    " CASE WHEN not_found_by = ? THEN not_found_since ELSE ? END, not_found_by = ?"
    " WHERE id = ? RETURNING not_found_since"
)
CLEAR_NOT_FOUND: Final = (
    "UPDATE gatewaypy_payouts SET not_found_by = '' WHERE id = ? AND not_found_by <> ''"
)
# The fence is incremented, so that updates for an earlier attempt fail.
REPLAN: Final = (
    "UPDATE gatewaypy_payouts SET state = 'planned', evidence = ?, not_found_by = '',"  # noqa: S608
    " fence = fence + 1, payment_id = NULL, resent = 1"
    f" WHERE id = ? AND state = 'unknown' AND owner = ? AND fence = ? RETURNING {COLUMNS}"
)
RESOLVE: Final = (
    "UPDATE gatewaypy_payouts SET state = ?, outcome_source = 'person', not_found_by = '',"
    " fence = fence + 1, payment_id = CASE ? WHEN 'planned' THEN NULL ELSE payment_id END,"
    " resent = 1, evidence = COALESCE(evidence, '') || ' / decided: ' || ?,"
    " changed_at = CURRENT_TIMESTAMP"
    " WHERE member = ? AND merchant_transaction_id = ? AND state = 'review' RETURNING id"
)
STATE_OF: Final = (
    "SELECT state FROM gatewaypy_payouts WHERE member = ? AND merchant_transaction_id = ?"
)
SUBJECT_OF: Final = (
    "SELECT amount, currency, state, resent FROM gatewaypy_payouts"
    " WHERE member = ? AND merchant_transaction_id = ?"
)
REVIEW_SECOND_PAYMENT: Final = (
    "UPDATE gatewaypy_payouts SET state = 'review',"
    " evidence = COALESCE(evidence, '') || ? || payment_id || ?,"
    " outcome_source = NULL, changed_at = CURRENT_TIMESTAMP"
    " WHERE member = ? AND merchant_transaction_id = ? AND payment_id <> ?"
    " AND (state IN ('unknown', 'pending') AND (? <> 'failed' OR resent = 0)"
    " OR state IN ('succeeded', 'failed') AND ? <> 'failed') RETURNING id"
)
REVIEW_CONTRADICTION: Final = (
    "UPDATE gatewaypy_payouts SET state = 'review', evidence = COALESCE(evidence, '') || ?,"
    " outcome_source = NULL, changed_at = CURRENT_TIMESTAMP WHERE member = ?"
    " AND merchant_transaction_id = ? AND state = ? AND attempt = COALESCE(?, attempt)"
)
SUMS: Final = (
    "SELECT state, currency, code, COUNT(*), SUM(CAST(REPLACE(amount, '.', '') AS BIGINT))"
    " FROM gatewaypy_payouts WHERE member = ? GROUP BY state, currency, code"
)


def append_evidence(states: Iterable[State]) -> str:
    """Write a statement that appends evidence to rows in some states, once."""
    names = ", ".join(f"'{state.value}'" for state in states)
    return (
        "UPDATE gatewaypy_payouts SET evidence = COALESCE(evidence, '') || ?"  # noqa: S608
        f" WHERE member = ? AND merchant_transaction_id = ? AND state IN ({names})"
        " AND REPLACE(COALESCE(evidence, ''), ?, '') = COALESCE(evidence, '')"
    )
