"""What a merchant configures: who they are, how long to wait, how much at once."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import Attribute, field, frozen

from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Above every whole number that an option can sensibly have; below what SQLite and PostgreSQL can store.
_LARGEST: Final = 2**53
_MEMBER_ID: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_TERMINAL_ID: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_UNSIGNABLE: Final = re.compile(r"[|\x00-\x1f\x7f\ud800-\udfff]")
_SIGNABLE: Final = re.compile(r"[^|\x00-\x1f\x7f\ud800-\udfff]+")
_LOGIN: Final = "the login that the gateway gave, without '|' and control characters"
_PARTNER_NAME: Final = (
    "the partner's name as the gateway gave it, without '|' and control characters"
)
_WEAK_KEY: Final = 16
# What stands around a value where it was copied from: a file, a shell's assignment, a web page.
_STRAY: Final = {
    "\n": "a line break", "\r": "a carriage return", "\0": "a NUL", "\ufeff": "a byte order mark",
    **dict.fromkeys("\"'`\u00b4", "a quotation mark"),
}  # fmt: skip
_STRAY_CATEGORIES: Final = {
    "Cc": "a control character", "Cf": "an invisible character", "Pi": "a quotation mark", "Pf": "a quotation mark",
}  # fmt: skip
# The mark's three bytes, read as Latin-1.
_BOM_AS_LATIN_1: Final = "\u00ef\u00bb\u00bf"
_VARIABLES: Final = (
    "member_id",
    "partner_id",
    "username",
    "secret_key",
    "terminal_id",
    "partner_username",
    "partner_secret_key",
    "partner_name",
)


def check_number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float = _LARGEST,
    is_whole: bool = False,
) -> None:
    """Check a numeric option where it is set, not where it is first used.

    Args:
        name: The option's name, for the message.
        value: What the caller set.
        least: The smallest value that is allowed, or else
        above: a value that it must exceed.
        most: The largest value that is allowed.
        is_whole: Whether it must be an ``int``.

    Raises:
        ConfigurationError: It is not a number, a ``bool``, not finite, or outside these limits.
    """
    # A comparison with NaN is false, and so is one with infinity and `most`.
    if (
        not isinstance(value, bool)
        and isinstance(value, int if is_whole else int | float)
        and value <= most
    ):
        if above is not None and value > above:
            return
        if least is not None and value >= least:
            return
    kind = "an integer" if is_whole else "a number"
    bound = f"greater than {above:g}" if least is None else f"of at least {least:g}"
    msg = f"{name}: must be {kind} {bound} and at most {most:,.0f}; got {shape_of(value)}"
    raise ConfigurationError(msg)


def check_flag(name: str, value: object) -> None:
    """Check an option that is either on or off: the text ``"no"`` would count as on.

    Raises:
        ConfigurationError: It is neither ``True`` nor ``False``.
    """
    if not isinstance(value, bool):
        msg = f"{name}: must be True or False; got {shape_of(value)}"
        raise ConfigurationError(msg)


def number(**limits: Any) -> Callable[[Any, Attribute[Any], Any], None]:  # noqa: ANN401 - those of check_number
    """Make the attrs validator that does `check_number`."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        check_number(attribute.name, value, **limits)

    return check


def _matching(
    pattern: re.Pattern[str], rule: str, *, is_optional: bool = False
) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is None and is_optional:
            return
        stray = _stray_end(value) if isinstance(value, str) else None
        if stray is not None:
            raise InvalidRequest(attribute.name, stray, shape_of(value))
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidRequest(attribute.name, rule, shape_of(value))

    return check


def _stray_end(text: str) -> str | None:
    """Return the rule that a value breaks which was copied with what stands around it, such as a quote or a line break."""
    for character, place in ((text[:1], "begin"), (text[-1:], "end")):
        category = unicodedata.category(character) if character else ""
        kind = _STRAY.get(character) or (
            "a blank" if character.isspace() else _STRAY_CATEGORIES.get(category)
        )
        if kind is not None:
            return f"must not {place} with {kind}, which is not a part of it"
    return (
        "must not begin with a byte order mark, which is not a part of it"
        if text.startswith(_BOM_AS_LATIN_1)
        else None
    )


