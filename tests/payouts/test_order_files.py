"""Files of payout orders: what is read, what is a bad row, and that no value is shown."""

from __future__ import annotations

import codecs
import csv
import gc
import io
import json
import re
import subprocess
import sys
import tempfile
import traceback
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatewaypy import Customer, Money, errors
from gatewaypy.payouts import BadRow, OrderFile, PayoutOrder, read_orders
from gatewaypy.payouts.file_records import LONGEST_RECORD, csv_records

CANARY = "4929123456789012"
# Such a file is refused, because programs disagree on where the value ends.
AMBIGUOUS_BACKSLASH = re.compile(r'\\["\r\n]')
HEAD = "merchant_transaction_id,amount,currency,given_name\n"
GOOD = '{"merchant_transaction_id":"A","amount":"1.00","currency":"EUR","payment_id":"5"}'
EXAMPLES = Path(__file__).parent.parent.parent / "examples"

# Orders

TEXT = st.text(
    st.characters(
        blacklist_categories=("Cs",), blacklist_characters=[*map(chr, range(32)), "\x7f"]
    ),
    min_size=1,
    max_size=30,
)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,30}", fullmatch=True)
AMOUNTS = st.one_of(
    st.decimals("0.01", "99999999.99", places=2).map(lambda amount: Money(amount, "EUR")),
    st.integers(1, 10**9).map(lambda amount: Money(amount, "JPY")),
)
CUSTOMERS = st.builds(
    Customer,
    given_name=st.none() | TEXT,
    surname=TEXT,
    email=st.none() | TEXT,
    phone=st.none() | TEXT,
    birth_date=st.none() | st.dates(date(1900, 1, 1)),
    customer_id=st.none() | TEXT,
)
EXTRA = st.none() | st.dictionaries(
    st.sampled_from(["bankAccount.iban", "bankAccount.bic", "purpose_1"]), TEXT, min_size=1
)
PAYEES = st.one_of(
    IDS.filter(str.isalnum).map(lambda value: {"payment_id": value}),
    IDS.filter(str.isalnum).map(lambda value: {"stored_card": value}),
    CUSTOMERS.map(lambda value: {"customer": value}),
)
ORDERS = st.builds(
    lambda merchant_transaction_id, amount, payee, terminal, extra: PayoutOrder(
        merchant_transaction_id=merchant_transaction_id, amount=amount, terminal_id=terminal, extra=extra, **payee
    ),
    IDS, AMOUNTS, PAYEES, st.none() | st.from_regex(r"[0-9]{1,6}", fullmatch=True), EXTRA,
)  # fmt: skip


def as_json(order: PayoutOrder) -> str:
    return order.to_json().decode() + "\n"


def as_cells(order: PayoutOrder, *, dotted: bool) -> dict[str, str]:
    fields = json.loads(order.to_json())
    customer, extra = fields.pop("customer", {}), fields.pop("extra", {})
    fields |= {f"customer.{name}" if dotted else name: value for name, value in customer.items()}
    return fields | {f"extra.{name}": value for name, value in extra.items()}


