"""Callback events: one type for each kind, by which handlers are registered."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from gatewaypy.errors import UnreadableCallback
from gatewaypy.models import Fields, MaskedCard, Outcome, ResultCode, Transaction
from gatewaypy.models.fields import NO_FIELDS
from gatewaypy.protocol import decode
from gatewaypy.protocol.parse import UnreadableError
from gatewaypy.protocol.redaction import redact
from gatewaypy.protocol.reply_fields import read_text, text_or_none
from gatewaypy.protocol.statuses import outcome_of
from gatewaypy.protocol.transitions import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.money import Money

_LONGEST_STATUS: Final = 64
_NO_RESULT: Final = ResultCode()
#: The wire names that an event has attributes for; what is left over goes into ``extra``.
_KNOWN: Final = frozenset(
    {"paymentId", "merchantTransactionId", "transactionStatus", "status", "result", "amount", "currency", "remark", "timestamp",
     "card"}
)  # fmt: skip


@frozen(kw_only=True)
class CallbackEvent:
    """A callback about a payment or payout; ``router.on(CallbackEvent)`` receives every one.

    The signature covers ``payment_id``, ``merchant_transaction_id``, ``amount`` and the status. It
    does not cover ``result``, ``card``, ``remark`` and the currency (protocol section 10).

    Attributes:
        outcome: The library's reading of the status.
        payment_id: The gateway's id.
        merchant_transaction_id: Your own id.
        status: The long status, such as ``capturesuccess``.
        transaction_status: The short status, such as ``Y``.
        remark: The bank's words.
        timestamp: The gateway's time, as text.
        signed: Whether the signature matched a key of ``member_id``.
        member_id: The merchant's id.
        confirmed: The inquiry's answer, if the gateway was asked. Every other field is the
            inquiry's own then, except ``result``, which is the callback's, and empty without one.
        raw: The fields as the gateway sent them, without card numbers.
    """

    outcome: Outcome
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    status: str | None = None
    transaction_status: str | None = None
    remark: str | None = None
    timestamp: str | None = None
    signed: bool = False
    member_id: str | None = None
    confirmed: Transaction | None = field(default=None, repr=False)
    _result: ResultCode | None = field(default=None, repr=False, alias="result")
    raw: Fields = field(default=NO_FIELDS, repr=False)

    # Few handlers read these, and reading all of them is a third of what a callback costs.

    @property
    def amount(self) -> Money | None:
        """The amount; None if the callback has none, or not in its format."""
        return decode.money(self.raw.get("amount"), self.raw.get("currency"))

    @cached_property
    def result(self) -> ResultCode:
        """The gateway's code and its description."""
        if self._result is not None:
            return self._result
        return decode.result_code(self.raw.get("result"))

    @cached_property
    def card(self) -> MaskedCard | None:
        """The masked card, if the callback has one."""
        return decode.masked_card(self.raw.get("card"))

    @cached_property
    def extra(self) -> Fields:
        """The fields that have no attribute of their own."""
        return Fields({name: value for name, value in self.raw.items() if name not in _KNOWN})

    @property
    def state(self) -> str | None:
        """The status by which progress is compared; None for an unknown status."""
        return state_of(self.status, self.transaction_status)

    @property
    def key(self) -> bytes:
        """The digest that exact repeats share: merchant, ids, status, amount, and the channel.

        An unsigned callback never replaces a signed one, nor does either replace an inquiry's
        answer.
        """
        came = "inquiry" if self.confirmed is not None else "signed" if self.signed else "unsigned"
        return event_key(self.member_id, self.raw, came)


class PaymentPending(CallbackEvent):
    """A payment is in progress: started, or waiting for the payer, a capture or a refund."""


class PaymentAuthorized(CallbackEvent):
    """A payment is approved: its money is held, and can be captured or reversed.

    A bare ``Y`` is read as this event, because it does not prove a capture.
    """


class PaymentSucceeded(CallbackEvent):
    """A payment is captured or settled."""


class PaymentFailed(CallbackEvent):
    """A payment was declined, or its capture failed."""


class PaymentCancelled(CallbackEvent):
    """A payment was cancelled by the payer, or a preauthorization by the merchant."""


class PaymentRefunded(CallbackEvent):
    """A payment was refunded."""


