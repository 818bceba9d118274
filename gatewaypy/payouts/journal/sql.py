"""The journal's tables and statements. `RECORD_UPDATES` applies `PAYOUT_TRANSITIONS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewaypy.payouts.journal.restoration import NEW_TO_RESTORED
from gatewaypy.payouts.states import PAYOUT_TRANSITIONS, State

if TYPE_CHECKING:
    from collections.abc import Iterable

# A query repeats the condition of a partial index, otherwise a planner does not use the index.
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
    # An index of earlier versions, which mixed the rows of several members.
    "DROP INDEX IF EXISTS gatewaypy_payouts_open",
    # Their conditions are for `select_page`.
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_state"
    " ON gatewaypy_payouts (member, state, id) WHERE id > 0",
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_followed ON gatewaypy_payouts (owner, state, id)"
    f" WHERE id > 0 AND {IS_FOLLOWED}",
    # The journal's own row; see `restoration`. "lost" is the number of intents that the file next
    # to the journal had counted and that were not in the journal when it was opened.
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
    "CREATE TABLE IF NOT EXISTS gatewaypy_journal_gateways"
    " (member TEXT PRIMARY KEY, gateway TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS gatewaypy_journal_history (
        id {serial},
        happened_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        event TEXT NOT NULL,
        reason TEXT NOT NULL,
        person TEXT NOT NULL
    )""",
)
# For scopes of a batch. A journal in a file has none, and the index would slow each update there.
SHARED_SCHEMA: Final = (
    *SCHEMA,
    "CREATE INDEX IF NOT EXISTS gatewaypy_payouts_batch"
    f" ON gatewaypy_payouts (member, batch, state, id) WHERE batch IS NOT NULL AND {IS_OPEN}",
)

COLUMNS: Final = (
    "id, merchant_transaction_id, state, attempt, owner, fence, details, not_found_by,"
    " not_found_since, payment_id, resent"
)
ENTRY_COLUMNS: Final = (
    "id, merchant_transaction_id, batch, amount, currency, state, attempt, payment_id, code,"
    " description, status, outcome_source, seconds, evidence, planned_at, changed_at"
)

# PostgreSQL keeps a plan that it made for an empty table, and has no statistics of a new table.
# Each statement therefore allows only one way to find its rows:
#
# - An index for pages is partial, with a condition that every row meets. A statement without the
#   condition cannot use that index, which it would otherwise scan for the id at the end of its key.
# - A page is in the order of its index. No other index has that order.
# - `x BETWEEN y AND y` is `x = y` that can only be joined by an index look-up for each row.
# - `x || '' = y` and `x + 0 = y` are `x = y` without an index.

# The conditions of the indexes for pages, by the columns before the state and the id in their keys.
# A comparison with a batch implies that it is not null.
_HELD: Final = {"member": "id > 0", "member, batch": IS_OPEN, "owner": f"id > 0 AND {IS_FOLLOWED}"}


