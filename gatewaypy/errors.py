"""The errors of the library, as a tree. Each is plain data and can be pickled.

GatewayError
├── ConfigurationError      the library is configured or used incorrectly
├── InvalidRequest          rejected before anything was sent; also a ValueError
│   └── InsecureConnection  plain http beyond loopback, or unverified TLS; also a ConfigurationError
├── NotSent                 no byte of the request was sent: it is safe to call again
│   └── NotProcessed        sent, and refused with a status that means "not processed" here
├── AuthenticationFailed    the gateway rejected the credentials or a new token; no money moved
├── UnreadableReply         a call that moves no money got no usable answer
├── OutcomeUnknown          sent, but neither the reply nor an inquiry gave the outcome
├── Declined                raised only by ``raise_for_outcome()``: a decline is a result
└── CallbackError           a callback or browser return that cannot be trusted
    ├── SignatureMismatch
    └── UnreadableCallback

An error contains ids, codes and the gateway's texts, but no request, reply body or secret.
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


#: In characters: enough for the longest texts of the gateway and the advice after them.
_MAX_MESSAGE: Final = 8000


def _restore(
    kind: type[GatewayError], args: tuple[Any, ...], facts: dict[str, Any]
) -> GatewayError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class GatewayError(Exception):
    """The base class of all errors of the library.

    Attributes:
        operation: Name of the operation, or None.
        merchant_transaction_id: Your id of the payment or payout, or None.
        retry_after: The gateway's request to wait, in seconds, or None.
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
        """Pickle the attributes: the constructors of subclasses have keyword-only parameters."""
        return _restore, (type(self), self.args, self.__dict__.copy())


class ConfigurationError(GatewayError):
    """The library is configured or used incorrectly: a missing extra, a closed gateway."""


class InvalidRequest(GatewayError, ValueError):
    """Rejected before anything was sent.

    Attributes:
        field: Name of the argument or of the field on the wire.
        rule: What is allowed.
        shape: Length and kinds of characters of the value, which may be a card number.
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
    """A base URL or TLS context that would let others read or change a payment."""


class NotSent(GatewayError):
    """No byte of the request was sent: it is safe to call again.

    Attributes:
        reason: Why, such as no connection, no free slot in time, or no token.
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

    Raised only for the HTTP statuses in ``Platform.unprocessed_statuses``, empty by default.
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
    """The gateway issued no token, or rejected a new one. No money moved.

    Attributes:
        code: The gateway's code, or None.
        description: The gateway's text, or None.
        http_status: Status of the reply, or None.
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
    """A call that moves no money was sent and got no answer, or an unreadable one.

    Attributes:
        reason: What was wrong with the answer.
        http_status: Status of the reply, or None.
    """

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
    """The request was sent, but neither its reply nor an inquiry gave its outcome.

    Money may have moved. Do not send the request again unless an inquiry reports that the gateway
    has no record of it.

    Attributes:
        reason: What was wrong with the reply.
        inquiry: Result of the last inquiry: ``"record not found"``, a status, or why there was no
            answer.
        payment_id: The gateway's id, or None.
        status: The last status that was read, or None.
        code: The last code that was read, or None.
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
        id_argument = (
            f"payment_id={payment_id!r}"
            if payment_id is not None
            else f"merchant_transaction_id={merchant_transaction_id!r}"
        )
        super().__init__(
            f"{operation or 'request'} was sent but its outcome is unknown: {printable(reason)};"
            f" last inquiry: {printable(inquiry or 'none was possible')}."
            " Do not send it again."
            f" Call gateway.inquire({id_argument}) until it returns an outcome.",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.reason = reason
        self.payment_id = payment_id
        self.inquiry = inquiry
        self.status = status
        self.code = code


class Declined(GatewayError):
    """The gateway or the issuer declined; raised only by ``raise_for_outcome()``.

    Attributes:
        outcome: ``"FAILED"`` or ``"CANCELLED"``.
        code: The payment's code. Empty if only an inquiry reported the failure, because an
            inquiry's code is about the look-up.
        description: The payment's text; empty as ``code``.
        remark: The bank's text, or None.
        payment_id: The gateway's id, or None.
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
        result = f"{code} {description}".strip()
        reasons = "; ".join(text for text in (result, remark) if text)
        super().__init__(
            f"{operation or 'payment'} {outcome.lower()}: {reasons or 'no reason was given'}",
            operation=operation,
            merchant_transaction_id=merchant_transaction_id,
        )
        self.outcome = outcome
        self.code = code
        self.description = description
        self.remark = remark
        self.payment_id = payment_id


class CallbackError(GatewayError):
    """A callback or browser return that cannot be trusted."""


class SignatureMismatch(CallbackError):
    """The signature is missing or does not match any key."""


class UnreadableCallback(CallbackError):
    """The body is not a callback.

    It is too large or too deep, not JSON or a form, has duplicate keys, or an unknown charset.
    """


#: The errors that say that nothing was done: no byte of a request that moves money left, or the
#: gateway rejected its token. Any other error leaves open whether money moved.
NOTHING_DONE: Final = (NotSent, AuthenticationFailed, InvalidRequest, ConfigurationError)
