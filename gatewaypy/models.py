"""What callers give and get: customers and addresses on the way out, frozen results on the way back."""

from __future__ import annotations

import enum
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import field, frozen

from gatewaypy.errors import Declined, InsecureConnection, OutcomeUnknown
from gatewaypy.money import Money  # noqa: TC001 - cattrs reads the annotations
from gatewaypy.platforms import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date


class Outcome(enum.Enum):
    """What became of an operation, in the words that a merchant's code decides by."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    REDIRECT = "redirect"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged back"
    UNKNOWN = "unknown"


class SettledBy(enum.Enum):
    """How an outcome was learnt: from the request's own reply, or by asking afterwards."""

    REPLY = "reply"
    INQUIRY = "inquiry"


class Fields(Mapping[str, Any]):
    """What the gateway sent, by the gateway's own names; reads like a dict, shows only how much it holds."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - the gateway may send any JSON
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} fields>"


_NOTHING: Final = Fields()


@frozen
class Customer:
    """The payer, or the person paid out to (protocol section 6, documented).

    ``phone_country_code`` is free form (``"091"``, ``"+44"``), ``ip`` the payer's address, ``customer_id`` the gateway's id
    of a customer who signed up. ``birth_date`` goes out as ``YYYYMMDD``.
    """

    given_name: str | None = None
    surname: str | None = None
    email: str | None = None
    phone: str | None = None
    phone_country_code: str | None = None
    ip: str | None = None
    birth_date: date | None = None
    sex: str | None = None
    customer_id: str | None = None


@frozen
class Address:
    """Where goods go (protocol section 6, documented); ``country`` is ISO 3166-1 alpha-2."""

    country: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    street: str | None = None


@frozen(kw_only=True)
class BrowserInfo:
    """What 3-D Secure 2 wants to know of the payer's browser (protocol section 6, seen).

    ``timezone_offset`` is in minutes as ``Date.getTimezoneOffset()`` gives it, the sizes in pixels, ``color_depth`` in bits.
    """

    user_agent: str
    accept_header: str
    language: str
    timezone_offset: int
    color_depth: int
    screen_height: int
    screen_width: int
    java_enabled: bool = False


@frozen
class ResultCode:
    """The gateway's code (text: ``"00001"``) and its words for it; both empty where it sent none."""

    code: str = ""
    description: str = ""


