"""Durable stores on SQLite and PostgreSQL; transactions share a commit."""

from gatewaypy.storage.base import Statement, Store
from gatewaypy.storage.factory import open_store

__all__ = ["Statement", "Store", "open_store"]
