"""Callbacks for tests: their fields, and the signed and encoded body."""

from __future__ import annotations

import json
from typing import Any

from gatewaypy import Credentials
from gatewaypy.callbacks import sign_callback

MERCHANT = Credentials(
    member_id="11344",
    partner_id="4",
    username="shop",
    secret_key="k3yForDocsOnly0000000000000000AB",
)


def fields(status: str = "capturesuccess", short: str = "Y", **changes: Any) -> dict[str, Any]:
    """Return the fields of a callback."""
    code = {"Y": "00001", "N": "10001", "C": "10001"}.get(short, "90026")
    made = {"paymentId": "54279", "merchantTransactionId": "TX-1001", "amount": "50.00", "currency": "EUR", "status": status,
            "transactionStatus": short, "result": {"code": code, "description": "text"}}  # fmt: skip
    return made | changes


def signed(made: dict[str, Any], merchant: Credentials = MERCHANT, **options: Any) -> bytes:
    """Sign fields and encode them as JSON."""
    return json.dumps({**made, "checksum": sign_callback(made, merchant, **options)}).encode()
