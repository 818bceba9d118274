"""TLS of all transports: certificates and names are verified, and TLS is 1.2 or newer."""

from __future__ import annotations

import ssl
from typing import Final

from gatewaypy.errors import InsecureConnection

# Debian's Python sets this option of OpenSSL 3.0.
_IGNORE_UNEXPECTED_END: Final = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
_STRONG: Final = frozenset({ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3})


def default_context() -> ssl.SSLContext:
    """Create a context that trusts the system's certificate authorities."""
    return validate_context(ssl.create_default_context())


def was_ended(tls: ssl.SSLObject | ssl.SSLSocket | None) -> bool:
    """Return whether the server closed a connection that has ended.

    Over TLS, others on the network can end the connection too, but only the server can send
    close_notify. Without it, the reply may be incomplete.
    """
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False


def validate_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Check a caller's context and return it.

    A context without a minimum version gets TLS 1.2, because Debian and Ubuntu leave the minimum
    to OpenSSL. An end of the connection without close_notify becomes an error, which Debian's
    Python turns off; see `was_ended`.

    Raises:
        InsecureConnection: It does not verify certificates or names, or allows TLS below 1.2.
    """
    refuse_insecure(context)
    if context.minimum_version not in _STRONG:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~_IGNORE_UNEXPECTED_END
    return context


def refuse_insecure(context: ssl.SSLContext) -> None:
    """Check a context without changing it.

    Raises:
        InsecureConnection: It does not verify certificates or names, or allows TLS below 1.2.
    """
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise InsecureConnection("ssl_context", "must verify certificates and host names")
    lowest, highest = context.minimum_version, context.maximum_version
    if lowest not in _STRONG and lowest != new_minimum():
        raise InsecureConnection(
            "ssl_context", "must require TLS 1.2 or newer", f"a minimum of {lowest.name}"
        )
    if highest not in {*_STRONG, ssl.TLSVersion.MAXIMUM_SUPPORTED}:
        raise InsecureConnection(
            "ssl_context", "must allow TLS 1.2 or newer", f"a maximum of {highest.name}"
        )


def new_minimum() -> ssl.TLSVersion:
    """Return the default minimum version, which depends on the builds of Python and OpenSSL."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).minimum_version
