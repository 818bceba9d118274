"""Events as handlers see them, received or built by hand."""

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

FIELDS = {
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


def received(fields: dict[str, Any] = FIELDS) -> CallbackEvent:
    return read_event(fields, signed=True, member_id="11344")


#: The attributes that are read from ``raw`` when they are first used.
LATER = ("amount", "result", "card", "extra")
NAMES = (*(a.name for a in attrs.fields(CallbackEvent) if not a.name.startswith("_")), *LATER)


def attributes_of(event: CallbackEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in NAMES}


def test_event_received_has_typed_attributes() -> None:
    """Each attribute is typed; fields without an attribute are in ``extra``."""
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
def test_event_malformed_fields_never_raise(fields: dict[str, Any]) -> None:
    """No attribute of an event raises for any input of the gateway; a second read is equal."""
    event = received({"paymentId": "1", **fields})
    values = attributes_of(event)
    assert attributes_of(event) == values
    assert event.amount is None or isinstance(event.amount, Money)


def test_event_received_equals_one_built_by_hand() -> None:
    """The tests of a shop can build what its handlers receive."""
    event = received()
    facts = {name: value for name, value in attributes_of(received()).items() if name not in LATER}
    by_hand = PaymentSucceeded(**facts)
    assert event == by_hand
    assert attributes_of(event) == attributes_of(by_hand)
    assert repr(event) == repr(by_hand)
    assert event != received({**FIELDS, "amount": "50.01"})
    assert PaymentSucceeded(outcome=Outcome.SUCCEEDED).amount is None


@pytest.mark.parametrize("looked_at", [True, False])
def test_event_copied_or_pickled_is_equal(*, looked_at: bool) -> None:
    """Queues and other processes get the whole event, whether its attributes were read or not."""
    event = received()
    if looked_at:
        attributes_of(event)
    again = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]  # noqa: S301 - our own
    for one in again:
        assert (one, one.raw, type(one)) == (event, event.raw, PaymentSucceeded)
    assert attrs.evolve(event, remark="mine") == attrs.evolve(again[2], remark="mine")
    assert attrs.evolve(event, remark="mine").amount == event.amount


def test_event_is_frozen_without_other_attributes() -> None:
    """No attribute can be set, and an unknown name raises AttributeError."""
    event = received()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.amount = Money("1.00", "EUR")  # type: ignore[misc]
    with pytest.raises(
        AttributeError, match="'PaymentSucceeded' object has no attribute 'ammount'"
    ):
        event.ammount  # type: ignore[attr-defined] # noqa: B018


def test_event_source_mapping_may_change() -> None:
    """An event keeps its fields if the mapping that it was built from changes."""
    fields = dict(FIELDS)
    event = received(fields)
    fields.clear()
    assert event.amount == Money("50.00", "EUR")
    assert isinstance(event.raw, Fields)


def test_event_mock_spec_has_every_attribute() -> None:
    """Mocks with an event or its class as spec have every attribute, read or not."""
    for spec in (received(), PaymentSucceeded):
        stand_in = Mock(spec=spec)
        assert all(hasattr(stand_in, name) for name in NAMES)


def test_event_long_status_text_is_not_cached() -> None:
    """Long texts of unknown senders do not stay in memory when their events are gone."""
    kept = _meaning.cache_info().currsize
    assert isinstance(
        received({**FIELDS, "status": "x" * 1000, "transactionStatus": "?"}), UnknownEvent
    )
    assert _meaning.cache_info().currsize == kept
