"""The tables of magic cards and amounts that decide on payments.

``docs/sandbox-tables.md`` is generated from them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = "00001"


@frozen
class Decision:
    """The outcome of a payment or payout.

    A reply can contradict ``booked``, as that of a broken gateway might.

    Args:
        explanation: The outcome in words, for the documentation.
        short: The short status of the reply.
        code: The code of the reply.
        remark: The remark of the reply.
        booked: Whether the money moves.
        page: The page that the payer is sent to first: ``"acs"`` for 3-D Secure, ``"wallet"`` for
            payments without a card.
        later: Whether the payment is pending, and is approved after a delay with a callback.
    """

    explanation: str
    short: str = "Y"
    code: str = SUCCESS
    remark: str = "Approved"
    booked: bool = True
    page: str | None = None
    later: bool = False


APPROVED: Final = Decision("approved")
#: The payer of a payment without a card confirms it on a page (protocol section 6,
#: ``paymentMode``).
ELSEWHERE: Final = Decision(
    "the payer is sent to the wallet's, bank's or voucher's page", short="P", page="wallet"
)
CHALLENGED: Final = Decision(
    "3-D Secure: the payer is sent to the challenge page", short="3D", code="90026", page="acs"
)


def _declined(code: str, remark: str) -> Decision:
    return Decision(
        f"declined with {code}, “{remark}”", short="N", code=code, remark=remark, booked=False
    )


#: The cards of protocol section 12 (documented), and the sandbox's own cards for declines.
CARDS: Final[Mapping[str, Decision]] = {
    "4000000000000051": APPROVED,
    "4111111111111111": APPROVED,
    "5101082187256503": APPROVED,
    "5101080000000009": APPROVED,
    "375510513169537": APPROVED,
    "378282246310005": APPROVED,
    "4000000000000002": CHALLENGED,
    "4000000000000069": _declined("11054", "Expired card"),
    "4000000000000077": _declined("11005", "Do not honour"),
    "4000000000000085": _declined("11051", "Insufficient funds"),
    "4000000000000093": _declined("11043", "Stolen card"),
}

#: Amounts in any currency. They take precedence over the card, and apply to payouts too.
AMOUNTS: Final[Mapping[Decimal, Decision]] = {
    Decimal(6005): _declined("11005", "Do not honour"),
    Decimal(6007): _declined("20007", "Failed"),
    Decimal(6014): _declined("11014", "Invalid card"),
    Decimal(6051): _declined("11051", "Insufficient funds"),
    Decimal(6090): Decision(
        "pending, and approved a moment later with a callback",
        short="P",
        code="00001",
        remark="",
        later=True,
    ),
    Decimal(6091): Decision("always pending", short="P", code="00001", remark="", booked=False),
    Decimal(6097): Decision(
        "approved, but the reply has an unknown code", code="77777", remark="?"
    ),
    Decimal(6098): Decision(
        "approved, but the reply's code says declined", code="10001", remark="?"
    ),
    Decimal(6099): Decision(
        "declined, but the reply has an unknown code",
        short="N",
        code="77777",
        remark="?",
        booked=False,
    ),
}


def decide(
    amount: Decimal, card_number: str | None, three_d: str | None, *, payer_is_there: bool = True
) -> Decision:
    """Decide on a payment or payout by its amount, or else by its card.

    Cards that are not listed are approved.

    Args:
        amount: The amount, in any currency.
        card_number: The card's digits, if there is a card.
        three_d: The request's ``attemptThreeD``. ``only3D`` turns an approval into a challenge.
        payer_is_there: False for a repeat. It is approved instead of challenged.

    Returns:
        The outcome.
    """
    decision = AMOUNTS.get(amount) or CARDS.get(card_number or "", APPROVED)
    if decision is APPROVED and (three_d or "").lower() == "only3d":
        decision = CHALLENGED
    return APPROVED if decision is CHALLENGED and not payer_is_there else decision


def decide_elsewhere(amount: Decimal) -> Decision:
    """Decide on a payment without a card by its amount, or else by the payer's answer on a page."""
    return AMOUNTS.get(amount) or ELSEWHERE
