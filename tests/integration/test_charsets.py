"""A debit whose reply is not UTF-8, on real sockets and every transport."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.bare_server import PATIENT, listening, read_request

from gatewaypy import Card, Credentials, Gateway, Money

if TYPE_CHECKING:
    import asyncio

    from gatewaypy.transport import Transport

MERCHANT = Credentials(
    member_id="11344", partner_id="4", username="shop", secret_key="charsetKey000000000000000"
)
TOKEN = {
    "result": {"code": "200", "description": "für Müller"},
    "AuthToken": "a.b.c",
    "memberId": "11344",
}
PAID = {
    "paymentId": "7",
    "merchantTransactionId": "TX-1",
    "transactionStatus": "Y",
    "amount": "5.00",
    "currency": "EUR",
    "remark": "für Müller",
    "result": {"code": "00001", "description": "ok"},
}


def reply(fields: dict[str, object], encoding: str, label: str) -> bytes:
    body = json.dumps(fields, ensure_ascii=False).encode(encoding)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        label.encode(),
        len(body),
        body,
    )


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        ("latin-1", "application/json;charset=ISO-8859-1"),
        ("latin-1", "application/json"),
        ("utf-8-sig", "text/plain"),
        ("utf-16", "application/json; charset=UTF-16"),
    ],
)
async def test_debit_reply_in_charset_succeeds(
    transport: Transport, encoding: str, label: str
) -> None:
    """A debit and its token are read from their replies in any charset."""
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            asked.append(head.split(b" ")[1])
            writer.write(reply(TOKEN if b"authToken" in head else PAID, encoding, label))

    card = Card("4000 0000 0000 0051", 7, 2030, "745", "Ada Lovelace")
    async with listening(serve) as port:
        url = f"http://127.0.0.1:{port}"
        async with Gateway(url, MERCHANT, transport=transport, timeouts=PATIENT) as gateway:
            payment = await gateway.debit(
                Money("5.00", "EUR"), card, merchant_transaction_id="TX-1"
            )
    assert (payment.succeeded, payment.remark, len(asked)) == (True, "für Müller", 2)
