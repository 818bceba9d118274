"""The payer's browser at ``merchantRedirectUrl`` (protocol section 11): reading and verifying."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from gatewaypy.callbacks.body import FORM, read_body
from gatewaypy.callbacks.events import read_event
from gatewaypy.callbacks.signature import find_signer
from gatewaypy.config import Credentials
from gatewaypy.errors import InvalidRequest, SignatureMismatch, UnreadableCallback
from gatewaypy.models import Fields, Outcome
from gatewaypy.protocol.checksum import KEY, RULES, checksum, matches
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.redaction import redact
from gatewaypy.protocol.reply_fields import read_text
from gatewaypy.protocol.statuses import short_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatewaypy.models import ResultCode
    from gatewaypy.money import Money
    from gatewaypy.secret import Secret

#: Older platforms sign a cancel return with this text as key and payment id (seen).
_NULL: Final = "null"
_SIGNED: Final = (
    "paymentId",
    "merchantTransactionId",
    "amount",
    "status",
    "checksum",
    "registrationId",
    "token",
)


@frozen(kw_only=True)
class BrowserReturn:
    """The fields of a returning browser.

    ``verified`` is true if the signature matches a key of the merchant. It is false for a cancel
    return that older platforms sign with the text ``null``, which needs no key. If a return is not
    verified, call ``gateway.inquire`` before you ship or close an order.
    """

    payment_id: str | None
    merchant_transaction_id: str | None
    amount: Money | None
    outcome: Outcome
    status: str | None
    result: ResultCode
    verified: bool
    member_id: str | None
    raw: Fields = field(repr=False, eq=False)


def read_return(
    body: bytes, credentials: Credentials | Iterable[Credentials], *, content_type: str = FORM
) -> BrowserReturn:
    """Read and verify the form that the payer's browser posted.

    Args:
        body: The bytes as they were received.
        credentials: One account, or several that share the URL.
        content_type: The request's header, whose charset is used if it has one.

    Returns:
        The browser return.

    Raises:
        UnreadableCallback: The body is not such a form.
        SignatureMismatch: The signature does not match any key, and the body is not a cancel
            return of an older platform.
    """
    fields = _read_texts(body, content_type)
    accounts = (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)
    signer = find_signer(fields, accounts)
    if signer is None and not _is_null_signed(fields):
        reason = "the signature of the browser return does not match any configured key"
        raise SignatureMismatch(reason)
    event = read_event(
        fields,
        signed=signer is not None,
        member_id=None if signer is None else signer.member_id,
    )
    return BrowserReturn(
        payment_id=event.payment_id,
        merchant_transaction_id=event.merchant_transaction_id,
        amount=event.amount,
        outcome=event.outcome,
        status=event.status or event.transaction_status,
        result=event.result,
        verified=signer is not None,
        member_id=event.member_id,
        raw=event.raw,
    )


def _read_texts(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a form's fields. In a JSON body the signed fields must be strings as well.

    Raises:
        UnreadableCallback: The body is neither, or a signed field is not a string.
    """
    fields = read_body(body, content_type)
    try:
        for name in _SIGNED:
            read_text(fields, name)
    except UnreadableError as unreadable:
        reason = str(unreadable)
    else:
        return {name: value for name, value in fields.items() if value is not None}
    raise UnreadableCallback(reason)


@frozen(kw_only=True)
class RegistrationReturn:
    """The fields of a browser that returns from the hosted card registration.

    The signature covers only the merchant and the status (rule P', documented). It is the same for
    every registration that succeeds, and the browser can add any ``registration_id``. Do not trust
    the id: pay with it only for the customer whose ``gateway.stored_cards.list`` has it.
    """

    outcome: Outcome
    status: str
    registration_id: str | None
    member_id: str
    raw: Fields = field(repr=False, eq=False)


def read_registration_return(
    body: bytes, credentials: Credentials | Iterable[Credentials], *, content_type: str = FORM
) -> RegistrationReturn:
    """Read and verify the form of the hosted card registration.

    Args:
        body: The bytes as they were received.
        credentials: One account, or several that share the URL.
        content_type: The request's header, whose charset is used if it has one.

    Returns:
        The registration return. Protocol section 5, rule P' (documented).

    Raises:
        UnreadableCallback: The body is not such a form.
        SignatureMismatch: The signature does not match any key.
    """
    fields = _read_texts(body, content_type)
    accounts = (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)
    status, received = fields.get("status", ""), fields.get("checksum", "")
    registration_id = fields.get("registrationId") or fields.get("token") or None
    for account in accounts:
        for key in account.verifying_keys:
            if _signs_registration(account, key, status, received):
                return RegistrationReturn(
                    outcome=short_outcome(status) or Outcome.UNKNOWN,
                    status=status,
                    registration_id=registration_id,
                    member_id=account.member_id,
                    raw=Fields(redact(fields)),
                )
    reason = "the signature of the card registration does not match any configured key"
    raise SignatureMismatch(reason)


def _signs_registration(account: Credentials, key: Secret, status: str, received: str) -> bool:
    values: dict[str, str | Secret] = {"memberId": account.member_id, "status": status, KEY: key}
    try:
        return matches(checksum(RULES["P'"], values), received)
    except InvalidRequest:
        # A status that cannot be signed was not signed.
        return False


def _is_null_signed(fields: Mapping[str, str]) -> bool:
    if fields.get("status") != "C":
        return False
    values = {
        "paymentId": _NULL,
        "merchantTransactionId": fields.get("merchantTransactionId", ""),
        "amount": fields.get("amount", ""),
        "status": "C",
        KEY: _NULL,
    }
    return matches(checksum(RULES["S"], values), fields.get("checksum", ""))
