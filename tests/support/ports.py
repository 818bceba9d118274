"""Ports for tests that must know one before a server listens, or that need an unused one."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

#: ``GATEWAYPY_TEST_PORTS`` moves the range, so that two checkouts can be tested at the same time.
#: The range is below the ports that systems assign to sockets, and each worker of pytest has its
#: own part: no other process binds such a port between its check and its use.
_LOWEST: Final = int(os.environ.get("GATEWAYPY_TEST_PORTS", "15000"))
_EACH: Final = 250
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports: Final = itertools.cycle(
    range(_LOWEST + _WORKER % 64 * _EACH, _LOWEST + (_WORKER % 64 + 1) * _EACH)
)


def free_port() -> int:
    """Return a port on which no process listens, and never the same one twice."""
    for port in itertools.islice(_ports, _EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    msg = f"no port of this worker's is free: {_LOWEST + _WORKER % 64 * _EACH} and {_EACH - 1} more"
    raise OSError(msg)