class ChargedBack(CallbackEvent):
    """A payment was charged back by the issuer."""


class PayoutPending(CallbackEvent):
    """A payout is in progress."""


class PayoutSucceeded(CallbackEvent):
    """A payout is done."""


class PayoutFailed(CallbackEvent):
    """A payout failed: the money did not go out."""


class UnknownEvent(CallbackEvent):
    """A callback with an unknown status, or with two that contradict each other."""


_BY_OUTCOME: Final[Mapping[Outcome, type[CallbackEvent]]] = {
    Outcome.PENDING: PaymentPending,
    Outcome.SUCCEEDED: PaymentSucceeded,
    Outcome.FAILED: PaymentFailed,
    Outcome.CANCELLED: PaymentCancelled,
    Outcome.REFUNDED: PaymentRefunded,
    Outcome.CHARGED_BACK: ChargedBack,
}
_BY_STATE: Final[Mapping[str, type[CallbackEvent]]] = {
    "authsuccessful": PaymentAuthorized,
    # It may be a hold, and proves no capture.
    "y": PaymentAuthorized,
    "payoutstarted": PayoutPending,
    "payoutsuccessful": PayoutSucceeded,
    "payoutfailed": PayoutFailed,
}


def read_event(
    fields: Mapping[str, Any],
    *,
    signed: bool,
    member_id: str | None,
    confirmed: Transaction | None = None,
    result: ResultCode = _NO_RESULT,
) -> CallbackEvent:
    """Read an event from a callback's fields; card numbers are masked.

    Args:
        fields: The fields in the nested shape.
        signed: Whether the signature was verified.
        member_id: The merchant's id.
        confirmed: The inquiry's answer, if the gateway was asked.
        result: The callback's own code, used with ``confirmed``: an inquiry's code is about the
            look-up.

    Raises:
        UnreadableCallback: A deciding field is not a string.
    """
    fields = redact(fields)
    try:
        long, short = read_text(fields, "status"), read_text(fields, "transactionStatus")
        payment_id = decode.payment_id(fields)
    except UnreadableError as unreadable:
        reason = str(unreadable)
    else:
        long, short, outcome, kind = _read_meaning(long, short)
        return kind(
            outcome=outcome,
            payment_id=payment_id,
            merchant_transaction_id=text_or_none(fields, "merchantTransactionId") or None,
            status=long,
            transaction_status=short,
            remark=text_or_none(fields, "remark"),
            timestamp=text_or_none(fields, "timestamp"),
            signed=signed,
            member_id=member_id,
            confirmed=confirmed,
            result=None if confirmed is None else result,
            raw=Fields(fields),
        )
    raise UnreadableCallback(reason)


def _read_meaning(
    long: str | None, short: str | None
) -> tuple[str | None, str | None, Outcome, type[CallbackEvent]]:
    """Read the statuses; the cache does not store texts that are too long for a status."""
    read = (
        _meaning if len(long or "") + len(short or "") <= _LONGEST_STATUS else _meaning.__wrapped__
    )
    return read(long, short)


# A gateway has few statuses, which repeat.
@lru_cache(maxsize=64)
def _meaning(
    long: str | None, short: str | None
) -> tuple[str | None, str | None, Outcome, type[CallbackEvent]]:
    """Return the long and the short status, and the meaning of both together."""
    if short is None and long is not None and state_of(None, long) is not None:
        # The flat form has the short status under the long one's name (protocol section 11).
        long, short = None, long
    outcome = outcome_of(long, short)
    kind = (
        _BY_STATE.get(state_of(long, short) or "")
        if outcome is not Outcome.UNKNOWN
        else UnknownEvent
    )
    return long, short, outcome, kind or _BY_OUTCOME[outcome]


_KEYED: Final = ("merchantTransactionId", "paymentId", "status", "transactionStatus", "amount")


def event_key(member_id: str | None, fields: Mapping[str, Any], came: str) -> bytes:
    """Return the SHA-256 of what identifies an event, each value prefixed by its length."""
    values = (came, member_id, *map(fields.get, _KEYED))
    parts = [
        value.encode(errors="surrogatepass") if isinstance(value, str) else b"" for value in values
    ]
    return hashlib.sha256(
        b"".join([len(part).to_bytes(4, "big") + part for part in parts])
    ).digest()
