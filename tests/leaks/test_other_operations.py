"""Marked cards, accounts, extra values, keys and tokens appear nowhere in the other operations."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support.canary import CVV, EUROS, KEY, LOGIN_KEY, NUMBER, shown

from gatewaypy import (
    AchAccount,
    Card,
    Credentials,
    Customer,
    Gateway,
    HttpxTransport,
    LateResult,
    OtherSource,
    Product,
    SepaAccount,
    Timeouts,
    Upi,
    Wallet,
    errors,
)
from gatewaypy.models import Mandate
from gatewaypy.observe import log_event
from gatewaypy.sandbox import FaultKind, Sandbox
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import Message, Receive, Scope, Send

    from gatewaypy.transport import Transport

IBAN, ACCOUNT, ADDRESS = "DE89370400440532013000", "776655443322", "canary.ada@upibank"
EXTRA, PIN = "canaryExtraValue77", "canaryVoucherPin88"
MALFORMED_CVV = "91x73"
MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key=KEY,
    terminal_id="1106",
    partner_username="partner",
    partner_secret_key=LOGIN_KEY,
    partner_name="SandboxPartner",
)
ADA = Customer("Ada", "Lovelace", "ada@shop.example")
BACK = "https://shop.example/back"
PATIENT = Timeouts(connect=5, read=5, total=10, inquiry=5)
HASTY = Timeouts(connect=1, read=0.2, total=0.4, inquiry=0.2)
SEPA, ACH = SepaAccount(IBAN, "PBNKDEFFXXX"), AchAccount(ACCOUNT, "011000028")
OTHER = OtherSource("PV", "NEOSURF", {"voucher.pin": PIN})
MANDATE = Mandate(
    payment_id="54279",
    registration_id="REG201",
    payment_mode="CC",
    payment_brand="VISA",
    currency="EUR",
)

# The middle of values that may be shown in part; the few digits of a CVV may be part of a longer
# word.
SECRETS = (
    NUMBER[5:13],
    CVV,
    MALFORMED_CVV,
    IBAN[4:-4],
    ACCOUNT,
    ADDRESS,
    EXTRA,
    PIN,
    KEY,
    LOGIN_KEY,
)


def found(text: str, *more: str) -> list[str]:
    """Return the secrets that are in a text."""
    known = [secret for secret in (*SECRETS, *more) if secret != CVV and secret in text]
    return known + ([CVV] if re.search(rf"(?<![0-9A-Za-z.]){CVV}(?![0-9A-Za-z])", text) else [])


def card() -> Card:
    return Card(NUMBER, 7, 2030, CVV, "Ada Lovelace")


class Eavesdropper(Sandbox):
    """A sandbox that records what it is sent: secrets must be there, and nowhere else."""

    traffic = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> Message:
            message = await receive()
            self.traffic += message.get("body", b"").decode()
            return message

        self.traffic += "".join(
            f"\n{value.decode()}\n" for name, value in scope["headers"] if name == b"authtoken"
        )
        await super().__call__(scope, listen, send)

    @property
    def overheard(self) -> list[str]:
        """Return every sent checksum and token, and the granted tokens that are valid."""
        return [
            *re.findall(r'checksum(?:=|": ")([0-9a-f]{32})', self.traffic),
            *re.findall(r"^eyJ.*$", self.traffic, re.MULTILINE),
            *(token for _, token in self.tokens._grants),
        ]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Collect all log records at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


async def ended(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (errors.GatewayError, TypeError) as error:
        return error


async def every_call(gateway: Gateway, prepared: dict[str, Any]) -> list[Any]:
    """Make every call of the rest of the API at once, and return how each ended."""
    extra = {"note": EXTRA}
    agreed, registration, invoice = (
        prepared["mandate"],
        prepared["registration"],
        prepared["invoice"],
    )
    today = datetime.now(UTC).date()

    async def rows() -> list[Any]:
        # Replies with account details have their own test below.
        return [
            row
            async for row in gateway.transactions(
                today - timedelta(days=1), today + timedelta(days=1), status="capturesuccess"
            )
        ]

    repeated = {"extra": extra, "shipping": None}
    calls = [
        gateway.recurring.initial(
            EUROS, card(), merchant_transaction_id="A-1", store_card=True, extra=extra
        ),
        gateway.recurring.repeat(agreed, EUROS, merchant_transaction_id="A-2", **repeated),
        gateway.recurring.repeat(
            agreed, EUROS, merchant_transaction_id="A-3", by="initial payment", **repeated
        ),
        gateway.stored_cards.pay(
            registration, EUROS, merchant_transaction_id="A-4", cvv=CVV, extra=extra
        ),
        gateway.stored_cards.pay(
            registration, EUROS, merchant_transaction_id="A-5", cvv=Secret(CVV), preauth=True
        ),
        gateway.stored_cards.pay(
            registration, EUROS, merchant_transaction_id="A-6", cvv=MALFORMED_CVV
        ),
        gateway.stored_cards.store(card(), customer=ADA, extra=extra),
        gateway.stored_cards.store(SEPA, customer=ADA),
        gateway.stored_cards.store(ACH, customer=ADA),
        gateway.stored_cards.list(prepared["customer"]),
        gateway.stored_cards.delete(prepared["unwanted"]),
        gateway.debit(EUROS, SEPA, merchant_transaction_id="A-7"),
        gateway.debit(EUROS, ACH, merchant_transaction_id="A-8"),
        gateway.debit(EUROS, Upi(ADDRESS), merchant_transaction_id="A-9"),
        gateway.debit(EUROS, OTHER, merchant_transaction_id="A-10"),
        gateway.preauth(EUROS, Wallet("SKRILL"), merchant_transaction_id="A-11", extra=extra),
        gateway.customers.sign_up(Customer("Bo", "Lovelace", "bo@shop.example"), extra=extra),
        gateway.merchants.sign_up(
            "newshop", company_name="New Shop", email="new@shop.example", extra=extra
        ),
        gateway.links.create(EUROS, order_id="LINK-1", customer=ADA, extra=extra),
        gateway.invoices.generate(
            EUROS, merchant_invoice_id="INV-2", customer=ADA, redirect_url=BACK, extra=extra
        ),
        gateway.invoices.status("INV-1"),
        gateway.invoices.configuration(),
        gateway.invoices.remind(invoice),
        gateway.invoices.regenerate(invoice, redirect_url=BACK),
        gateway.invoices.cancel(invoice),
        gateway.checkout.form(
            EUROS, merchant_transaction_id="A-12", redirect_url=BACK, extra=extra
        ),
        gateway.checkout.card_registration_form(redirect_url=BACK, extra=extra),
        rows(),
    ]
    return list(await asyncio.gather(*(ended(call) for call in calls)))


async def prepare(gateway: Gateway) -> dict[str, Any]:
    """Create what the calls act on, and with it a token for every root and login."""
    initial = await gateway.recurring.initial(
        EUROS, card(), merchant_transaction_id="EARLIER", store_card=True
    )
    customer = await gateway.customers.sign_up(ADA)
    kept = Customer(customer_id=customer.customer_id)
    invoice = await gateway.invoices.generate(
        EUROS, merchant_invoice_id="INV-1", customer=ADA, redirect_url=BACK
    )
    await gateway.merchants.sign_up(
        "firstshop", company_name="First Shop", email="first@shop.example"
    )
    return {
        "mandate": initial.mandate(),
        "registration": (await gateway.stored_cards.store(card(), customer=kept)).registration_id,
        "unwanted": (await gateway.stored_cards.store(card(), customer=kept)).registration_id,
        "customer": customer.customer_id,
        "invoice": invoice.invoice_id,
        "initial": initial,
    }


async def everything(
    log: io.StringIO,
    *,
    fault: FaultKind | None,
    transport: Transport,
    body: str = "form",
    timeouts: Timeouts,
) -> tuple[list[Any], str, Eavesdropper]:
    """Make every call, with a fault for nearly every request if set; return all visible text."""
    events: list[Any] = []

    def observe(event: Any) -> None:
        events.append(event)
        log_event(event)

    async with Eavesdropper((MERCHANT,)).serve() as sandbox:
        async with (
            Gateway(
                sandbox.base_url, MERCHANT, transport=transport, timeouts=PATIENT, observer=observe
            ) as patient,
            Gateway(
                sandbox.base_url,
                MERCHANT,
                transport=transport,
                timeouts=timeouts,
                body=body,
                observer=observe,
            ) as gateway,
        ):
            prepared = await prepare(patient)
            # The tokens are cached: the faults affect the operations only.
            gateway._pipeline.tokens._sources.update(patient._pipeline.tokens._sources)
            if fault is not None:
                sandbox.faults.add(fault, times=None, probability=0.9)
            results = await every_call(gateway, prepared)
            known = sandbox.overheard
            text = "\n".join(
                shown(value) for value in [gateway, *prepared.values(), *results, *events]
            )
        everywhere = text + log.getvalue()
    assert len(everywhere) > 5000
    assert events
    assert found(everywhere, *known) == []
    return results, everywhere, sandbox


@pytest.mark.parametrize("body", ["form", "json"])
async def test_leak_calls_show_no_secret(body: str, transport: Transport, log: io.StringIO) -> None:
    """Logs at DEBUG, reprs, events, pickles and the refusal have nothing of what was sent."""
    results, _, sandbox = await everything(
        log, fault=None, transport=transport, body=body, timeouts=PATIENT
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [type(error) for error in refused] == [errors.InvalidRequest]
    assert "card.cvv" in str(refused[0])
    # Every secret was sent, except refused ones and the keys, of which only checksums are sent.
    never_sent = {MALFORMED_CVV, KEY, LOGIN_KEY}
    traffic = sandbox.traffic.replace("%40", "@").replace("+", " ")
    assert [
        secret for secret in SECRETS if secret not in never_sent and secret not in traffic
    ] == []
    assert len(sandbox.overheard) > len(results)


@pytest.mark.parametrize("fault", list(FaultKind), ids=lambda fault: fault.name)
async def test_leak_failures_show_no_secret(fault: FaultKind, log: io.StringIO) -> None:
    """With any fault in nearly every request, no error, log or event shows a secret."""
    results, _, _ = await everything(log, fault=fault, transport=HttpxTransport(), timeouts=HASTY)
    if fault.spoils_reply:
        assert sum(isinstance(result, errors.GatewayError) for result in results) > 3


async def test_leak_wrong_key_is_not_shown(log: io.StringIO) -> None:
    """If the gateway rejects the credentials no error shows a key or the unsent data."""
    wrong = attrs.evolve(
        MERCHANT, secret_key=Secret(EXTRA + KEY), partner_secret_key=Secret(EXTRA + LOGIN_KEY)
    )
    async with (
        Eavesdropper((MERCHANT,)).serve() as sandbox,
        Gateway(sandbox.base_url, wrong, timeouts=PATIENT) as gateway,
    ):
        results = [
            await ended(call)
            for call in (
                gateway.recurring.initial(EUROS, card(), merchant_transaction_id="A-1"),
                gateway.stored_cards.store(SEPA),
                gateway.customers.sign_up(ADA),
                gateway.merchants.sign_up(
                    "newshop", company_name="New Shop", email="new@shop.example"
                ),
                gateway.invoices.configuration(),
            )
        ]
        assert EXTRA in sandbox.traffic
    assert {type(result) for result in results} == {errors.AuthenticationFailed}
    assert found("\n".join(shown(result) for result in results) + log.getvalue()) == []


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "unanswered"])
async def test_leak_late_result_has_no_secret(log: io.StringIO, *, answered: bool) -> None:
    """The event and the log of a cancelled call have no CVV."""
    events: list[Any] = []
    sent = asyncio.Event()

    class Slow(Eavesdropper):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if "paywithtoken" in scope["path"]:
                sent.set()
                self.reply_delay = 0.1
            await super().__call__(scope, receive, send)

    def observe(event: Any) -> None:
        events.append(event)
        log_event(event)

    async with Slow((MERCHANT,)).serve() as sandbox:
        timeouts = Timeouts(connect=5, read=5, total=10, inquiry=0.5)
        async with Gateway(
            sandbox.base_url, MERCHANT, timeouts=timeouts, observer=observe
        ) as gateway:
            registration = (await gateway.stored_cards.store(card())).registration_id or ""
            if not answered:
                sandbox.faults.add("cut before", operation="stored card debit")
            pay = gateway.stored_cards.pay(
                registration, EUROS, merchant_transaction_id="A-1", cvv=CVV, extra={"note": EXTRA}
            )
            task = asyncio.create_task(pay)
            await sent.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
        known = sandbox.overheard
        assert CVV in sandbox.traffic
    late = [event for event in events if isinstance(event, LateResult)]
    assert [(event.error is None, event.merchant_transaction_id) for event in late] == [
        (answered, "A-1")
    ]
    text = (
        "\n".join(
            shown(value) for value in [*events, late[0].error, late[0].result, cancelled.value]
        )
        + log.getvalue()
    )
    assert found(text, *known) == []


async def test_leak_form_checksum_only_in_its_page() -> None:
    """The repr, pickle and asdict of a form hide its checksum; its inputs and page have it."""
    async with Gateway("http://127.0.0.1:9", MERCHANT) as gateway:
        forms = [
            await gateway.checkout.form(
                EUROS, merchant_transaction_id="A-1", redirect_url=BACK, extra={"note": EXTRA}
            ),
            await gateway.checkout.card_registration_form(redirect_url=BACK, extra={"note": EXTRA}),
        ]
    for form in forms:
        checksum = dict(form.inputs())["checksum"]
        assert re.fullmatch(r"[0-9a-f]{32}", checksum)
        assert checksum in form.html()
        assert EXTRA in form.html()
        assert found(shown(form), checksum) == []
        with pytest.raises(TypeError):
            pickle.dumps(form)


# Refusals

BARE = attrs.evolve(MERCHANT, partner_name=None, terminal_id=None)
PAY = {"merchant_transaction_id": "A-1", "cvv": CVV}


def invoiced(gateway: Gateway, **options: Any) -> Awaitable[Any]:
    return gateway.invoices.generate(
        EUROS, merchant_invoice_id="INV-1", customer=ADA, redirect_url=BACK, **options
    )


REFUSALS: dict[str, Callable[[Gateway], Awaitable[Any]]] = {
    "a malformed CVV": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A-1", cvv=MALFORMED_CVV
    ),
    "a malformed CVV in a Secret": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A-1", cvv=Secret(MALFORMED_CVV)
    ),
    "a CVV that is a number": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A-1", cvv=int(CVV)
    ),
    "a CVV in bytes": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A-1", cvv=CVV.encode()
    ),
    "a malformed CVV and an extra": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A-1", cvv=MALFORMED_CVV, extra={"note": EXTRA}
    ),
    "a good CVV with a bad id": lambda g: g.stored_cards.pay(
        "REG1", EUROS, merchant_transaction_id="A|1", cvv=CVV
    ),
    "a good CVV with a bad registration": lambda g: g.stored_cards.pay("REG|1", EUROS, **PAY),
    "a good CVV with no Money": lambda g: g.stored_cards.pay("REG1", "5.00", **PAY),
    "a good CVV with another next to it": lambda g: g.stored_cards.pay(
        "REG1", EUROS, extra={"card.cvv": CVV}, **PAY
    ),
    "a good CVV with a bad extra": lambda g: g.stored_cards.pay(
        "REG1", EUROS, extra={"note": EXTRA + "\n"}, **PAY
    ),
    "a good CVV with an extra's bad name": lambda g: g.stored_cards.pay(
        "REG1", EUROS, extra={"no te": EXTRA}, **PAY
    ),
    "an extra that is a number": lambda g: g.stored_cards.pay(
        "REG1", EUROS, extra={"account": int(ACCOUNT)}, **PAY
    ),
    "no connection": lambda g: g.stored_cards.pay("REG1", EUROS, extra={"note": EXTRA}, **PAY),
    "an initial payment with a second number": lambda g: g.recurring.initial(
        EUROS, card(), merchant_transaction_id="A-1", extra={"card.number": NUMBER}
    ),
    "a repeat in another currency": lambda g: g.recurring.repeat(
        attrs.evolve(MANDATE, currency="USD"),
        EUROS,
        merchant_transaction_id="A-1",
        extra={"note": EXTRA},
    ),
    "a repeat of no mandate": lambda g: g.recurring.repeat(
        "54279", EUROS, merchant_transaction_id="A-1", extra={"note": EXTRA}
    ),
    "a repeat with a CVV": lambda g: g.recurring.repeat(
        MANDATE, EUROS, merchant_transaction_id="A-1", cvv=CVV
    ),
    "a bad IBAN": lambda g: g.stored_cards.store(SepaAccount(IBAN + "\n", "PBNKDEFFXXX")),
    "a bad BIC, which is signed": lambda g: g.stored_cards.store(SepaAccount(IBAN, "PBNK|DEFFXXX")),
    "a bad account number": lambda g: g.stored_cards.store(AchAccount(ACCOUNT + "\0", "011000028")),
    "a card with a bad extra": lambda g: g.stored_cards.store(card(), extra={"note": EXTRA + "\n"}),
    "a bad UPI address": lambda g: g.debit(
        EUROS, Upi(ADDRESS + "\n"), merchant_transaction_id="A-1"
    ),
    "a bad voucher": lambda g: g.debit(
        EUROS, OtherSource("PV", "X", {"pin": PIN + "\n"}), merchant_transaction_id="A-1"
    ),
    "a source's forbidden name": lambda g: g.debit(
        EUROS, OtherSource("PV", "X", {"authentication.pin": PIN}), merchant_transaction_id="A-1"
    ),
    "a customer with a bad extra": lambda g: g.customers.sign_up(ADA, extra={"note": EXTRA + "\n"}),
    "a customer who cannot be signed": lambda g: g.customers.sign_up(
        Customer("A|da", "Lovelace", "ada@shop.example"), extra={"note": EXTRA}
    ),
    "a merchant with a second e-mail": lambda g: g.merchants.sign_up(
        "newshop",
        company_name="New Shop",
        email="new@shop.example",
        extra={"merchant.email": EXTRA},
    ),
    "a link with a forbidden extra": lambda g: g.links.create(
        EUROS, order_id="L-1", customer=ADA, extra={"merchant": EXTRA}
    ),
    "an invoice with a second amount": lambda g: invoiced(g, extra={"amount": EXTRA}),
    "a form with a bad id": lambda g: g.checkout.form(
        EUROS, merchant_transaction_id="A|1", redirect_url=BACK, extra={"note": EXTRA}
    ),
    "a form with a long URL": lambda g: g.checkout.card_registration_form(
        redirect_url=BACK + "x" * 100, extra={"note": EXTRA}
    ),
}


@pytest.mark.parametrize("call", REFUSALS.values(), ids=REFUSALS)
async def test_leak_refusals_do_not_show_the_value(
    call: Callable[[Gateway], Awaitable[Any]], log: io.StringIO
) -> None:
    """A call that is refused or not sent shows none of its values in errors, frames and logs."""
    async with Gateway("http://127.0.0.1:9", MERCHANT) as gateway:
        with pytest.raises((errors.InvalidRequest, errors.NotSent, TypeError)) as refused:
            await call(gateway)
    assert found(shown(refused.value) + log.getvalue()) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: SepaAccount(IBAN, "PBNKDEFFXXX", brand=""),
        lambda: SepaAccount(IBAN, "PBNKDEFFXXX", mode=None),
        lambda: AchAccount(ACCOUNT, "011000028", brand=""),
        lambda: Upi(ADDRESS, mode=""),
        lambda: OtherSource("", "NEOSURF", {"voucher.pin": PIN}),
    ],
    ids=["SepaAccount brand", "SepaAccount mode", "AchAccount", "Upi", "OtherSource"],
)
def test_leak_refused_source_shows_no_account(make: Callable[[], object]) -> None:
    """A refused brand or mode shows nothing of the account, in the frame of attrs either."""
    with pytest.raises(errors.InvalidRequest) as refused:
        make()
    assert found(shown(refused.value)) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda g: g.recurring.initial(
            EUROS, card(), merchant_transaction_id="A-1", extra={"paymentType.x": EXTRA}
        ),
        lambda g: g.stored_cards.pay(
            "REG1", EUROS, merchant_transaction_id="A-1", cvv=CVV, extra={"authentication": EXTRA}
        ),
        lambda g: g.stored_cards.store(card(), extra={"authentication": EXTRA}),
        lambda g: invoiced(
            g,
            products=[Product("Pen", EUROS), Product("Ink", EUROS)],
            extra={"product.note": EXTRA},
        ),
    ],
    ids=[
        "next to a fixed field",
        "over the checksum",
        "over the merchant",
        "next to several products",
    ],
)
async def test_leak_extra_that_cannot_nest_shows_nothing(
    call: Callable[[Gateway], Awaitable[Any]],
) -> None:
    """In nested JSON an extra that conflicts with a field is refused, and never revealed."""
    async with Gateway("http://127.0.0.1:9", BARE, body="json") as gateway:
        with pytest.raises((errors.InvalidRequest, TypeError)) as refused:
            await call(gateway)
    assert found(shown(refused.value)) == []
    assert isinstance(refused.value, errors.InvalidRequest)


async def test_leak_form_without_partner_name_shows_nothing() -> None:
    """The error names what the credentials lack, and shows no other value."""
    async with Gateway("http://127.0.0.1:9", BARE) as gateway:
        with pytest.raises(errors.ConfigurationError, match="partner_name") as refused:
            await gateway.checkout.form(
                EUROS, merchant_transaction_id="A-1", redirect_url=BACK, extra={"note": EXTRA}
            )
    assert found(shown(refused.value)) == []


# Replies of the gateway


@pytest.mark.parametrize(
    "spell",
    [
        lambda listed: f"{listed!r} {listed} {listed.accounts!r}",
        lambda listed: repr(attrs.asdict(listed)),
        lambda listed: repr([dict(account.extra) for account in listed.accounts]),
        lambda listed: pickle.dumps(listed).decode("latin-1"),
    ],
    ids=["repr", "asdict", "the accounts' extra", "pickle"],
)
async def test_leak_listed_accounts_show_only_their_ends(
    spell: Callable[[Any], str], log: io.StringIO
) -> None:
    """Stored bank accounts have the middle of their numbers masked in every output."""
    async with (
        Sandbox((MERCHANT,)).serve() as sandbox,
        Gateway(sandbox.base_url, MERCHANT, timeouts=PATIENT) as gateway,
    ):
        owner = Customer(customer_id=(await gateway.customers.sign_up(ADA)).customer_id)
        for source in (SEPA, ACH, card()):
            assert (await gateway.stored_cards.store(source, customer=owner)).succeeded
        listed = await gateway.stored_cards.list(owner.customer_id or "")
    assert (len(listed.cards), len(listed.accounts)) == (1, 2)
    assert listed.accounts[0].iban == "DE89***3000"
    assert found(spell(listed) + log.getvalue()) == []


@pytest.mark.parametrize(
    "spell",
    [
        lambda row: f"{row!r} {row}",
        lambda row: repr(attrs.asdict(row)),
        lambda row: pickle.dumps(row).decode("latin-1"),
    ],
    ids=["repr", "asdict", "pickle"],
)
async def test_leak_listed_payments_hide_address_of_payer(
    spell: Callable[[Any], str], log: io.StringIO
) -> None:
    """A payer's UPI address is a secret of the request, and hidden in the list too."""
    day = datetime.now(UTC).date()
    async with (
        Sandbox((MERCHANT,)).serve() as sandbox,
        Gateway(sandbox.base_url, MERCHANT, timeouts=PATIENT) as gateway,
    ):
        await gateway.debit(EUROS, Upi(ADDRESS), merchant_transaction_id="A-1")
        rows = [
            row
            async for row in gateway.transactions(day - timedelta(days=1), day + timedelta(days=1))
        ]
    assert [row.merchant_transaction_id for row in rows] == ["A-1"]
    assert found(spell(rows[0]) + log.getvalue()) == []
