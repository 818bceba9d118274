"""The TLS that every transport speaks: certificates and names always verified, TLS 1.2 or newer."""

from __future__ import annotations

import ssl
from typing import Final

from gatewaypy.errors import InsecureConnection

# Debian's Python sets it; it came with OpenSSL 3.0.
_IGNORE_UNEXPECTED_END: Final = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
_STRONG: Final = frozenset({ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3})


def default_context() -> ssl.SSLContext:
    """Make a context that trusts the system's certificate authorities."""
    return validate_context(ssl.create_default_context())


def was_ended(tls: ssl.SSLObject | ssl.SSLSocket | None) -> bool:
    """Tell whether a connection that ended was ended by the server: over TLS, anybody on the way can make an end of it.

    Only the server can say goodbye (close_notify); without that there may have been more to come.
    """
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False


def validate_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return a caller's own context, once it is sure that it verifies and speaks TLS 1.2 or newer.

    A context that sets no minimum version gets TLS 1.2 as its minimum: Python leaves the choice to
    OpenSSL on Debian and Ubuntu. And an end of a connection that the server did not announce must
    be an error, which Debian's Python turns off: see `was_ended`.

    Raises:
        InsecureConnection: It does not verify certificates or names, or asks for TLS below 1.2.
    """
    refuse_insecure(context)
    if context.minimum_version not in _STRONG:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~_IGNORE_UNEXPECTED_END
    return context


def refuse_insecure(context: ssl.SSLContext) -> None:
    """Refuse a context that is insecure by its owner's choice; change nothing.

    Raises:
        InsecureConnection: It does not verify certificates or names, or asks for TLS below 1.2.
    """
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise InsecureConnection(
            "ssl_context", "certificates and host names must be verified", "a context that does not"
        )
    lowest, highest = context.minimum_version, context.maximum_version
    if lowest not in _STRONG and lowest != new_minimum():
        raise InsecureConnection(
            "ssl_context", "must ask for TLS 1.2 or newer", f"a minimum of {lowest.name}"
        )
    if highest not in {*_STRONG, ssl.TLSVersion.MAXIMUM_SUPPORTED}:
        raise InsecureConnection(
            "ssl_context", "must allow TLS 1.2 or newer", f"a maximum of {highest.name}"
        )


def new_minimum() -> ssl.TLSVersion:
    """Return the minimum version of a context whose owner set none; it depends on how Python and OpenSSL were built."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).minimum_version
