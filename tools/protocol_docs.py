"""Write docs/protocol.md, states.md and sandbox-tables.md from the tables in the code; with --check, only compare."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatewaypy import platforms
from gatewaypy.platforms import WhiteLabel
from gatewaypy.protocol.checksum import RULES
from gatewaypy.protocol.codes import BANK_REFUSALS, MEANINGS, class_of, is_refusal
from gatewaypy.protocol.fields import FIELDS
from gatewaypy.protocol.grades import Grade
from gatewaypy.protocol.operations import OPERATIONS
from gatewaypy.protocol.statuses import LONG, SHORT
from gatewaypy.protocol.transitions import PAYMENT_TRANSITIONS
from gatewaypy.sandbox.scenarios import AMOUNTS, CARDS, ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOCS = Path(__file__).parent.parent / "docs"


NONE = "none"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write a Markdown table."""
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def code(text: str) -> str:
    """Write text as code."""
    return f"`{text}`" if text else NONE


def protocol() -> Iterator[str]:
    """Write the protocol's tables."""
    yield "# The wire protocol as this library implements it"
    yield ""
    yield "Made by `make docs` from the tables in `gatewaypy/protocol/` and `gatewaypy/platforms.py`; edit those."
    yield "No live gateway could be reached while this was written, so each fact has its grade:"
    yield ""
    yield from (f"- **{grade.name.replace('_', ' ').lower()}**: {grade.value}" for grade in Grade)
    yield ""
    yield "## Operations"
    yield ""
    yield from table(
        (
            "operation",
            "`paymentType`",
            "path",
            "checksum rule",
            "answer read as",
            "sent again",
            "settled by",
            "grade",
        ),
        (
            (
                o.name,
                code(o.payment_type or ""),
                code(o.root.value + o.path)
                + (f" (platform: `{o.platform_path}`)" if o.platform_path else ""),
                o.rule or NONE,
                o.reply.value,
                o.retry.value,
                o.inquire_by.value,
                o.grade.value,
            )
            for o in OPERATIONS.values()
        ),
    )
    yield "Required fields besides the member id and the checksum:"
    yield ""
    yield from table(
        ("operation", "required", "optional"),
        (
            (
                o.name,
                ", ".join(map(code, o.required)) or NONE,
                ", ".join(map(code, o.optional)) or NONE,
            )
            for o in OPERATIONS.values()
        ),
    )
    yield "## Checksum rules"
    yield ""
    yield "MD5 of the fields joined with `|`, as 32 lower-case hexadecimal digits."
    yield "A `|`, a line break or NUL in a signed value is refused."
    yield ""
    yield from table(
        ("rule", "signs", "fields, in order", "grade"),
        ((r.name, r.signs, ", ".join(map(code, r.fields)), r.grade.value) for r in RULES.values()),
    )
    yield "## Fields with a format"
    yield ""
    yield "All other fields are text without control characters."
    yield ""
    yield from table(
        ("field", "rule", "grade"), ((code(f.name), f.rule, f.grade.value) for f in FIELDS.values())
    )
    yield "## Statuses"
    yield ""
    yield from table(
        ("short", "outcome"), ((code(short), outcome.name) for short, outcome in SHORT.items())
    )
    yield from table(
        ("long", "kind", "meaning", "outcome"),
        (
            (code(s.name), "final" if s.final else "intermediate", s.meaning, s.outcome.name)
            for s in LONG.values()
        ),
    )
    yield "## Result codes"
    yield ""
    yield "Codes that are not listed are shown by the class of their first digit, and never decide about money."
    yield ""
    yield from table(
        ("code", "meaning", "class", "a plain no"),
        (
            (code(c), meaning, class_of(c).value, "yes" if is_refusal(c) else "")
            for c, meaning in sorted(MEANINGS.items())
        ),
    )
    yield "`110nn` carries the bank's own code (ISO 8583 field 39); these are plain refusals:"
    yield ""
    yield from table(
        ("bank's code", "meaning"), ((code(c), meaning) for c, meaning in BANK_REFUSALS.items())
    )
    yield "## Platforms"
    yield ""
    labels = {
        name: value for name, value in vars(platforms).items() if isinstance(value, WhiteLabel)
    }
    yield from table(
        ("name", "test", "live"),
        (
            (
                code(f"platforms.{name}"),
                *(code(p.base_url) if p else NONE for p in (label.test, label.live)),
            )
            for name, label in labels.items()
        ),
    )
    yield "What varies is data of a `Platform`; change a value with `attrs.evolve`:"
    yield ""
    example = next(label.test for label in labels.values() if label.test is not None)
    varying = (
        "inquiry_path",
        "refund_path",
        "stored_card_path",
        "list_date_format",
        "three_d_spelling",
        "token_rejected",
        "unprocessed_statuses",
    )
    yield from table(
        ("attribute", "default"),
        ((code(name), code(str(getattr(example, name)))) for name in varying),
    )
    yield "Everything else in the tables above that is from one source or our choice can be changed for one platform too:"
    yield '`operations={"customer sign-up": {"path": "/signup", "rule": "E"}}` changes an operation\'s `path`, `rule`, `success`'
    yield 'codes or `required` fields; `field_names={"bankAccount.iban": "iban"}` the name of a field.'


