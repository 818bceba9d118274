"""The states of payments by their statuses."""

from __future__ import annotations

import pytest

from gatewaypy import Outcome
from gatewaypy.protocol.statuses import LONG, outcome_of


@pytest.mark.parametrize(
    ("long", "short", "outcome"),
    [
        ("capturesuccess", "Y", Outcome.SUCCEEDED),
        (" CaptureSuccess ", "y", Outcome.SUCCEEDED),
        ("3D Authstarted", "3D", Outcome.PENDING),
        ("3d authstarted", "P", Outcome.PENDING),
        ("authfailed", "N", Outcome.FAILED),
        ("authcancelled", "C", Outcome.CANCELLED),
        ("cancelled", "N", Outcome.CANCELLED),
        ("reversed", "Y", Outcome.REFUNDED),
        ("chargeback", "N", Outcome.CHARGED_BACK),
        ("markedforreversal", "Y", Outcome.PENDING),
        ("capturestarted", "Y", Outcome.PENDING),
        ("settled", None, Outcome.SUCCEEDED),
        ("settled", " ", Outcome.SUCCEEDED),
        (None, "Y", Outcome.SUCCEEDED),
        ("", "C", Outcome.CANCELLED),
        ("capturesuccess", "N", Outcome.UNKNOWN),
        ("authfailed", "Y", Outcome.UNKNOWN),
        ("authstarted", "Y", Outcome.UNKNOWN),
        ("somethingnew", "Y", Outcome.UNKNOWN),
        ("capturesuccess", "Z", Outcome.UNKNOWN),
        (None, "Z", Outcome.UNKNOWN),
        (None, None, Outcome.UNKNOWN),
    ],
)
def test_state_is_read_from_both_statuses(
    long: str | None, short: str | None, outcome: Outcome
) -> None:
    """The long status leads; contradictions and unknown words are unknown."""
    assert outcome_of(long, short) is outcome


def test_statuses_table_is_complete() -> None:
    """Every long status of protocol section 8 is listed, with its kind."""
    intermediate = {
        "begun",
        "authstarted",
        "3d authstarted",
        "cancelstarted",
        "capturestarted",
        "markedforreversal",
        "payoutstarted",
    }
    assert len(LONG) == 19
    assert {name for name, status in LONG.items() if not status.final} == intermediate
    assert all(status.final is (status.outcome is not Outcome.PENDING) for status in LONG.values())
