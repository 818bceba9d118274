"""The path of the payer through 3-D Secure, over HTTP."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from gatewaypy import Money, Outcome
from gatewaypy.protocol.checksum import KEY, RULES, checksum

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gatewaypy import Card, Gateway, Payment, Redirect
    from gatewaypy.sandbox import Sandbox


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """Simulate a browser without scripts."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def form_of(page: str) -> tuple[str, dict[str, str]]:
    action = re.search(r'<form action="([^"]*)"', page)
    assert action is not None, page
    inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return html.unescape(action[1]), {
        html.unescape(name): html.unescape(value) for name, value in inputs
    }


async def answer(browser: httpx.AsyncClient, redirect: Redirect, choice: str) -> httpx.Response:
    """Follow the page of the redirect like a browser without scripts, and press a bank's button."""
    url, fields = form_of(redirect.html())
    challenge = await browser.post(url, data=fields)
    action, _ = form_of(challenge.text)
    return await browser.post(httpx.URL(url).join(action), data={"answer": choice})


@pytest.fixture
def begin(client: Gateway, three_d_card: Card) -> Callable[..., object]:
    async def debit(number: str = "ORDER-1") -> Payment:
        payment = await client.debit(
            Money("75.00", "EUR"),
            three_d_card,
            merchant_transaction_id=number,
            redirect_url="https://shop.example/back?order=1&lang=de",
        )
        assert payment.outcome is Outcome.REDIRECT
        return payment

    return debit


@pytest.mark.parametrize(
    ("choice", "status", "outcome"),
    [("approve", "Y", Outcome.SUCCEEDED), ("decline", "N", Outcome.FAILED)],
)
async def test_three_d_answer_ends_payment(begin: Callable, client: Gateway, sandbox: Sandbox, browser: httpx.AsyncClient,
                                 choice: str, status: str, outcome: Outcome) -> None:  # fmt: skip
    """The answer ends the payment and returns a signed form; the query of the shop is kept."""
    payment = await begin()
    assert not sandbox.ledger.entries
    url, fields = form_of((await answer(browser, payment.redirect, choice)).text)
    assert url == "https://shop.example/back?order=1&lang=de"
    assert (fields["status"], fields["paymentId"]) == (status, payment.payment_id)
    values = {
        name: fields[name] for name in ("paymentId", "merchantTransactionId", "amount", "status")
    }
    assert fields["checksum"] == checksum(
        RULES["S"], {**values, KEY: sandbox.credentials.secret_key}
    )
    assert (await client.inquire(payment_id=payment.payment_id)).outcome is outcome
    assert len(sandbox.ledger.entries) == (1 if choice == "approve" else 0)


async def test_three_d_abandoned_stays_pending(
    begin: Callable, client: Gateway, sandbox: Sandbox, browser: httpx.AsyncClient
) -> None:
    """An abandoned page changes nothing and notifies no shop."""
    payment = await begin()
    page = await answer(browser, payment.redirect, "abandon")
    assert "left without an answer" in page.text
    assert (await client.inquire(payment_id=payment.payment_id)).outcome is Outcome.PENDING
    assert (sandbox.ledger.entries, sandbox.callback_sender.deliveries) == ([], [])


async def test_three_d_answer_counts_once(
    begin: Callable, sandbox: Sandbox, browser: httpx.AsyncClient
) -> None:
    """The bank's page is gone after it was answered."""
    payment = await begin()
    await answer(browser, payment.redirect, "approve")
    url, fields = form_of(payment.redirect.html())
    challenge = await browser.post(url, data=fields)
    again = await browser.post(
        httpx.URL(url).join(f"/sandbox/answer/{payment.payment_id}"), data={"answer": "approve"}
    )
    assert (challenge.status_code, again.status_code) == (404, 404)
    assert len(sandbox.ledger.entries) == 1


@pytest.mark.parametrize("change", [{"flag": None}, {"MD": "1"}, {"extra": "x"}])
async def test_three_d_requires_every_parameter(
    begin: Callable, browser: httpx.AsyncClient, change: dict[str, str | None]
) -> None:
    """A dropped empty parameter or a changed one is refused by the sandbox."""
    payment = await begin()
    fields = {
        name: value
        for name, value in (dict(payment.redirect.parameters) | change).items()
        if value is not None
    }
    page = await browser.post(payment.redirect.url, data=fields)
    assert page.status_code == 400
    assert "every parameter" in page.text


async def test_three_d_unknown_payment_is_an_error_page(
    sandbox: Sandbox, browser: httpx.AsyncClient
) -> None:
    """A page for a payment that does not exist shows an error."""
    assert (await browser.get(f"{sandbox.base_url}/sandbox/acs/1")).status_code == 404


async def test_three_d_without_redirect_url_completes(
    client: Gateway, three_d_card: Card, browser: httpx.AsyncClient
) -> None:
    """Without a redirect URL the payment completes, and the page thanks the payer."""
    payment = await client.debit(Money(1, "EUR"), three_d_card, merchant_transaction_id="ORDER-1")
    page = await answer(browser, payment.redirect, "approve")
    assert "no address to go back to" in page.text
