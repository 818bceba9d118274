"""The hosts of each white label, and the variations between them, as data.

Hosts: protocol section 1. Variations: protocol section 13. The defaults are those that most
integrations use. If your platform differs, change a value::

    mine = attrs.evolve(
        platforms.XOALA.live,
        inquiry_path="/inquiry",
        operations={"customer sign-up": {"path": "/signup"}},
    )
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from gatewaypy.errors import InsecureConnection, InvalidRequest
from gatewaypy.secret import shape_of

__all__ = [
    "PAYMENTPLUG",
    "PAYMENTZ",
    "PRTPG",
    "SEPA_CYBER",
    "SHIMOTOMO",
    "TRANSACTWORLD",
    "XOALA",
    "Platform",
    "WhiteLabel",
]

_LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1", re.ASCII)


#: The library adds this to the base URL (protocol section 1). The vendor's pages show both as one.
_SERVICE_ROOT: Final = re.compile(
    r"/(transaction|invoice|merchant)Services(/.*)?$|/transaction/*$", re.ASCII | re.IGNORECASE
)
_RULE: Final = "must be a URL such as 'https://secure.transactworld.com'"
# Every transport sends these characters unchanged; some escape or reject others.
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]+", re.ASCII)
_PATH: Final = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_SPELLINGS: Final = 3
_CLIENT_ERRORS: Final = range(400, 500)
_REFUSALS: Final = frozenset({*_CLIENT_ERRORS, 503})


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is a loopback address."""
    return _LOOPBACK.fullmatch(host) is not None


def _check_text(url: object) -> None:
    if not isinstance(url, str):
        raise InvalidRequest("base_url", _RULE, f"a value of type {type(url).__name__}")
    if url != url.strip() or not url.isprintable():
        raise InvalidRequest(
            "base_url",
            "must not contain line breaks or control characters, or spaces at its ends",
            shape_of(url),
        )
    if not url.isascii():
        raise InvalidRequest(
            "base_url", "must be ASCII; write other characters of a host as Punycode", shape_of(url)
        )


