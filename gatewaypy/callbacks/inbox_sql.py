"""The tables and statements of the inbox; most statements process many events at once."""

from __future__ import annotations

from typing import Final

#: Events that wait for a person. Each query for them must repeat this condition, because planners
#: use a partial index only if its condition is in the query.
IS_KEPT: Final = "state IN ('parked', 'review')"
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_inbox (
        id {serial},
        key TEXT NOT NULL UNIQUE,
        payment TEXT NOT NULL,
        member TEXT,
        own_name TEXT,
        payment_name TEXT,
        signed INTEGER NOT NULL,
        fields TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        inquiries INTEGER NOT NULL DEFAULT 0,
        forced INTEGER NOT NULL DEFAULT 0,
        due DOUBLE PRECISION NOT NULL,
        owner TEXT,
        note TEXT,
        received_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_open ON gatewaypy_inbox (payment, id) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_named ON gatewaypy_inbox (payment_name, id)"
    " WHERE state = 'open' AND own_name IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_due ON gatewaypy_inbox (signed, due, id) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_refused ON gatewaypy_inbox (id) WHERE state = 'refused'",
    f"CREATE INDEX IF NOT EXISTS gatewaypy_inbox_kept ON gatewaypy_inbox (id) WHERE {IS_KEPT}",
    """CREATE TABLE IF NOT EXISTS gatewaypy_progress (
        name TEXT PRIMARY KEY,
        own_name TEXT,
        payment_name TEXT,
        state TEXT NOT NULL,
        amount TEXT,
        currency TEXT,
        event BIGINT NOT NULL,
        evidence TEXT NOT NULL,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    """CREATE TABLE IF NOT EXISTS gatewaypy_watched (
        name TEXT PRIMARY KEY,
        member TEXT NOT NULL,
        payment_id TEXT,
        merchant_transaction_id TEXT,
        operation TEXT,
        amount TEXT,
        currency TEXT,
        due DOUBLE PRECISION NOT NULL,
        inquiries INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX IF NOT EXISTS gatewaypy_watched_due ON gatewaypy_watched (member, due, name)",
    "CREATE TABLE IF NOT EXISTS gatewaypy_boot (id INTEGER PRIMARY KEY, boot TEXT NOT NULL)",
)

# `x BETWEEN y AND y` means `x = y`, but PostgreSQL can join by it only with an index look-up for
# each row. With `=`, a statement that was planned on a small table reads the whole table, and
# continues to do so while the table grows, because the plan is kept. `state || '' = 'open'`
# prevents a full scan of an index of open events.

# In order of arrival: a payment's events are handled in the order of their numbers.
PUT: Final = (
    "INSERT INTO gatewaypy_inbox (key, payment, member, own_name, payment_name, signed, fields, state, due)"
    " SELECT given.digest, given.queue, given.whose, given.own, given.other, given.is_signed, given.content, 'open', {now}"
    " FROM {input place BIGINT, digest TEXT, queue TEXT, whose TEXT, own TEXT, other TEXT, is_signed INTEGER, content TEXT}"
    " WHERE true ORDER BY given.place ON CONFLICT (key) DO NOTHING"
)
# Read before the insertion, not returned by it: there are few repeated events, and for every row
# that is read the writer waits for the interpreter's lock.
REPEATED: Final = (
    "SELECT inbox.key FROM {input digest TEXT} CROSS JOIN gatewaypy_inbox AS inbox"
    " WHERE inbox.key BETWEEN given.digest AND given.digest"
)

# `due` is the only time of an open event: no process claims it before. It is the end of a lease,
# and the end of the delay after a failure. So one index finds the events that can be claimed, and a
# claim reads no other events. If a due event is not the oldest open one of its payment, it is
# delayed until the oldest is due, so that the next claim does not read it again. When the oldest
# ends, `WAKE` makes the next one due. PostgreSQL checks the outer condition again after it waited
# for another process's commit.
TAKE: Final = (
    "WITH candidate AS MATERIALIZED (SELECT id, payment, due FROM gatewaypy_inbox"
    " WHERE state = 'open' AND signed = ? AND due <= {now} ORDER BY due, id LIMIT ?),"
    " chosen AS MATERIALIZED (SELECT id AS number, due AS was,"
    " (SELECT CASE WHEN head.id < candidate.id THEN head.due END FROM gatewaypy_inbox AS head"
    " WHERE head.state = 'open' AND (head.payment, head.id) > (candidate.payment, 0)"
    " ORDER BY head.payment, head.id LIMIT 1) AS earlier FROM candidate)"
    " UPDATE gatewaypy_inbox SET owner = CASE WHEN chosen.earlier IS NULL THEN ? END,"
    " due = CASE WHEN chosen.earlier > {now} THEN chosen.earlier ELSE {now} + ? END"
    " FROM chosen WHERE gatewaypy_inbox.id BETWEEN chosen.number AND chosen.number"
    " AND gatewaypy_inbox.state || '' = 'open' AND gatewaypy_inbox.due BETWEEN chosen.was AND chosen.was"
    " RETURNING id, key, payment, member, own_name, payment_name, signed, fields, attempts, inquiries, forced, owner"
)
# Events of one payment can wait in several queues. Unsigned events have a queue of their own, so
# that they do not delay signed ones. An event without the merchant's own id waits under the
# gateway's id. This returns the first event of each of these queues.
AHEAD: Final = (
    "WITH probed AS MATERIALIZED (SELECT given.number, given.queue, given.name,"
    " (SELECT head.id FROM gatewaypy_inbox AS head WHERE head.state = 'open'"
    " AND (head.payment, head.id) > (given.queue, given.after_id)"
    " ORDER BY head.payment, head.id LIMIT 1) AS queued,"
    " (SELECT head.id FROM gatewaypy_inbox AS head WHERE head.state = 'open' AND head.own_name IS NOT NULL"
    " AND (head.payment_name, head.id) > (given.name, 0) ORDER BY head.payment_name, head.id LIMIT 1) AS named"
    " FROM {input number BIGINT, queue TEXT, after_id BIGINT, name TEXT})"
    " SELECT probed.number, head.id, head.signed, head.owner FROM probed CROSS JOIN gatewaypy_inbox AS head"
    " WHERE head.id BETWEEN probed.queued AND probed.queued AND head.payment = probed.queue"
    " UNION ALL SELECT probed.number, head.id, head.signed, head.owner FROM probed CROSS JOIN gatewaypy_inbox AS head"
    " WHERE head.id BETWEEN probed.named AND probed.named AND head.payment_name = probed.name"
)
KNOWN: Final = (
    "SELECT known.name, known.own_name, known.payment_name, known.state, known.amount, known.currency, known.event,"
    " known.evidence FROM {input name TEXT} CROSS JOIN gatewaypy_progress AS known"
    " WHERE known.name BETWEEN given.name AND given.name"
)
# For an event whose other name is in the gateway's answer.
RENAME: Final = "UPDATE gatewaypy_inbox SET payment = ?, own_name = ?, payment_name = ? WHERE id = ? AND owner = ?"
# For events that follow another open event of their payment.
RELEASE: Final = (
    "UPDATE gatewaypy_inbox SET owner = NULL, due = {now} + given.pause FROM {input number BIGINT, pause DOUBLE PRECISION}"
    " WHERE gatewaypy_inbox.id BETWEEN given.number AND given.number AND gatewaypy_inbox.owner = ?"
)
IS_ANY_DUE: Final = "SELECT id FROM gatewaypy_inbox WHERE state = 'open' AND signed = ? AND due <= {now} ORDER BY due, id LIMIT 1"
RENEW: Final = (
    "UPDATE gatewaypy_inbox SET due = {now} + ? FROM {input number BIGINT}"
    " WHERE gatewaypy_inbox.id BETWEEN given.number AND given.number AND gatewaypy_inbox.owner = ?"
)
# Only for events that this process owns. If two events name one payment, the progress of the later
# one is stored. The evidence is the event's own fields, unless the progress was known before under
# another name.
MOVE: Final = (
    "INSERT INTO gatewaypy_progress (name, own_name, payment_name, state, amount, currency, event, evidence)"
    " SELECT name, own_name, payment_name, progress, amount, currency, event, evidence FROM"
    " (SELECT given.name, given.own_name, given.payment_name, given.progress, given.amount, given.currency,"
    " COALESCE(given.event, inbox.id) AS event, COALESCE(given.evidence, inbox.fields) AS evidence,"
    " ROW_NUMBER() OVER (PARTITION BY given.name ORDER BY given.number DESC) AS place"
    " FROM {input number BIGINT, name TEXT, own_name TEXT, payment_name TEXT, progress TEXT, amount TEXT, currency TEXT,"
    " event BIGINT, evidence TEXT} CROSS JOIN gatewaypy_inbox AS inbox"
    " WHERE inbox.id BETWEEN given.number AND given.number AND inbox.owner = ?) AS moved WHERE place = 1"
    " ON CONFLICT (name) DO UPDATE SET own_name = COALESCE(excluded.own_name, gatewaypy_progress.own_name),"
    " payment_name = COALESCE(excluded.payment_name, gatewaypy_progress.payment_name), state = excluded.state,"
    " amount = excluded.amount, currency = excluded.currency, event = excluded.event, evidence = excluded.evidence,"
    " changed_at = CURRENT_TIMESTAMP"
)
END: Final = (
    "UPDATE gatewaypy_inbox AS inbox SET state = given.ending, note = given.reason, owner = NULL"
    " FROM {input number BIGINT, ending TEXT, reason TEXT}"
    " WHERE inbox.id BETWEEN given.number AND given.number AND inbox.owner = ?"
)
# The next event of each payment whose earlier event has ended, unless a process owns it.
WAKE: Final = (
    "WITH next AS MATERIALIZED (SELECT given.name, (SELECT waiting.id FROM gatewaypy_inbox AS waiting"
    " WHERE waiting.state = 'open' AND (waiting.payment, waiting.id) > (given.name, 0)"
    " ORDER BY waiting.payment, waiting.id LIMIT 1) AS number FROM {input name TEXT})"
    " UPDATE gatewaypy_inbox SET due = {now} FROM next WHERE gatewaypy_inbox.id BETWEEN next.number AND next.number"
    " AND gatewaypy_inbox.payment = next.name AND gatewaypy_inbox.state || '' = 'open' AND gatewaypy_inbox.owner IS NULL"
)
# Few waiting events are unsigned, and few events wait for a person: an index finds both.
HAS_KEPT: Final = (
    f"SELECT 1 FROM gatewaypy_inbox WHERE {IS_KEPT} AND state = 'review' AND signed = 0"  # noqa: S608
    " AND (own_name = ? OR payment_name = ?) LIMIT 1"
)

WATCH: Final = (
    "INSERT INTO gatewaypy_watched (name, member, payment_id, merchant_transaction_id, operation, amount, currency, due)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, {now} + ?) ON CONFLICT (name) DO NOTHING"
)
# Watched payments that are due. Each is delayed by the given delay, doubled with each inquiry.
WATCHED: Final = (
    "WITH chosen AS MATERIALIZED (SELECT name AS number, inquiries AS times FROM gatewaypy_watched"
    " WHERE member = ? AND due <= {now} ORDER BY due, name LIMIT ?)"
    " UPDATE gatewaypy_watched SET due = {now} + ? * (1 << CASE WHEN inquiries > 6 THEN 6 ELSE inquiries END), inquiries = inquiries + 1"
    " FROM chosen WHERE gatewaypy_watched.name BETWEEN chosen.number AND chosen.number"
    " AND gatewaypy_watched.inquiries BETWEEN chosen.times AND chosen.times"
    " RETURNING name, member, payment_id, merchant_transaction_id, operation, amount, currency, inquiries"
)
