"""``gatewaypy checksum``: what was signed, to settle an argument with the gateway's support."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy.config import Credentials
from gatewaypy.errors import InvalidRequest
from gatewaypy.protocol.checksum import KEY, RULES, checksum, joined
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from gatewaypy.cli.output import PlainConsole
    from gatewaypy.secret import Secret


def show_checksum(console: PlainConsole, name: str, pairs: list[str]) -> None:
    """Print a rule's fields, the joined text with its key masked, and the digest.

    :raises InvalidRequest: for an unknown rule, or a value that is missing or cannot be signed.
    """
    rule = RULES.get(name)
    if rule is None:
        raise InvalidRequest("rule", f"one of {', '.join(RULES)}", shape_of(name))
    credentials = Credentials.from_env()
    values: dict[str, str | Secret] = {"memberId": credentials.member_id, KEY: credentials.secret_key}
    values |= dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    for field in rule.fields:
        if field not in values:
            raise InvalidRequest(field, f"needed by rule {name}: give it as {field}=…")
    for label, text in (
        ("rule", f"{name} ({rule.signs}; {rule.grade.value})"),
        ("fields", ", ".join(rule.fields)),
        ("joined", joined(rule, values)),
        ("checksum", checksum(rule, values)),
    ):
        console.say(f"{label:9}{text}")