def as_csv(orders: list[PayoutOrder], *, dotted: bool, ends: str) -> str:
    rows = [as_cells(order, dotted=dotted) for order in orders]
    written = io.StringIO()
    names = dict.fromkeys(("payment_id",)) | {name: None for row in rows for name in row}
    writer = csv.DictWriter(written, list(names), lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def read(text: str | bytes, suffix: str, *, strict: bool = False) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"orders{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return list(read_orders(path, strict=strict))


def bad(text: str | bytes, suffix: str) -> BadRow:
    (row,) = read(text, suffix)
    assert isinstance(row, BadRow), row
    return row


@given(
    st.lists(ORDERS, min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([b"", codecs.BOM_UTF8]),
)
def test_csv_written_orders_are_read_back(
    orders: list[PayoutOrder], dotted: bool, ends: str, mark: bytes
) -> None:
    """Any text survives a CSV file, except a backslash next to a quote or a line end."""
    text = as_csv(orders, dotted=dotted, ends=ends)
    assume(not AMBIGUOUS_BACKSLASH.search(text))
    assert read(mark + text.encode(), ".CSV") == orders


@given(
    st.lists(ORDERS, max_size=5),
    st.sampled_from([".jsonl", ".ndjson"]),
    st.sampled_from([b"", codecs.BOM_UTF8]),
)
def test_json_lines_written_orders_are_read_back(
    orders: list[PayoutOrder], suffix: str, mark: bytes
) -> None:
    """Every order survives a JSON Lines file."""
    assert read(mark + "".join(map(as_json, orders)).encode(), suffix) == orders


@given(
    st.lists(
        st.binary(max_size=60).map(lambda line: line.translate(None, b'\n"').rstrip(b"\\\r")),
        max_size=8,
    ),
    st.sampled_from([".csv", ".jsonl"]),
)
def test_read_any_bytes_are_orders_or_bad_rows(lines: list[bytes], suffix: str) -> None:
    """Any line without quotes is reported by its number, and the next order is read."""
    head = HEAD if suffix == ".csv" else ""
    good = "GOOD,1.00,EUR,Ada\n" if suffix == ".csv" else GOOD
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"orders{suffix}"
        path.write_bytes(head.encode() + b"".join(line + b"\n" for line in lines) + good.encode())
        *rows, (last, order) = OrderFile(path)
    before = bool(head)
    assert (last, isinstance(order, PayoutOrder)) == (before + len(lines) + 1, True)
    blanks = b", \t\r\v\f" if suffix == ".csv" else None
    if not before and lines:
        # A byte order mark at the beginning of a file is not part of its first line.
        lines = [lines[0].removeprefix(codecs.BOM_UTF8), *lines[1:]]
    expected = [number for number, line in enumerate(lines, before + 1) if line.strip(blanks)]
    assert [number for number, _ in rows] == expected
    assert all(row.line == number for number, row in rows if isinstance(row, BadRow))


def test_empty_lines_are_skipped_and_counted() -> None:
    """Empty lines are not rows but are numbered; the last line may lack its end."""
    text = "\n\r\n" + HEAD + "\n  \nA,1.00,EUR,Ada\n\nB,x,EUR,Ada"
    first, second = read(text, ".csv")
    assert first.merchant_transaction_id == "A"
    assert str(second).startswith("line 8 (B): amount: 'x' is not a number; write it as 12.50")


def test_example_files_are_read_whole() -> None:
    """Both files of examples/ have five orders and no bad row."""
    for name in ("payouts.csv", "payouts.jsonl"):
        assert [type(order) for order in read_orders(EXAMPLES / name)] == [PayoutOrder] * 5


# Bad rows


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A,1.00,EUR", "line: must have 4 values, like the header; got 3"),
        ("A,1.00,EUR,Ada,5", "line: must have 4 values, like the header; got 5"),
        (",,EUR,", "merchant_transaction_id: must not be empty"),
        ("A,,EUR,Ada", "amount: must not be empty"),
        ("A,1.00,,Ada", "currency: must not be empty"),
        ("A,1.001,EUR,Ada", "amount: must have at most 2 decimals"),
        ("A,12.000,JPY,Ada", "amount: must have at most 2 decimals, zeros included"),
        ("A,150.000,KRW,Ada", "amount: must have at most 2 decimals, zeros included"),
        ("A,1.000,EUR,Ada", "amount: must have at most 2 decimals, zeros included"),
        ("A,+1.00,EUR,Ada", "amount: '+1.00' is not a number; write it as 12.50"),
        ("A,1_0.00,EUR,Ada", "amount: must be a number"),
        ("A,\uff11.00,EUR,Ada", "amount: must be a number"),
        ("A,1\u00a0000,EUR,Ada", "amount: must be a number"),
        ("A," + "9" * 60_000 + ",EUR,Ada", "amount: must be a number"),
        ("A,1.5,JPY,Ada", "amount: must have at most 0 decimals in JPY"),
        ("A,1e3,EUR,Ada", "amount: '1e3' is not a number; write it as 12.50"),
        ('A,"1,000.00",EUR,Ada', "amount: '1,000.00' is not a number; write it as 12.50"),
        ("A, 1.00,EUR,Ada", "amount: ' 1.00' is not a number; write it as 12.50"),
        ("A,0.00,EUR,Ada", "amount: must be greater than zero"),
        ("A,-1.00,EUR,Ada", "amount: must be greater than zero"),
        ("A,1.00,eur,Ada", "currency: must be three upper-case letters"),
        ("A,1.00,EUR,", "payee: must be exactly one of payment_id, customer and stored_card"),
        ("A_B,1.00,EUR,Ada", "merchantTransactionId: 1 to 100 of letters"),
        ("A,1.00,EUR,A\tda", "customer.givenName: must not contain control characters"),
        (
            'A,1.00,EUR,Ada "the Countess"',
            "line: must be CSV with commas between values; quotes must enclose a whole value",
        ),
        ('A,1.00,EUR,"Ada "the Countess" L."', "line: must be CSV"),
        ('A,1.00,EUR, "Ada"', "line: must be CSV"),
        ('A,1.00,EUR,"Ada\nLovelace"', "customer.givenName: must not contain control characters"),
        ('A,1.00,EUR,"Ada\r\nLovelace"', "customer.givenName: must not contain control characters"),
        ("A,1.00,EUR,A\0da", "customer.givenName: must not contain control characters"),
        ('A,1.00,EUR,"Ada"x', "line: must be CSV"),
        ("A,1.00,EUR,A\rda", "line: must be CSV"),
        (b"A,1.00,EUR,\xc4da", "line: must be UTF-8"),
        (b"A,1.00,EUR,\xed\xa0\x80", "line: must be UTF-8"),
        ("A,1.00,EUR," + "x" * LONGEST_RECORD, "line: must have at most 65,536 bytes"),
    ],
)
def test_csv_bad_row_has_reason(row: str | bytes, reason: str) -> None:
    """The reason names the field and the rule, and the rows around it are read."""
    line = row if isinstance(row, bytes) else row.encode()
    before, bad_row, after = read(
        HEAD.encode() + b"A1,1.00,EUR,Ada\n" + line + b"\nA2,1.00,EUR,Ada\n", ".csv"
    )
    assert (before.merchant_transaction_id, after.merchant_transaction_id) == ("A1", "A2")
    assert isinstance(bad_row, BadRow)
    assert (bad_row.line, bad_row.reason[: len(reason)]) == (3, reason)


