"""The inbox's tables, and the statements that carry many events at once: each costs little more than for one."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS gatewaypy_inbox (
        id {serial},
        key TEXT NOT NULL UNIQUE,
        payment TEXT NOT NULL,
        member TEXT,
        signed INTEGER NOT NULL,
        fields TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        asked INTEGER NOT NULL DEFAULT 0,
        forced INTEGER NOT NULL DEFAULT 0,
        due DOUBLE PRECISION NOT NULL,
        owner TEXT,
        lease DOUBLE PRECISION NOT NULL DEFAULT 0,
        note TEXT,
        received_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_open ON gatewaypy_inbox (payment, id) WHERE state = 'open'",
    "CREATE INDEX IF NOT EXISTS gatewaypy_inbox_next ON gatewaypy_inbox (id) WHERE state = 'open'",
    """CREATE TABLE IF NOT EXISTS gatewaypy_progress (
        payment TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        evidence TEXT NOT NULL,
        changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    )""",
    """CREATE TABLE IF NOT EXISTS gatewaypy_watched (
        payment TEXT PRIMARY KEY,
        payment_id TEXT,
        merchant_transaction_id TEXT,
        due DOUBLE PRECISION NOT NULL,
        asked INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE TABLE IF NOT EXISTS gatewaypy_boot (id INTEGER PRIMARY KEY, boot TEXT NOT NULL)",
)

# In the order in which they came: a payment's events are handled in the order of their numbers.
PUT: Final = (
    "INSERT INTO gatewaypy_inbox (key, payment, member, signed, fields, state, due)"
    " SELECT given.digest, given.name, given.whose, given.proven, given.told, 'open', {now}"
    " FROM {given place BIGINT, digest TEXT, name TEXT, whose TEXT, proven INTEGER, told TEXT} WHERE true ORDER BY given.place"
    " ON CONFLICT (key) DO NOTHING"
)
# Asked before them rather than returned by them: there are few, and for every row that is read the writer waits for the
# interpreter's lock.
REPEATED: Final = "SELECT inbox.key FROM {given digest TEXT} CROSS JOIN gatewaypy_inbox AS inbox WHERE inbox.key = given.digest"

# Cast, as SQLite does not know a returned column for text, and would read the whole table in place of its index.
_KNOWN: Final = "FROM gatewaypy_progress AS known WHERE known.payment = CAST(gatewaypy_inbox.payment AS TEXT)"
# The oldest open one of each payment, in no other process's hands.
TAKE: Final = (
    "UPDATE gatewaypy_inbox SET owner = ?, lease = {now} + ? WHERE state = 'open' AND lease <= {now} AND id IN"  # noqa: S608
    " (SELECT id FROM gatewaypy_inbox AS mine WHERE state = 'open' AND due <= {now} AND lease <= {now} AND NOT EXISTS"
    " (SELECT 1 FROM gatewaypy_inbox AS earlier WHERE earlier.payment = mine.payment AND earlier.state = 'open'"
    " AND earlier.id < mine.id) ORDER BY id LIMIT ?)"
    " RETURNING id, key, payment, member, signed, fields, attempts, asked, forced,"
    f" (SELECT known.state {_KNOWN}), (SELECT known.evidence {_KNOWN})"
)
RENEW: Final = (
    "UPDATE gatewaypy_inbox SET lease = {now} + ? WHERE owner = ? AND id IN (SELECT given.number FROM {given number BIGINT})"
)
# Only what is in this process's hands; of two events that name one payment the later one's progress counts.
MOVE: Final = (
    "INSERT INTO gatewaypy_progress (payment, state, evidence) SELECT name, progress, fields FROM"
    " (SELECT given.name, given.progress, inbox.fields,"
    " ROW_NUMBER() OVER (PARTITION BY given.name ORDER BY given.number DESC) AS place"
    " FROM {given number BIGINT, name TEXT, progress TEXT} CROSS JOIN gatewaypy_inbox AS inbox"
    " WHERE inbox.id = given.number AND inbox.owner = ?) AS moved WHERE place = 1"
    " ON CONFLICT (payment) DO UPDATE"
    " SET state = excluded.state, evidence = excluded.evidence, changed_at = CURRENT_TIMESTAMP"
)
END: Final = (
    "UPDATE gatewaypy_inbox AS inbox SET state = given.ending, note = given.reason, owner = NULL, lease = 0"
    " FROM {given number BIGINT, ending TEXT, reason TEXT} WHERE inbox.id = given.number AND inbox.owner = ?"
)
