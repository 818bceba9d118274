"""The journal of a payout job, in SQLite or PostgreSQL."""

from gatewaypy.payouts.journal.journal import Journal

__all__ = ["Journal"]
