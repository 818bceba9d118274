"""The pages that a payer's browser sees: the bank's challenge, and the way back to the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

_templates: Final = Environment(
    loader=PackageLoader("gatewaypy.sandbox", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def challenge(*, action: str, merchant_transaction_id: str, amount: str, currency: str, card: Mapping[str, str]) -> HTMLResponse:
    """Show the bank's page: approve, decline, or walk away."""
    page = _templates.get_template("challenge.html")
    return HTMLResponse(
        page.render(action=action, merchant_transaction_id=merchant_transaction_id, amount=amount, currency=currency, card=card)
    )


def way_back(*, url: str, fields: Mapping[str, str]) -> HTMLResponse:
    """Send the browser back to the shop with the browser return's fields."""
    return HTMLResponse(_templates.get_template("way_back.html").render(url=url, fields=fields))


def notice(text: str, *, status: int = 200) -> HTMLResponse:
    """Show a sentence where there is nowhere to go."""
    return HTMLResponse(_templates.get_template("notice.html").render(text=text), status)
