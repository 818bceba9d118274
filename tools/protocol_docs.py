"""Write the tables of the code into docs/; with --check, only compare.

docs/wire-protocol.md has its tables between markers. states.md and sandbox-tables.md are whole.
"""

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
MARKED = re.compile(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)
LABELS = {name: value for name, value in vars(platforms).items() if isinstance(value, WhiteLabel)}
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


def grade(grade: Grade) -> str:
    """Name a grade as the documents do."""
    return grade.name.replace("_", " ").lower()


def operations() -> Iterator[str]:
    """Write the operations, without their fields."""
    yield from table(
        (
            "operation",
            "`paymentType`",
            "path",
            "checksum rule",
            "reply",
            "sent again",
            "outcome found by",
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
                o.retry.name.replace("_", " ").lower(),
                o.inquire_by.value,
                grade(o.grade),
            )
            for o in OPERATIONS.values()
        ),
    )


def operation_fields() -> Iterator[str]:
    """Write the fields of each operation."""
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


def statuses() -> Iterator[str]:
    """Write the short and the long statuses."""
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


def hosts() -> Iterator[str]:
    """Write the hosts of each platform."""
    yield from table(
        ("name", "test", "live"),
        (
            (
                code(f"platforms.{name}"),
                *(code(p.base_url) if p else NONE for p in (label.test, label.live)),
            )
            for name, label in LABELS.items()
        ),
    )


def variations() -> Iterator[str]:
    """Write what can differ between platforms."""
    example = next(label.test for label in LABELS.values() if label.test is not None)
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


def protocol() -> dict[str, Iterator[str]]:
    """Return the generated parts of docs/wire-protocol.md, by the name in their marker."""
    return {
        "grades": (f"- **{grade(g)}**: {g.value}" for g in Grade),
        "hosts": hosts(),
        "operations": operations(),
        "operation-fields": operation_fields(),
        "checksum-rules": table(
            ("rule", "signs", "fields, in order", "grade"),
            (
                (r.name, r.signs, ", ".join(map(code, r.fields)), grade(r.grade))
                for r in RULES.values()
            ),
        ),
        "fields": table(
            ("field", "format", "grade"),
            ((code(f.name), f.rule, grade(f.grade)) for f in FIELDS.values()),
        ),
        "statuses": statuses(),
        "codes": table(
            ("code", "meaning", "class", "refusal"),
            (
                (code(c), meaning, class_of(c).value, "yes" if is_refusal(c) else "")
                for c, meaning in sorted(MEANINGS.items())
            ),
        ),
        "bank-codes": table(
            ("bank's code", "meaning"), ((code(c), meaning) for c, meaning in BANK_REFUSALS.items())
        ),
        "variations": variations(),
    }


def fill(text: str, parts: dict[str, Iterator[str]]) -> str:
    """Replace the generated parts of a text; each part must have one marker."""
    names = MARKED.findall(text)
    if sorted(names) != sorted(parts):
        msg = f"docs/wire-protocol.md: must have one marker each for {sorted(parts)}"
        raise ValueError(msg)
    return MARKED.sub(
        lambda match: (
            f"<!-- generated: {match[1]} -->\n\n"
            + "\n".join(parts[match[1]]).rstrip("\n")
            + "\n\n<!-- end -->"
        ),
        text,
    )


def states() -> Iterator[str]:
    """Write the states and their transitions."""
    yield "# The states of a payment and of a payout"
    yield ""
    yield "`make docs` writes this page from `PAYMENT_TRANSITIONS` in"
    yield "`gatewaypy/protocol/transitions.py`. Results, callbacks, inquiries, payout jobs and the sandbox"
    yield "use this table. The vendor documents the statuses. The transitions follow from their meanings and"
    yield "from protocol section 8 (our choice)."
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
    yield "A new status is compared with the last one that moved the payment forward:"
    yield ""
    yield "- **forward**: the new status can be reached from the last one. Transitions can be skipped."
    yield "- **stale**: the last status can be reached from the new one. The new one is older and ignored."
    yield "- **repeat**: both are the same, or two words for the same end without money."
    yield "- **contradiction**: neither can be reached from the other. Nothing changes, and a person must"
    yield "  check. A success after a failure is an example, and so is a failure after a success. Only a"
    yield "  refund or a chargeback overrides a success."
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
    yield "Without a long status, the short one decides. `Y` alone can be an authorization or a"
    yield "capture, so that a capture can still follow. `N` and `C` are final."


def sandbox() -> Iterator[str]:
    """Write the sandbox's tables."""
    yield "# Magic cards and amounts of the sandbox"
    yield ""
    yield "`make docs` writes this page from `gatewaypy/sandbox/scenarios.py`. Any expiry date in the future"
    yield "and any CVV are accepted. A quoted text is the `remark`."
    yield ""
    yield from table(
        ("card", "what happens"),
        ((code(number), decision.explanation) for number, decision in CARDS.items()),
    )
    yield "A wallet, a bank, an account or a voucher in place of a card:"
    yield f"{ELSEWHERE.explanation}."
    yield "A repeated payment is approved where a payer would be asked, because no payer is present."
    yield ""
    yield "The amount decides before the card, in every currency, for payouts too:"
    yield ""
    yield from table(
        ("amount", "what happens"),
        ((code(f"{amount}.00"), d.explanation) for amount, d in AMOUNTS.items()),
    )


def main() -> int:
    """Write the files, or check them."""
    stale = []
    page = (DOCS / "wire-protocol.md").read_text(encoding="utf-8")
    for name, content in (
        ("wire-protocol.md", fill(page, protocol())),
        ("states.md", "\n".join(states())),
        ("sandbox-tables.md", "\n".join(sandbox())),
    ):
        text = content.rstrip("\n") + "\n"
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
