"""Files of payout orders, CSV and JSON Lines, read record by record."""

from __future__ import annotations

import csv
import json
import re
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, overload

from attrs import fields_dict, frozen

from gatewaypy.config import Credentials
from gatewaypy.errors import InvalidRequest
from gatewaypy.models import Customer
from gatewaypy.money import Money
from gatewaypy.pan import contains, mask
from gatewaypy.payouts.file_records import SEPARATORS, csv_records, line_records, wrong_separator
from gatewaypy.payouts.orders import PayoutOrder
from gatewaypy.printable import printable
from gatewaypy.protocol.fields import check
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator

    from gatewaypy.payouts.file_records import Record

CSV: Final = ".csv"
JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
_REQUIRED: Final = ("merchant_transaction_id", "amount", "currency")
_PAYEES: Final = ("payment_id", "stored_card")
_COLUMNS: Final = (*_REQUIRED, *_PAYEES, "terminal_id")
_CUSTOMER: Final = tuple(fields_dict(Customer))
_EXTRA: Final = "extra."
# A name without digits cannot be a card number in the wrong place.
_HARMLESS: Final = re.compile(r"[A-Za-z_][A-Za-z_.]{0,39}", re.ASCII)
_SEPARATORS: Final = re.compile(r"[ .-]")
_CARD_LENGTHS: Final = range(12, 20)
# Builds requests to check them as they are checked before sending. Nothing is signed or sent.
_PLACEHOLDER: Final = Credentials(
    member_id="0",
    partner_id="0",
    username="placeholder",
    secret_key="placeholder, signs nothing",  # noqa: S106
)


@frozen
class BadRow:
    """A record of a file that is not a payout order.

    Args:
        line: The number of its first line.
        reason: The rule that it breaks. It shows at most a short amount that is not a number.
        merchant_transaction_id: The order's id, if it can be read and cannot be a card number in
            the wrong column.
    """

    line: int
    reason: str
    merchant_transaction_id: str | None = None

    def __str__(self) -> str:
        known = "" if self.merchant_transaction_id is None else f" ({self.merchant_transaction_id})"
        return f"line {self.line}{known}: {self.reason}"

    def to_error(self, file: str) -> InvalidRequest:
        """Return the error to raise for this row.

        Args:
            file: The file's name, as `OrderFile.name` has it.
        """
        place = f"{file}, line {self.line}"
        return InvalidRequest(
            place, self.reason, merchant_transaction_id=self.merchant_transaction_id
        )


class OrderFile:
    """A file of payout orders, which is read once (our choice of schema: docs/payout-files.md).

    Iterating yields for each record that is not blank the number of its first line, and its
    `PayoutOrder` or a `BadRow`. Records are read one at a time, so that memory does not grow.

    Args:
        path: ``.csv`` is CSV with a header, ``.jsonl`` and ``.ndjson`` are JSON Lines; UTF-8, with
            or without a byte order mark.

    Raises:
        InvalidRequest: Another kind of file, or an invalid header. While iterating: a quote is not
            closed; nothing after it is read.

    Example:
        ``for line, row in OrderFile("may.csv"): ...``
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, and read and check its header."""
        path = Path(path)
        self.name = shown_name(path)
        kind = path.suffix.lower()
        if kind != CSV and kind not in JSON_LINES:
            raise InvalidRequest("path", "must end in .csv, .jsonl or .ndjson", shape_of(path.name))
        file = path.open("rb")
        finalizer = weakref.finalize(self, file.close)
        # A thread may wait in the file, which is a pipe. Closing it would wait for the thread.
        finalizer.atexit = False
        #: Closes the file; so does the end of this object.
        self.close: Callable[[], object] = finalizer
        if kind == CSV:
            self._records = csv_records(file, self.name)
            self._parse = _header(self.name, self._records)
        else:
            self._records = line_records(file)
            self._parse = _json_fields

    def __iter__(self) -> Generator[tuple[int, PayoutOrder | BadRow], None, None]:
        """Read the rest of the file, and close it."""
        try:
            for line, content in self._records:
                yield line, _row(line, content, self._parse)
                # A frame that raises stays in the traceback: an error must not show this record.
                del content
        finally:
            self.close()


