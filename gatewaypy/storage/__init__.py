"""What durable stores share: a transaction is asked for, joins others in one commit, and is on disk when the answer comes."""

from gatewaypy.storage.base import Statement, Store, open_store

__all__ = ["Statement", "Store", "open_store"]
