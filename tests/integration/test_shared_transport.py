"""Several merchants in one process share the connections of a transport, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import attrs
import pytest
from support.transports import KINDS

from gatewaypy import (
    Credentials,
    Customer,
    Gateway,
    HttpxTransport,
    Money,
    Outcome,
    Timeouts,
    errors,
)
from gatewaypy.sandbox import Sandbox
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from gatewaypy import Card
    from gatewaypy.transport import Transport

EUROS = Money("5.00", "EUR")
BACK = "https://shop.example/back"
PATIENT = Timeouts(connect=5, read=5, total=15, inquiry=5)
# Two merchants of one partner, which differ only in member, login, key and token.
ADA = Credentials(
    member_id="11344",
    partner_id="4",
    username="ada",
    secret_key="adaKeyOpensNoRealDoor00000000000",
    terminal_id="1106",
    partner_username="partner",
    partner_secret_key="sandboxPartnerKeyOpensNoDoor0000",
    partner_name="SandboxPartner",
)
BOB = Credentials(
    member_id="11345",
    partner_id="4",
    username="bob",
    secret_key="bobKeyOpensNoRealDoor00000000000",
    terminal_id="1107",
)
LOGINS = {merchant.member_id: merchant.username for merchant in (ADA, BOB)}


class Watched(Sandbox):
    """A sandbox that counts its connections, and records the token of each request."""

    def __init__(self, *merchants: Credentials, **options: Any) -> None:
        super().__init__(merchants or (ADA, BOB), **options)
        self.peers: set[tuple[str, int]] = set()
        self.asked: list[tuple[str, str]] = []
        self.tokens_of: dict[str, set[str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.peers.add(scope["client"])
        body = b""

        async def listen() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await super().__call__(scope, listen, send)
        token = dict(scope["headers"]).get(b"authtoken", b"").decode()
        member = dict(parse_qsl(body.decode())).get("authentication.memberId")
        if member is not None:
            root = scope["path"].rpartition("/v1/")[0] + "/v1"
            holder = self.tokens.holder(root, token)
            self.asked.append((member, holder.login if holder is not None else ""))
            self.tokens_of.setdefault(member, set()).add(token)

    @property
    def open_peers(self) -> set[tuple[str, int]]:
        """Return the peers of open connections, including unused ones."""
        assert self._served is not None
        return {connection.client for connection in self._served[0].server_state.connections}


@pytest.fixture
async def sandbox() -> AsyncIterator[Watched]:
    """Serve a sandbox that knows two merchants."""
    async with Watched().serve() as served:
        yield served


@pytest.fixture
async def shared(sandbox: Watched, transport: Transport) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Open a gateway for each merchant, both on one transport."""
    async with (
        Gateway(sandbox.base_url, ADA, transport=transport, timeouts=PATIENT) as ada,
        Gateway(sandbox.base_url, BOB, transport=transport, timeouts=PATIENT) as bob,
    ):
        yield ada, bob


async def bill(gateway: Gateway, own_id: str = "INV-1") -> Any:
    return await gateway.invoices.generate(
        EUROS,
        merchant_invoice_id=own_id,
        customer=Customer(email="payer@shop.example"),
        redirect_url=BACK,
    )


async def listed(gateway: Gateway) -> list[str | None]:
    today = datetime.now(UTC).date()
    return [
        row.payment_id
        async for row in gateway.transactions(today - timedelta(days=1), today + timedelta(days=1))
    ]


