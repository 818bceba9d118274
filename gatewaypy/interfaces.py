"""What the library needs of a caller's objects; a `Gateway` or `Journal` fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gatewaypy.config import Credentials
    from gatewaypy.models import Payout, Transaction

__all__ = ["InquiryClient", "PayoutClient", "Reconcilable"]


class InquiryClient(Protocol):
    """What an inquiry needs of a `Gateway`."""

    async def inquire(
        self, *, payment_id: str | None = None, merchant_transaction_id: str | None = None
    ) -> Transaction:
        """Look up a payment or payout; see `Gateway.inquire`."""
        ...


class Reconcilable(Protocol):
    """What a `Reconciler` needs of a journal."""

    async def reconcile(self, gateway: InquiryClient) -> int:
        """Look up what is pending; see `Journal.reconcile`."""
        ...


class PayoutClient(InquiryClient, Protocol):
    """What a job needs of a `Gateway`.

    A client with a ``platform`` is also compared with the journal's gateway.
    """

    @property
    def credentials(self) -> Credentials:
        """The merchant's credentials."""
        ...

    @property
    def payout(self) -> Callable[..., Coroutine[Any, Any, Payout]]:
        """Send money; see `Gateway.payout`."""
        ...
