"""What a merchant configures: who they are, how long to wait, how much at once."""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import Attribute, field, frozen

from gatewaypy.errors import ConfigurationError, InvalidRequest
from gatewaypy.secret import Secret, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MEMBER_ID: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_TERMINAL_ID: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_UNSIGNABLE: Final = re.compile(r"[|\x00-\x1f\x7f\ud800-\udfff]")
_WEAK_KEY: Final = 16
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


def _matching(pattern: re.Pattern[str], name: str, rule: str) -> Callable[[Any, Any, Any], None]:
    def check(_: object, __: object, value: object) -> None:
        if value is not None and (not isinstance(value, str) or not pattern.fullmatch(value)):
            raise InvalidRequest(name, rule, shape_of(value))

    return check


def _check_username(_: object, __: object, username: str) -> None:
    if not isinstance(username, str) or not username or _UNSIGNABLE.search(username):
        raise InvalidRequest("username", "the login that the gateway gave, without control characters", shape_of(username))


def _check_partner_name(_: object, __: object, name: str | None) -> None:
    if name is not None and (not isinstance(name, str) or not name or _UNSIGNABLE.search(name)):
        raise InvalidRequest("partner_name", "the partner's name as the gateway gave it, without '|'", shape_of(name))


def _sealed_key(name: str, value: object) -> Secret | InvalidRequest:
    # The refusal is returned: the frame that raises is kept by the error's traceback, and this one has seen the key.
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not text or _UNSIGNABLE.search(text):
        rule = "the gateway's key: text without '|' and control characters"
        return InvalidRequest(name, rule, f"a value of type {type(text).__name__}")
    if len(text) < _WEAK_KEY:
        warnings.warn(
            f"{name} has fewer than {_WEAK_KEY} characters: whoever sees one request's fields and checksum can search for it"
            " offline; ask the gateway for a longer one",
            UserWarning,
            stacklevel=3,
        )
    return Secret(text)


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

    member_id: str = field(validator=_matching(_MEMBER_ID, "member_id", "one to ten digits"))
    partner_id: str = field(validator=_matching(_MEMBER_ID, "partner_id", "one to ten digits"))
    username: str = field(validator=_check_username)
    secret_key: Secret
    terminal_id: str | None = field(validator=_matching(_TERMINAL_ID, "terminal_id", "one to six digits"))
    partner_username: str | None
    partner_secret_key: Secret | None
    partner_name: str | None = field(validator=_check_partner_name)
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
        key = _sealed_key("secret_key", secret_key)
        partner_key = None if partner_secret_key is None else _sealed_key("partner_secret_key", partner_secret_key)
        previous = [_sealed_key("previous_secret_keys", previous_key) for previous_key in previous_secret_keys]
        # A frame that raises stays in the traceback, with whatever its names still hold.
        del secret_key, partner_secret_key, previous_secret_keys
        if isinstance(key, InvalidRequest):
            del self
            raise key
        if isinstance(partner_key, InvalidRequest):
            del self
            raise partner_key
        refused = [sealed for sealed in previous if isinstance(sealed, InvalidRequest)]
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
            previous_secret_keys=tuple(sealed for sealed in previous if isinstance(sealed, Secret)),
        )

    @property
    def verifying_keys(self) -> tuple[Secret, ...]:
        """The keys that a callback may be signed with: the present one, and while a rotation lasts its predecessors."""
        return (self.secret_key, *self.previous_secret_keys)

    @classmethod
    def from_env(cls, prefix: str = "GATEWAYPY_", *, environ: Mapping[str, str] | None = None) -> Self:
        """Read the account from environment variables: ``GATEWAYPY_MEMBER_ID``, ``…PARTNER_ID``, ``…USERNAME``,
        ``…SECRET_KEY`` and, where wanted, ``…TERMINAL_ID``, ``…PARTNER_USERNAME``, ``…PARTNER_SECRET_KEY``, ``…PARTNER_NAME``.

        :raises ConfigurationError: naming every variable that is missing.
        """  # noqa: D205 - the list of names is the summary
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {name: source.get(prefix + name.upper()) or None for name in _VARIABLES}
        # A frame that raises stays in the traceback: from here on none of ours holds the environment, or a key in the clear.
        del source, environ
        for name in ("secret_key", "partner_secret_key"):
            values[name] = Secret(values[name]) if values[name] is not None else None
        missing = [
            prefix + name.upper() for name in ("member_id", "partner_id", "username", "secret_key") if values[name] is None
        ]
        if missing:
            msg = f"environment variables not set: {', '.join(missing)}"
            raise ConfigurationError(msg)
        return cls(**values)


def _positive(_: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        msg = f"{attribute.name} must be a number greater than 0"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class Timeouts:
    """How long a call may take, in seconds.

    :param connect: to open a connection, TLS included.
    :param read: between two pieces of a reply, and for the request to be taken.
    :param total: the whole call from its first wait to its reply: slot, token, connection, reply.
    :param settle: how long to go on asking, after ``total``, what became of a request that got no usable reply.
    """

    connect: float = field(default=5.0, validator=_positive)
    read: float = field(default=60.0, validator=_positive)
    total: float = field(default=90.0, validator=_positive)
    settle: float = field(default=30.0, validator=_positive)


@frozen(kw_only=True)
class Limits:
    """How much at once.

    :param max_in_flight: calls on the wire at a time; more wait their turn, first come, first served.
    :param max_reply_bytes: the largest reply that is read; a longer one counts as unreadable.
    """

    max_in_flight: int = field(default=1000, validator=_positive)
    max_reply_bytes: int = field(default=4 * 1024 * 1024, validator=_positive)
