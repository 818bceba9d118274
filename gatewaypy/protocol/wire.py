"""A request and its reply as bytes, between the protocol and a transport."""

from __future__ import annotations

from attrs import define, field, frozen, setters

from gatewaypy.secret import Secret, SecretBytes


@frozen
class WireRequest:
    """One POST. ``token`` is the header ``AuthToken``; a token call has none."""

    url: str
    content_type: str
    accept: str
    body: SecretBytes
    token: Secret | None = None

    def with_token(self, token: Secret) -> WireRequest:
        """Return the same request with a token."""
        return WireRequest(self.url, self.content_type, self.accept, self.body, token)


@define(on_setattr=setters.frozen)
class WireReply:
    """A complete reply: HTTP status, headers and body.

    Args:
        http_status: The status code.
        content_type: The header as it was received, with its parameters; empty if there was none.
        body: The whole body.
        retry_after: The header ``Retry-After`` as it was received; ``None`` if there was none.
        date: The header ``Date`` as it was received; ``None`` if there was none.
        secrets: Secrets that the request and its sender know. The reader of the fields removes
            them.
    """

    http_status: int
    content_type: str
    body: SecretBytes = field(converter=SecretBytes)
    retry_after: str | None = None
    # Two replies that differ only in their date are equal.
    date: str | None = field(default=None, eq=False)
    secrets: tuple[Secret, ...] = field(
        default=(), init=False, eq=False, repr=False, on_setattr=setters.NO_OP
    )


@frozen
class WireFailure:
    """No complete reply was received.

    ``sent`` is False only if the transport knows that no byte was sent. ``reason`` can be shown.
    """

    sent: bool
    reason: str