@overload
def read_orders(
    path: str | os.PathLike[str], *, strict: Literal[True]
) -> Generator[PayoutOrder, None, None]: ...


@overload
def read_orders(
    path: str | os.PathLike[str], *, strict: bool = False
) -> Generator[PayoutOrder | BadRow, None, None]: ...


def read_orders(
    path: str | os.PathLike[str], *, strict: bool = False
) -> Generator[PayoutOrder | BadRow, None, None]:
    """Read payout orders from a file, one at a time; see `OrderFile`.

    Args:
        path: ``.csv``, ``.jsonl`` or ``.ndjson``.
        strict: Raise for the first bad row instead of yielding it.

    Returns:
        For each record that is not blank its order or a `BadRow`.

    Raises:
        InvalidRequest: Another kind of file, or an invalid header. While reading: a quote is not
            closed, or with `strict` a bad row; it names the file and the line.
    """
    return _orders(OrderFile(path), strict=strict)


def _orders(file: OrderFile, *, strict: bool) -> Generator[PayoutOrder | BadRow, None, None]:
    for _, row in file:
        if strict and isinstance(row, BadRow):
            raise row.to_error(file.name)
        yield row
        # A frame that raises stays in the traceback: an error must not show this record.
        del row


def _row(
    line: int, content: bytes | InvalidRequest, parse: Callable[[str], dict[str, Any]]
) -> PayoutOrder | BadRow:
    merchant_transaction_id = None
    try:
        fields = parse(_text(content))
        merchant_transaction_id = _showable(fields.get("merchant_transaction_id"))
        order = PayoutOrder.from_fields(fields)
        _check(order)
    except InvalidRequest as refused:
        return BadRow(line, str(refused), merchant_transaction_id)
    return order


def _text(content: bytes | InvalidRequest) -> str:
    if isinstance(content, InvalidRequest):
        raise content
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Not chained, because the decoder's error has the line.
        refused = InvalidRequest("line", "must be UTF-8")
    raise refused


def _showable(merchant_transaction_id: object) -> str | None:
    """Return an id that may be shown; None if it may be a card number in the wrong column."""
    if not isinstance(merchant_transaction_id, str):
        return None
    try:
        check({"merchantTransactionId": merchant_transaction_id})
    except InvalidRequest:
        return None
    # A mistyped card number has a wrong check digit, so that the digit is not checked.
    digits = _SEPARATORS.sub("", merchant_transaction_id)
    is_number = digits.isdigit() and len(digits) in _CARD_LENGTHS
    return (
        None
        if is_number or contains(merchant_transaction_id, known_issuer=True)
        else merchant_transaction_id
    )


def _check(order: PayoutOrder) -> None:
    """Check an order as it is checked before sending: a row in a journal cannot be corrected."""
    request = order.to_request(_PLACEHOLDER)
    for name, value in request.fields.items():
        check({name: value})


def _named(name: str) -> str:
    """Show a name, or describe it if it may be a value."""
    return name if _HARMLESS.fullmatch(name) else shape_of(name)


def shown_name(path: Path) -> str:
    """Return a file's name as errors and a terminal show it."""
    return printable(mask(path.name))


# CSV


def _header(file: str, records: Iterator[Record]) -> Callable[[str], dict[str, Any]]:
    line, content = next(records, (1, b""))
    try:
        text = _text(content)
        _check_separator(text)
        columns = _columns(_cells(text))
    except InvalidRequest as refusal:
        refused = InvalidRequest(
            f"{file}, line {line}, the header: {refusal.field}", refusal.rule, refusal.shape
        )
    else:
        return lambda text: _csv_fields(columns, text)
    # Without a header this record is an order. A frame that raises stays in the traceback.
    content = b""
    text = ""
    raise refused


def _check_separator(header: str) -> None:
    """Refuse another separator, which spreadsheets use in many countries."""
    for separator in SEPARATORS:
        names = {cell.strip(' "') for cell in header.split(separator)}
        if len(names) > 1 and not names.isdisjoint(_REQUIRED):
            raise wrong_separator(separator)