def select_page(columns: str, key: str, state: State) -> str:
    """Write a query for a page of rows of one state, ordered by id.

    Its parameters are the key's values, the id before the first, the limit, and the last id.

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
    """Write a query for a page of rows of several states, ordered by id.

    Its parameters are those of `select_page` for each state, and the number of rows again.
    """
    pages = (select_page(columns, key, state) for state in states)
    return f"{' UNION ALL '.join(pages)} ORDER BY id LIMIT ?"


def claim_page(key: str, state: State) -> str:
    """Write a statement that gives a page of rows of one state a new owner.

    Its parameters are the owner and those of `select_page`. The state is also in the outer
    condition: PostgreSQL waits for a locked row, and then checks only the outer condition again.
    Without it, a row that was sent meanwhile would be claimed as planned.
    """
    now = State.UNKNOWN if state is State.SENDING else state
    return (
        f"UPDATE gatewaypy_payouts SET owner = ?, fence = fence + 1, state = '{now.value}'"  # noqa: S608
        f" FROM (SELECT id AS number FROM ({select_page('id', key, state)}) AS page) AS chosen"
        f" WHERE id BETWEEN chosen.number AND chosen.number AND state = '{state.value}'"
        f" RETURNING {COLUMNS}"
    )


#: The states of orders that are not settled. A pending order waits for a callback.
UNSETTLED: Final = (State.PLANNED, State.SENDING, State.UNKNOWN)
_IS_UNSETTLED: Final = "state IN ('planned', 'sending', 'unknown')"
# An id of the scope may belong to another batch, which was planned at the same time.
COUNT_REMAINING: Final = (
    "WITH chunk AS MATERIALIZED (SELECT member, batch, state, owner"  # noqa: S608
    " FROM gatewaypy_payouts WHERE id BETWEEN ? AND ?)"
    f" SELECT COUNT(*), COALESCE(SUM(CASE WHEN {_IS_UNSETTLED} THEN 1 ELSE 0 END), 0),"
    f" COALESCE(SUM(CASE WHEN {_IS_UNSETTLED} AND owner = ? THEN 1 ELSE 0 END), 0)"
    " FROM chunk WHERE member = ? AND batch = ?"
)
COUNT_UNSETTLED: Final = (
    "SELECT COUNT(*) FROM gatewaypy_payouts WHERE member = ? AND batch = ?"  # noqa: S608
    f" AND {_IS_UNSETTLED} AND {IS_OPEN} AND id + 0 BETWEEN ? AND ?"
)


def _may_move() -> str:
    """Write `PAYOUT_TRANSITIONS` as a condition on a row ``payout`` and its update ``given``.

    Only a row that is being sent becomes unknown. A row that was never sent gets no outcome, but
    evidence that its id was used puts it on the review list. While a row is being sent, only the
    answer to that attempt does. A person decides about a row on the review list, unless it is there
    because the gateway did not find it.
    """
    cases = []
    for found in State:
        before = [state for state, following in PAYOUT_TRANSITIONS.items() if found in following]
        if found is State.UNKNOWN:
            before = [State.SENDING]
        among = ", ".join(f"'{state.value}'" for state in before)
        cases.append(f"WHEN '{found.value}' THEN payout.state IN ({among})")
    return (
        f"CASE given.found {' '.join(cases)} END"
        " AND (payout.state <> 'review' OR payout.outcome_source = 'absence')"
        " AND (payout.state <> 'planned' OR (given.found = 'review') = (payout.resent = 0))"
        " AND (given.found <> 'review' OR payout.state <> 'sending'"
        " OR payout.attempt = given.attempt)"
    )


# The failure of an attempt does not change a later attempt. A record without an attempt may belong
# to an earlier one while the outcome of the last attempt is unknown.
_IS_OF_THIS_ATTEMPT: Final = (
    "(given.found IN ('succeeded', 'pending', 'review') OR payout.attempt = given.attempt"
    " OR (given.attempt IS NULL"
    " AND (payout.state NOT IN ('sending', 'unknown') OR payout.attempt < 2)))"
)

# A person decides about two payments under one id, with any outcomes.
_IS_OF_THIS_PAYMENT: Final = (
    "(given.found = 'review' OR given.payment IS NULL"
    " OR payout.payment_id IS NULL OR payout.payment_id = given.payment)"
)

RECORD_UPDATES: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = given.found,"  # noqa: S608
    " payment_id = COALESCE(given.payment, payout.payment_id), code = given.answer,"
    " description = given.words, status = given.gateway_status, outcome_source = given.source,"
    " seconds = COALESCE(given.took, payout.seconds),"
    " evidence = COALESCE(given.reason, payout.evidence), changed_at = CURRENT_TIMESTAMP"
    " FROM {input order_id TEXT, attempt BIGINT, found TEXT, payment TEXT, answer TEXT,"
    " words TEXT, gateway_status TEXT, source TEXT, took DOUBLE PRECISION, reason TEXT}"
    " WHERE payout.merchant_transaction_id BETWEEN given.order_id AND given.order_id"
    f" AND payout.member || '' = ? AND {_may_move()} AND {_IS_OF_THIS_ATTEMPT}"
    f" AND {_IS_OF_THIS_PAYMENT} RETURNING merchant_transaction_id"
)
RECORD_INTENT: Final = (
    "UPDATE gatewaypy_payouts AS payout SET state = 'sending', attempt = payout.attempt + 1"
    " FROM {input number BIGINT, own TEXT, mark BIGINT}"
    " WHERE payout.id BETWEEN given.number AND given.number AND payout.state = 'planned'"
    " AND payout.owner = given.own AND payout.fence = given.mark RETURNING id, attempt"
)
# An order that is new to a restored journal may be one that it lost. The journal's row is locked,
# so that a change of the mark waits for the planning.
PLAN: Final = (
    "INSERT INTO gatewaypy_payouts (member, merchant_transaction_id, batch, fingerprint,"  # noqa: S608
    " amount, currency, details, state, owner, evidence)"
    " SELECT ?, given.order_id, ?, given.mark, given.sum, given.unit, given.written,"
    " CASE WHEN journal.restored = '' THEN 'planned' ELSE 'unknown' END, ?,"
    f" CASE WHEN journal.restored = '' THEN NULL ELSE '{NEW_TO_RESTORED}' END"
    " FROM {input order_id TEXT, mark TEXT, sum TEXT, unit TEXT, written TEXT}"
    " CROSS JOIN gatewaypy_journal AS journal WHERE journal.id = 1{share journal}"
    " ON CONFLICT (merchant_transaction_id, member) DO NOTHING"
    " RETURNING merchant_transaction_id, id, state"
)
FINGERPRINTS: Final = (
    "SELECT payout.merchant_transaction_id, payout.fingerprint"
    " FROM {input order_id TEXT} CROSS JOIN gatewaypy_payouts AS payout"
    " WHERE payout.merchant_transaction_id BETWEEN given.order_id AND given.order_id"
    " AND payout.member || '' = ?"
)
REMEMBER: Final = "INSERT INTO gatewaypy_journal_history (event, reason, person) VALUES (?, ?, ?)"
MARK: Final = "UPDATE gatewaypy_journal SET restored = ? WHERE id = 1"
# The backup may lack intents, so that its planned rows may have been sent.
DOUBT: Final = (
    "UPDATE gatewaypy_payouts SET state = 'unknown', evidence = ?, owner = '', fence = fence + 1"
    " WHERE state IN ('planned', 'sending')"
)
DOUBT_REVIEWED: Final = (
    "UPDATE gatewaypy_payouts SET evidence = COALESCE(evidence, '') || ? WHERE state = 'review'"
)
ENDED: Final = (
    f"SELECT {COLUMNS}, evidence"  # noqa: S608
    " FROM {input number BIGINT} CROSS JOIN gatewaypy_payouts AS payout"
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
