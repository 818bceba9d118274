"""Replies about records other than payments: lists, stored cards, customers, invoices, links.

Protocol section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cattrs
from cattrs.gen import make_dict_structure_fn, override

from gatewaypy.models import (
    AccountOnFile,
    CardOnFile,
    CustomerAccounts,
    Fields,
    Invoice,
    InvoiceConfiguration,
    OperationResult,
    Outcome,
    PaymentLink,
    SignedUpCustomer,
    SignedUpMerchant,
    StoredCard,
    Transaction,
)
from gatewaypy.models.redirect import is_safe
from gatewaypy.protocol import codes, decode
from gatewaypy.protocol.operation_types import ReplyKind
from gatewaypy.protocol.operations import (
    DELETE_STORED_CARD,
    INVOICE_GENERATE,
    INVOICE_STATUS,
)
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.reply_fields import read_code, read_text
from gatewaypy.protocol.statuses import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatewaypy.protocol.operation_types import Operation

_SHOWN_OF_IBAN: Final = 4
_ACCOUNT_NUMBERS: Final = frozenset({"iban", "accountNumber", "routingNumber", "vpa"})


def outcome_of_code(operation: Operation, fields: Mapping[str, Any]) -> Outcome:
    """Return the outcome of an operation that moves no money, by its reply's code alone.

    Raises:
        UnreadableError: The reply has no code.
    """
    code = read_code(fields)
    if not code:
        msg = "the reply has no result code"
        raise UnreadableError(msg)
    if code in operation.success:
        return Outcome.SUCCEEDED
    return (
        Outcome.FAILED
        if codes.is_refusal(code) or code == codes.RECORD_NOT_FOUND
        else Outcome.UNKNOWN
    )


def record(operation: Operation, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Read a reply to an operation that moves no money; an unlisted code is ``UNKNOWN``.

    Raises:
        UnreadableError: It has no code, or a code of success without the requested values.
    """
    if operation.reply in {ReplyKind.ACCOUNTS, ReplyKind.LIST}:
        fields = _without_numbers(fields)
    return _READERS[operation.reply](operation, fields)


def _without_numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Mask bank account numbers, so that a result and its ``raw`` show only their ends."""
    if isinstance(value, dict):
        return {
            name: _masked(inner)
            if name in _ACCOUNT_NUMBERS and isinstance(inner, str)
            else _without_numbers(inner)
            for name, inner in value.items()
        }
    return [_without_numbers(inner) for inner in value] if isinstance(value, list) else value


def _require(result: OperationResult, name: str, value: str | None) -> None:
    if result.outcome is Outcome.SUCCEEDED and not value:
        msg = f"the reply has a code of success but no {name}"
        raise UnreadableError(msg)


def _stored_card(operation: Operation, fields: Mapping[str, Any]) -> StoredCard:
    stored = decode.result(StoredCard, fields, outcome=outcome_of_code(operation, fields))
    if operation.name != DELETE_STORED_CARD.name:
        _require(stored, "registrationId", stored.registration_id)
    return stored


def _customer(operation: Operation, fields: Mapping[str, Any]) -> SignedUpCustomer:
    customer = decode.result(SignedUpCustomer, fields, outcome=outcome_of_code(operation, fields))
    _require(customer, "customerId", customer.customer_id)
    return customer


def _merchant(operation: Operation, fields: Mapping[str, Any]) -> SignedUpMerchant:
    outcome = outcome_of_code(operation, fields)
    merchant = decode.result(
        SignedUpMerchant,
        fields,
        outcome=outcome,
        taken=("memberId",),
        member_id=read_text(fields, "memberId"),
    )
    _require(merchant, "memberId", merchant.member_id)
    return merchant


def _link(operation: Operation, fields: Mapping[str, Any]) -> PaymentLink:
    outcome = outcome_of_code(operation, fields)
    url = read_text(fields["result"], "url")
    link = decode.result(
        PaymentLink,
        fields,
        outcome=outcome,
        url=_safe(url) if outcome is Outcome.SUCCEEDED else None,
    )
    _require(link, "url", link.url)
    return link


def _invoice(operation: Operation, fields: Mapping[str, Any]) -> Invoice:
    flat = _flattened(fields)
    details = flat.pop("invoiceDetails", None)
    flat = {**(details if isinstance(details, dict) else {}), **flat}
    outcome = outcome_of_code(operation, flat)
    created = read_text(flat, "createdTime")
    invoice = decode.result(
        Invoice,
        flat,
        outcome=outcome,
        created_time=None if created is None else created.strip().rstrip("."),
        payment_url=_safe(read_text(flat, "transactionUrl"))
        if outcome is Outcome.SUCCEEDED
        else None,
        raw=Fields(fields),
    )
    if operation.name in {INVOICE_GENERATE.name, INVOICE_STATUS.name}:
        _require(invoice, "systemInvoiceId", invoice.invoice_id)
    return invoice


def _configuration(operation: Operation, fields: Mapping[str, Any]) -> InvoiceConfiguration:
    flat = _flattened(fields)
    return decode.result(
        InvoiceConfiguration, flat, outcome=outcome_of_code(operation, flat), raw=Fields(fields)
    )


def _flattened(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rename an invoice's result to the common name, which an early refusal has already."""
    flat = dict(fields)
    result = flat.pop("statusInvoiceResult", None)
    return flat if result is None else flat | {"result": result}