async def test_merchants_use_their_own_tokens_and_keys(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """Each has a payment under the same order id, and no request has the other's token."""
    ada, bob = shared
    payments = await asyncio.gather(
        *(gateway.debit(EUROS, card, merchant_transaction_id="ORDER-1") for gateway in (ada, bob)),
        bill(ada),
        bill(bob),
        ada.customers.sign_up(Customer("Cy", "Payer", "cy@shop.example")),
        bob.customers.sign_up(Customer("Cy", "Payer", "cy@shop.example")),
    )
    assert all(payment.succeeded for payment in payments)
    assert not any(payment.duplicate for payment in payments[:2])
    assert len({payment.payment_id for payment in payments[:2]}) == 2
    assert set(sandbox.asked) == set(LOGINS.items())
    assert not sandbox.tokens_of[ADA.member_id] & sandbox.tokens_of[BOB.member_id]
    # One token for each merchant and service root.
    assert (sandbox.requests["token"], sandbox.tokens.granted) == (6, 6)


async def test_merchant_with_key_of_other_gets_no_token(sandbox: Watched, card: Card) -> None:
    """A merchant with the wrong key gets no token, and the other one continues."""
    transport = HttpxTransport()
    crossed = attrs.evolve(ADA, secret_key=BOB.secret_key)
    async with (
        Gateway(sandbox.base_url, BOB, transport=transport, timeouts=PATIENT) as bob,
        Gateway(sandbox.base_url, crossed, transport=transport, timeouts=PATIENT) as ada,
    ):
        assert (await bob.debit(EUROS, card, merchant_transaction_id="ORDER-1")).succeeded
        with pytest.raises(errors.AuthenticationFailed):
            await ada.debit(EUROS, card, merchant_transaction_id="ORDER-2")
        assert (await bob.debit(EUROS, card, merchant_transaction_id="ORDER-3")).succeeded
    assert {record.member_id for record in sandbox.ledger.records.values()} == {BOB.member_id}


async def test_merchant_token_is_renewed_alone(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """A rejected token of one merchant is renewed; that of the other stays in use."""
    ada, bob = shared
    for gateway in shared:
        assert (await gateway.debit(EUROS, card, merchant_transaction_id="ORDER-1")).succeeded
    (before,) = sandbox.tokens_of[BOB.member_id]
    for root, token in [
        key for key, grant in sandbox.tokens._grants.items() if grant.login == ADA.username
    ]:
        del sandbox.tokens._grants[root, token]
    assert (await ada.debit(EUROS, card, merchant_transaction_id="ORDER-2")).succeeded
    assert (await bob.debit(EUROS, card, merchant_transaction_id="ORDER-2")).succeeded
    assert sandbox.requests["token"] == 3
    assert sandbox.tokens_of[BOB.member_id] == {before}


async def test_merchant_regenerated_token_stays_its_own(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """A regenerated token belongs to the merchant that requested it."""
    for gateway, merchant in zip(shared, (ADA, BOB), strict=True):
        first = await gateway.tokens.merchant()
        second = await gateway.tokens.regenerate(first)
        assert (first.member_id, second.member_id) == (merchant.member_id, merchant.member_id)
        assert (await gateway.debit(EUROS, card, merchant_transaction_id="ORDER-1")).succeeded
    assert set(sandbox.asked) == set(LOGINS.items())


async def test_merchants_never_see_payments_of_others(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """Inquiries, lists and follow-ups find only the merchant's own payments."""
    ada, bob = shared
    hers = await ada.debit(EUROS, card, merchant_transaction_id="ORDER-ADA")
    held = await ada.preauth(EUROS, card, merchant_transaction_id="HELD-ADA")
    his = await bob.debit(EUROS, card, merchant_transaction_id="ORDER-BOB")
    assert not (await bob.inquire(payment_id=hers.payment_id)).found
    assert not (await bob.inquire(merchant_transaction_id="ORDER-ADA")).found
    assert (await ada.inquire(merchant_transaction_id="ORDER-ADA")).payment_id == hers.payment_id
    refused = [
        await bob.refund(hers.payment_id or "", EUROS),
        await bob.capture(held.payment_id or "", EUROS),
        await bob.reversal(held.payment_id or ""),
        await bob.payout(EUROS, merchant_transaction_id="PAYOUT-1", payment_id=hers.payment_id),
    ]
    assert {result.outcome for result in refused} == {Outcome.FAILED}
    assert await listed(ada) == [hers.payment_id, held.payment_id]
    assert await listed(bob) == [his.payment_id]
    assert [entry.kind for entry in sandbox.ledger.entries] == ["capture", "hold", "capture"]


async def test_merchants_never_use_stored_data_of_others(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """Stored cards, customers and mandates of another are not listed, charged or deleted."""
    ada, bob = shared
    customer = await ada.customers.sign_up(Customer("Cy", "Payer", "cy@shop.example"))
    owner = Customer(customer_id=customer.customer_id)
    stored = await ada.stored_cards.store(card, customer=owner)
    initial = await ada.recurring.initial(
        EUROS, card, merchant_transaction_id="INITIAL", store_card=True
    )
    registration = stored.registration_id or ""
    his = await bob.stored_cards.list(customer.customer_id or "")
    assert (his.outcome, his.cards) == (Outcome.FAILED, ())
    refused = [
        await bob.stored_cards.pay(registration, EUROS, merchant_transaction_id="ORDER-1"),
        await bob.recurring.repeat(initial.mandate(), EUROS, merchant_transaction_id="ORDER-2"),
        await bob.recurring.repeat(
            initial.mandate(), EUROS, merchant_transaction_id="ORDER-3", by="initial payment"
        ),
        await bob.stored_cards.delete(registration),
    ]
    assert {result.outcome for result in refused} == {Outcome.FAILED}
    hers = await ada.stored_cards.list(customer.customer_id or "")
    assert [kept.registration_id for kept in hers.cards] == [registration]
    assert (
        await ada.stored_cards.pay(registration, EUROS, merchant_transaction_id="ORDER-1")
    ).succeeded
    assert {record.member_id for record in sandbox.ledger.records.values()} == {ADA.member_id}


async def test_merchants_never_touch_invoices_of_others(
    shared: tuple[Gateway, Gateway], sandbox: Watched
) -> None:
    """An invoice is found and cancelled only by its own merchant, even with equal ids."""
    ada, bob = shared
    hers = await bill(ada)
    assert (await bob.invoices.status("INV-1")).outcome is Outcome.FAILED
    refused = [
        await bob.invoices.remind(hers.invoice_id),
        await bob.invoices.regenerate(hers.invoice_id, redirect_url=BACK),
        await bob.invoices.cancel(hers.invoice_id),
    ]
    assert {result.outcome for result in refused} == {Outcome.FAILED}
    his = await bill(bob)
    assert his.succeeded
    assert (await bob.invoices.status("INV-1")).invoice_id == his.invoice_id
    found = await ada.invoices.status("INV-1")
    assert (found.invoice_id, found.status) == (hers.invoice_id, "unpaid")
    assert len(sandbox.payments.invoices.invoices.mails) == 2


async def test_lost_invoice_ignores_invoice_of_other(
    shared: tuple[Gateway, Gateway], sandbox: Watched
) -> None:
    """A lost reply is not resolved by another merchant's invoice of that id and amount."""
    ada, bob = shared
    await bill(ada)
    sandbox.faults.add("cut before", operation="invoice generate")
    async with Gateway(sandbox.base_url, BOB, timeouts=Timeouts(inquiry=0.3)) as hasty:
        with pytest.raises(errors.UnreadableReply, match="may have been executed"):
            await bill(hasty)
    sandbox.faults.add("cut after", operation="invoice generate")
    his = await bill(bob)
    assert [
        (made.member_id, made.bill_id) for made in sandbox.payments.invoices.invoices.by_id.values()
    ][1:] == [(BOB.member_id, his.invoice_id)]


# Connections


async def test_merchants_share_one_connection_in_turn(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card
) -> None:
    """With one call at a time there is one connection, for any merchant and root."""
    for number in range(3):
        for gateway in shared:
            assert (
                await gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
            ).succeeded
            assert (await bill(gateway, f"INV-{number}")).succeeded
            assert (
                await gateway.links.create(
                    EUROS, order_id=f"LINK-{number}", customer=Customer("Cy")
                )
            ).succeeded
    assert len(sandbox.peers) == 1
    assert sandbox.open_peers == sandbox.peers


@pytest.mark.parametrize("callers", [1, 8, 25])
async def test_connections_never_exceed_calls_in_flight(
    shared: tuple[Gateway, Gateway], sandbox: Watched, card: Card, callers: int
) -> None:
    """With many callers there are at most as many connections, burst after burst."""

    async def call(gateway: Gateway, name: str) -> None:
        for number in range(4):
            assert (
                await gateway.debit(EUROS, card, merchant_transaction_id=f"ORDER-{name}-{number}")
            ).succeeded

    for storm in range(2):
        await asyncio.gather(
            *(call(gateway, f"{storm}-{caller}") for caller in range(callers) for gateway in shared)
        )
    assert len(sandbox.peers) <= 2 * callers
    assert len(sandbox.ledger.entries) == 2 * callers * 2 * 4


# The connections of a shared session are closed by its owner.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "aiohttp shared"])
async def test_transport_closes_with_last_gateway(
    sandbox: Watched, card: Card, transport: Transport
) -> None:
    """The first close leaves the connections open; the last one closes them all."""
    bob = Gateway(sandbox.base_url, BOB, transport=transport, timeouts=PATIENT)
    async with bob:
        async with Gateway(sandbox.base_url, ADA, transport=transport, timeouts=PATIENT) as ada:
            calls = [
                ada.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
                for number in range(5)
            ]
            assert all(payment.succeeded for payment in await asyncio.gather(*calls))
        peers = set(sandbox.peers)
        assert (await bob.debit(EUROS, card, merchant_transaction_id="ORDER-1")).succeeded
        # No connection was closed, and none opened for the sixth: pyreqwest opens one in parallel
        # if a pooled one is free late.
        assert peers <= sandbox.open_peers
        assert len(sandbox.open_peers) <= 5
    async with asyncio.timeout(5):
        while sandbox.open_peers:
            await asyncio.sleep(0)
    with pytest.raises(errors.ConfigurationError, match="not open"):
        await bob.debit(EUROS, card, merchant_transaction_id="ORDER-2")
    # It may be opened again, with its own connections.
    peers = set(sandbox.peers)
    async with Gateway(sandbox.base_url, BOB, transport=transport, timeouts=PATIENT) as again:
        assert (await again.debit(EUROS, card, merchant_transaction_id="ORDER-3")).succeeded
    assert len(sandbox.peers) == len(peers) + 1


async def test_gateway_close_leaves_calls_of_others(sandbox: Watched, card: Card) -> None:
    """Closing one gateway does not affect payments of another that are in flight."""
    transport = HttpxTransport()
    async with Gateway(sandbox.base_url, BOB, transport=transport, timeouts=PATIENT) as bob:
        async with Gateway(sandbox.base_url, ADA, transport=transport, timeouts=PATIENT) as ada:
            assert (await ada.debit(EUROS, card, merchant_transaction_id="ORDER-0")).succeeded
            sandbox.reply_delay = 0.2
            calls = [
                bob.debit(EUROS, card, merchant_transaction_id=f"ORDER-{number}")
                for number in range(5)
            ]
            tasks = [asyncio.create_task(call) for call in calls]
            while not bob._pipeline.slots._tasks:
                await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        assert all(payment.succeeded for payment in await asyncio.gather(*tasks))


# Partners


def new_shop(gateway: Gateway, username: str = "newshop") -> Awaitable[Any]:
    return gateway.merchants.sign_up(
        username, company_name="New Shop", email=f"{username}@shop.example", country="DE"
    )


async def test_merchant_after_sign_up_can_pay(
    sandbox: Watched, card: Card, transport: Transport
) -> None:
    """A merchant signed up by the partner pays on the same connection with its own token."""
    async with Gateway(sandbox.base_url, ADA, transport=transport, timeouts=PATIENT) as partner:
        signed_up = await new_shop(partner)
        merchant = sandbox.payments.merchants[-1]
        assert (signed_up.outcome, signed_up.member_id) == (Outcome.SUCCEEDED, merchant.member_id)
        assert (merchant.username, merchant.partner_id) == ("newshop", ADA.partner_id)
        assert merchant.secret_key not in {ADA.secret_key, ADA.partner_secret_key, BOB.secret_key}
        async with Gateway(
            sandbox.base_url, merchant, transport=transport, timeouts=PATIENT
        ) as shop:
            payment = await shop.debit(EUROS, card, merchant_transaction_id="ORDER-1")
            assert payment.succeeded
            assert await listed(shop) == [payment.payment_id]
            assert await listed(partner) == []
            assert not (await partner.inquire(payment_id=payment.payment_id)).found
    assert {(member, login) for member, login in sandbox.asked if member == merchant.member_id} == {
        (merchant.member_id, "newshop")
    }
    assert len(sandbox.peers) == 1


async def test_merchant_sign_up_needs_new_name(sandbox: Watched) -> None:
    """A login that exists is refused, as a result; the next one succeeds."""
    async with Gateway(sandbox.base_url, ADA, timeouts=PATIENT) as partner:
        assert (await new_shop(partner, "bob")).outcome is Outcome.FAILED
        members = [(await new_shop(partner, name)).member_id for name in ("first", "second")]
    assert members == [merchant.member_id for merchant in sandbox.payments.merchants[2:]]


async def test_merchant_sign_ups_share_one_partner_token(sandbox: Watched) -> None:
    """Concurrent sign-ups request one partner token, and none of the merchant."""
    async with Gateway(sandbox.base_url, ADA, timeouts=PATIENT) as partner:
        await asyncio.gather(*(new_shop(partner, f"shop{number}") for number in range(5)))
    assert sandbox.requests == {"token": 1, "merchant sign-up": 5}
    assert {grant.role for grant in sandbox.tokens._grants.values()} == {"partner"}


@pytest.mark.parametrize(
    "without",
    [
        lambda: BOB,
        lambda: attrs.evolve(ADA, partner_secret_key=None),
        lambda: attrs.evolve(ADA, partner_username=None),
    ],
    ids=["neither", "no key", "no login"],
)
async def test_merchant_sign_up_without_partner_login_raises(
    sandbox: Watched, without: Callable[[], Credentials]
) -> None:
    """Without the partner's login or key nothing is sent, not even for a token."""
    async with Gateway(sandbox.base_url, without(), timeouts=PATIENT) as gateway:
        with pytest.raises(
            errors.ConfigurationError, match="partner_username and partner_secret_key"
        ):
            await new_shop(gateway)
    assert (sandbox.requests, sandbox.peers, len(sandbox.payments.merchants)) == ({}, set(), 2)


async def test_merchant_sign_up_with_wrong_key_raises(sandbox: Watched) -> None:
    """A rejected partner key is an authentication error, and payments continue."""
    wrong = attrs.evolve(ADA, partner_secret_key=Secret("anotherKeyThatOpensNoDoor00000000"))
    async with Gateway(sandbox.base_url, wrong, timeouts=PATIENT) as gateway:
        with pytest.raises(errors.AuthenticationFailed):
            await new_shop(gateway)
        assert (await bill(gateway)).succeeded
    assert "merchant sign-up" not in sandbox.requests