@pytest.mark.parametrize(
    ("head", "row", "reason"),
    [
        ("payment_id,stored_card", "5,6", "payee: must be exactly one"),
        ("payment_id,given_name", "5,Ada", "payee: must be exactly one"),
        ("payment_id,terminal_id", "5,x", "authentication.terminalId: one to six digits"),
        ("payment_id,terminal_id", "-,1", "paymentId: the gateway's id"),
        ("stored_card,terminal_id", "-,1", "registrationId: the gateway's id"),
        (
            "given_name,birth_date",
            "Ada,31.12.1990",
            "customer.birth_date: must be a date such as 1990-12-31",
        ),
        ("given_name,extra.a", "Ada,x\x01", "a: must not contain control characters"),
    ],
)
def test_row_that_cannot_be_sent_is_bad(head: str, row: str, reason: str) -> None:
    """A row in a journal cannot be corrected, so it is refused when it is read."""
    bad_row = bad(f"merchant_transaction_id,amount,currency,{head}\nA,1.00,EUR,{row}\n", ".csv")
    assert (bad_row.merchant_transaction_id, bad_row.reason[: len(reason)]) == ("A", reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line: must be JSON; got something else at character 2"),
        ("[]", "line: must be a JSON object; got a value of type list"),
        ("null", "line: must be a JSON object"),
        ("{} {}", "line: must be JSON; got something else"),
        ("{}", "merchant_transaction_id: must not be empty"),
        (GOOD.replace('"1.00"', "1.5"), "amount: must be a Decimal, an int or a string such as '50.00'; floats are not exact"),
        (GOOD.replace('"1.00"', "1e400"), "amount: must be a Decimal"),
        (GOOD.replace('"1.00"', "true"), "amount: must be a Decimal"),
        (GOOD.replace('"1.00"', '"12.000"').replace("EUR", "JPY"), "amount: must have at most 2 decimals, zeros included"),
        (GOOD.replace('"1.00"', "12.000").replace("EUR", "JPY"), "amount: must be a Decimal"),
        (GOOD.replace('"1.00"', "NaN"), "line: must not contain NaN"),
        (GOOD.replace('"1.00"', "1" * 5000), "line: must have numbers of fewer digits"),
        (GOOD.replace('"1.00"', "1" * 4000), "amount: must have at most ten digits before the point"),
        (GOOD.replace('"A"', "7"), "merchantTransactionId: must be a string"),
        (GOOD.replace('"5"', "5"), "paymentId: must be a string"),
        (GOOD.replace('"5"', '"5","payment_id":"6"'), "line: must not repeat a name in an object; got payment_id"),
        (GOOD.replace('"payment_id":"5"', '"customer":{"email":"a","email":"b"}'), "line: must not repeat a name in an object; got email"),
        (GOOD.replace("payment_id", "paymentId"), "field: must be one of merchant_transaction_id, amount"),
        (GOOD.replace('"payment_id":"5"', '"customer":{"name":"Ada"}'), "customer's field: must be one of given_name"),
        (GOOD.replace('"payment_id":"5"', '"customer":{}'), "customer: must be an object with a customer's fields"),
        (GOOD.replace('"payment_id":"5"', '"customer":"Ada"'), "customer: must be an object with a customer's fields"),
        (GOOD.replace('"payment_id":"5"', '"customer":{"phone":17}'), "customer.phone: must be a string"),
        (GOOD.replace('"5"', '"5","extra":[]'), "extra: must be an object of strings"),
        (GOOD.replace('"5"', '"5","extra":{"a":7}'), "extra: must be an object of strings"),
        (GOOD.replace('"5"', '"5","extra":{"a b":"7"}'), "extra: names must consist of letters, digits"),
        (GOOD.replace('"5"', '"5","extra":{"amount":"7"}'), "amount: must not be in extra, because the library sets it"),
        (GOOD.replace('"5"', '"5","extra":{"card.cvv":"123"}'), "extra.card.cvv: must not be a CVV"),
        (GOOD.replace('"5"', '"5","extra":{"a":"\\ud800"}'), "a: must not contain control characters"),
    ],
)  # fmt: skip
def test_json_bad_line_has_reason(line: str, reason: str) -> None:
    """The reason names the field and the rule, and the lines around it are read."""
    before, bad_row, after = read(f"{GOOD}\n{line}\n{GOOD}\n", ".jsonl")
    assert before == after
    assert isinstance(bad_row, BadRow)
    assert (bad_row.line, bad_row.reason[: len(reason)]) == (2, reason)


