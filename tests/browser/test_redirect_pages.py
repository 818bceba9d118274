"""Redirect pages in a real browser: scripts on, blocked, off or broken, and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from starlette.responses import Response

from gatewaypy import HostedForm, Redirect, Secret

pytestmark = [pytest.mark.heavy, pytest.mark.asyncio(loop_scope="module")]

PAIRS = (("PaReq", "a+b/c=="), ("MD", "Zoë & <1>"), ("flag", ""), ("submit", "x"), ("action", "y"))
NONCE = "r4nd0m+/=="
STRICT = "default-src 'none'; form-action *"
WITH_NONCE = (
    f"default-src 'none'; script-src 'nonce-{NONCE}'; style-src 'nonce-{NONCE}'; form-action *"
)
STYLE_ONLY = f"default-src 'none'; style-src 'nonce-{NONCE}'; form-action *"
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "is_mobile": True,
    "has_touch": True,
}


def redirect(url: str) -> Redirect:
    return Redirect(url, "POST", PAIRS)


def hosted_form(url: str) -> HostedForm:
    return HostedForm(url, (*PAIRS[:-1], (PAIRS[-1][0], Secret(PAIRS[-1][1]))))


KINDS = pytest.mark.parametrize("make", [redirect, hosted_form])


async def press(page: Page, acs: Any) -> None:
    """Press the button, which must be visible, on a page that was not left."""
    button = page.get_by_role("button", name="Continue")
    await expect(button).to_be_visible()
    await expect(button).to_be_enabled()
    assert acs.to("/acs") == []
    await button.click()


@KINDS
@pytest.mark.parametrize(
    ("policy", "nonce"), [(None, None), (WITH_NONCE, NONCE)], ids=["plain", "nonce"]
)
async def test_redirect_page_submits_automatically(
    open_site: Callable,
    open_browser: Callable,
    make: Callable,
    policy: str | None,
    nonce: str | None,
) -> None:
    """Every pair arrives unchanged, also under a policy that allows only the page's nonce."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser()).new_page()
        await page.goto(
            shop.show("/pay", make(f"{acs.url}/acs").html(nonce=nonce), policy), wait_until="commit"
        )
        seen = await acs.arrived("/acs")
        await expect(page.get_by_text("Arrived.")).to_be_visible()
        assert (seen.method, seen.pairs) == ("POST", PAIRS)
        assert "referer" not in seen.headers
        assert len(acs.to("/acs")) == 1


@KINDS
@pytest.mark.parametrize(
    ("policy", "nonce"),
    [(STRICT, None), (STRICT, NONCE), (STYLE_ONLY, NONCE)],
    ids=["strict", "other nonce", "style"],
)
async def test_redirect_page_button_works_if_policy_blocks_script(
    open_site: Callable, open_browser: Callable, make: Callable, policy: str, nonce: str | None
) -> None:
    """The script is blocked: the button is visible, and submits the form."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser()).new_page()
        await page.goto(shop.show("/pay", make(f"{acs.url}/acs").html(nonce=nonce), policy))
        await press(page, acs)
        assert (await acs.arrived("/acs")).pairs == PAIRS


@KINDS
async def test_redirect_page_button_works_without_scripts(
    open_site: Callable, open_browser: Callable, make: Callable
) -> None:
    """Scripts are off: the button is visible, and submits the form."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser(java_script_enabled=False)).new_page()
        await page.goto(shop.show("/pay", make(f"{acs.url}/acs").html()))
        await press(page, acs)
        assert (await acs.arrived("/acs")).pairs == PAIRS