def _base_url(url: str) -> str:
    _check_text(url)
    parts = urlsplit("")
    host, port = None, None
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    if not host or parts.scheme not in {"http", "https"} or port == 0:
        raise InvalidRequest("base_url", _RULE, shape_of(url))
    if "@" in parts.netloc:
        raise InsecureConnection(
            "base_url",
            "must not contain a user name or password, because URLs are logged",
        )
    # An empty one too: the path that is added to the URL would become a part of it.
    if "?" in url or "#" in url:
        raise InvalidRequest("base_url", "must not contain a query string or a fragment")
    if not _HOST.fullmatch(host) or ".." in host or not _PATH.fullmatch(parts.path):
        raise InvalidRequest(
            "base_url",
            "must contain only characters that URLs allow",
            shape_of(url),
        )
    if not {".", ".."}.isdisjoint(parts.path.split("/")):
        raise InvalidRequest(
            "base_url", "must not contain '.' or '..' as a part of its path", shape_of(url)
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InsecureConnection(
            "base_url", "must use https; http is allowed for loopback addresses only"
        )
    root = _SERVICE_ROOT.search(parts.path)
    if root is not None:
        start = f"{parts.scheme}://{parts.netloc}{parts.path[: root.start()]}"
        raise InvalidRequest(
            "base_url",
            f"must not contain the service root, which the library adds; use {start!r}",
            shape_of(url),
        )
    return url.rstrip("/")


def _text(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidRequest(
            attribute.name, "must be a string without control characters", shape_of(value)
        )


def _spelling(_: object, attribute: Attribute[Any], value: object) -> None:
    if (
        not isinstance(value, tuple)
        or len(value) != _SPELLINGS
        or not all(isinstance(text, str) and text for text in value)
    ):
        raise InvalidRequest(
            attribute.name,
            "must be a tuple of three strings",
            f"a value of type {type(value).__name__}",
        )


def _names(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(text, str) and text for pair in value.items() for text in pair
    ):
        raise InvalidRequest(
            attribute.name, "must map names to names", f"a value of type {type(value).__name__}"
        )


def _operations(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(changes, Mapping) for changes in value.values()
    ):
        raise InvalidRequest(
            attribute.name,
            "must map an operation's name to its changes",
            f"a value of type {type(value).__name__}",
        )


def _client_errors(_: object, attribute: Attribute[Any], value: object) -> None:
    # A status outside 400 to 499 never says that nothing was done.
    if not isinstance(value, frozenset) or not all(
        type(status) is int and status in _CLIENT_ERRORS for status in value
    ):
        rule = "must be a frozenset of HTTP statuses from 400 to 499"
        raise InvalidRequest(attribute.name, rule, f"a value of type {type(value).__name__}")


def _refusals(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, frozenset) or not all(
        type(status) is int and status in _REFUSALS for status in value
    ):
        rule = "must be a frozenset of HTTP statuses from 400 to 499, or 503"
        raise InvalidRequest(attribute.name, rule, f"a value of type {type(value).__name__}")


def is_path(value: object) -> bool:
    """Return whether a value is a path that starts with '/'; it may contain ``{id}``."""
    return (
        isinstance(value, str)
        and value.startswith("/")
        and _PATH.fullmatch(value.replace("{id}", "")) is not None
    )


def _path(_: object, attribute: Attribute[Any], value: object) -> None:
    if not is_path(value):
        rule = "must be a path that starts with '/', with {id} in place of an id"
        raise InvalidRequest(attribute.name, rule, shape_of(value))


def _date_format(_: object, attribute: Attribute[Any], value: object) -> None:
    days = (date(2026, 11, 26), date(2026, 11, 27), date(2026, 12, 26), date(2027, 11, 26))
    if isinstance(value, str) and value.isprintable():
        with contextlib.suppress(ValueError):
            written = {day.strftime(value) for day in days}
            if len(written) == len(days) and not any("%" in text for text in written):
                return
    raise InvalidRequest(
        attribute.name, "must be a strftime format with a day, a month and a year", shape_of(value)
    )


@frozen(kw_only=True)
class Platform:
    """One host of a white label, and its variations.

    Args:
        name: Name for people.
        base_url: https URL without the service root. http is allowed for loopback addresses.
        inquiry_path: Path of inquiries. With ``{id}`` the id is in the path (documented), without
            it (``"/inquiry"``: newer hosts, one source) in the body.
        refund_path: Path of refunds (documented; one host: ``"/refund/{id}"``).
        stored_card_path: Path to charge and delete stored cards (documented; one client:
            ``"/registrations/{id}"``).
        list_date_format: ``strftime`` format of the transaction list's dates (documented;
            ``"%m/%d/%Y"`` seen on one host).
        three_d_spelling: Spelling of the three values of ``attemptThreeD`` (documented;
            ``"Only3D"`` seen).
        operations: Variations of an operation, by its name in docs/protocol.md: ``path``,
            ``rule`` (name of a checksum rule, or None for no checksum), ``success`` codes,
            ``required`` fields.
        field_names: Host's own names of fields, by the library's wire names.
        unprocessed_statuses: HTTP statuses of requests that were not processed, such as
            ``frozenset({429})``. A payment with such a reply raises `NotProcessed`, and is safe
            to send again. Not documented, so empty by default (our choice). Set it only if the
            platform's operator confirms it: if it is wrong, payments are made twice.
        token_rejected: HTTP statuses of a rejected token; the request was not executed (401
            seen).

    Raises:
        InvalidRequest: A value is malformed.
        InsecureConnection: ``base_url`` is plain http beyond loopback, or contains a password.
    """

    name: str = field(validator=_text)
    base_url: str = field(converter=_base_url)
    inquiry_path: str = field(default="/payments/{id}", validator=_path)
    refund_path: str = field(default="/payments/{id}", validator=_path)
    stored_card_path: str = field(default="/paywithtoken/{id}", validator=_path)
    list_date_format: str = field(default="%d/%m/%Y", validator=_date_format)
    three_d_spelling: tuple[str, str, str] = field(
        default=("direct", "3D", "only3D"), validator=_spelling
    )
    operations: Mapping[str, Mapping[str, Any]] = field(
        factory=dict, hash=False, validator=_operations
    )
    field_names: Mapping[str, str] = field(factory=dict, hash=False, validator=_names)
    unprocessed_statuses: frozenset[int] = field(default=frozenset(), validator=_refusals)
    token_rejected: frozenset[int] = field(default=frozenset({401}), validator=_client_errors)


@frozen
class WhiteLabel:
    """The two hosts of a brand; None if the vendor does not name one."""

    test: Platform | None
    live: Platform | None


def _label(name: str, test: str | None, live: str | None) -> WhiteLabel:
    return WhiteLabel(
        test=Platform(name=f"{name} test", base_url=test) if test else None,
        live=Platform(name=f"{name} live", base_url=live) if live else None,
    )


TRANSACTWORLD: Final = _label(
    "TransactWorld", "https://preprod.transactworld.com", "https://secure.transactworld.com"
)
PAYMENTZ: Final = _label("PaymentZ", "https://test.paymentz.com", "https://secure.paymentz.com")
PAYMENTPLUG: Final = _label("PaymentPlug", "https://sandbox.paymentplug.com", None)
SHIMOTOMO: Final = _label("Shimotomo", "https://preprod.shimotomo.com", None)
PRTPG: Final = _label("PRTPG", "https://preprod.prtpg.com", "https://secure.prtpg.com")
XOALA: Final = _label(
    "Xoala", "https://secure-checkout-sandbox.xoala.com", "https://secure-checkout.xoala.com"
)
SEPA_CYBER: Final = _label("SEPA Cyber", None, "https://tp.sepa-cyber.com")