def test_json_deep_nesting_is_one_bad_row() -> None:
    """The row is bad even if Python's parser accepts that depth, and the lines around are read."""
    line = GOOD.replace('"1.00"', "[" * 20_000 + "]" * 20_000)
    before, refused, after = read(f"{GOOD}\n{line}\n{GOOD}\n", ".jsonl")
    assert before == after
    assert isinstance(refused, BadRow)
    # Python 3.14 parses deeper nesting than Python 3.13, and then the amount is a list.
    assert refused.reason.startswith(("line: must not be nested as deeply", "amount: "))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            "merchant_transaction_id,amount,currency,payment_id,amout",
            "column 5: must be one of merchant_transaction_id",
        ),
        ("merchant_transaction_id,amount,currency,payment_id,amout", "got amout"),
        ("merchant_transaction_id,amount,currency,payment_id,extra.", "column 5"),
        (
            "merchant_transaction_id;amount;currency;payment_id",
            "separator: must be a comma between values; got semicolons",
        ),
        (
            "merchant_transaction_id\tamount\tcurrency\tpayment_id",
            "separator: must be a comma between values; got tabs",
        ),
        (
            '"amount";"merchant_transaction_id";"currency"',
            "separator: must be a comma between values; got semicolons",
        ),
        (
            "merchant_transaction_id,amount,currency,payment_id,amount",
            "column 5: must not repeat an earlier column",
        ),
        (
            "merchant_transaction_id,amount,currency,email,customer.email",
            "column 5: must not repeat an earlier column",
        ),
        ("merchant_transaction_id,currency,payment_id", "amount: must be a column"),
        ("merchant_transaction_id,amount,currency", "payee: must have a column"),
        (
            "merchant_transaction_id,amount,currency,payment_id,extra.card.cvv",
            "extra.card.cvv: must not be a CVV",
        ),
        (
            "merchant_transaction_id,amount,currency,payment_id,extra.a b",
            "extra: names must consist of letters",
        ),
        (
            "merchant_transaction_id,amount,currency,payment_id,extra.amount",
            "amount: must not be in extra",
        ),
        ("", "merchant_transaction_id: must be a column"),
        (b"\xff\xfem\x00e\x00", "UTF-8"),
    ],
)
def test_header_without_order_columns_raises(
    tmp_path: Path, header: str | bytes, words: str
) -> None:
    """The error at opening names the file, the line and the column."""
    path = tmp_path / "orders.csv"
    path.write_bytes((header if isinstance(header, bytes) else header.encode()) + b"\n")
    with pytest.raises(errors.InvalidRequest, match=r"orders\.csv, line 1, the header") as refused:
        read_orders(path)
    assert words in str(refused.value)


