"""Marked card numbers, CVVs, keys and tokens appear nowhere in any payment or failure."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from support.canary import (
    CVV,
    ENVIRON,
    EUROS,
    KEY,
    LOGIN_KEY,
    MERCHANT,
    NUMBER,
    PATIENT,
    found,
    secrets,
    shown,
)
from support.transports import KINDS

from gatewaypy import Card, Credentials, Customer, Gateway, Timeouts, errors
from gatewaypy.protocol.fields import check
from gatewaypy.protocol.wire import WireReply
from gatewaypy.sandbox import FaultKind, Sandbox
from gatewaypy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatewaypy.transport import Transport


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


#: Faults of connections, answers and delays: the other faults are answers, which all transports
#: handle alike.
CONNECTION_FAULTS = [
    None,
    FaultKind.RESET,
    FaultKind.CUT_AFTER,
    FaultKind.HALF_REPLY,
    FaultKind.STALL,
]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (kind, fault)
        for kind in KINDS
        for fault in ([None, *FaultKind] if kind == "httpx" else CONNECTION_FAULTS)
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
async def test_leak_operations_and_failures_show_no_secret(
    fault: FaultKind | None, transport: Transport, log: io.StringIO
) -> None:
    """Logs, reprs, tracebacks with locals and pickles have no number, CVV, key or token."""
    card, customer = Card(NUMBER, 7, 2030, CVV), Customer(email="a@shop.example")
    produced: list[object] = [card, MERCHANT, Secret(KEY)]
    async with Sandbox((MERCHANT,)).serve() as sandbox:
        async with Gateway(
            sandbox.base_url, MERCHANT, transport=transport, timeouts=PATIENT
        ) as gateway:
            produced += [gateway, gateway.platform, transport]
            token = await gateway.tokens.merchant()
            paid = await gateway.debit(EUROS, card, merchant_transaction_id="EARLIER")
            held = await gateway.preauth(EUROS, card, merchant_transaction_id="HELD")
            gateway._pipeline.timeouts = Timeouts(connect=1, read=0.2, total=0.4, inquiry=0.2)
            subject, hold = paid.payment_id or "", held.payment_id or ""
            produced += [token, paid, held]
            if fault is not None:
                sandbox.faults.add(fault, times=None, probability=0.9)
            for call in (
                lambda: gateway.debit(EUROS, card, merchant_transaction_id="A-1"),
                lambda: gateway.preauth(EUROS, card, merchant_transaction_id="A-2"),
                lambda: gateway.capture(hold, EUROS),
                lambda: gateway.refund(subject, EUROS),
                lambda: gateway.payout(EUROS, merchant_transaction_id="A-3", customer=customer),
                lambda: gateway.inquire(payment_id=subject),
                lambda: gateway.tokens.regenerate(token),
                gateway.tokens.partner,
            ):
                try:
                    produced.append(await call())
                except errors.GatewayError as error:
                    produced.append(error)
        known = [*secrets(sandbox), token.value.reveal()]
    everything = "\n".join(shown(value) for value in produced) + log.getvalue()
    assert len(everything) > 1000
    assert [secret for secret in known if found(secret, everything)] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Card(NUMBER[:-1] + str((int(NUMBER[-1]) + 1) % 10), 7, 2030),
        lambda: Card(NUMBER, 7, 2030, CVV + "12"),
        lambda: Card(NUMBER, 13, 2030, CVV),
        lambda: Card(Secret(NUMBER + "x"), 7, 2030, CVV),
        lambda: Credentials(member_id="1", partner_id="4", username="shop", secret_key=KEY + "|"),
        lambda: Credentials(member_id="x", partner_id="4", username="shop", secret_key=KEY),
        lambda: Credentials(
            member_id="1",
            partner_id="4",
            username="shop",
            secret_key=KEY,
            partner_secret_key=LOGIN_KEY + "\n",
        ),
        lambda: Credentials.from_env(environ=ENVIRON | {"GATEWAYPY_MEMBER_ID": "x"}),
        lambda: Credentials.from_env(environ=ENVIRON | {"GATEWAYPY_USERNAME": ""}),
        lambda: check({"card.number": Secret(NUMBER + "x")}),
        lambda: check({"merchantTransactionId": Secret(NUMBER + "|")}),
    ],
)
def test_leak_payment_refusals_do_not_show_the_value(make: Any) -> None:
    """A mistyped number or key is in no message, pickle or local of the library's frames."""
    with pytest.raises((errors.InvalidRequest, errors.ConfigurationError)) as refused:
        make()
    text = shown(refused.value)
    assert [secret for secret in (NUMBER[:12], KEY, LOGIN_KEY, CVV) if found(secret, text)] == []


