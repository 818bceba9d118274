"""Events as handlers see them, whether they were received or made by hand."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from unittest.mock import Mock

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Money
from gatewaypy.callbacks import CallbackEvent, PaymentSucceeded, UnknownEvent
from gatewaypy.callbacks.events import _meaning, read_event
from gatewaypy.models import Fields, Outcome

TOLD = {
    "paymentId": "10617",
    "merchantTransactionId": "TX-1",
    "status": "capturesuccess",
    "transactionStatus": "Y",
    "amount": "50.00",
    "currency": "EUR",
    "remark": "ok",
    "timestamp": "2026-02-09 19:42:23",
    "result": {"code": "00001", "description": "Transaction succeeded"},
    "card": {"bin": "444433", "last4Digits": "1111"},
    "eci": "05",
}
SCALAR = (
    st.none()
    | st.booleans()
    | st.text(max_size=6)
    | st.sampled_from(["50.00", "EUR", "JPY", "1e9", "NaN", " 7.5 ", "-1"])
)
ANY = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
)


def received(fields: dict[str, Any] = TOLD) -> CallbackEvent:
    return read_event(fields, signed=True, member_id="11344")


def told_of(event: CallbackEvent) -> dict[str, Any]:
    return {
        attribute.name: getattr(event, attribute.name) for attribute in attrs.fields(type(event))
    }


def test_an_event_tells_what_was_received() -> None:
    """Each attribute is typed, and what none stands for is left in ``extra``."""
    event = received()
    assert isinstance(event, PaymentSucceeded)
    assert (event.outcome, event.amount, event.result.code) == (
        Outcome.SUCCEEDED,
        Money("50.00", "EUR"),
        "00001",
    )
    assert event.card is not None
    assert (event.card.bin, event.card.last_four, event.remark) == ("444433", "1111", "ok")
    assert (event.timestamp, dict(event.extra)) == ("2026-02-09 19:42:23", {"eci": "05"})


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["amount", "currency", "result", "card", "remark", "timestamp", "x"], ANY
        ),
    )
)
def test_whatever_was_received_can_be_looked_at(fields: dict[str, Any]) -> None:
    """No attribute of an event raises, whatever the gateway put in its place; looked at twice, it is the same."""
    event = received({"paymentId": "1", **fields})
    told = told_of(event)
    assert told_of(event) == told
    assert event.amount is None or isinstance(event.amount, Money)


def test_a_received_event_equals_one_made_by_hand() -> None:
    """A shop's tests may make what its handlers are to hear."""
    event = received()
    by_hand = PaymentSucceeded(**told_of(received()))
    assert event == by_hand
    assert repr(event) == repr(by_hand)
    assert event != received({**TOLD, "amount": "50.01"})
    assert PaymentSucceeded(outcome=Outcome.SUCCEEDED).amount is None


@pytest.mark.parametrize("looked_at", [True, False])
def test_an_event_survives_copying_and_pickling(*, looked_at: bool) -> None:
    """Queues and other processes get the whole event, whether anybody looked at it before or not."""
    event = received()
    if looked_at:
        told_of(event)
    again = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]  # noqa: S301 - our own
    for one in again:
        assert (one, one.raw, type(one)) == (event, event.raw, PaymentSucceeded)
    assert attrs.evolve(event, remark="mine") == attrs.evolve(again[2], remark="mine")
    assert attrs.evolve(event, remark="mine").amount == event.amount


def test_an_event_is_frozen_and_has_no_other_attributes() -> None:
    """Nothing can be set, and a name that is no attribute's is said to be none."""
    event = received()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.amount = Money("1.00", "EUR")  # type: ignore[misc]
    with pytest.raises(AttributeError, match="PaymentSucceeded has no attribute 'ammount'"):
        event.ammount  # type: ignore[attr-defined] # noqa: B018


def test_what_an_event_was_made_from_may_be_emptied() -> None:
    """An event keeps the fields that it was made from, whatever becomes of the mapping that held them."""
    fields = dict(TOLD)
    event = received(fields)
    fields.clear()
    assert event.amount == Money("50.00", "EUR")
    assert isinstance(event.raw, Fields)


def test_an_event_can_be_stood_in_for() -> None:
    """Stand-ins that are made by an event or its class know every attribute, looked at or not."""
    for spec in (received(), PaymentSucceeded):
        stand_in = Mock(spec=spec)
        assert all(
            hasattr(stand_in, attribute.name) for attribute in attrs.fields(PaymentSucceeded)
        )


def test_a_text_longer_than_any_status_is_not_kept() -> None:
    """A stranger's texts do not stay in memory once their events are gone."""
    kept = _meaning.cache_info().currsize
    assert isinstance(
        received({**TOLD, "status": "x" * 1000, "transactionStatus": "?"}), UnknownEvent
    )
    assert _meaning.cache_info().currsize == kept
