"""The TLS that every transport speaks: certificates and names always verified, TLS 1.2 or newer."""

from __future__ import annotations

import ssl

from gatewaypy.errors import InsecureConnection


def default_context() -> ssl.SSLContext:
    """Make a context that trusts the system's certificate authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


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


def checked(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return a caller's own context, once it is sure that it verifies.

    :raises InsecureConnection: where it does not verify certificates or names, or allows TLS below 1.2.
    """
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise InsecureConnection("ssl_context", "certificates and host names must be verified", "a context that does not")
    if context.minimum_version not in {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}:
        raise InsecureConnection("ssl_context", "TLS 1.2 or newer", f"a context that allows {context.minimum_version.name}")
    return context
