"""Errors: pickling, completeness and messages."""

from __future__ import annotations

import inspect
import pickle

import pytest

from gatewaypy import errors

FACTS = {"operation": "debit", "merchant_transaction_id": "ORDER-1"}

EXAMPLES = [
    errors.GatewayError("something", **FACTS),
    errors.ConfigurationError("not open"),
    errors.InvalidRequest("amount", "two decimals", "4 characters: digits", **FACTS),
    errors.InsecureConnection("base_url", "https"),
    errors.NotSent("no connection", **FACTS),
    errors.NotProcessed("HTTP 429", **FACTS),
    errors.AuthenticationFailed(
        "refused", code="10002", description="no", http_status=401, **FACTS
    ),
    errors.UnreadableReply("HTTP 503", http_status=503, **FACTS),
    errors.OutcomeUnknown(
        "HTTP 503",
        payment_id="54279",
        inquiry="record not found",
        status="begun",
        code="00026",
        **FACTS,
    ),
    errors.Declined(
        outcome="FAILED", code="11005", description="Do not honour", payment_id="54279", **FACTS
    ),
    errors.CallbackError("no"),
    errors.SignatureMismatch("the signature matches no key"),
    errors.UnreadableCallback("no JSON"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_can_be_pickled(error: errors.GatewayError, protocol: int) -> None:
    """An error keeps its class, its message and its attributes through a pickle."""
    copy = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_errors_examples_cover_the_tree() -> None:
    """The examples cover the whole tree, and the module exports all of it."""
    tree = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.GatewayError)
    }
    assert {type(error) for error in EXAMPLES} == tree
    assert {kind.__name__ for kind in tree} == set(errors.__all__)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in tree)


def test_errors_messages_name_cause_and_action() -> None:
    """Each message has what was wrong, where, and what to do."""
    messages = {type(error).__name__: str(error) for error in EXAMPLES}
    assert messages["InvalidRequest"] == "amount: two decimals; got 4 characters: digits"
    assert "safe to call again" in messages["NotSent"]
    assert "gateway.inquire(payment_id='54279')" in messages["OutcomeUnknown"]
    assert "Do not send it again" in messages["OutcomeUnknown"]
    without_id = errors.OutcomeUnknown("no answer", **FACTS)
    assert "inquire(merchant_transaction_id='ORDER-1')" in str(without_id)
    assert messages["Declined"] == "debit failed: 11005 Do not honour"


def test_errors_invalid_request_is_a_value_error() -> None:
    """Code that catches ValueError catches refusals, and insecure connections on both sides."""
    assert issubclass(errors.InvalidRequest, ValueError)
    assert issubclass(errors.InsecureConnection, errors.ConfigurationError)