def _accounts(operation: Operation, fields: Mapping[str, Any]) -> CustomerAccounts:
    return decode.result(
        CustomerAccounts,
        fields,
        taken=("cards", "bankaccounts"),
        outcome=outcome_of_code(operation, fields),
        cards=tuple(_card_on_file(card) for card in rows(fields, "cards")),
        accounts=tuple(_account_on_file(account) for account in rows(fields, "bankaccounts")),
    )


_CARD_NAMES: Final = {
    "registrationId": "registration_id",
    "registrationStatus": "status",
    "cardType": "brand",
    "bin": "bin",
    "last4Digits": "last_four",
    "expiryMonth": "expiry_month",
    "expiryYear": "expiry_year",
}
_ACCOUNT_NAMES: Final = {
    "registrationId": "registration_id",
    "registrationStatus": "status",
    "iban": "iban",
    "bic": "bic",
}


def _text(value: object, _: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    msg = "a field of a stored card or account is not a string"
    raise UnreadableError(msg)


def _make_converter() -> cattrs.Converter:
    """Return a reader for the rows of a customer's stored cards and accounts."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook_func(lambda kind: kind == str | None, _text)
    converter.register_structure_hook(Fields, lambda value, _: value)
    for kind, names in ((CardOnFile, _CARD_NAMES), (AccountOnFile, _ACCOUNT_NAMES)):
        renamed: Any = {attribute: override(rename=name) for name, attribute in names.items()}
        converter.register_structure_hook(kind, make_dict_structure_fn(kind, converter, **renamed))
    return converter


_converter: Final = _make_converter()


def _card_on_file(fields: Mapping[str, Any]) -> CardOnFile:
    extra = Fields({name: value for name, value in fields.items() if name not in _CARD_NAMES})
    return _converter.structure({**fields, "extra": extra}, CardOnFile)


def _account_on_file(fields: Mapping[str, Any]) -> AccountOnFile:
    known = {*_ACCOUNT_NAMES, "accountNumber", "routingNumber"}
    extra = Fields({name: value for name, value in fields.items() if name not in known})
    return _converter.structure(
        {**fields, "iban": fields.get("iban") or None, "extra": extra}, AccountOnFile
    )


def _masked(number: str) -> str:
    if not number:
        return number
    is_long = len(number) >= 3 * _SHOWN_OF_IBAN
    return f"{number[:_SHOWN_OF_IBAN]}***{number[-_SHOWN_OF_IBAN:]}" if is_long else "***"


def _transactions(operation: Operation, fields: Mapping[str, Any]) -> tuple[Transaction, ...]:
    """Read one page of the transaction list; empty if nothing matches."""
    listed = rows(fields, "transaction")
    code = read_code(fields)
    if code == codes.RECORD_NOT_FOUND and not listed:
        return ()
    if code not in operation.success:
        msg = f"the list's code {code or '(none)'} contradicts its transactions"
        raise UnreadableError(msg)
    return tuple(_row(row) for row in listed)


def _row(fields: Mapping[str, Any]) -> Transaction:
    word = read_text(fields, "transactionStatus")
    return decode.result(
        Transaction,
        {**fields, "paymentId": fields.get("systemPaymentId") or fields.get("paymentId")},
        taken=("systemPaymentId",),
        found=True,
        outcome=outcome_of(word, None),
        # Rows have the long word under the short one's name (seen).
        status=word,
        transaction_status=None,
        raw=Fields(fields),
    )


def rows(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a reply's list (our choice: one row may be an object, no rows an empty value).

    XML may wrap the rows in another element of the same name or of its plural.

    Raises:
        UnreadableError: It is anything else.
    """
    value = fields.get(name)
    if isinstance(value, dict) and len(value) == 1:
        ((inner_name, inner),) = value.items()
        if inner_name in {name, name.removesuffix("s")} and isinstance(inner, dict | list):
            value = inner
    if value is None or value in ("", [], {}):
        return []
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        msg = f"the reply's {name} is not a list of records"
        raise UnreadableError(msg)
    return listed


def _safe(url: str | None) -> str | None:
    if url is None or not url.strip():
        return None
    if not is_safe(url.strip()):
        msg = "the reply's link is not https"
        raise UnreadableError(msg)
    return url.strip()


_READERS: Final[Mapping[ReplyKind, Callable[[Operation, Mapping[str, Any]], Any]]] = {
    ReplyKind.STORED_CARD: _stored_card,
    ReplyKind.CUSTOMER: _customer,
    ReplyKind.MERCHANT: _merchant,
    ReplyKind.LINK: _link,
    ReplyKind.INVOICE: _invoice,
    ReplyKind.CONFIGURATION: _configuration,
    ReplyKind.ACCOUNTS: _accounts,
    ReplyKind.LIST: _transactions,
}
