"""Convert a reply's fields to the library's results (protocol section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import fields_dict

from gatewaypy.errors import InvalidRequest
from gatewaypy.models import (
    NO_FIELDS,
    Capture,
    Fields,
    FollowUp,
    MaskedCard,
    Outcome,
    Payment,
    Payout,
    Redirect,
    Refund,
    ResultCode,
    Reversal,
    Transaction,
)
from gatewaypy.models.redirect import is_safe, named_pairs
from gatewaypy.money import Money
from gatewaypy.protocol.codes import RECORD_FOUND, RECORD_NOT_FOUND, SUCCEEDED
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.reply_fields import read_code, read_text, text_or_none
from gatewaypy.protocol.statuses import outcome_of

if TYPE_CHECKING:
    from attrs import AttrsInstance

R = TypeVar("R")

#: The attribute that each wire name becomes. Names that are not here stay in ``extra``.
ATTRIBUTES: Final[Mapping[str, str]] = {
    "paymentId": "payment_id",
    "merchantTransactionId": "merchant_transaction_id",
    "transactionStatus": "transaction_status",
    "status": "status",
    "result": "result",
    "amount": "amount",
    "currency": "currency",
    "remark": "remark",
    "timestamp": "timestamp",
    "redirect": "redirect",
    "card": "card",
    "paymentBrand": "payment_brand",
    "paymentMode": "payment_mode",
    "registrationId": "registration_id",
    "descriptor": "descriptor",
    "eci": "eci",
    "bankReferenceId": "bank_reference_id",
    "terminalId": "terminal_id",
    "captureamount": "captured",
    "refundamount": "refunded",
    "chargebackamount": "charged_back",
    "payoutamount": "paid_out",
    "transactionDate": "transaction_date",
    "terminalid": "terminal_id",
    "customer": "customer",
    "customerId": "customer_id",
    "systemInvoiceId": "invoice_id",
    "merchantInvoiceId": "merchant_invoice_id",
    "transactionUrl": "payment_url",
    "customerEmail": "customer_email",
    "merchantOrderDescription": "description",
    "expirationPeriod": "expiration_period",
    "createdDate": "created_date",
    "createdTime": "created_time",
    "code": "code",
    "description": "description",
    "bin": "bin",
    "last4Digits": "last_four",
    "lastFourDigits": "last_four",
    "holder": "holder",
    "expiryMonth": "expiry_month",
    "expiryYear": "expiry_year",
}

#: The attribute that each of a card's wire names becomes.
_CARD: Final = {
    name: attribute
    for name, attribute in ATTRIBUTES.items()
    if attribute in fields_dict(MaskedCard)
}
# isinstance() finds a dict faster than another mapping.
_MAPPINGS: Final = (dict, Mapping)
_AMOUNTS: Final = frozenset({"amount", "captured", "refunded", "charged_back", "paid_out"})


@cache
def _own(kind: type[AttrsInstance]) -> Mapping[str, str]:
    """Return the attribute of each wire name that a class has; the rest goes into ``extra``."""
    own = fields_dict(kind)
    # An amount is read with its currency.
    return {
        name: attribute
        for name, attribute in ATTRIBUTES.items()
        if attribute in own or attribute == "currency"
    }


def payment_id(fields: Mapping[str, Any]) -> str | None:
    """Return the reply's paymentId; ``None`` for ``"-"`` and an empty one.

    Protocol section 7. Seen.
    """
    identifier = (read_text(fields, "paymentId") or "").strip()
    return identifier if identifier not in {"", "-"} else None


def money(amount: object, currency: object) -> Money | None:
    """Read an amount and a currency in any case; ``None`` if they are not a valid `Money`.

    The text stays in ``raw``.
    """
    if not isinstance(amount, str) or not isinstance(currency, str):
        return None
    try:
        return Money(amount.strip(), currency.strip().upper())
    except InvalidRequest:
        return None


def result_code(result: object) -> ResultCode:
    """Read the gateway's code and description; empty if they are not strings."""
    if not isinstance(result, _MAPPINGS):
        return ResultCode()
    return ResultCode(text_or_none(result, "code") or "", text_or_none(result, "description") or "")


def masked_card(card: object) -> MaskedCard | None:
    """Read the fields of a card that were sent; ``None`` if there are none."""
    if not isinstance(card, _MAPPINGS):
        return None
    known = {
        _CARD[name]: value if isinstance(value, str) else None
        for name, value in card.items()
        if name in _CARD
    }
    return MaskedCard(**known) if known else None


