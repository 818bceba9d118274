"""Platforms and base URLs."""

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
def test_platforms_table_is_complete(name: str) -> None:
    """Every host of protocol section 1 is listed."""
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
def test_base_url_insecure_raises(url: str) -> None:
    """Plain http is for loopback addresses only, and no URL has a password."""
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
def test_base_url_malformed_raises(url: str) -> None:
    """A base URL is a scheme, a host, and optionally a port and a path."""
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
def test_base_url_ambiguous_raises(url: str) -> None:
    """An empty query and characters that a transport escapes are refused."""
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
def test_base_url_https_or_loopback_is_accepted(url: str) -> None:
    """A trailing slash makes no difference."""
    assert Gateway(url, MERCHANT).platform.base_url == url.rstrip("/")


def test_platform_missing_host_raises() -> None:
    """A brand without a live host is refused where it is used."""
    with pytest.raises(errors.InvalidRequest, match="platform"):
        Gateway(platforms.PAYMENTPLUG.live, MERCHANT)
    with pytest.raises(errors.InvalidRequest):
        Platform(name="mine", base_url=None)


def test_platform_fields_can_be_replaced() -> None:
    """A merchant can change the fields of a platform; an invalid path is refused."""
    assert platforms.XOALA.live is not None
    assert attrs.evolve(platforms.XOALA.live, inquiry_path="/inquiry").inquiry_path == "/inquiry"
    with pytest.raises(errors.InvalidRequest):
        attrs.evolve(platforms.XOALA.live, inquiry_path="inquiry")
