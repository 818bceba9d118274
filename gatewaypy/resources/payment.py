"""What every payment has in common, be it by card, by stored card or recurring: its options, and how it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from gatewaypy.protocol import requests
from gatewaypy.secret import Secret, wrap_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatewaypy.models import Address, BrowserInfo, Customer, Payment, PaymentSource
    from gatewaypy.money import Money
    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.protocol.operations import Operation


class ChargeOptions(TypedDict, total=False):
    """What any payment can carry besides its amount, source and id (protocol section 6).

    ``redirect_url`` is where the payer's browser comes back to after 3-D Secure, ``notification_url`` where callbacks go;
    ``three_d`` is ``"direct"``, ``"3D"`` or ``"only3D"``; ``shown_amount`` the amount and currency shown to the payer where they
    differ; ``terminal_id`` overrides the credentials' own; ``extra`` carries fields by their wire names that the library does
    not know.
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
    """What a debit or preauthorization can carry: `ChargeOptions`, and ``store_card``, which asks for a registration id."""

    store_card: bool


_OPTIONS: Final = frozenset({*ChargeOptions.__annotations__, *PaymentOptions.__annotations__})


def wrap_options(options: PaymentOptions | ChargeOptions) -> PaymentOptions:
    """Seal the extra fields where they come in: no frame of the library's holds their text from there on.

    An option that does not exist is refused later on; its text may be a CVV that was meant well.
    """
    kept: Any = {
        name: Secret(value) if name not in _OPTIONS and isinstance(value, str) else value
        for name, value in options.items()
    }
    if kept.get("extra") is not None:
        kept["extra"] = wrap_extra(kept["extra"])
    return kept  # type: ignore[no-any-return]


def wrap_source(source: Any) -> Any:  # noqa: ANN401 - what is no source is refused later on
    """Seal a text that was given in a source's place: it may be a card number."""
    return Secret(source) if isinstance(source, str) else source


async def pay(
    pipeline: Pipeline,
    operation: Operation,
    amount: Money,
    source: PaymentSource | requests.Stored,
    merchant_transaction_id: str,
    options: PaymentOptions,
) -> Payment:
    """Carry a payment out. The options have been through :func:`wrap_options`."""
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
