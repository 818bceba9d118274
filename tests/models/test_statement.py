"""The sums of a list of transactions."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import Statement, Totals, Transaction
from gatewaypy.protocol.operations import TRANSACTION_LIST
from gatewaypy.protocol.records import record

SUMS = {
    "captured": "captureamount",
    "refunded": "refundamount",
    "charged_back": "chargebackamount",
    "paid_out": "payoutamount",
}
ROW = {
    "systemPaymentId": "54279",
    "transactionStatus": "capturesuccess",
    "amount": "50.00",
    "currency": "EUR",
}

CENTS = st.integers(0, 10**12 - 1).map(lambda cents: f"{cents // 100}.{cents % 100:02}")
ROWS = st.lists(
    st.fixed_dictionaries(
        {"amount": CENTS, "currency": st.sampled_from(["EUR", "USD", "KWD"])},
        optional=dict.fromkeys(SUMS.values(), CENTS | st.just("")),
    ),
    max_size=8,
)


def listed(*rows: dict[str, Any]) -> tuple[Transaction, ...]:
    page: tuple[Transaction, ...] = record(
        TRANSACTION_LIST, {"result": {"code": "00026"}, "transaction": list(rows)}
    )
    return page


def test_statement_sums_each_currency() -> None:
    """Captures, refunds, chargebacks and payouts have a sum each per currency, and a net."""
    statement = Statement.of(
        listed(
            ROW
            | {
                "captureamount": "50.00",
                "refundamount": "20.00",
                "chargebackamount": "0.00",
                "payoutamount": "0.00",
            },
            ROW | {"captureamount": "0.10", "chargebackamount": "0.03"},
            ROW | {"currency": "JPY", "amount": "100.00", "payoutamount": "100.00"},
            ROW,
        )
    )
    assert statement.by_currency == {
        "EUR": Totals(Decimal("50.10"), Decimal("20.00"), Decimal("0.03"), Decimal(0), 3),
        "JPY": Totals(paid_out=Decimal(100), count=1),
    }
    assert (statement.by_currency["EUR"].net, statement.by_currency["JPY"].net) == (
        Decimal("30.07"),
        Decimal(-100),
    )
    assert statement.complete


def test_statement_of_empty_list_is_complete() -> None:
    """An empty list has no currency, and no row is missing."""
    assert Statement.of(iter(())) == Statement()
    assert Statement().complete
    assert Totals().net == 0


@pytest.mark.parametrize("left_out", [{}, {"captureamount": None}, {"captureamount": ""}])
def test_statement_absent_amount_is_zero(left_out: dict[str, Any]) -> None:
    """Gateways leave zeros out."""
    statement = Statement.of(listed(ROW | left_out))
    assert statement.by_currency == {"EUR": Totals(count=1)}
    assert statement.complete


@pytest.mark.parametrize("name", SUMS.values())
@pytest.mark.parametrize(
    "amount", ["x", "1,00", "1.005", "1e3", "-", "NaN", "12345678901.00", {}, [], ["1.00"], True]
)
def test_statement_unreadable_amount_is_reported(name: str, amount: Any) -> None:
    """Its transaction is in no sum, and the statement is incomplete."""
    statement = Statement.of(
        listed(ROW | {"captureamount": "1.00", name: amount}, ROW | {"captureamount": "2.00"})
    )
    assert statement.unreadable == ["54279"]
    assert not statement.complete
    assert statement.by_currency == {"EUR": Totals(captured=Decimal("2.00"), count=1)}


@pytest.mark.parametrize(
    ("row", "reported_id"),
    [
        (ROW | {"amount": None}, "54279"),
        (ROW | {"amount": "fifty"}, "54279"),
        (ROW | {"currency": "Euro"}, "54279"),
        (ROW | {"currency": None}, "54279"),
        (ROW | {"currency": "JPY", "amount": "100.50"}, "54279"),
        ({"merchantTransactionId": "TX-1001"}, "TX-1001"),
        ({"systemPaymentId": "-", "merchantTransactionId": "TX-1001"}, "TX-1001"),
        ({"amount": "1.00"}, "(no id)"),
    ],
)
def test_statement_reports_transaction_by_known_id(row: dict[str, Any], reported_id: str) -> None:
    """The id is the gateway's, else the merchant's own, else a note that there is none."""
    statement = Statement.of(listed(row))
    assert (statement.unreadable, statement.by_currency) == ([reported_id], {})


@given(ROWS, st.randoms(use_true_random=False))
def test_statement_sums_do_not_depend_on_order(rows: list[dict[str, str]], random: Any) -> None:
    """Each sum is that of the gateway's texts, in any order, at once or one by one."""
    shuffled = random.sample(rows, len(rows))
    statement, one_by_one = Statement.of(listed(*rows)), Statement()
    for transaction in listed(*shuffled):
        one_by_one.add(transaction)
    assert one_by_one == statement
    for currency, totals in statement.by_currency.items():
        mine = [row for row in rows if row["currency"] == currency]
        assert totals.count == len(mine)
        for attribute, name in SUMS.items():
            assert getattr(totals, attribute) == sum(
                (Decimal(row.get(name) or 0) for row in mine), Decimal(0)
            )
    assert sum(totals.count for totals in statement.by_currency.values()) == len(rows)


def test_statement_decimal_context_rounds_no_sum() -> None:
    """A lowered precision of the thread does not change a sum."""
    rows = listed(*[ROW | {"captureamount": "1234.56", "refundamount": "0.01"}] * 3)
    with decimal.localcontext() as context:
        context.prec = 3
        totals = Statement.of(rows).by_currency["EUR"]
        assert (totals.captured, totals.refunded) == (Decimal("3703.68"), Decimal("0.03"))
        assert totals.net == Decimal("3703.65")
