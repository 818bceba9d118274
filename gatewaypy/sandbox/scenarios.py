"""How the sandbox decides: magic cards and amounts, as tables that ``docs/sandbox.md`` is made from."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = "00001"


@frozen
class Decision:
    """What becomes of a payment or payout.

    ``short`` and ``code`` are what the reply says; ``page`` sends the payer to a page first, ``"acs"`` for 3-D Secure or
    ``"wallet"`` for what is no card; ``later`` answers pending and settles a moment afterwards, with a callback. ``booked`` is
    whether the money really moves: with some of these the reply lies about that, as a broken gateway might.
    """

    explanation: str
    short: str = "Y"
    code: str = SUCCESS
    remark: str = "Approved"
    booked: bool = True
    page: str | None = None
    later: bool = False


APPROVED: Final = Decision("approved")
#: What no card pays is asked of the payer on a page (protocol section 6, ``paymentMode``).
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


#: Cards of protocol section 12 (documented), and a few of the sandbox's own for declines.
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

#: Amounts, in any currency, that decide before the card does; for payouts too.
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
    """Decide on a payment or payout: by its amount, else by its card; cards that are not listed are approved.

    :param payer_is_there: false for a repeat, which nobody can be asked about: it is approved where a payer would be asked.
    """
    decision = AMOUNTS.get(amount) or CARDS.get(card_number or "", APPROVED)
    if decision is APPROVED and (three_d or "").lower() == "only3d":
        decision = CHALLENGED
    return APPROVED if decision is CHALLENGED and not payer_is_there else decision


def decide_elsewhere(amount: Decimal) -> Decision:
    """Decide on a payment that no card pays: by its amount, else by what the payer says on a page."""
    return AMOUNTS.get(amount) or ELSEWHERE
