"""Ports for who has to know one before anybody listens there, and for who wants nobody to."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

#: ``GATEWAYPY_TEST_PORTS`` moves the range, so that two checkouts can be tested at the same time.
#: Below what systems give to sockets that take any free port, and each of pytest's workers has a stretch of its own: nobody else
#: takes such a port between the look at it and its use.
_LOWEST: Final = int(os.environ.get("GATEWAYPY_TEST_PORTS", "15000"))
_EACH: Final = 250
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports: Final = itertools.cycle(
    range(_LOWEST + _WORKER % 64 * _EACH, _LOWEST + (_WORKER % 64 + 1) * _EACH)
)


def free_port() -> int:
    """Give a port on which nobody listens now, and never the last one again."""
    for port in itertools.islice(_ports, _EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    msg = f"no port of this worker's is free: {_LOWEST + _WORKER % 64 * _EACH} and {_EACH - 1} more"
    raise OSError(msg)