def result(
    kind: type[R],
    fields: Mapping[str, Any],
    *,
    taken: tuple[str, ...] = (),
    **judged: Any,  # noqa: ANN401 - any result's
) -> R:
    """Build a result or a callback's event from the gateway's fields.

    Args:
        kind: The class of the result.
        fields: The fields as they were read.
        taken: Further fields that the caller has read, so that they are not put into ``extra``.
        **judged: Attributes that the caller has decided; they override those of the fields.
    """
    # mypy takes a class of any type for unhashable.
    own = _own(kind)  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    extra = {}
    for name, value in fields.items():
        if name in own:
            # A field of the wrong type stays in ``raw`` only. `classify` checks fields that decide.
            values[own[name]] = value if isinstance(value, str) else None
        elif name not in taken:
            extra[name] = value
    currency = values.pop("currency", None)
    for name in _AMOUNTS & values.keys():
        values[name] = money(values[name], currency)
    if "card" in values:
        values["card"] = masked_card(fields["card"])
    if "customer" in values:
        values["customer"] = (
            Fields(fields["customer"]) if isinstance(fields["customer"], Mapping) else NO_FIELDS
        )
    if "redirect" in values:
        # The caller decides whether the payer is redirected.
        values["redirect"] = None
    values["result"] = result_code(fields.get("result"))
    values["payment_id"] = payment_id(fields)
    values["raw"], values["extra"] = Fields(fields), Fields(extra)
    return kind(**(values | judged))


def redirect(fields: Mapping[str, Any]) -> Redirect | None:
    """Read the payer's redirect, by every seen name of its parameters (protocol section 7).

    Returns:
        ``None`` if the reply does not redirect the payer.

    Raises:
        UnreadableError: The URL is neither https nor http to this machine, or the parameters are
            unreadable.
    """
    target = fields.get("redirect")
    if not isinstance(target, dict) or not target:
        return None
    url = (read_text(target, "url") or "").strip()
    if not is_safe(url):
        msg = "the reply redirects the payer to a URL that is not https"
        raise UnreadableError(msg)
    listed = ("parameters", "listofParameters", "listOfParameters", "params")
    parameters = next((_parameters(target[name]) for name in listed if target.get(name)), ())
    method = (read_text(target, "method") or "").strip().upper() or (
        "POST" if parameters else "GET"
    )
    if method not in {"GET", "POST"}:
        msg = "the reply redirects the payer by a method that is neither GET nor POST"
        raise UnreadableError(msg)
    return Redirect(
        url=url, method=method, parameters=parameters, target=read_text(target, "target")
    )


def _parameters(values: object) -> tuple[tuple[str, str], ...]:
    if isinstance(values, dict) and len(values) == 1:
        # XML may wrap the pairs in another element.
        (inner,) = values.values()
        values = inner if isinstance(inner, dict | list) else values
    if isinstance(values, dict):
        # A single pair that came as an object, or an object of names and values.
        values = (
            [values]
            if set(values) == {"name", "value"}
            else [{"name": name, "value": value} for name, value in values.items()]
        )
    if not isinstance(values, list) or not all(isinstance(pair, dict) for pair in values):
        msg = "the reply's redirect parameters are not a list of names and values"
        raise UnreadableError(msg)
    return named_pairs(
        (read_text(pair, "name") or "", read_text(pair, "value") or "") for pair in values
    )


def payment(fields: Mapping[str, Any], outcome: Outcome, target: Redirect | None) -> Payment:
    """Build the result of a debit or preauthorization from its own reply."""
    return result(Payment, fields, outcome=outcome, redirect=target)


def is_found(fields: Mapping[str, Any]) -> bool:
    """Return whether an inquiry found a record (protocol section 7).

    Raises:
        UnreadableError: Its code and statuses do not state whether there is one.
    """
    code = read_code(fields)
    has_status = bool(
        (read_text(fields, "status") or "").strip()
        or (read_text(fields, "transactionStatus") or "").strip()
    )
    if code in {RECORD_FOUND, SUCCEEDED} and has_status:
        return True
    if code == RECORD_NOT_FOUND and not has_status:
        return False
    msg = f"the inquiry's code {code or '(none)'} and statuses contradict each other"
    raise UnreadableError(msg)


def transaction(fields: Mapping[str, Any]) -> Transaction:
    """Build the result of an inquiry from the record's two statuses, never from the lookup's code.

    Raises:
        UnreadableError: The reply states neither a record nor that there is none.
    """
    outcome, found = Outcome.UNKNOWN, is_found(fields)
    if found:
        outcome = outcome_of(read_text(fields, "status"), read_text(fields, "transactionStatus"))
    lookup = result_code(fields.get("result"))
    return result(
        Transaction, fields, outcome=outcome, found=found, lookup=lookup, result=ResultCode()
    )


#: The result class of each operation on an earlier payment, by the operation's name.
FOLLOW_UPS: Final[Mapping[str, type[FollowUp]]] = {
    "capture": Capture,
    "reversal": Reversal,
    "refund": Refund,
}


def follow_up(
    name: str, fields: Mapping[str, Any], outcome: Outcome, *, payment_id: str, amount: Money | None
) -> FollowUp:
    """Build the result of a capture, reversal or refund; its reply does not echo the amount."""
    return result(FOLLOW_UPS[name], fields, outcome=outcome, payment_id=payment_id, amount=amount)


def payout(fields: Mapping[str, Any], outcome: Outcome) -> Payout:
    """Build the result of a payout from its own reply."""
    return result(Payout, fields, outcome=outcome)