def test_file_with_unknown_suffix_raises() -> None:
    """The suffix sets the format; no format is guessed."""
    with pytest.raises(
        errors.InvalidRequest, match=r"path: must end in \.csv, \.jsonl or \.ndjson"
    ):
        read_orders("orders.xlsx")
    with pytest.raises(FileNotFoundError):
        read_orders("nowhere.csv")


def test_strict_reading_raises_at_first_bad_row() -> None:
    """The error names the file and the line; earlier orders were yielded."""
    text = HEAD + "A,1.00,EUR,Ada\nB,1.001,EUR,Ada\nC,1.00,EUR,Ada\n"
    with pytest.raises(
        errors.InvalidRequest, match=r"orders\.csv, line 3: amount: must have at most 2 decimals"
    ) as refused:
        read(text, ".csv", strict=True)
    assert refused.value.merchant_transaction_id == "B"
    assert len(read(HEAD + "A,1.00,EUR,Ada\n", ".csv", strict=True)) == 1


# Ends of records


EVIL = "EVIL-1,9999.00,EUR,777777"


def ids(rows: list[Any]) -> list[str]:
    return [row.merchant_transaction_id for row in rows if isinstance(row, PayoutOrder)]


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_csv_line_break_in_value_is_never_an_order(end: str, quoting: Any) -> None:
    """What Python writes for a value with any line breaks is one record, and pays no other."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=quoting, lineterminator="\n")
    rows = [
        ["A", "1.00", "EUR", "Ada"],
        ["B", "1.00", "EUR", f"Bob{end}{EVIL}{end}x"],
        ["C", "1.00", "EUR", "Cy"],
    ]
    writer.writerows([HEAD.strip().split(","), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        path.write_bytes(written.getvalue().encode())
        read_back = list(OrderFile(path))
    assert [line for line, _ in read_back] == [2, 3, 4 + 2 * ("\n" in end)]
    assert [name for name in ids([row for _, row in read_back]) if name != "B"] == ["A", "C"]


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\u2029"])
def test_json_line_separators_do_not_end_a_line(end: str) -> None:
    """JSON strings may contain Unicode line separators: an order after one is not paid."""
    rows = read(
        GOOD.replace('"5"', json.dumps(f"5{end}{GOOD}{end}", ensure_ascii=False)) + "\n" + GOOD,
        ".jsonl",
    )
    assert [type(row) for row in rows] == [BadRow, PayoutOrder]


@given(
    st.lists(
        st.text(st.sampled_from('ab",;\n\r\u2028\x85 \x0b'), max_size=12), min_size=1, max_size=6
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_csv_records_are_those_that_were_written(names: list[str], ends: str) -> None:
    """Each record that Python writes is an order or one bad row, with any values."""
    written = io.StringIO()
    csv.writer(written, lineterminator=ends).writerows(
        [f"A{number}", "1.00", "EUR", name] for number, name in enumerate(names)
    )
    rows = read(HEAD + written.getvalue(), ".csv")
    # Before Python 3.13 the writer does not quote a carriage return: such a record, and its id,
    # cannot be read.
    ids = [row.merchant_transaction_id or f"A{number}" for number, row in enumerate(rows)]
    assert ids == [f"A{number}" for number in range(len(names))]


@pytest.mark.parametrize(
    "value",
    [
        b'"a\\"\nEVIL-1,9999.00,EUR,777777\n"',
        b'"a\\""\nEVIL-1,9999.00,EUR,777777\n"',
        b"a\\\nEVIL-1,9999.00,EUR,777777",
    ],
    ids=["quote", "quote and end", "line end"],
)
def test_csv_escaping_backslash_ends_the_file(tmp_path: Path, value: bytes) -> None:
    """Values of a backslash dialect end elsewhere, so nothing after one is read."""
    path = tmp_path / "orders.csv"
    path.write_bytes(
        b"merchant_transaction_id,amount,currency,payment_id\nP-1,1.00,EUR,54279\nP-2,1.00,EUR,"
        + value
        + b"\nP-3,1.00,EUR,1\n"
    )
    read: list[Any] = []
    with pytest.raises(errors.InvalidRequest, match=r"orders\.csv, line 3: must not escape"):
        read.extend(read_orders(path))
    assert [row.merchant_transaction_id for row in read] == ["P-1"]


def test_csv_other_backslash_is_a_character(tmp_path: Path) -> None:
    """A backslash inside a value, or before a quoted line break, is an ordinary character."""
    path = tmp_path / "orders.csv"
    head = "merchant_transaction_id,amount,currency,customer.email,customer.given_name\n"
    path.write_text(head + 'P-1,1.00,EUR,a@b.example,"C:\\dir"\nP-2,1.00,EUR,a@b.example,x\\y\n')
    assert [row.merchant_transaction_id for row in read_orders(path)] == ["P-1", "P-2"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'B,1.00,EUR,"Bob\n{EVIL}\n', 3),
        (f'B,1.00,EUR,"Bob\n{EVIL}', 3),
        (f'B,1.00,EUR,"Bob\n{EVIL}\nC,1.00,EUR,"Cy"\n{EVIL}\n', 3),
        (f'B,1.00,EUR, "Bob\n{EVIL}\n"\n{EVIL}\n', 3),
        (f'B,1.00,EUR,5" pipe\n{EVIL}\n', 3),
        (f'B,1.00,EUR,"Bob\nx"\nC,1.00,EUR,"Cy\n{EVIL}\n', 5),
        (f'B,1.00,EUR,"\n\n"x\n{EVIL}\n', 3),
        ('"', 3),
        ('B,1.00,EUR,"' + "x" * 200_000 + f"\n{EVIL}\n", 3),
        (f'B,1.00,EUR,"{"x" * LONGEST_RECORD}" y "\n{EVIL}\n', 3),
        ('B,1.00,EUR,"Bob' + f"\n{EVIL}" * 10_000, 3),
    ],
)  # fmt: skip
def test_csv_unclosed_quote_ends_the_file_at_its_line(text: str, line: int) -> None:
    """Earlier orders are yielded, the error names the line of the quote, the rest is not read."""
    given: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        path.write_text(HEAD + "A,1.00,EUR,Ada\n" + text)
        with pytest.raises(
            errors.InvalidRequest, match=rf"^orders\.csv, line {line}: must close the quote"
        ) as refused:
            # Orders that were yielded before the error count.
            given.extend(read_orders(path))
    assert "EVIL-1" not in with_locals(refused.value)
    assert ids(given) == ["A"]


@pytest.mark.parametrize("filler", ["x", "x\n", '""', f"\n{EVIL}"])
def test_csv_long_record_is_one_bad_row(filler: str) -> None:
    """The whole record is skipped over all of its lines, and the next order is read."""
    value = filler * (LONGEST_RECORD // len(filler) + 2)
    first, second = read(HEAD + f'B,1.00,EUR,"{value}"\nC,1.00,EUR,Cy\n', ".csv")
    assert (str(first), second.merchant_transaction_id) == (
        "line 2: line: must have at most 65,536 bytes",
        "C",
    )


def test_json_long_line_is_one_bad_row() -> None:
    """No part of a line that is too long is an order, wherever it is cut."""
    for length in range(LONGEST_RECORD - 3, LONGEST_RECORD + 4):
        first, second = read("x" * length + GOOD + "\n" + GOOD, ".jsonl")
        assert (str(first), type(second)) == (
            "line 1: line: must have at most 65,536 bytes",
            PayoutOrder,
        )


@pytest.mark.parametrize("ends", ["\n", "\r\n", ""])
def test_record_of_maximum_length_is_read(ends: str) -> None:
    """The limit is for the record without its line end."""
    for length, expected in (
        (LONGEST_RECORD, "customer.givenName"),
        (LONGEST_RECORD + 1, "line: must have at most"),
    ):
        row = bad(HEAD + "B,1.00,EUR,".ljust(length, "\x01") + ends, ".csv")
        assert row.reason.startswith(expected), row


def test_csv_rows_of_separators_are_blank() -> None:
    """Rows of commas, with or without quotes and blanks, are not bad rows."""
    text = ",,,\n" + HEAD + ',,,\n"","","",""\n , ,\t,\r\nA,1.00,EUR,Ada\n,,,,,\n,,,'
    assert ids(read(text, ".csv")) == ["A"]
    assert len(read(text, ".csv")) == 1


def test_csv_lone_carriage_return_ends_no_record() -> None:
    """A value with an unquoted carriage return is one bad row; a file of them is refused."""
    rows = read(HEAD + f"B,1.00,EUR,Bob\r{EVIL}\nA,1.00,EUR,Ada\n", ".csv")
    assert (ids(rows), len(rows)) == (["A"], 2)
    with pytest.raises(errors.InvalidRequest, match="line ends of LF or CRLF"):
        read((HEAD + f"{EVIL}\n").replace("\n", "\r"), ".csv")


def test_csv_row_that_grows_during_reading_is_one_row(tmp_path: Path) -> None:
    """What is appended to an unfinished last line belongs to it."""
    path = tmp_path / "orders.csv"
    path.write_text("merchant_transaction_id,payment_id,currency,amount\nA,5,EUR,1.00\nB,5,EUR,12")
    with path.open("rb") as file, path.open("a") as more:
        records = csv_records(
            Growing(file, lambda: (more.write("500.00\n"), more.flush())), "orders.csv"
        )
        assert [content for _, content in records][1:] == [b"A,5,EUR,1.00", b"B,5,EUR,12500.00"]


class Growing:
    """A file to which a line is appended when its end was read."""

    def __init__(self, file: Any, append: Any) -> None:
        self._file, self._append = file, append

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        if not line.endswith(b"\n") and self._append is not None:
            self._append()
            self._append = None
        return line


# What is never shown


def with_locals(error: BaseException) -> str:
    """Render an error and its chain with the locals of the library's frames."""
    parts, waiting = [], [error]
    while waiting:
        current = waiting.pop()
        summary = traceback.TracebackException.from_exception(current, capture_locals=True)
        parts += [str(frame.locals) for frame in summary.stack if "tests" not in frame.filename]
        parts.append(f"{current!r} {current} {vars(current)}")
        waiting += [
            chained for chained in (current.__cause__, current.__context__) if chained is not None
        ]
    return "\n".join(parts)


