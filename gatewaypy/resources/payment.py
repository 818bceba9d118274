"""What all payments have in common: their options, and how they are executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from gatewaypy.protocol import requests
from gatewaypy.secret import Secret, wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Address, BrowserInfo, Customer, Payment, PaymentSource
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.protocol.operation_types import Operation


class ChargeOptions(TypedDict, total=False):
    """Options of every payment (protocol section 6).

    Attributes:
        customer: The payer.
        shipping: Where the goods are sent.
        redirect_url: Where the payer's browser returns to after 3-D Secure.
        notification_url: Where callbacks are sent.
        three_d: ``"direct"``, ``"3D"`` or ``"only3D"``.
        browser: The payer's browser, for 3-D Secure 2.
        descriptor: Text on the payer's statement.
        shown_amount: Amount and currency shown to the payer, if they differ.
        terminal_id: Overrides the terminal of the credentials.
        extra: Fields that the library does not know, by their wire names.
    """

    customer: Customer | None
    shipping: Address | None
    redirect_url: str | None
    notification_url: str | None
    three_d: str | None
    browser: BrowserInfo | None
    descriptor: str | None
    shown_amount: Money | None
    terminal_id: str | None
    extra: Mapping[str, str | Secret] | None


class PaymentOptions(ChargeOptions, total=False):
    """Options of a debit or preauthorization: `ChargeOptions` and ``store_card``.

    Attributes:
        store_card: Store the card, so that the payment has a registration id.
    """

    store_card: bool


_OPTIONS: Final = frozenset({*ChargeOptions.__annotations__, *PaymentOptions.__annotations__})


def wrap_options(options: PaymentOptions | ChargeOptions) -> PaymentOptions:
    """Wrap the extra fields, so that no frame of the library has their text.

    An unknown option is rejected later. Its text is wrapped too: it may be a CVV under a wrong
    name.
    """
    wrapped: Any = {
        name: Secret(value) if name not in _OPTIONS and isinstance(value, str) else value
        for name, value in options.items()
    }
    if wrapped.get("extra") is not None:
        wrapped["extra"] = wrap_extra(wrapped["extra"])
    return wrapped  # type: ignore[no-any-return]


def wrap_source(source: Any) -> Any:  # noqa: ANN401 - anything but a source is rejected later
    """Wrap a string that was passed as the source: it may be a card number."""
    return Secret(source) if isinstance(source, str) else source


async def pay(
    pipeline: Pipeline,
    operation: Operation,
    amount: Money,
    source: PaymentSource | requests.Stored,
    merchant_transaction_id: str,
    options: PaymentOptions,
) -> Payment:
    """Execute a payment. The options must have been through `wrap_options`."""
    request = requests.payment(
        operation,
        platform=pipeline.platform,
        credentials=pipeline.credentials,
        amount=amount,
        source=source,
        merchant_transaction_id=merchant_transaction_id,
        **options,
    )
    payment: Payment = await pipeline.run(request)
    return payment
