"""What a callback tells, as types: a handler names the one that it wants to hear."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from gatewaypy.models import Fields, MaskedCard, Outcome, ResultCode, Transaction
from gatewaypy.money import Money  # noqa: TC001 - cattrs and attrs.evolve read the annotations
from gatewaypy.protocol import decode
from gatewaypy.protocol.redaction import redact
from gatewaypy.protocol.reply_fields import read_text, text_or_none
from gatewaypy.protocol.statuses import outcome_of
from gatewaypy.protocol.transitions import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOTHING: Final = Fields()
_LONGEST_STATUS: Final = 64
_NO_RESULT: Final = ResultCode()
#: The wire names that an event has attributes for; what is left over goes into ``extra``.
_KNOWN: Final = frozenset(
    {"paymentId", "merchantTransactionId", "transactionStatus", "status", "result", "amount", "currency", "remark", "timestamp",
     "card"}
)  # fmt: skip


def _typed(event: CallbackEvent, name: str) -> Any:  # noqa: ANN401 - any attribute's
    """Type an attribute from what was received when it is first looked at, and keep it."""
    read = _WHEN_LOOKED_AT.get(name)
    if read is None:
        msg = f"{type(event).__name__} has no attribute {name!r}"
        raise AttributeError(msg, name=name, obj=event)
    value = read(event.raw)
    object.__setattr__(event, name, value)
    return value


@frozen(kw_only=True)
class CallbackEvent:
    """What the gateway told of a payment or payout; ``router.on(CallbackEvent)`` hears every one.

    ``amount``, ``payment_id``, ``merchant_transaction_id`` and the status are what the signature covers; ``result``, ``card``,
    ``remark`` and the currency are not (protocol section 10). ``signed`` tells whether a key fitted, ``member_id`` whose.
    ``confirmed`` holds the inquiry's answer where the gateway was asked: the event's fields are the inquiry's own then, except
    ``result``, which is the callback's, and empty if no callback told one.
    """

    outcome: Outcome
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    amount: Money | None = None
    status: str | None = None
    transaction_status: str | None = None
    result: ResultCode = _NO_RESULT
    remark: str | None = None
    timestamp: str | None = None
    card: MaskedCard | None = None
    signed: bool = False
    member_id: str | None = None
    confirmed: Transaction | None = field(default=None, repr=False)
    extra: Fields = field(default=_NOTHING, repr=False)
    raw: Fields = field(default=_NOTHING, repr=False, eq=False)

    if not TYPE_CHECKING:
        # For a slot that is empty yet. Type checkers know the attributes, and shall not believe in others.
        __getattr__ = _typed

    @property
    def state(self) -> str | None:
        """The word that the payment's progress is kept by; ``None`` for a status that the library doesn't know."""
        return state_of(self.status, self.transaction_status)

    @property
    def key(self) -> bytes:
        """What exact repeats share: a digest of the merchant, both ids, the status, the amount, and how it came.

        An unsigned callback must never stand in for the signed one, nor either for an inquiry's answer.
        """
        came = "inquiry" if self.confirmed is not None else "signed" if self.signed else "unsigned"
        return event_key(self.member_id, self.raw, came)


class PaymentPending(CallbackEvent):
    """A payment is under way: started, or waiting for the payer, a capture or a refund to end."""


class PaymentAuthorized(CallbackEvent):
    """A payment is approved: its money is held, and may be captured or reversed. A bare ``Y`` says no more than that either."""


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
    """A payout is under way."""


class PayoutSucceeded(CallbackEvent):
    """A payout is done."""


class PayoutFailed(CallbackEvent):
    """A payout failed: the money did not go out."""


class UnknownEvent(CallbackEvent):
    """A callback with a status that the library doesn't know, or with two that contradict each other."""


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
    """Type a callback's fields, without card numbers.

    :param result: with ``confirmed``, the payment's own code, if a callback told one: an inquiry's is about the look-up.
    :raises UnreadableError: where a field that decides is no text.
    """
    fields = redact(fields)
    long, short, outcome, kind = _read_meaning(
        read_text(fields, "status"), read_text(fields, "transactionStatus")
    )
    event = kind.__new__(kind)
    # Not by its constructor, which wants everything: typing what few handlers look at was a third of a callback's cost.
    fill = partial(object.__setattr__, event)
    fill("outcome", outcome)
    fill("payment_id", decode.payment_id(fields))
    fill("merchant_transaction_id", text_or_none(fields, "merchantTransactionId") or None)
    fill("status", long)
    fill("transaction_status", short)
    fill("signed", signed)
    fill("member_id", member_id)
    fill("confirmed", confirmed)
    if confirmed is not None:
        fill("result", result)
    fill("raw", Fields(fields))
    return event


#: How the other attributes are read. None of them decides anything, and none of these raises.
_WHEN_LOOKED_AT: Final[Mapping[str, Callable[[Fields], Any]]] = {
    "amount": lambda raw: decode.money(raw.get("amount"), raw.get("currency")),
    "result": lambda raw: decode.result_code(raw.get("result")),
    "remark": lambda raw: text_or_none(raw, "remark"),
    "timestamp": lambda raw: text_or_none(raw, "timestamp"),
    "card": lambda raw: decode.masked_card(raw.get("card")),
    "extra": lambda raw: Fields({name: value for name, value in raw.items() if name not in _KNOWN}),
}


def _read_meaning(
    long: str | None, short: str | None
) -> tuple[str | None, str | None, Outcome, type[CallbackEvent]]:
    """Look a status up that may be one; what is longer than any of them is a stranger's, and not kept."""
    read = (
        _meaning if len(long or "") + len(short or "") <= _LONGEST_STATUS else _meaning.__wrapped__
    )
    return read(long, short)


# A gateway has few statuses, and says the same ones all day.
@lru_cache(maxsize=64)
def _meaning(
    long: str | None, short: str | None
) -> tuple[str | None, str | None, Outcome, type[CallbackEvent]]:
    """Tell long from short, and what the two say together."""
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
    """Digest what makes two callbacks the same: SHA-256 over length-prefixed merchant, ids, status, amount and way of coming."""
    values = (came, member_id, *map(fields.get, _KEYED))
    parts = [
        value.encode(errors="surrogatepass") if isinstance(value, str) else b"" for value in values
    ]
    return hashlib.sha256(
        b"".join([len(part).to_bytes(4, "big") + part for part in parts])
    ).digest()
