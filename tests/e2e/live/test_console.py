"""The console in a real Chromium: what an operator sees when a host dies, without a reload.

Screenshots of both widths and both themes are written to MUR_SCREENSHOTS when it names a folder.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from murmuration.testkit.site import Site

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
# The page's background as the browser paints it, whatever notation the style uses.
BACKGROUND = """() => {
  const paint = document.createElement("canvas").getContext("2d");
  for (const part of [document.documentElement, document.body]) {
    paint.fillStyle = getComputedStyle(part).backgroundColor;
    paint.fillRect(0, 0, 1, 1);
  }
  return [...paint.getImageData(0, 0, 1, 1).data];
}"""
WIDTHS = {"laptop": (1280, 800), "phone": (390, 844)}


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def open_console(browser: Browser, live: Site, *, width: str, theme: str) -> Page:
    wide, high = WIDTHS[width]
    context = await browser.new_context(
        viewport={"width": wide, "height": high},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = await context.new_page()
    await page.goto(f"{live.url}/?token={live.token}")
    await expect(page.get_by_test_id("host-row-worker-1")).to_be_visible(timeout=PATIENCE_MS)
    return page


def availability(page: Page, host: str, wanted: str):
    row = page.get_by_test_id(f"host-availability-{host}")
    return expect(row).to_have_attribute("data-availability", wanted, timeout=PATIENCE_MS)


async def picture(page: Page, name: str) -> None:
    folder = os.environ.get("MUR_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def test_operator_sees_a_host_die_and_return_without_a_reload(live: Site) -> None:
    async with chromium() as browser:
        page = await open_console(browser, live, width="laptop", theme="light")
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await availability(page, "worker-1", "available")
        await page.evaluate("window.notReloaded = true")
        live.lab("kill", "worker-1")
        try:
            await availability(page, "worker-1", "failed")
            alarm = page.locator('[data-testid^="alarm-row-"][data-alarm-id="200.004"]')
            await expect(alarm).to_be_visible(timeout=PATIENCE_MS)
            count = page.get_by_test_id("alarm-count-critical")
            await expect(count).not_to_have_text("0", timeout=PATIENCE_MS)
            await picture(page, "laptop-light")
        finally:
            live.lab("heal", "worker-1")
        await availability(page, "worker-1", "available")
        await expect(alarm).to_have_count(0, timeout=PATIENCE_MS)
        assert await page.evaluate("window.notReloaded") is True
        assert faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
async def test_page_fits_its_width_and_shows_beating_hearts(
    live: Site, width: str, theme: str
) -> None:
    async with chromium() as browser:
        page = await open_console(browser, live, width=width, theme=theme)
        beat = page.get_by_test_id("heartbeat-worker-2")
        await expect(beat).to_have_attribute("data-state", "heard", timeout=PATIENCE_MS)
        overflow = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"the page is {overflow} px wider than the screen"
        pixel = await page.evaluate(BACKGROUND)
        assert pixel[3] == 255 and (sum(pixel[:3]) < 3 * 128) == (theme == "dark"), pixel
        await picture(page, f"{width}-{theme}-well")


async def test_stranger_is_refused_and_told_what_to_do(live: Site) -> None:
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        answer = await page.goto(live.url)
        assert answer is not None and answer.status == 401
        await expect(page.locator("body")).to_contain_text("token")
