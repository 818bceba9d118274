"""Pages of third parties: the bank's 3-D Secure challenge, and wallet and voucher pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import define
from starlette.routing import Route

from gatewaypy.sandbox import pages, replies
from gatewaypy.sandbox.wire import receive_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from gatewaypy.config import Credentials
    from gatewaypy.sandbox.ledger import Ledger, Record


@define(eq=False, kw_only=True)
class PayerPages:
    """Serves the pages, and records the payer's answers.

    Args:
        ledger: Has the payments, and records the answers.
        merchant_of: Returns the merchant of a record.
        notify: Sends the merchant a callback about a payment's new state.
    """

    ledger: Ledger
    merchant_of: Callable[[Record], Credentials]
    notify: Callable[[Record], None]

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/sandbox/acs/{payment_id}", self._challenge, methods=["GET", "POST"]),
            Route("/sandbox/wallet/{payment_id}", self._wallet, methods=["GET"]),
            Route("/sandbox/answer/{payment_id}", self._answer, methods=["POST"]),
        ]

    @staticmethod
    def redirect(record: Record, request: Request) -> dict[str, Any]:
        """Build the part of a reply that redirects the payer to a page.

        Args:
            record: The payment that waits for its payer.
            request: The current request. The page's URL has its scheme and host.

        Returns:
            The ``redirect`` fields of the reply.
        """
        base = f"{request.url.scheme}://{request.url.netloc}"
        if record.decision.page == "wallet":
            return {
                "url": f"{base}/sandbox/wallet/{record.payment_id}?brand={quote(record.fields['paymentBrand'])}",
                "method": "GET",
                "parameters": [{"name": "session", "value": f"sandbox+{record.payment_id}/=="}],
            }
        return {
            "url": f"{base}/sandbox/acs/{record.payment_id}",
            "method": "POST",
            "listofParameters": [
                {"name": "PaReq", "value": f"sandbox+{record.payment_id}/=="},
                {"name": "MD", "value": record.payment_id},
                {"name": "flag", "value": ""},
            ],
        }

    def onward(self, record: Record, request: Request) -> Response:
        """Build the response to the payer's browser after a recorded payment.

        Args:
            record: The payment.
            request: The current request.

        Returns:
            The page that the payment waits for, or the form that returns to the shop. If the shop
            has no return URL, a notice.
        """
        if record.awaits_payer:
            target = self.redirect(record, request)
            pairs = target.get("parameters") or target["listofParameters"]
            named = [(pair["name"], pair["value"]) for pair in pairs]
            return pages.onward(url=target["url"], method=target["method"], pairs=named)
        back = record.fields.get("merchantRedirectUrl")
        if not back:
            return pages.notice("Thank you. The shop gave no address to go back to.")
        return pages.way_back(
            url=back, fields=replies.browser_return(record, self.merchant_of(record))
        )

    def _waiting(self, request: Request, *pages_: str) -> Record | None:
        record = self.ledger.records.get(request.path_params["payment_id"])
        return (
            record
            if record is not None and record.awaits_payer and record.decision.page in pages_
            else None
        )

    async def _challenge(self, request: Request) -> Response:
        record = self._waiting(request, "acs")
        if record is None:
            return pages.notice("There is nothing to confirm here.", status=404)
        expected = {"PaReq": f"sandbox+{record.payment_id}/==", "MD": record.payment_id, "flag": ""}
        if await receive_form(request) != expected:
            return pages.notice(
                "The shop did not send every parameter of the redirect as it was.", status=400
            )
        return self._ask_payer(record, "Sandbox Bank")

    async def _wallet(self, request: Request) -> Response:
        record = self._waiting(request, "wallet")
        if record is None:
            return pages.notice("There is nothing to confirm here.", status=404)
        expected = {
            "brand": record.fields["paymentBrand"],
            "session": f"sandbox+{record.payment_id}/==",
        }
        if dict(request.query_params) != expected:
            return pages.notice(
                "The shop did not send every parameter of the redirect as it was.", status=400
            )
        return self._ask_payer(record, f"{record.fields['paymentBrand']} in the sandbox")

    @staticmethod
    def _ask_payer(record: Record, asker: str) -> Response:
        return pages.challenge(
            action=f"/sandbox/answer/{record.payment_id}",
            asker=asker,
            merchant_transaction_id=record.merchant_transaction_id,
            amount=f"{record.amount:.2f}",
            currency=record.currency,
            card=record.card,
        )

    async def _answer(self, request: Request) -> Response:
        record = self._waiting(request, "acs", "wallet")
        answer = (await receive_form(request)).get("answer", "")
        if record is None or answer not in {"approve", "decline", "abandon"}:
            return pages.notice("There is nothing to confirm here.", status=404)
        if answer == "abandon":
            return pages.notice("You left without an answer; the shop is not notified.")
        if answer == "approve":
            self.ledger.approve(record)
        else:
            self.ledger.decline(record, "11005", "The payer did not confirm")
        self.notify(record)
        return self.onward(record, request)