@KINDS
async def test_redirect_page_button_works_after_script_error(
    open_site: Callable, open_browser: Callable, make: Callable
) -> None:
    """Another script broke the page: the button is visible, and submits the form."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser()).new_page()
        await page.add_init_script(
            "HTMLFormElement.prototype.submit = function () { throw new Error('broken'); }"
        )
        await page.goto(shop.show("/pay", make(f"{acs.url}/acs").html()))
        await press(page, acs)
        assert (await acs.arrived("/acs")).pairs == PAIRS


@KINDS
async def test_redirect_page_button_is_disabled_during_load(
    open_site: Callable, open_browser: Callable, make: Callable
) -> None:
    """A second press does not post twice; 5 s later the button works again."""
    async with open_site() as shop, open_site() as acs:
        # This answer ends the loading and leaves the page as it is.
        acs.pages["/acs"] = Response(status_code=204)
        page = await (await open_browser()).new_page()
        await page.clock.install()
        await page.goto(shop.show("/pay", make(f"{acs.url}/acs").html()), wait_until="commit")
        await acs.arrived("/acs")
        button = page.get_by_role("button", name="Continue")
        await expect(button).to_be_disabled()
        await button.click(force=True)
        await page.clock.fast_forward(5_000)
        await expect(button).to_be_enabled()
        assert len(acs.to("/acs")) == 1
        acs.pages.clear()
        await button.click()
        await expect(page.get_by_text("Arrived.")).to_be_visible()
        assert [seen.pairs for seen in acs.to("/acs")] == [PAIRS, PAIRS]


@pytest.mark.parametrize(
    ("make", "policy", "least"),
    [
        (redirect, STYLE_ONLY, 48),
        (hosted_form, STYLE_ONLY, 48),
        (redirect, STRICT, 20),
        (hosted_form, STRICT, 20),
    ],
)
async def test_redirect_page_fits_a_phone(
    open_site: Callable, open_browser: Callable, make: Callable, policy: str, least: float
) -> None:
    """At 390 pixels the page does not scroll sideways, and the button is large enough."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser(**PHONE)).new_page()
        await page.goto(shop.show("/pay", make(f"{acs.url}/acs").html(nonce=NONCE), policy))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert await page.evaluate("window.innerWidth") == 390
        box = await page.get_by_role("button", name="Continue").bounding_box()
        assert box is not None
        assert box["height"] >= least
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
        await page.get_by_role("button", name="Continue").tap()
        assert (await acs.arrived("/acs")).pairs == PAIRS


QUERIES = [
    ("?x=%FC&flag&&e=", (), "x=%FC&flag&&e="),
    ("?x=%FC&flag", (("a", "1 +ü"), ("b", "")), "x=%FC&flag&a=1+%2B%C3%BC&b="),
    ("?x=+%20%2B#top", (("a", "1"),), "x=+%20%2B&a=1"),
    ("", (("a", "1"),), "a=1"),
    ("", (), ""),
]


@pytest.mark.parametrize(("query", "pairs", "received"), QUERIES)
@pytest.mark.parametrize(
    ("policy", "scripts"),
    [(None, True), ("default-src 'none'", False)],
    ids=["plain", "strict, no scripts"],
)
async def test_redirect_get_keeps_its_raw_query(
    open_site: Callable,
    open_browser: Callable,
    query: str,
    pairs: tuple[tuple[str, str], ...],
    received: str,
    policy: str | None,
    scripts: bool,
) -> None:
    """The server receives the query of the gateway byte by byte, with and without scripts."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser(java_script_enabled=scripts)).new_page()
        await page.goto(
            shop.show("/pay", Redirect(f"{acs.url}/acs{query}", "GET", pairs).html(), policy),
            wait_until="commit",
        )
        seen = await acs.arrived("/acs")
        assert (seen.method, seen.query) == ("GET", received)
        assert "referer" not in seen.headers


@pytest.mark.parametrize(("query", "pairs", "received"), QUERIES)
async def test_redirect_get_link_works_if_refresh_is_blocked(
    open_site: Callable,
    open_browser: Callable,
    query: str,
    pairs: tuple[tuple[str, str], ...],
    received: str,
) -> None:
    """A sandboxed page may not refresh itself: its visible link leads to the same place."""
    async with open_site() as shop, open_site() as acs:
        page = await (await open_browser(**PHONE)).new_page()
        await page.goto(
            shop.show("/pay", Redirect(f"{acs.url}/acs{query}", "GET", pairs).html(), "sandbox")
        )
        link = page.get_by_role("link", name="Continue")
        await expect(link).to_be_visible()
        box = await link.bounding_box()
        assert box is not None
        assert box["height"] >= 48
        assert acs.to("/acs") == []
        await link.tap()
        assert (await acs.arrived("/acs")).query == received
