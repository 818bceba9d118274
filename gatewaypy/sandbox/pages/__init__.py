"""The pages that a payer's browser sees: the bank's challenge, and the way back to the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from gatewaypy.models.redirect import redirect_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_templates: Final = Environment(
    loader=PackageLoader("gatewaypy.sandbox", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def challenge(
    *,
    action: str,
    asker: str,
    merchant_transaction_id: str,
    amount: str,
    currency: str,
    card: Mapping[str, str],
) -> HTMLResponse:
    """Show the bank's or the wallet's page: approve, decline, or walk away."""
    page = _templates.get_template("challenge.html")
    return HTMLResponse(
        page.render(
            action=action,
            asker=asker,
            merchant_transaction_id=merchant_transaction_id,
            amount=amount,
            currency=currency,
            card=card,
        )
    )


def payment(*, action: str, words: str, amount: str, currency: str, mode: str) -> HTMLResponse:
    """Show the hosted payment page: pay by card, go on to a wallet, or cancel."""
    page = _templates.get_template("payment.html")
    return HTMLResponse(
        page.render(
            action=action,
            words=words,
            amount=amount,
            currency=currency,
            by_card=mode in {"CC", "DC"},
        )
    )


def registration(*, action: str) -> HTMLResponse:
    """Show the hosted card registration page."""
    return HTMLResponse(_templates.get_template("registration.html").render(action=action))


def onward(*, url: str, method: str, pairs: Iterable[tuple[str, str]]) -> HTMLResponse:
    """Send the browser on to another page."""
    words = "Continue to the next page."
    return HTMLResponse(redirect_page(url, method, pairs, title="Please wait", words=words))


def way_back(*, url: str, fields: Mapping[str, str]) -> HTMLResponse:
    """Send the browser back to the shop with the browser return's fields."""
    return onward(url=url, method="POST", pairs=fields.items())


def notice(text: str, *, status: int = 200) -> HTMLResponse:
    """Show a sentence where there is nowhere to go."""
    return HTMLResponse(_templates.get_template("notice.html").render(text=text), status)
