"""Platforms."""

from __future__ import annotations

import attrs
import pytest

from gatewaypy import Gateway, Platform, errors, platforms
from gatewaypy.sandbox import MERCHANT

HOSTS = {
    "TRANSACTWORLD": ("https://preprod.transactworld.com", "https://secure.transactworld.com"),
    "PAYMENTZ": ("https://test.paymentz.com", "https://secure.paymentz.com"),
    "PAYMENTPLUG": ("https://sandbox.paymentplug.com", None),
    "SHIMOTOMO": ("https://preprod.shimotomo.com", None),
    "PRTPG": ("https://preprod.prtpg.com", "https://secure.prtpg.com"),
    "XOALA": ("https://secure-checkout-sandbox.xoala.com", "https://secure-checkout.xoala.com"),
    "SEPA_CYBER": (None, "https://tp.sepa-cyber.com"),
}


@pytest.mark.parametrize("name", HOSTS)
def test_every_white_label_has_its_hosts(name: str) -> None:
    """The table of protocol section 1 is complete."""
    label = getattr(platforms, name)
    assert (label.test and label.test.base_url, label.live and label.live.base_url) == HOSTS[name]


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example",
        "http://127.0.0.1.shop.example",
        "http://localhost.shop.example",
        "https://user:pw123@shop.example",
        "https://user@shop.example",
        "https://@shop.example",
        "https://:@shop.example",
    ],
)
def test_a_url_that_would_show_a_payment_is_refused(url: str) -> None:
    """Plain http goes to this machine alone, and no URL carries a password."""
    with pytest.raises(errors.InsecureConnection) as refused:
        Gateway(url, MERCHANT)
    assert refused.value.field == "base_url"
    assert "pw123" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example",
        "shop.example",
        "",
        "https://",
        "https://[",
        "https://a/?q=1",
        "https://a/#b",
        "https://a:0",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    """A base URL is a scheme, a host, and perhaps a port and a path."""
    with pytest.raises(errors.InvalidRequest):
        Gateway(url, MERCHANT)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example?", "https://shop.example#", "https://shop.example/base/?", "https://shop example",
        "https://shop.example/a b", "https://shop.example/a\\b", "https://shop.example\\a", "https://sh\u00f6p.example",
        "https://shop.example/\u00fc", "https://shop\u3002example", "https://shop.example/%zz", "https://shop%2Fexample",
        "https://shop.example/<a>", "https://shop,example", "https://*.example", "https://shop..example",
        "https://shop.example/../a", "https://-",
    ],
)  # fmt: skip
def test_base_url_that_would_be_read_otherwise_is_refused(url: str) -> None:
    """What follows an empty query becomes a part of it, and what a transport escapes is sent to another place."""
    with pytest.raises(errors.InvalidRequest, match="base_url: "):
        Gateway(url, MERCHANT)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8600/",
        "http://localhost",
        "http://[::1]:80",
        "https://gateway.example/a-b/%20_~;c=1",
        "https://a_b.gateway.example.",
    ],
)
def test_https_and_this_machine_are_taken(url: str) -> None:
    """A trailing slash makes no difference."""
    assert Gateway(url, MERCHANT).platform.base_url == url.rstrip("/")


def test_a_platform_that_does_not_exist_is_refused() -> None:
    """A brand without a live host is refused where it is used, not by a None deep inside."""
    with pytest.raises(errors.InvalidRequest, match="platform"):
        Gateway(platforms.PAYMENTPLUG.live, MERCHANT)
    with pytest.raises(errors.InvalidRequest):
        Platform(name="mine", base_url=None)


def test_what_varies_can_be_changed() -> None:
    """A merchant changes a platform's data, and a path that is none is refused."""
    assert platforms.XOALA.live is not None
    assert attrs.evolve(platforms.XOALA.live, inquiry_path="/inquiry").inquiry_path == "/inquiry"
    with pytest.raises(errors.InvalidRequest):
        attrs.evolve(platforms.XOALA.live, inquiry_path="inquiry")
