"""Reasons why a request has no usable reply, in the same words for every transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewaypy.protocol.wire import WireFailure

if TYPE_CHECKING:
    from gatewaypy.config import Timeouts

DEADLINE: Final = "the deadline for the whole call passed"
BROKEN: Final = "the connection broke before the whole reply arrived"
NOT_OPEN: Final = WireFailure(sent=False, reason="the transport is not open")
CANCELLED_BEFORE_SEND: Final = WireFailure(sent=False, reason="cancelled before any byte was sent")
ABORTED_MID_REQUEST: Final = WireFailure(
    sent=True, reason="aborted after the headers and before the body"
)


def connect_timeout(timeouts: Timeouts) -> str:
    """Return the reason for a connection that was not established in time."""
    return f"no connection within {timeouts.connect:g} s"


def read_timeout(timeouts: Timeouts) -> str:
    """Return the reason for a reply, or its next part, that did not arrive in time."""
    return f"no answer within {timeouts.read:g} s"


def client_failure(error: Exception) -> str:
    """Return the reason for an unknown error of the HTTP client, which may quote the request."""
    return f"the HTTP client failed with {type(error).__name__}"


def oversized(limit: int) -> WireFailure:
    """Return the failure for a reply with more than ``limit`` bytes."""
    return WireFailure(sent=True, reason=f"the reply is longer than {limit} bytes")
