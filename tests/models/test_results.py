"""Results without fields of their own are complete classes."""

from __future__ import annotations

import pickle

import attrs
import pytest

from gatewaypy import Capture, Money, Outcome, Refund, Reversal
from gatewaypy.models import FollowUp, OperationResult

KINDS = [FollowUp, Capture, Reversal, Refund]


@pytest.mark.parametrize("kind", KINDS)
def test_follow_up_result_is_a_frozen_value(kind: type[FollowUp]) -> None:
    """It has its name in the repr and no dict, and survives pickling and evolving."""
    one = kind(outcome=Outcome.SUCCEEDED, payment_id="7", amount=Money("5.00", "EUR"))
    assert repr(one).startswith(f"{kind.__name__}(outcome=<Outcome.SUCCEEDED")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.payment_id = "8"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.more = "x"
    assert not hasattr(one, "__dict__")
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - it was pickled right here
    changed = attrs.evolve(one, payment_id="8")
    assert (type(changed), changed.payment_id, changed.amount) == (kind, "8", one.amount)
    with pytest.raises(TypeError):
        kind(outcome=Outcome.SUCCEEDED, paymentId="7")


@pytest.mark.parametrize("kind", KINDS)
def test_follow_up_result_equals_only_its_class(kind: type[FollowUp]) -> None:
    """A refund never equals a capture with the same fields."""
    equal = [
        other
        for other in (OperationResult, *KINDS)
        if other(outcome=Outcome.FAILED) == kind(outcome=Outcome.FAILED)
    ]
    assert equal == [kind]
    assert kind(outcome=Outcome.FAILED) != kind(outcome=Outcome.SUCCEEDED)
    assert attrs.fields(kind) == attrs.fields(OperationResult)
