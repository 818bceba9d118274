"""Verifying callbacks and building their events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy import Credentials, Money, Outcome, callbacks, errors
from gatewaypy.callbacks import CallbackEvent, read_return, sign_callback, verify_callback
from gatewaypy.protocol.checksum import KEY, RULES, checksum

VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "callbacks").glob("*.json"))
KINDS = {
    "chargeback": callbacks.ChargedBack,
    "payment-captured-long-status": callbacks.PaymentSucceeded,
    "payment-failed": callbacks.PaymentFailed,
    "payment-pending-3d": callbacks.PaymentPending,
    "payout-succeeded": callbacks.PayoutSucceeded,
}
OTHER = Credentials(member_id="2", partner_id="4", username="other", secret_key="o" * 32)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_verify_every_vector_returns_typed_event(path: Path) -> None:
    """Short and long signed statuses are detected, and the event has what the signature covers."""
    event = verify_callback(path.read_bytes(), [OTHER, MERCHANT])
    assert type(event) is KINDS[path.stem]
    assert (event.signed, event.member_id) == (True, "11344")
    assert event.payment_id
    assert event.amount
    assert event.card is not None
    assert event.card.last_four == "1111"


@pytest.mark.parametrize(
    ("status", "short", "kind"),
    [
        ("begun", "P", callbacks.PaymentPending),
        ("authsuccessful", "Y", callbacks.PaymentAuthorized),
        ("capturesuccess", "Y", callbacks.PaymentSucceeded),
        ("settled", "Y", callbacks.PaymentSucceeded),
        ("markedforreversal", "Y", callbacks.PaymentPending),
        ("reversed", "Y", callbacks.PaymentRefunded),
        ("cancelled", "C", callbacks.PaymentCancelled),
        ("authcancelled", "C", callbacks.PaymentCancelled),
        ("failed", "N", callbacks.PaymentFailed),
        ("payoutstarted", "P", callbacks.PayoutPending),
        ("payoutfailed", "N", callbacks.PayoutFailed),
        ("onhold", "Y", callbacks.UnknownEvent),
        ("capturesuccess", "N", callbacks.UnknownEvent),
    ],
)
def test_verify_every_status_has_event_type(
    status: str, short: str, kind: type[CallbackEvent]
) -> None:
    """A handler can name each status; unknown and contradictory ones have their own type."""
    assert type(verify_callback(signed(fields(status, short)), MERCHANT)) is kind


def test_verify_short_form_of_long_status_is_accepted() -> None:
    """A callback without a short status, signed by it, is verified; a chargeback by either form."""
    for status, short in (
        ("capturesuccess", "Y"),
        ("authfailed", "N"),
        ("3D Authstarted", "3D"),
        ("chargeback", "N"),
        ("reversed", "Y"),
    ):
        made = {
            name: value for name, value in fields(status).items() if name != "transactionStatus"
        }
        assert verify_callback(signed(made, status=short), MERCHANT).status == status


def test_verify_changed_short_status_is_refused() -> None:
    """The short form of the long status never replaces a short status that was changed."""
    body = json.loads(signed(fields()))
    with pytest.raises(errors.SignatureMismatch):
        verify_callback({**body, "transactionStatus": "P"}, MERCHANT)


@pytest.mark.parametrize("missing", [None, ""])
def test_verify_unsigned_callback_is_refused(missing: str | None) -> None:
    """A callback without a checksum is refused."""
    body = {**fields(), "checksum": missing}
    with pytest.raises(errors.SignatureMismatch, match="no signature"):
        verify_callback(body, MERCHANT)


def test_verify_previous_key_is_accepted() -> None:
    """A callback signed with the previous key is verified; one with an older key is not."""
    rotated = Credentials(
        member_id="11344",
        partner_id="4",
        username="shop",
        secret_key="n" * 32,
        previous_secret_keys=[MERCHANT.secret_key],
    )
    assert verify_callback(signed(fields()), rotated).member_id == "11344"
    with pytest.raises(errors.SignatureMismatch):
        verify_callback(signed(fields(), OTHER), rotated)


def test_verify_flat_form_returns_same_event() -> None:
    """A form with the names of the browser return becomes the same event."""
    made = fields()
    flat = {"trackingid": "54279", "desc": "TX-1001", "amount": "50.00", "currency": "EUR", "status": "Y", "resultCode": "00001",
            "resultDescription": "ok", "cardBin": "400000", "cardLast4Digits": "0051"}  # fmt: skip
    body = urlencode({**flat, "checksum": sign_callback(made, MERCHANT)}).encode()
    event = verify_callback(
        body, MERCHANT, content_type="application/x-www-form-urlencoded; charset=utf-8"
    )
    assert (event.outcome, event.payment_id, event.merchant_transaction_id) == (
        Outcome.SUCCEEDED,
        "54279",
        "TX-1001",
    )
    assert (event.amount, event.result.code, event.transaction_status) == (
        Money(50, "EUR"),
        "00001",
        "Y",
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"a": 1, "a": 2}', "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b'{"a":' * 25 + b"1" + b"}" * 25, "application/json"),
        (b"\xff", "application/json"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
        (b"=&=", "application/x-www-form-urlencoded"),
        (b"&".join(b"n%d=1" % n for n in range(300)), "application/x-www-form-urlencoded"),
        (b"a=1", "text/plain"),
        (b"x" * 70_000, "application/json"),
        (b'{"checksum": ["x"]}', "application/json"),
        (b'{"checksum": "%s", "paymentId": {}}' % (b"0" * 32), "application/json"),
        (
            b'{"checksum": "%s", "paymentId": "a|b", "transactionStatus": "Y"}' % (b"0" * 32),
            "application/json",
        ),
    ],
    ids=range(16),
)
def test_verify_malformed_body_is_unreadable(body: bytes, kind: str) -> None:
    """An ambiguous, deep, long or wrongly typed body is refused before it is verified."""
    with pytest.raises(errors.UnreadableCallback):
        verify_callback(body, MERCHANT, content_type=kind)


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        ("latin-1", "application/json;charset=ISO-8859-1"),
        ("latin-1", "application/json"),
        ("latin-1", "application/json; charset=utf-8"),
        ("cp1252", 'Application/JSON; Charset="windows-1252"'),
        ("utf-8-sig", "application/json"),
        ("utf-16", "application/json; charset=utf-16"),
        ("utf-8", FORM),
        ("utf-8", "text/plain; charset=utf-8"),
        ("utf-8-sig", "text/plain"),
    ],
)
def test_verify_any_charset_is_accepted(encoding: str, kind: str) -> None:
    """A callback is decoded in its charset, JSON with any label, before it is verified."""
    made = fields(remark="Zahlung für Müller")
    body = json.dumps(
        {**made, "checksum": sign_callback(made, MERCHANT)}, ensure_ascii=False
    ).encode(encoding)
    event = verify_callback(body, MERCHANT, content_type=kind)
    assert (event.payment_id, event.outcome, event.remark) == (
        "54279",
        Outcome.SUCCEEDED,
        "Zahlung für Müller",
    )


def test_verify_id_in_guessed_charset_is_refused() -> None:
    """An id that depends on a guessed charset is refused, signed or not."""
    made = fields(merchantTransactionId="TX-\xfc")
    body = json.dumps(
        {**made, "checksum": sign_callback(made, MERCHANT)}, ensure_ascii=False
    ).encode("latin-1")
    with pytest.raises(errors.UnreadableCallback, match="merchantTransactionId is not ASCII"):
        verify_callback(body, MERCHANT)


@pytest.mark.parametrize("tail", ["&", "&flag", "&firstName=J%FCrgen", "&firstName=J\xfcrgen&"])
def test_verify_form_with_odd_tail_is_accepted(tail: str) -> None:
    """A form may end with ``&``, have a bare name, and have personal names in Latin-1."""
    flat = {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
        "transactionStatus": "Y",
    }
    body = urlencode({**flat, "checksum": sign_callback(flat, MERCHANT)}) + tail
    event = verify_callback(body.encode("latin-1"), MERCHANT, content_type=FORM)
    assert (event.outcome, event.raw.get("firstName")) == (
        Outcome.SUCCEEDED,
        "Jürgen" if "J" in tail else None,
    )


SIGNED = ("paymentId", "merchantTransactionId", "amount", "transactionStatus")


@pytest.mark.untraced
@settings(max_examples=5000)
@given(st.sampled_from(SIGNED), st.text(max_size=20))
def test_verify_changed_signed_field_is_refused(name: str, value: str) -> None:
    """A callback with any change of a signed field is refused."""
    body = {**json.loads(signed(fields())), name: value}
    if value == json.loads(signed(fields()))[name]:
        return
    with pytest.raises(errors.CallbackError):
        verify_callback(json.dumps(body).encode(), MERCHANT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *SIGNED,
        "status",
        "checksum",
        "result",
        "card",
        "currency",
        "trackingid",
        "desc",
        "resultCode",
        "cardBin",
    ]
) | st.text(max_size=8)


@pytest.mark.untraced
@settings(max_examples=5000)
@given(
    st.dictionaries(NAMES, JSON, max_size=10) | st.binary(max_size=200),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]),
)
def test_verify_any_body_raises_callback_error_only(body: Any, kind: str) -> None:
    """Any body is refused with a callback error, and none is accepted."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(errors.CallbackError):
        verify_callback(content, MERCHANT, content_type=kind)


