"""Credentials, timeouts and limits, and the checks of numeric options."""

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

#: Upper limit of every numeric option, which SQLite and PostgreSQL can store.
_LARGEST: Final = 2**53
_MEMBER_ID: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_TERMINAL_ID: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_UNSIGNABLE: Final = re.compile(r"[|\x00-\x1f\x7f\ud800-\udfff]")
_SIGNABLE: Final = re.compile(r"[^|\x00-\x1f\x7f\ud800-\udfff]+")
_DIGITS: Final = "must have one to ten digits"
_LOGIN: Final = "must be the login from the gateway, without '|' and control characters"
_PARTNER_NAME: Final = (
    "must be the partner's name from the gateway, without '|' and control characters"
)
_WEAK_KEY: Final = 16
# Characters around a value in the file, shell script or web page that it was copied from.
_STRAY: Final = {
    "\n": "a line break", "\r": "a carriage return", "\0": "a NUL", "\ufeff": "a byte order mark",
    **dict.fromkeys("\"'`\u00b4", "a quotation mark"),
}  # fmt: skip
_STRAY_CATEGORIES: Final = {
    "Cc": "a control character", "Cf": "an invisible character",
    "Pi": "a quotation mark", "Pf": "a quotation mark",
}  # fmt: skip
# A byte order mark that was decoded as Latin-1.
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
    """Check a numeric option when it is set.

    Args:
        name: The option's name, for the message.
        value: What the caller set.
        least: The smallest value that is allowed. Set this or ``above``.
        above: A value that it must exceed.
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
    """Check an option that is on or off; the string ``"no"`` would count as on.

    Raises:
        ConfigurationError: It is neither ``True`` nor ``False``.
    """
    if not isinstance(value, bool):
        msg = f"{name}: must be True or False; got {shape_of(value)}"
        raise ConfigurationError(msg)


def number(
    **limits: Any,  # noqa: ANN401 - those of check_number
) -> Callable[[Any, Attribute[Any], Any], None]:
    """Build an attrs validator that calls `check_number`."""

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
    """Return the broken rule if a value was copied with a quote, a line break or the like."""
    for character, place in ((text[:1], "begin"), (text[-1:], "end")):
        category = unicodedata.category(character) if character else ""
        kind = _STRAY.get(character) or (
            "a space" if character.isspace() else _STRAY_CATEGORIES.get(category)
        )
        if kind is not None:
            return f"must not {place} with {kind}"
    return "must not begin with a byte order mark" if text.startswith(_BOM_AS_LATIN_1) else None


def check_member_id(value: object) -> None:
    """Check a merchant's id.

    Raises:
        InvalidRequest: It is not one to ten digits.
    """
    stray = _stray_end(value) if isinstance(value, str) else None
    if stray is not None or not isinstance(value, str) or not _MEMBER_ID.fullmatch(value):
        raise InvalidRequest("member_id", stray or _DIGITS, shape_of(value))


def _parse_key(name: str, value: object) -> Secret | InvalidRequest:
    # Returns the error: a traceback keeps the frame that raises, and this frame has the key.
    text = value.reveal() if isinstance(value, Secret) else value
    stray = _stray_end(text) if isinstance(text, str) else None
    if stray is not None:
        return InvalidRequest(name, stray)
    if not isinstance(text, str) or not text or _UNSIGNABLE.search(text):
        rule = "must be the key from the gateway, without '|' and control characters"
        return InvalidRequest(name, rule, f"a value of type {type(text).__name__}")
    return Secret(text)


def _is_weak(key: object) -> bool:
    return isinstance(key, Secret) and len(key.reveal()) < _WEAK_KEY


@frozen(kw_only=True, init=False)
class Credentials:
    """A merchant's account with the gateway.

    Args:
        member_id: The merchant's id, one to ten digits.
        partner_id: The id of the merchant's partner (white label), one to ten digits.
        username: The login to get tokens with.
        secret_key: The key that signs requests and verifies callbacks. Kept as a `Secret`.
        terminal_id: Default terminal of payments, one to six digits. The acquirer sets up one per
            currency and brand.
        partner_username: The partner's own login, for partner tokens only.
        partner_secret_key: The partner's own key, for partner tokens only. Kept as a `Secret`.
        partner_name: The partner's name, which the hosted pages need as ``totype``. Fixed per
            account.
        previous_secret_keys: Keys that callbacks may still be signed with during a key rotation.
            Requests use ``secret_key``.

    Raises:
        InvalidRequest: A value is malformed.

    Example:
        ``credentials = Credentials.from_env()``

    Protocol sections 3 and 6. Documented.
    """

    member_id: str = field(validator=_matching(_MEMBER_ID, _DIGITS))
    partner_id: str = field(validator=_matching(_MEMBER_ID, _DIGITS))
    username: str = field(validator=_matching(_SIGNABLE, _LOGIN))
    secret_key: Secret
    terminal_id: str | None = field(
        validator=_matching(_TERMINAL_ID, "must have one to six digits", is_optional=True)
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
        key = _parse_key("secret_key", secret_key)
        partner_key = (
            None
            if partner_secret_key is None
            else _parse_key("partner_secret_key", partner_secret_key)
        )
        # A single string would be read as one key for each character.
        kind = type(previous_secret_keys).__name__
        is_listed = isinstance(previous_secret_keys, Iterable) and not isinstance(
            previous_secret_keys, str | bytes
        )
        previous = (
            [_parse_key("previous_secret_keys", old) for old in previous_secret_keys]
            if is_listed
            else []
        )
        # The traceback of an error keeps this frame and its variables.
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
                "previous_secret_keys", "must be a list or tuple of keys", f"a value of type {kind}"
            )
        refused = [item for item in previous if isinstance(item, InvalidRequest)]
        if refused:
            del self
            raise refused[0]
        # pyright does not know the method that attrs generates.
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
        # A warning may be raised as an error: by now all keys are wrapped.
        named: dict[str, list[Any]] = {
            "secret_key": [key],
            "partner_secret_key": [partner_key],
            "previous_secret_keys": previous,
        }
        for name, keys in named.items():
            if any(map(_is_weak, keys)):
                warnings.warn(
                    f"{name} has fewer than {_WEAK_KEY} characters: an offline search can find it"
                    " from one request; ask the gateway for a longer key",
                    UserWarning,
                    stacklevel=2,
                )

    @property
    def verifying_keys(self) -> tuple[Secret, ...]:
        """The keys that a callback may be signed with: the current one and the previous ones."""
        return (self.secret_key, *self.previous_secret_keys)

    @property
    def every_key(self) -> tuple[Secret, ...]:
        """All keys that the gateway knows; they are removed from the texts that it sends."""
        keys = (self.secret_key, self.partner_secret_key, *self.previous_secret_keys)
        return tuple(key for key in keys if key is not None)

    @classmethod
    def from_env(
        cls, prefix: str = "GATEWAYPY_", *, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Read the credentials from environment variables.

        Required: ``GATEWAYPY_MEMBER_ID``, ``..._PARTNER_ID``, ``..._USERNAME`` and
        ``..._SECRET_KEY``. Optional: ``..._TERMINAL_ID``, ``..._PARTNER_USERNAME``,
        ``..._PARTNER_SECRET_KEY`` and ``..._PARTNER_NAME``.

        Args:
            prefix: Start of each name.
            environ: The variables. The default is ``os.environ``.

        Returns:
            The credentials.

        Raises:
            ConfigurationError: Required variables are not set; the message lists them.
            InvalidRequest: A value is malformed.
        """
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: source.get(prefix + name.upper()) or None for name in _VARIABLES
        }
        # The traceback of an error keeps this frame: it must not have the keys as strings.
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
    """Timeouts of a call, in seconds.

    Args:
        connect: To open a connection, TLS included.
        read: Between two parts of a reply, and to write the request.
        total: The whole call: slot, token, connection and reply.
        inquiry: After ``total``: how long to look up the outcome of a request without a usable
            reply.

    Raises:
        ConfigurationError: A value is not a number greater than zero.
    """

    connect: float = field(default=5.0, validator=number(above=0))
    read: float = field(default=60.0, validator=number(above=0))
    total: float = field(default=90.0, validator=number(above=0))
    inquiry: float = field(default=30.0, validator=number(above=0))


@frozen(kw_only=True)
class Limits:
    """Limits of a gateway.

    Args:
        max_in_flight: Calls on the network at the same time. Further calls wait in order.
        max_reply_bytes: Size of a reply. A longer one counts as unreadable.

    Raises:
        ConfigurationError: A value is not an integer of at least 1.
    """

    max_in_flight: int = field(default=1000, validator=number(least=1, is_whole=True))
    max_reply_bytes: int = field(default=4 * 1024 * 1024, validator=number(least=1, is_whole=True))