def check_member_id(value: object) -> None:
    """Check a merchant's id.

    Raises:
        InvalidRequest: It is not one to ten digits.
    """
    stray = _stray_end(value) if isinstance(value, str) else None
    if stray is not None or not isinstance(value, str) or not _MEMBER_ID.fullmatch(value):
        raise InvalidRequest("member_id", stray or "one to ten digits", shape_of(value))


def _parse_key(name: str, value: object) -> Secret | InvalidRequest:
    # The refusal is returned: the frame that raises is kept by the error's traceback, and this one has seen the key.
    text = value.reveal() if isinstance(value, Secret) else value
    stray = _stray_end(text) if isinstance(text, str) else None
    if stray is not None:
        return InvalidRequest(name, stray)
    if not isinstance(text, str) or not text or _UNSIGNABLE.search(text):
        rule = "the gateway's key: text without '|' and control characters"
        return InvalidRequest(name, rule, f"a value of type {type(text).__name__}")
    return Secret(text)


def _is_weak(key: object) -> bool:
    return isinstance(key, Secret) and len(key.reveal()) < _WEAK_KEY


@frozen(kw_only=True, init=False)
class Credentials:
    """A merchant's account with the gateway (protocol sections 3 and 6, documented).

    :param member_id: the merchant's id, up to ten digits.
    :param partner_id: the id of the partner (white label) that the merchant belongs to.
    :param username: the login that tokens are asked for with.
    :param secret_key: the key that checksums are made with and callbacks are verified with; kept as a `Secret`.
    :param terminal_id: up to six digits; the default for payments, one per currency and brand as the acquirer set up.
    :param partner_username: the partner's own login, for partner tokens only.
    :param partner_secret_key: the partner's own key, for partner tokens only.
    :param partner_name: the partner's name, which the hosted pages want as ``totype``; fixed per account.
    :param previous_secret_keys: keys that callbacks may still be signed with while a rotation lasts; requests use the new one.
    :raises InvalidRequest: where a value cannot be what it says.
    """

    member_id: str = field(validator=_matching(_MEMBER_ID, "one to ten digits"))
    partner_id: str = field(validator=_matching(_MEMBER_ID, "one to ten digits"))
    username: str = field(validator=_matching(_SIGNABLE, _LOGIN))
    secret_key: Secret
    terminal_id: str | None = field(
        validator=_matching(_TERMINAL_ID, "one to six digits", is_optional=True)
    )
    partner_username: str | None = field(validator=_matching(_SIGNABLE, _LOGIN, is_optional=True))
    partner_secret_key: Secret | None
    partner_name: str | None = field(
        validator=_matching(_SIGNABLE, _PARTNER_NAME, is_optional=True)
    )
    previous_secret_keys: tuple[Secret, ...]

    def __init__(
        self,
        *,
        member_id: str,
        partner_id: str,
        username: str,
        secret_key: str | Secret,
        terminal_id: str | None = None,
        partner_username: str | None = None,
        partner_secret_key: str | Secret | None = None,
        partner_name: str | None = None,
        previous_secret_keys: Iterable[str | Secret] = (),
    ) -> None:
        """Check the account and seal its keys."""
        key = _parse_key("secret_key", secret_key)
        partner_key = (
            None
            if partner_secret_key is None
            else _parse_key("partner_secret_key", partner_secret_key)
        )
        # One key by itself would be read as a key for each of its characters.
        kind = type(previous_secret_keys).__name__
        is_listed = isinstance(previous_secret_keys, Iterable) and not isinstance(
            previous_secret_keys, str | bytes
        )
        previous = (
            [_parse_key("previous_secret_keys", old) for old in previous_secret_keys]
            if is_listed
            else []
        )
        # A frame that raises stays in the traceback, with whatever its names still hold.
        del secret_key, partner_secret_key, previous_secret_keys
        if isinstance(key, InvalidRequest):
            del self
            raise key
        if isinstance(partner_key, InvalidRequest):
            del self
            raise partner_key
        if not is_listed:
            del self
            raise InvalidRequest(
                "previous_secret_keys", "a list or tuple of keys", f"a value of type {kind}"
            )
        refused = [item for item in previous if isinstance(item, InvalidRequest)]
        if refused:
            del self
            raise refused[0]
        # pyright does not know what attrs generates.
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            member_id=member_id,
            partner_id=partner_id,
            username=username,
            secret_key=key,
            terminal_id=terminal_id,
            partner_username=partner_username,
            partner_secret_key=partner_key,
            partner_name=partner_name,
            previous_secret_keys=tuple(item for item in previous if isinstance(item, Secret)),
        )
        # A warning may be raised as an error: by now all keys are sealed.
        named: dict[str, list[Any]] = {
            "secret_key": [key],
            "partner_secret_key": [partner_key],
            "previous_secret_keys": previous,
        }
        for name, keys in named.items():
            if any(map(_is_weak, keys)):
                warnings.warn(
                    f"{name} has fewer than {_WEAK_KEY} characters: one request's fields and checksum allow an offline search"
                    " for it; ask the gateway for a longer one",
                    UserWarning,
                    stacklevel=2,
                )

    @property
    def verifying_keys(self) -> tuple[Secret, ...]:
        """The keys that a callback may be signed with: the present one, and while a rotation lasts its predecessors."""
        return (self.secret_key, *self.previous_secret_keys)

    @property
    def every_key(self) -> tuple[Secret, ...]:
        """The keys that the gateway knows and may repeat in its words, to be taken out of them."""
        keys = (self.secret_key, self.partner_secret_key, *self.previous_secret_keys)
        return tuple(key for key in keys if key is not None)

    @classmethod
    def from_env(
        cls, prefix: str = "GATEWAYPY_", *, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Read the account from environment variables: ``GATEWAYPY_MEMBER_ID``, ``…PARTNER_ID``, ``…USERNAME``,
        ``…SECRET_KEY`` and, where wanted, ``…TERMINAL_ID``, ``…PARTNER_USERNAME``, ``…PARTNER_SECRET_KEY``, ``…PARTNER_NAME``.

        :raises ConfigurationError: naming every variable that is missing.
        """  # noqa: D205 - the list of names is the summary
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: source.get(prefix + name.upper()) or None for name in _VARIABLES
        }
        # A frame that raises stays in the traceback: from here on none of ours holds the environment, or a key in the clear.
        del source, environ
        for name in ("secret_key", "partner_secret_key"):
            values[name] = Secret(values[name]) if values[name] is not None else None
        missing = [
            prefix + name.upper()
            for name in ("member_id", "partner_id", "username", "secret_key")
            if values[name] is None
        ]
        if missing:
            msg = f"environment variables not set: {', '.join(missing)}"
            raise ConfigurationError(msg)
        return cls(**values)


@frozen(kw_only=True)
class Timeouts:
    """How long a call may take, in seconds.

    :param connect: to open a connection, TLS included.
    :param read: between two pieces of a reply, and for the request to be taken.
    :param total: the whole call from its first wait to its reply: slot, token, connection, reply.
    :param inquiry: how long to go on asking, after ``total``, what became of a request that got no usable reply.
    """

    connect: float = field(default=5.0, validator=number(above=0))
    read: float = field(default=60.0, validator=number(above=0))
    total: float = field(default=90.0, validator=number(above=0))
    inquiry: float = field(default=30.0, validator=number(above=0))


@frozen(kw_only=True)
class Limits:
    """How much at once.

    :param max_in_flight: calls on the wire at a time; more wait their turn, first come, first served.
    :param max_reply_bytes: the largest reply that is read; a longer one counts as unreadable.
    """

    max_in_flight: int = field(default=1000, validator=number(least=1, is_whole=True))
    max_reply_bytes: int = field(default=4 * 1024 * 1024, validator=number(least=1, is_whole=True))
