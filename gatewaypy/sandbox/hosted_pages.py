"""The gateway's hosted pages: checkout, card registration, payment of an invoice or a link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import define, field
from starlette.routing import Route

from gatewaypy.cards import Card
from gatewaypy.protocol import operations
from gatewaypy.sandbox import pages, replies
from gatewaypy.sandbox.validation import RejectedError, ValidRequest, named, validate
from gatewaypy.sandbox.wire import receive_form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from gatewaypy.config import Credentials
    from gatewaypy.protocol.operation_types import Operation
    from gatewaypy.sandbox.bills import Bill
    from gatewaypy.sandbox.ledger import Record
    from gatewaypy.sandbox.payments import Payments


@define(eq=False)
class _Visit:
    """A payer's visit to a page, with the payment or card registration that it is for."""

    operation: Operation
    merchant: Credentials
    fields: dict[str, str]
    bill: Bill | None = None
    done: bool = False


@define(eq=False, kw_only=True)
class HostedPages:
    """Serves the hosted pages.

    Args:
        payments: Records the payments.
        onward: Returns the response after a recorded payment: the next page, or the form that
            returns to the shop.
    """

    payments: Payments
    onward: Callable[[Record, Request], Response]
    _visits: dict[str, _Visit] = field(factory=dict, init=False)

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/transaction/Checkout", self._checkout, methods=["POST"]),
            Route("/transaction/CardRegistration", self._registration, methods=["POST"]),
            Route("/transaction/PayInvoice", self._invoice, methods=["GET"]),
            Route("/transaction/PayByLink", self._link, methods=["GET"]),
            Route("/sandbox/pay/{visit}", self._pay, methods=["POST"]),
            Route("/sandbox/register/{visit}", self._register, methods=["POST"]),
        ]

    # Open a page

    async def _checkout(self, request: Request) -> Response:
        return await self._come_in(request, operations.HOSTED_CHECKOUT, self._show_payment)

    async def _registration(self, request: Request) -> Response:
        return await self._come_in(
            request, operations.HOSTED_CARD_REGISTRATION, self._show_registration
        )

    async def _come_in(
        self, request: Request, operation: Operation, show: Callable[[str, _Visit], Response]
    ) -> Response:
        fields = named(await receive_form(request), self.payments.platform)
        try:
            asked = validate(
                operation.for_platform(self.payments.platform),
                None,
                fields,
                self.payments.merchants,
            )
        except RejectedError as rejection:
            return pages.notice(
                f"The shop's form was refused: {rejection.description}.", status=400
            )
        return show(*self._open(_Visit(operation, asked.merchant, dict(fields))))

    async def _invoice(self, request: Request) -> Response:
        query = request.query_params
        bill = self.payments.invoices.invoices.by_token(query.get("inv", ""), query.get("ct", ""))
        return self._show_bill(bill, "merchantRedirectUrl", "merchantOrderDescription")

    async def _link(self, request: Request) -> Response:
        query = request.query_params
        bill = self.payments.invoices.links.by_token(
            query.get("orderId", ""), query.get("authToken", "")
        )
        return self._show_bill(bill, "", "merchant.orderDescription")

    def _show_bill(self, bill: Bill | None, back: str, words: str) -> Response:
        if bill is None:
            return pages.notice("There is no such bill.", status=404)
        if not bill.is_open:
            return pages.notice(f"This bill cannot be paid: it is {bill.state}.", status=410)
        fields = {
            "merchantTransactionId": bill.own_id
            if not bill.attempts
            else f"{bill.own_id}-{bill.attempts + 1}",
            "amount": f"{bill.amount:.2f}",
            "currency": bill.currency,
            "transactionType": "DB",
            "orderDescription": bill.fields.get(words, bill.own_id),
        }
        if back in bill.fields:
            fields["merchantRedirectUrl"] = bill.fields[back]
        merchant = next(m for m in self.payments.merchants if m.member_id == bill.member_id)
        return self._show_payment(
            *self._open(_Visit(operations.HOSTED_CHECKOUT, merchant, fields, bill))
        )

    def _open(self, visit: _Visit) -> tuple[str, _Visit]:
        name = f"{self.payments.invoices.random.getrandbits(128):032x}"
        self._visits[name] = visit
        return name, visit

    @staticmethod
    def _show_payment(name: str, visit: _Visit) -> Response:
        fields = visit.fields
        return pages.payment(
            action=f"/sandbox/pay/{name}",
            words=fields["orderDescription"],
            amount=fields.get("TMPL_AMOUNT") or fields["amount"],
            currency=fields.get("TMPL_CURRENCY") or fields["currency"],
            mode=fields.get("paymentMode", "CC"),
        )

    @staticmethod
    def _show_registration(name: str, _: _Visit) -> Response:
        return pages.registration(action=f"/sandbox/register/{name}")

    # Submit a page

    async def _pay(self, request: Request) -> Response:
        visit = self._visits.get(request.path_params["visit"])
        if visit is None or visit.done or (visit.bill is not None and not visit.bill.is_open):
            return pages.notice("There is nothing to pay here.", status=404)
        form = await receive_form(request)
        fields = visit.fields
        if fields.get("paymentMode", "CC") in {"CC", "DC"} and form.get("answer") != "cancel":
            try:
                fields = _card_fields(form) | fields
            except ValueError:
                return _no_card()
        earlier = self.payments.ledger.by_merchant_id(
            visit.merchant.member_id, fields["merchantTransactionId"]
        )
        if earlier is not None and self.payments.refuse_duplicates:
            return pages.notice("The shop has used this order's number before.", status=400)
        visit.done = True
        asked = ValidRequest(visit.operation, visit.merchant, None, fields)
        record = (
            self.payments.cancelled(asked)
            if form.get("answer") == "cancel"
            else self.payments.book(asked)
        )
        if visit.bill is not None:
            visit.bill.attempts += 1
            visit.bill.payment = record
        return self.onward(record, request)

    async def _register(self, request: Request) -> Response:
        visit = self._visits.get(request.path_params["visit"])
        if visit is None or visit.done:
            return pages.notice("There is nothing to store here.", status=404)
        form = await receive_form(request)
        registration_id = None
        if form.get("answer") != "cancel":
            try:
                fields = _card_fields(form) | visit.fields
            except ValueError:
                return _no_card()
            stored = self.payments.invoices.store(
                ValidRequest(visit.operation, visit.merchant, None, fields)
            )
            registration_id = stored.registration_id
        visit.done = True
        back = replies.registration_return(visit.merchant, registration_id)
        return pages.way_back(url=visit.fields["merchantRedirectUrl"], fields=back)


def _no_card() -> Response:
    return pages.notice(
        "This is not a valid card: go back and check its number and its date.", status=400
    )


def _card_fields(form: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the payer's card; raise ValueError if it is invalid or expired."""
    typed = Card(
        form.get("number", ""),
        int(form.get("month", "")),
        int(form.get("year", "")),
        form.get("cvv", ""),
    )
    if typed.is_expired(datetime.now(UTC).date()):
        msg = "the card has expired"
        raise ValueError(msg)
    fields = {
        "paymentMode": "CC",
        "paymentBrand": typed.brand or "VISA",
        "card.number": typed.number.reveal(),
        "card.expiryMonth": f"{typed.expiry_month:02}",
        "card.expiryYear": str(typed.expiry_year),
        "card.holder": form.get("holder", ""),
    }
    return {name: value for name, value in fields.items() if value}