def states() -> Iterator[str]:
    """Write the states and their moves."""
    yield "# The states of a payment and of a payout"
    yield ""
    yield "Made by `make docs` from `PAYMENT_TRANSITIONS` in `gatewaypy/protocol/transitions.py`, the one table that results, callbacks,"
    yield "inquiries, payout jobs and the sandbox's ledger go by. The statuses are documented by the vendor; the moves follow"
    yield "from their meanings and from protocol section 8 (our choice)."
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    names = {
        name: name if name.isalpha() else f"s_{re.sub('[^a-z0-9]', '_', name)}"
        for name in PAYMENT_TRANSITIONS
    }
    yield from (
        f'    state "{LONG[name].name}" as {alias}'
        for name, alias in names.items()
        if alias != name
    )
    yield f"    [*] --> {names['begun']}"
    for name, following in PAYMENT_TRANSITIONS.items():
        yield from (f"    {names[name]} --> {names[after]}" for after in following)
        if not following:
            yield f"    {names[name]} --> [*]"
    yield "```"
    yield ""
    yield "A status that is heard of is compared with the last one that moved the payment forward:"
    yield ""
    yield "- it can be reached from there, in however many moves: **forward**, it is news (steps may be skipped);"
    yield "- the last one can be reached from it: **stale**, it is older and changes nothing;"
    yield "- it is the same, or another word for the same end without money: **repeat**;"
    yield "- neither: **contradiction**. Nothing is changed by it, and a person must look. A success after a failure is one, and"
    yield "  so is a failure after a success; only a refund or a chargeback overrides a success."
    yield ""
    yield from table(
        ("status", "kind", "outcome", "may be followed by"),
        (
            (
                code(LONG[name].name),
                "final" if LONG[name].final else "intermediate",
                LONG[name].outcome.name,
                ", ".join(code(LONG[after].name) for after in following) or NONE,
            )
            for name, following in PAYMENT_TRANSITIONS.items()
        ),
    )
    yield "A short status stands for what it proves where no long one is told: a bare `Y` may be an authorisation or a capture,"
    yield "so a capture may still follow it; `N` and `C` are ends."


def sandbox() -> Iterator[str]:
    """Write the sandbox's tables."""
    yield "# Magic cards and amounts of the sandbox"
    yield ""
    yield "Made by `make docs` from `gatewaypy/sandbox/scenarios.py`; edit that. Any future expiry and any CVV will do."
    yield "A quoted text is the `remark`."
    yield ""
    yield from table(
        ("card", "what happens"),
        ((code(number), decision.explanation) for number, decision in CARDS.items()),
    )
    yield f"A wallet, a bank, an account or a voucher in place of a card: {ELSEWHERE.explanation}."
    yield "A repeat is approved where its payer would be asked: nobody is there."
    yield ""
    yield "An amount decides before the card does, in every currency, for payouts too:"
    yield ""
    yield from table(
        ("amount", "what happens"),
        ((code(f"{amount}.00"), d.explanation) for amount, d in AMOUNTS.items()),
    )


def main() -> int:
    """Write the files, or check them."""
    stale = []
    for name, lines in (
        ("protocol.md", protocol()),
        ("states.md", states()),
        ("sandbox-tables.md", sandbox()),
    ):
        text = "\n".join(lines).rstrip("\n") + "\n"
        path = DOCS / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path.relative_to(DOCS.parent)))
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date, run 'make docs': {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
