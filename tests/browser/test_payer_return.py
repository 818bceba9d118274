"""The return of the payer is a cross-site POST: its cookies, and the example shops."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect
from starlette.responses import HTMLResponse, RedirectResponse
from support.example_shops import SHOPS, eventually, running

from gatewaypy import Credentials, Gateway, Money
from gatewaypy.callbacks import read_return
from gatewaypy.sandbox import Sandbox

pytestmark = [pytest.mark.heavy, pytest.mark.asyncio(loop_scope="module")]

CARD = {"Card number": "4000 0000 0000 0051", "Month": "7", "Year": "2030", "CVV": "745"}


async def lax_cookie(context: BrowserContext, url: str) -> None:
    await context.add_cookies(
        [{"name": "session", "value": "s1", "url": url, "sameSite": "Lax", "httpOnly": True}]
    )


async def test_payer_return_has_no_lax_cookie_until_redirected(
    open_site: Callable[[], AbstractAsyncContextManager],
    open_browser: Callable,
    merchant: Credentials,
) -> None:
    """The return arrives without the session; the GET after a 303 has it."""
    async with (
        open_site() as shop,
        Sandbox().serve() as sandbox,
        Gateway(sandbox.base_url, merchant) as gateway,
    ):
        home = shop.origin_by_name
        form = await gateway.checkout.form(
            Money("50.00", "EUR"),
            merchant_transaction_id="ORDER-1",
            redirect_url=f"{home}/back?order=1&lang=de",
        )
        shop.pages["/back"] = RedirectResponse("/thanks", 303)
        shop.pages["/pay"] = HTMLResponse(form.html())
        context = await open_browser()
        await lax_cookie(context, home)
        page = await context.new_page()
        await page.goto(f"{home}/pay", wait_until="commit")
        for label, typed in CARD.items():
            await page.get_by_label(label).fill(typed)
        await page.get_by_role("button", name="Pay 50.00 EUR").click()
        await expect(page.get_by_text("Arrived.")).to_be_visible()
        (back,), (thanks,) = shop.to("/back"), shop.to("/thanks")
        assert (back.method, back.query, back.headers.get("cookie")) == (
            "POST",
            "order=1&lang=de",
            None,
        )
        assert (thanks.method, thanks.headers["cookie"]) == ("GET", "session=s1")
        returned = read_return(back.body, merchant)
        assert (returned.verified, returned.merchant_transaction_id) == (True, "ORDER-1")


@pytest.mark.parametrize(
    ("shop", "scripts", "answer"),
    [
        *((shop, True, "Approve") for shop in SHOPS),
        ("django", False, "Decline"),
        ("fastapi", False, "Decline"),
    ],
)
async def test_example_shop_payer_returns_to_own_session(
    open_browser: Callable, tmp_path: Path, shop: str, scripts: bool, answer: str
) -> None:
    """The 3-D payer returns to the page of the session, which another browser cannot see."""
    async with (
        Sandbox().serve() as sandbox,
        running(shop, sandbox, tmp_path, host="localhost") as client,
    ):
        context = await open_browser(java_script_enabled=scripts)
        page = await context.new_page()
        await page.goto(f"{client.base_url}/checkout/ORDER-1")
        (session,) = [
            cookie
            for cookie in await context.cookies()
            if cookie["name"] in {"session", "csrftoken"}
        ]
        assert session["sameSite"] == "Lax"
        await page.get_by_role("button").click()
        if not scripts:
            await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("button", name=answer).click()
        if not scripts:
            await page.get_by_role("button", name="Continue").click()
        await page.wait_for_url("**/thanks/ORDER-1")
        await expect(page.get_by_text("ORDER-1")).to_be_visible()
        if answer == "Approve":
            await eventually(client, "/orders/ORDER-1", "paid")
        await page.reload()
        await expect(
            page.get_by_text('"paid"' if answer == "Approve" else '"unpaid"')
        ).to_be_visible()
        stranger = await (await open_browser()).new_page()
        shown = await stranger.goto(f"{client.base_url}/thanks/ORDER-1")
        assert shown is not None
        assert shown.status == 404
