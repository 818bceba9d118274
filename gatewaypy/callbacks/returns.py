"""The payer's browser coming back to ``merchantRedirectUrl`` (protocol section 11): what it says, and whether that is proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from gatewaypy.callbacks.body import FORM, read_body
from gatewaypy.callbacks.events import event_of
from gatewaypy.callbacks.signature import find_signer
from gatewaypy.config import Credentials
from gatewaypy.errors import SignatureMismatch, UnreadableCallback
from gatewaypy.protocol.checksum import KEY, RULES, checksum, matches
from gatewaypy.protocol.parse import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatewaypy.models import Fields, Outcome, ResultCode
    from gatewaypy.money import Money

#: What older platforms sign a cancel return with, in place of key and payment id (seen): anybody can.
_NULL: Final = "null"


@frozen(kw_only=True)
class BrowserReturn:
    """What a returning browser says of its payment.

    ``proven`` is true where one of the merchant's keys signed it. A cancel return that older platforms sign with the literal text
    ``null`` is not: anybody could have made it. Before anything is shipped or an order is closed on a return that is not
    proven, ask ``gateway.inquire``.
    """

    payment_id: str | None
    merchant_transaction_id: str | None
    amount: Money | None
    outcome: Outcome
    status: str | None
    result: ResultCode
    proven: bool
    member_id: str | None
    raw: Fields = field(repr=False, eq=False)


def read_return(body: bytes, credentials: Credentials | Iterable[Credentials]) -> BrowserReturn:
    """Read and verify the form that the payer's browser posted.

    :raises UnreadableCallback: where it is no such form.
    :raises SignatureMismatch: where no key fits, and it is no cancel return of an older platform either.
    """
    fields = read_body(body, FORM)
    accounts = (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)
    signer = find_signer(fields, accounts)
    if signer is None and not _is_null_signed(fields):
        reason = "no key fits the browser return's signature"
        raise SignatureMismatch(reason)
    try:
        event = event_of(fields, signed=signer is not None, member_id=None if signer is None else signer.member_id)
    except UnreadableError as unreadable:
        reason = str(unreadable)
    else:
        return BrowserReturn(
            payment_id=event.payment_id,
            merchant_transaction_id=event.merchant_transaction_id,
            amount=event.amount,
            outcome=event.outcome,
            status=event.status or event.transaction_status,
            result=event.result,
            proven=signer is not None,
            member_id=event.member_id,
            raw=event.raw,
        )
    raise UnreadableCallback(reason)


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
