"""What can go wrong, as a tree; every error is plain data and can be pickled.

GatewayError
├── ConfigurationError      the library is set up or used in a way that cannot work
├── InvalidRequest          refused before anything was sent; also a ValueError
│   └── InsecureConnection  plain http beyond loopback, or TLS that is not verified; also a ConfigurationError
├── NotSent                 no byte of the request left: safe to call again
│   └── NotProcessed        sent, and refused with a status that on this platform means: not processed
├── AuthenticationFailed    the gateway gave no token, or refused a fresh one; no money moved
├── UnreadableReply         a call that moves no money got no usable answer
├── OutcomeUnknown          sent, and neither the reply nor an inquiry could tell what happened
├── Declined                raised by ``raise_for_outcome()`` alone: a decline is a result
└── CallbackError           a callback or browser return that cannot be believed
    ├── SignatureMismatch
    └── UnreadableCallback

No error carries a request, a reply's body or anything secret: only ids, codes and the gateway's own words.
"""

from __future__ import annotations

from typing import Any, Final

from gatewaypy.printable import printable

__all__ = [
    "AuthenticationFailed",
    "CallbackError",
    "ConfigurationError",
    "Declined",
    "GatewayError",
    "InsecureConnection",
    "InvalidRequest",
    "NotProcessed",
    "NotSent",
    "OutcomeUnknown",
    "SignatureMismatch",
    "UnreadableCallback",
    "UnreadableReply",
]


#: Characters: room for what the gateway says in each part, and for the advice after it.
_MAX_MESSAGE: Final = 8000


def _restore(
    kind: type[GatewayError], args: tuple[Any, ...], facts: dict[str, Any]
) -> GatewayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class GatewayError(Exception):
    """The root of every error that the library raises on purpose.

    ``merchant_transaction_id`` and ``operation`` are ``None`` where there is no such thing. ``retry_after`` is how many
    seconds the gateway asked to wait before it is called again, ``None`` where it did not.
    """

    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        super().__init__(printable(message, _MAX_MESSAGE))
        self.operation = operation
        self.merchant_transaction_id = merchant_transaction_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by facts, so that subclasses with keyword-only facts survive process pools and task queues."""
        return _restore, (type(self), self.args, self.__dict__.copy())


class ConfigurationError(GatewayError):
    """The library is set up or used in a way that cannot work: a missing extra, another event loop, a closed gateway."""


class InvalidRequest(GatewayError, ValueError):
    """Refused before anything was sent.

    ``field`` is the wire's or the argument's name, ``rule`` says what is allowed, ``shape`` describes the refused
    value (its length and the kinds of its characters) without showing it: a card number never gets into an error.
    """

    def __init__(
        self,
        field: str,
        rule: str,
        shape: str = "",
        *,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        message = f"{field}: {rule}" + (f"; got {shape}" if shape else "")
        super().__init__(
            message, operation=operation, merchant_transaction_id=merchant_transaction_id
        )
        self.field = field
        self.rule = rule
        self.shape = shape


class InsecureConnection(InvalidRequest, ConfigurationError):
    """A base URL or a TLS context that would let somebody else read or change a payment."""


class NotSent(GatewayError):
    """No byte of the request left this machine, which the transport knows for certain: it is safe to call again.

    ``reason`` says what stood in the way: no connection, no free slot in time, no token.
    """

    def __init__(
        self,
        reason: str,
        *,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        super().__init__(
            f"{operation or 'request'} was not sent: {reason}; it is safe to call again",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.reason = reason


class NotProcessed(NotSent):
    """The gateway refused the request without processing it: it is safe to call again.

    Raised only for the HTTP statuses in ``Platform.unprocessed_statuses``, which is empty unless you set it.
    """

    def __init__(
        self,
        reason: str,
        *,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        super().__init__(
            reason, operation=operation, merchant_transaction_id=merchant_transaction_id
        )
        self.args = (
            f"{operation or 'request'} was not processed: {reason}; it is safe to call again",
        )


class AuthenticationFailed(GatewayError):
    """The gateway gave no token, or refused one that it had just given. No money moved.

    ``code`` and ``description`` are the gateway's, ``http_status`` the reply's; each ``None`` where there was none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        description: str | None = None,
        http_status: int | None = None,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        super().__init__(
            message, operation=operation, merchant_transaction_id=merchant_transaction_id
        )
        self.code = code
        self.description = description
        self.http_status = http_status


class UnreadableReply(GatewayError):
    """A call that moves no money was sent and got no usable answer: nothing at all, or something unreadable."""

    def __init__(
        self,
        reason: str,
        *,
        http_status: int | None = None,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        super().__init__(
            f"{operation or 'request'} got no usable answer: {reason}",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.reason = reason
        self.http_status = http_status


class OutcomeUnknown(GatewayError):
    """The request was sent, and neither its reply nor an inquiry could tell what became of it.

    Do not send it again before an inquiry says that the gateway does not have it: money may have moved.

    ``reason`` says what was wrong with the reply, ``inquiry`` what the last inquiry said (``"record not found"``, a
    status, or why there was no answer), ``payment_id`` the gateway's id where one is known, ``status`` and ``code``
    the last that was read.
    """

    def __init__(
        self,
        reason: str,
        *,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
        payment_id: str | None = None,
        inquiry: str | None = None,
        status: str | None = None,
        code: str | None = None,
    ) -> None:
        ask = (
            f"payment_id={payment_id!r}"
            if payment_id is not None
            else f"merchant_transaction_id={merchant_transaction_id!r}"
        )
        super().__init__(
            f"{operation or 'request'} was sent and its outcome is unknown: {printable(reason)};"
            f" last inquiry: {printable(inquiry or 'none was possible')}."
            f" Do not send it again; ask gateway.inquire({ask}) until it answers",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.reason = reason
        self.payment_id = payment_id
        self.inquiry = inquiry
        self.status = status
        self.code = code


class Declined(GatewayError):
    """The gateway or the issuer said no; raised by ``raise_for_outcome()`` alone.

    ``outcome`` is the name of the outcome (``"FAILED"`` or ``"CANCELLED"``). ``code`` and ``description`` are the payment's
    own; both are empty if only an inquiry said that it failed, since an inquiry's code is about the look-up. ``remark`` has
    the bank's words where they were given.
    """

    def __init__(
        self,
        *,
        outcome: str,
        code: str,
        description: str,
        remark: str | None = None,
        payment_id: str | None = None,
        operation: str | None = None,
        merchant_transaction_id: str | None = None,
    ) -> None:
        said = f"{code} {description}".strip()
        reasons = [words for words in (said, remark) if words]
        super().__init__(
            f"{operation or 'payment'} {outcome.lower()}: {'; '.join(reasons) or 'no reason was given'}",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.outcome = outcome
        self.code = code
        self.description = description
        self.remark = remark
        self.payment_id = payment_id


class CallbackError(GatewayError):
    """A callback or browser return that cannot be believed."""


class SignatureMismatch(CallbackError):
    """The signature is missing or fits none of the keys."""


class UnreadableCallback(CallbackError):
    """The body is no callback: too large, not JSON or form, duplicate keys, too deep, or in an unknown charset."""


#: The errors that say that nothing was done: no byte of a request that moves money left, or the
#: gateway rejected its token. Any other error leaves open whether money moved.
NOTHING_DONE: Final = (NotSent, AuthenticationFailed, InvalidRequest, ConfigurationError)
