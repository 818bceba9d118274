"""What BROWSER_SCRIPT finds in a real browser, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatewaypy import BROWSER_SCRIPT, BrowserInfo

pytestmark = [pytest.mark.heavy, pytest.mark.asyncio(loop_scope="module")]

SMALL = {"width": 800, "height": 600}
SCREEN = {"width": 1280, "height": 720}
PAGE = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Checkout</title></head>
<body><form action="/start" method="post"><button>Pay</button></form>
<script nonce="r4nd0m">{BROWSER_SCRIPT}</script></body></html>"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"screen": {"width": 1920, "height": 1080}, "timezone_id": "UTC", "locale": "de-DE"},
            (1920, 1080, 0, "de-DE"),
        ),
        (
            {
                "screen": {"width": 1280, "height": 720},
                "device_scale_factor": 1.5,
                "timezone_id": "Asia/Kolkata",
            },
            (1280, 720, -330, "en-US"),
        ),
        (
            {
                "screen": {"width": 390, "height": 844},
                "device_scale_factor": 2.625,
                "timezone_id": "America/St_Johns",
            },
            (390, 844, 210, "en-US"),
        ),
        (
            {"timezone_id": "Pacific/Kiritimati", "locale": "zh-Hant-TW"},
            (1280, 720, -840, "zh-Hant-TW"),
        ),
        (
            {"timezone_id": "Africa/Monrovia", "locale": "de-DE-u-co-phonebk"},
            (1280, 720, 0, "de-DE"),
        ),
    ],
    ids=["desktop", "scale 1.5", "phone", "eastmost", "long language"],
)
async def test_browser_script_values_are_read(
    open_site: Callable, open_browser: Callable, settings: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """The values that a real browser puts into the form are read, and EMVCo accepts them."""
    async with open_site() as shop:
        page = await (
            await open_browser(**({"viewport": SMALL, "screen": SCREEN} | settings))
        ).new_page()
        await page.goto(
            shop.show("/checkout", PAGE, "default-src 'none'; script-src 'nonce-r4nd0m'")
        )
        await page.get_by_role("button").click()
        seen = await shop.arrived("/start")
        info = BrowserInfo.from_request(seen.headers, dict(seen.pairs)["browser_info"])
        assert (
            info.screen_width,
            info.screen_height,
            info.timezone_offset,
            info.language,
        ) == expected
        assert info.color_depth == 24
        assert "Mozilla/5.0" in info.user_agent
        assert "text/html" in info.accept_header


@pytest.mark.parametrize("depth", [30, 0, 24.5])
async def test_browser_script_fractions_and_depths_are_listed(
    open_site: Callable, open_browser: Callable, depth: float
) -> None:
    """Fractions of a zoomed page, an HDR depth and an odd time zone become listed integers."""
    async with open_site() as shop:
        page = await (await open_browser()).new_page()
        await page.add_init_script(
            f"""Object.defineProperties(Screen.prototype, {{
                width: {{ get: () => 1706.6666666666667 }}, height: {{ get: () => 959.4 }}, colorDepth: {{ get: () => {depth} }}
            }});
            Date.prototype.getTimezoneOffset = () => -330.25;"""
        )
        await page.goto(shop.show("/checkout", PAGE))
        await page.get_by_role("button").click()
        seen = await shop.arrived("/start")
        info = BrowserInfo.from_request(seen.headers, dict(seen.pairs)["browser_info"])
        assert (info.screen_width, info.screen_height, info.timezone_offset, info.color_depth) == (
            1707,
            959,
            -330,
            24,
        )


async def test_browser_info_is_absent_if_policy_blocks_script(
    open_site: Callable, open_browser: Callable
) -> None:
    """If the script does not run, the form starts the payment without the input."""
    async with open_site() as shop:
        page = await (await open_browser()).new_page()
        await page.goto(shop.show("/checkout", PAGE, "default-src 'none'; form-action 'self'"))
        await page.get_by_role("button").click()
        assert (await shop.arrived("/start")).pairs == ()