def spoilt() -> list[tuple[str, str]]:
    """Put the canary into each place of a bad row, a bad header and a file without a header."""
    cells = ["A", "1.001", "EUR", "Ada"]
    rows = [",".join([*cells[:place], CANARY, *cells[place + 1 :]]) for place in range(4)]
    texts = [
        (HEAD + row, ".csv")
        for row in [*rows, f"{CANARY},", f"A,1.00,EUR,Ada,{CANARY}", f"{CANARY}\x01,1,EUR,Ada"]
    ]
    lines = [
        GOOD.replace(old, new)
        for old, new in (
            ('"A"', f'"{CANARY}\\u0001"'), ('"1.00"', f'"{CANARY}"'), ('"1.00"', CANARY), ('"1.00"', CANARY + ".5"), ('"EUR"', f'"{CANARY}"'),
            ('"5"', f'"{CANARY} "'), ('"5"', CANARY), ('"payment_id"', f'"{CANARY}"'), ('"5"', f'"5","{CANARY}":1,"{CANARY}":2'),
            ('"payment_id":"5"', f'"customer":{{"{CANARY}":"x"}}'), ('"5"', f'"5","extra":{{"{CANARY} ":"x"}}'),
            ('"5"', f'"5","extra":{{"card.cvv":"{CANARY}"}}'), ('"5"', f'"5","extra":{{"n":{CANARY}}}'), ("}", f"{CANARY}"),
            ('"payment_id":"5"', f'"customer":{{"birth_date":"{CANARY}"}}'),
        )
    ]  # fmt: skip
    lines += [CANARY, f'"{CANARY}"', GOOD.replace('"A"', f'"{CANARY}"').replace("1.00", "1.001")]
    return texts + [(line, ".jsonl") for line in lines]


