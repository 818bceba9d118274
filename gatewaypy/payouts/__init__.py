"""Payout jobs with a journal: they can be resumed, and never pay twice by themselves."""

from gatewaypy.payouts.job import PayoutJob
from gatewaypy.payouts.journal.journal import Journal
from gatewaypy.payouts.journal.rows import Conflict, JournalEntry, Row, Scope
from gatewaypy.payouts.journal.trust import HistoryEntry
from gatewaypy.payouts.journal.updates import PayoutStatus, PayoutUpdate
from gatewaypy.payouts.latency import Latency, format_duration
from gatewaypy.payouts.order_files import BadRow, OrderFile, read_orders
from gatewaypy.payouts.order_stream import read_in_thread
from gatewaypy.payouts.orders import PayoutOrder
from gatewaypy.payouts.report import CurrencyReport, Report
from gatewaypy.payouts.run import PayoutResult
from gatewaypy.payouts.states import PAYOUT_TRANSITIONS, State

__all__ = [
    "PAYOUT_TRANSITIONS",
    "BadRow",
    "Conflict",
    "CurrencyReport",
    "HistoryEntry",
    "Journal",
    "JournalEntry",
    "Latency",
    "OrderFile",
    "PayoutJob",
    "PayoutOrder",
    "PayoutResult",
    "PayoutStatus",
    "PayoutUpdate",
    "Report",
    "Row",
    "Scope",
    "State",
    "format_duration",
    "read_in_thread",
    "read_orders",
]