async def test_leak_account_details_in_extra_are_hidden(log: io.StringIO) -> None:
    """Extra fields carry account details: they are wrapped in payments and payouts."""
    card, customer = Card("4000000000000051", 7, 2030), Customer(email="a@shop.example")
    timeouts = Timeouts(total=0.3, inquiry=0.3)
    async with (
        Sandbox((MERCHANT,)).serve() as sandbox,
        Gateway(sandbox.base_url, MERCHANT, timeouts=timeouts) as gateway,
    ):
        sandbox.faults.add("cut before", times=None)
        sandbox.faults.switches[0].after = 1
        produced: list[BaseException] = []
        for call in (
            lambda: gateway.debit(
                EUROS, card, merchant_transaction_id="A-1", extra={"account": NUMBER}
            ),
            lambda: gateway.preauth(
                EUROS, card, merchant_transaction_id="A|1", extra={"account": NUMBER}
            ),
            lambda: gateway.payout(
                EUROS, merchant_transaction_id="A-2", customer=customer, extra={"account": NUMBER}
            ),
            lambda: gateway.payout(
                EUROS,
                merchant_transaction_id="A-3",
                customer=customer,
                extra={"customer.email": NUMBER},
            ),
        ):
            with pytest.raises(errors.GatewayError) as failed:
                await call()
            produced.append(failed.value)
    text = "\n".join(shown(error) for error in produced) + log.getvalue()
    assert NUMBER not in text


async def test_leak_refused_payment_hides_its_card(log: io.StringIO) -> None:
    """A refusal for another field shows nothing of the card, in chained errors either."""
    async with Gateway("http://127.0.0.1:9", MERCHANT) as gateway:
        with pytest.raises(errors.InvalidRequest) as refused:
            await gateway.debit(EUROS, Card(NUMBER, 7, 2030, CVV), merchant_transaction_id="A|1")
        with pytest.raises(errors.NotSent) as not_sent:
            await gateway.debit(EUROS, Card(NUMBER, 7, 2030, CVV), merchant_transaction_id="A-1")
    text = shown(refused.value) + shown(not_sent.value) + log.getvalue()
    assert [secret for secret in (NUMBER, CVV, KEY) if found(secret, text)] == []


class Repeating:
    """A transport whose gateway echoes every request and every secret in its text."""

    def __init__(self, words: str, code: str) -> None:
        self.words, self.code, self.has_card = words, code, False

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, request: Any, *, send_guard: Any, **_: Any) -> WireReply:
        assert send_guard()
        words = f"{self.words} {'' if request.token is None else request.token.reveal()}"
        self.has_card = self.has_card or NUMBER.encode() in request.body
        if self.has_card:
            # Values that only the sender of the request can know to be secret.
            words += f" cvv {CVV}"
        reply_fields: dict[str, Any] = {
            "result": {"code": self.code, "description": words},
            "remark": words,
            "extra words": [words],
        }
        if request.token is None and self.code != "20001":
            reply_fields |= {
                "result": {"code": "200", "description": words},
                "AuthToken": "eyJcanary.token.granted",
                "memberId": "11344",
            }
        elif request.token is not None:
            reply_fields |= {"transactionStatus": words, "status": words, "descriptor": words}
            reply_fields |= {"bankReferenceId": NUMBER} if self.has_card else {}
        return WireReply(200, "application/json", json.dumps(reply_fields).encode())


@pytest.mark.parametrize("code", ["10001", "20001", "00001", "77777"])
async def test_leak_gateway_text_shows_no_secret(code: str, log: io.StringIO) -> None:
    """A gateway that echoes every secret in each field shows none in any result or error."""
    grouped = "-".join(NUMBER[start : start + 4] for start in range(0, 16, 4))
    words = f"card {NUMBER} and {grouped}2030, key {KEY} {LOGIN_KEY}"
    card, customer = Card(NUMBER, 7, 2030, CVV), Customer(email="a@shop.example")
    produced: list[object] = []
    hasty = Timeouts(total=0.3, inquiry=0.2)
    transport = Repeating(words, code)
    async with Gateway(
        "https://gateway.example", MERCHANT, transport=transport, timeouts=hasty
    ) as gateway:
        for call in (
            lambda: gateway.debit(EUROS, card, merchant_transaction_id="A-1"),
            lambda: gateway.preauth(EUROS, card, merchant_transaction_id="A-2"),
            lambda: gateway.capture("7", EUROS),
            lambda: gateway.refund("7", EUROS),
            lambda: gateway.reversal("7"),
            lambda: gateway.payout(EUROS, merchant_transaction_id="A-3", customer=customer),
            lambda: gateway.inquire(payment_id="7"),
            lambda: gateway.stored_cards.store(card),
            gateway.invoices.configuration,
            gateway.tokens.merchant,
            gateway.tokens.partner,
        ):
            transport.has_card = False
            try:
                result = await call()
                produced += [
                    result,
                    dict(getattr(result, "raw", {})),
                    dict(getattr(result, "extra", {})),
                ]
                result.raise_for_outcome()
            except (errors.GatewayError, AttributeError) as error:
                produced.append(error)
    everything = "\n".join(shown(value) for value in produced) + log.getvalue()
    assert "***" in everything
    known = [NUMBER, grouped, CVV, KEY, LOGIN_KEY, "eyJcanary.token.granted"]
    assert [secret for secret in known if found(secret, everything)] == []


async def test_leak_card_number_as_id_is_refused() -> None:
    """A payment whose id contains its card number is refused without showing it."""
    async with Gateway("http://127.0.0.1:9", MERCHANT) as gateway:
        with pytest.raises(
            errors.InvalidRequest, match="must not contain the card number"
        ) as refused:
            await gateway.debit(
                EUROS, Card(NUMBER, 7, 2030, CVV), merchant_transaction_id=f"A-{NUMBER}"
            )
    assert NUMBER not in f"{refused.value} {vars(refused.value)}"