@pytest.mark.parametrize(("text", "suffix"), spoilt())
def test_bad_row_value_is_never_shown(text: str, suffix: str) -> None:
    """A card number in any place is in no reason, id, error or frame of an error."""
    bad_row = bad(text, suffix)
    assert CANARY not in f"{bad_row} {bad_row!r}"
    with pytest.raises(errors.InvalidRequest) as refused:
        read(text, suffix, strict=True)
    assert CANARY not in with_locals(refused.value)


@pytest.mark.parametrize(
    "first",
    [
        f"A,1.00,EUR,{CANARY}",
        f"{CANARY},1.00,EUR,x",
        f"merchant_transaction_id,amount,currency,{CANARY}",
        f'"{CANARY}',
    ],
)
def test_file_without_header_hides_first_order(tmp_path: Path, first: str) -> None:
    """The first line may be an order: it is described, and not shown."""
    path = tmp_path / "orders.csv"
    path.write_text(first + "\n")
    with pytest.raises(errors.InvalidRequest) as refused:
        read_orders(path)
    assert CANARY not in with_locals(refused.value)


def test_bad_row_id_is_shown_unless_card_number() -> None:
    """An id helps to find the row; a card number in its column, even mistyped, is hidden."""
    assert bad(HEAD + "ORDER 7,1.001,EUR,Ada\n", ".csv").merchant_transaction_id == "ORDER 7"
    assert (
        bad(HEAD + "12345678901,1.001,EUR,Ada\n", ".csv").merchant_transaction_id == "12345678901"
    )
    numbers = (
        "4000 0000 0000 0051",
        "4000000000000052",
        "4000-0000.0000-0051",
        "4000000000000051 2026-11-26",
    )
    for number in (*numbers, "pay 4000000000000051"):
        assert bad(HEAD + f"{number},1.001,EUR,Ada\n", ".csv").merchant_transaction_id is None