def _cells(text: str) -> list[str]:
    try:
        # The whole record as one text. The reader rejects a line break outside quotes.
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        refused = InvalidRequest(
            "line",
            "must be CSV with commas between values, quotes around whole values, line ends of LF or"
            " CRLF",
        )
    raise refused


def _columns(cells: list[str]) -> list[tuple[str | None, str]]:
    """Return for each column its group, ``customer`` or ``extra``, and its name."""
    # Without a header the first line is an order, so that no value of it is shown.
    shown = _named if _REQUIRED[0] in cells else shape_of
    columns = []
    for number, cell in enumerate(cells, 1):
        column, place = _column(cell), f"column {number}"
        if column is None:
            rule = f"must be one of {', '.join((*_COLUMNS, *_CUSTOMER))}, or extra.NAME"
            raise InvalidRequest(place, rule, shown(cell))
        if contains(cell):
            raise InvalidRequest(place, "must not contain a card number", shape_of(cell))
        if column in columns:
            raise InvalidRequest(place, "must not repeat an earlier column", shown(cell))
        columns.append(column)
    names = {name for group, name in columns if group is None}
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InvalidRequest(missing[0], "must be a column")
    if names.isdisjoint(_PAYEES) and not any(group == "customer" for group, _ in columns):
        raise InvalidRequest(
            "payee", f"must have a column: {', '.join(_PAYEES)}, or a field of a customer"
        )
    # Check the names of the further fields with an order that has all of them.
    extra = {name: "1" for group, name in columns if group == "extra"}
    _check(
        PayoutOrder(
            merchant_transaction_id="1", amount=Money(1, "EUR"), payment_id="1", extra=extra
        )
    )
    return columns


def _column(cell: str) -> tuple[str | None, str] | None:
    if cell in _COLUMNS:
        return None, cell
    if cell.removeprefix("customer.") in _CUSTOMER:
        return "customer", cell.removeprefix("customer.")
    return (
        ("extra", cell.removeprefix(_EXTRA)) if cell.startswith(_EXTRA) and cell != _EXTRA else None
    )


def _csv_fields(columns: list[tuple[str | None, str]], text: str) -> dict[str, Any]:
    cells = _cells(text)
    if len(cells) != len(columns):
        raise InvalidRequest(
            "line", f"must have {len(columns)} values, like the header", f"{len(cells)}"
        )
    fields: dict[str, Any] = {}
    for (group, name), cell in zip(columns, cells, strict=True):
        if cell:
            (fields if group is None else fields.setdefault(group, {}))[name] = cell
    return fields


# JSON Lines


def _json_fields(text: str) -> dict[str, Any]:
    fields = _object(text)
    _check_names("field", fields, (*_COLUMNS, "customer", "extra"))
    customer, extra = fields.get("customer"), fields.get("extra")
    if customer is not None:
        if not isinstance(customer, dict) or not customer:
            raise InvalidRequest(
                "customer", "must be an object with a customer's fields", shape_of(customer)
            )
        _check_names("customer's field", customer, _CUSTOMER)
    if extra is not None and not (
        isinstance(extra, dict) and all(isinstance(value, str) for value in extra.values())
    ):
        raise InvalidRequest("extra", "must be an object of strings, under their wire names")
    return fields


def _object(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        # Not chained, because the decoder's error has the line.
        refused = InvalidRequest(
            "line", "must be JSON", f"something else at character {error.colno}"
        )
    except InvalidRequest as refusal:
        refused = refusal
    except ValueError:
        refused = InvalidRequest("line", "must have numbers of fewer digits")
    except RecursionError:
        refused = InvalidRequest("line", "must not be nested as deeply")
    else:
        if isinstance(fields, dict):
            return fields
        refused = InvalidRequest(
            "line", "must be a JSON object", f"a value of type {type(fields).__name__}"
        )
    raise refused


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("line", "must not repeat a name in an object", _named(twice))
    return fields


def _no_constant(_: str) -> NoReturn:
    raise InvalidRequest("line", "must not contain NaN or Infinity")


def _check_names(what: str, fields: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = next((name for name in fields if name not in known), None)
    if unknown is not None:
        raise InvalidRequest(what, f"must be one of {', '.join(known)}", _named(unknown))