class TestBrowserReturn:
    """The payer's browser returns with a form."""

    FIELDS: ClassVar = {
        "paymentId": "54279",
        "merchantTransactionId": "TX-1001",
        "amount": "50.00",
        "currency": "EUR",
        "resultCode": "00001",
    }

    def form(self, status: str, digest: str) -> bytes:
        return urlencode({**self.FIELDS, "status": status, "checksum": digest}).encode()

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("Y", Outcome.SUCCEEDED),
            ("N", Outcome.FAILED),
            ("C", Outcome.CANCELLED),
            ("P", Outcome.PENDING),
        ],
    )
    def test_return_signed_is_verified(self, status: str, outcome: Outcome) -> None:
        """The signature of a key verifies the return, including a cancel."""
        back = read_return(
            self.form(status, sign_callback({**self.FIELDS, "status": status}, MERCHANT)),
            [OTHER, MERCHANT],
        )
        assert (back.outcome, back.verified, back.member_id, back.amount) == (
            outcome,
            True,
            "11344",
            Money(50, "EUR"),
        )

    def test_return_null_signed_cancel_is_unverified(self) -> None:
        """Older platforms sign a cancel with the text ``null``: it is parsed, but not verified."""
        values = {
            "paymentId": "null",
            "merchantTransactionId": "TX-1001",
            "amount": "50.00",
            "status": "C",
            KEY: "null",
        }
        back = read_return(self.form("C", checksum(RULES["S"], values)), MERCHANT)
        assert (back.outcome, back.verified, back.member_id) == (Outcome.CANCELLED, False, None)

    def test_return_null_signed_status_is_refused(self) -> None:
        """A ``null`` signature of any other status is refused, as is one that matches no key."""
        values = {
            "paymentId": "null",
            "merchantTransactionId": "TX-1001",
            "amount": "50.00",
            "status": "Y",
            KEY: "null",
        }
        for digest in (checksum(RULES["S"], values), "0" * 32, ""):
            with pytest.raises(errors.SignatureMismatch):
                read_return(self.form("Y", digest), MERCHANT)

    def test_return_in_latin_1_is_verified(self) -> None:
        """The name of a payer in another charset does not break the return."""
        digest = sign_callback({**self.FIELDS, "status": "Y"}, MERCHANT)
        back = read_return(
            self.form("Y", digest) + b"&firstName=J%FCrgen&lastName=M\xfcller&", MERCHANT
        )
        assert (back.verified, back.raw["firstName"], back.raw["lastName"]) == (
            True,
            "Jürgen",
            "Müller",
        )

    @pytest.mark.parametrize("value", [None, ["Y"], {"a": "b"}])
    def test_return_in_json_requires_text_fields(self, value: Any) -> None:
        """A JSON body is refused if a signed field is not a string."""
        for read in (read_return, callbacks.read_registration_return):
            with pytest.raises(errors.CallbackError):
                read(
                    json.dumps({**self.FIELDS, "status": value, "checksum": value}).encode(),
                    MERCHANT,
                )

    def test_return_malformed_form_is_unreadable(self) -> None:
        """A body that is not a form is unreadable."""
        with pytest.raises(errors.UnreadableCallback):
            read_return(b"\xff", MERCHANT)