# How files are read


def test_reading_memory_is_constant(tmp_path: Path) -> None:
    """Ten times the rows, bad ones, and a line without an end need no more memory."""

    def peak(rows: int) -> int:
        path = tmp_path / "orders.csv"
        with path.open("w") as file:
            file.write(HEAD)
            file.writelines(
                f"A{number},1.0{'01' * (number % 7 == 0)},EUR,Ada\n" for number in range(rows)
            )
            file.writelines("x" * 1000 for _ in range(rows))
        tracemalloc.start()
        try:
            read = 0
            for order in read_orders(path):
                read += 1
                if isinstance(order, BadRow):
                    gc.collect()  # an error and its frames are a cycle
            assert read == rows + 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(2000) < peak(200) * 1.5


def test_reading_stopped_closes_the_file(tmp_path: Path) -> None:
    """A reader dropped before its first row or later leaves no open file."""
    path = tmp_path / "orders.csv"
    path.write_text(HEAD + "A,1.00,EUR,Ada\n" * 3)
    unread, started = read_orders(path), read_orders(path)
    next(started)
    started.close()
    del unread
    gc.collect()  # an open file would raise a ResourceWarning here


def test_reading_imports_no_cli_or_plots() -> None:
    """`gatewaypy.payouts` imports neither typer nor rich nor matplotlib."""
    code = (
        "import sys, gatewaypy.payouts; print({'typer', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "set()\n"
    )


def test_order_file_reads_the_header_when_it_is_opened(tmp_path: Path) -> None:
    """A file that is never iterated is closed, and one with another header raises at once."""
    path = tmp_path / "orders.csv"
    path.write_text(HEAD + "A,1.00,EUR,Ada\nB,x,EUR,Ada\n")
    assert OrderFile(path).name == "orders.csv"
    (first, _), (second, bad) = OrderFile(path)
    assert (first, second) == (2, 3)
    assert isinstance(bad, BadRow)
    error = bad.to_error("orders.csv")
    assert str(error).startswith("orders.csv, line 3: amount")
    assert error.merchant_transaction_id == "B"
    path.write_text("a,b\n")
    with pytest.raises(errors.InvalidRequest, match="the header"):
        OrderFile(path)