@frozen
class MaskedCard:
    """As much of a card as may be shown."""

    bin: str | None = None
    last_four: str | None = None
    holder: str | None = None
    expiry_month: str | None = None
    expiry_year: str | None = None


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Continue to your bank</title></head>
<body onload="document.forms[0].submit()">
<form action="{url}" method="{method}" accept-charset="utf-8">
{inputs}
<noscript><p>Your bank asks you to confirm this payment.</p><button type="submit">Continue</button></noscript>
</form>
</body>
</html>
"""


@frozen
class Redirect:
    """Where the payer's browser must go on, and with what (protocol section 7, seen).

    ``method`` is ``"GET"`` or ``"POST"``; ``parameters`` holds every name and value, empty ones too. Use :meth:`html` as the
    whole answer to the payer's browser, or send it to ``url`` yourself when ``method`` is ``"GET"`` and there are none.
    """

    url: str
    method: str = "POST"
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    target: str | None = None

    def html(self) -> str:
        """Return a page that sends the browser on by itself, with a button where scripts are off.

        Every value is escaped. A GET form keeps only its inputs, so the URL's own query goes in as inputs too.

        :raises InsecureConnection: where the gateway gave a URL that is neither https nor this machine's own.
        """
        from urllib.parse import parse_qsl, urlsplit  # noqa: PLC0415 - only pages need it

        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise InsecureConnection("redirect.url", "https: a payer's data must not travel in the clear", "another scheme")
        pairs, url = list(self.parameters), self.url
        if self.method == "GET":
            pairs = parse_qsl(parts.query, keep_blank_values=True) + pairs
            url = parts._replace(query="").geturl()
        inputs = "\n".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">' for name, value in pairs
        )
        return _PAGE.format(url=html.escape(url), method=self.method.lower(), inputs=inputs)


@frozen(kw_only=True)
class OperationResult:
    """What every result has.

    ``outcome`` is the library's reading; ``status`` and ``transaction_status`` are the gateway's long and short words for it,
    carried as text even where the library doesn't know them. ``timestamp`` has no zone and must not be computed with.
    ``raw`` is the whole reply, ``extra`` the part of it that has no attribute here. ``settled_by`` tells whether the
    operation's own reply said so, or an inquiry made because that reply was missing or unreadable.
    """

    outcome: Outcome
    result: ResultCode = ResultCode()
    status: str | None = None
    transaction_status: str | None = None
    payment_id: str | None = None
    merchant_transaction_id: str | None = None
    amount: Money | None = None
    remark: str | None = None
    timestamp: str | None = None
    settled_by: SettledBy = SettledBy.REPLY
    extra: Fields = field(default=_NOTHING, repr=False)
    raw: Fields = field(default=_NOTHING, repr=False, eq=False)

    @property
    def succeeded(self) -> bool:
        """Whether the operation is done and its money moved (or is held, for a preauthorization)."""
        return self.outcome is Outcome.SUCCEEDED

    def raise_for_outcome(self) -> Self:
        """Return the result itself, unless it is a no.

        :raises Declined: where it failed or was cancelled.
        :raises OutcomeUnknown: where nobody knows.
        """
        if self.outcome in {Outcome.FAILED, Outcome.CANCELLED}:
            raise Declined(
                outcome=self.outcome.name,
                code=self.result.code,
                description=self.result.description,
                payment_id=self.payment_id,
                operation=type(self).__name__.lower(),
                merchant_transaction_id=self.merchant_transaction_id,
            )
        if self.outcome is Outcome.UNKNOWN:
            reason = "the gateway's answer says neither yes nor no"
            raise OutcomeUnknown(
                reason,
                operation=type(self).__name__.lower(),
                merchant_transaction_id=self.merchant_transaction_id,
                payment_id=self.payment_id,
                status=self.status,
                code=self.result.code,
            )
        return self


@frozen(kw_only=True)
class Payment(OperationResult):
    """A debit or a preauthorization (protocol section 7).

    ``redirect`` is where the payer must go on, with outcome ``REDIRECT``. ``duplicate`` is true where the gateway said that
    this merchant transaction id had been used before: the result then tells of that earlier payment, and no second was made.
    """

    redirect: Redirect | None = None
    card: MaskedCard | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None
    registration_id: str | None = None
    descriptor: str | None = None
    eci: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    duplicate: bool = False


@frozen(kw_only=True)
class FollowUp(OperationResult):
    """An operation on an earlier payment.

    ``amount`` is what was asked for; where an inquiry settled it, only what that told.
    """


@frozen(kw_only=True)
class Capture(FollowUp):
    """The capture of a preauthorization (protocol sections 4 and 7)."""


@frozen(kw_only=True)
class Reversal(FollowUp):
    """The cancelling of a preauthorization, whole (protocol sections 4 and 7)."""


@frozen(kw_only=True)
class Refund(FollowUp):
    """A refund of a captured payment, once per payment (protocol sections 4 and 7)."""


@frozen(kw_only=True)
class Payout(OperationResult):
    """Money sent to a customer (protocol section 7). ``duplicate`` as in `Payment`."""

    payment_brand: str | None = None
    payment_mode: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    duplicate: bool = False


@frozen(kw_only=True)
class Transaction(OperationResult):
    """What an inquiry says of a payment or payout (protocol section 7).

    ``found`` is false where the gateway has no record; ``outcome`` is then ``UNKNOWN``: a record may appear late.
    """

    found: bool
    card: MaskedCard | None = None
    payment_brand: str | None = None
    payment_mode: str | None = None
    registration_id: str | None = None
    descriptor: str | None = None
    eci: str | None = None
    bank_reference_id: str | None = None
    terminal_id: str | None = None
    captured: Money | None = None
    refunded: Money | None = None
