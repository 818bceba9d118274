"""``gatewaypy checksum``: the signed text, to compare it with the gateway's support."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gatewaypy.config import Credentials
from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol.checksum import KEY, RULES, checksum, masked_signed_text
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from gatewaypy.cli.output import PlainConsole

_CARD_NUMBER: Final = "cardNumber"


def show_checksum(console: PlainConsole, name: str, pairs: list[str]) -> None:
    """Print a rule's fields, the signed text with its key masked, and the digest.

    Args:
        console: Where to print.
        name: The rule's name, such as ``A``.
        pairs: ``name=value`` for each signed field except the member id and the key.

    Raises:
        InvalidRequest: The rule is unknown, or a value is missing or cannot be signed.
    """
    rule = RULES.get(name)
    if rule is None:
        raise InvalidRequest("rule", f"one of {', '.join(RULES)}", shape_of(name))
    names = [field for field in rule.fields if field not in {"memberId", KEY}]
    for pair in pairs:
        field, separator, _ = pair.partition("=")
        if not separator or field not in names:
            rest = (
                f"name=value, with a name of {', '.join(names)}"
                if names
                else "left out for this rule"
            )
            raise InvalidRequest("values", f"must be {rest}", shape_of(pair))
    credentials = Credentials.from_env()
    values: dict[str, str | Secret] = {
        "memberId": credentials.member_id,
        KEY: credentials.secret_key,
    }
    for pair in pairs:
        field, _, value = pair.partition("=")
        values[field] = Secret(value) if field == _CARD_NUMBER else value
    for field in rule.fields:
        if field not in values:
            raise InvalidRequest(field, f"needed by rule {name}: give it as {field}=…")
    for label, text in (
        ("rule", f"{name} ({rule.signs}; {rule.grade.value})"),
        ("fields", ", ".join(rule.fields)),
        ("masked_signed_text", masked_signed_text(rule, values)),
        ("checksum", checksum(rule, values)),
    ):
        console.say(f"{label:9}{text}")
