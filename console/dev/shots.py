"""Take screenshots of the built page in every scene, two widths, light and dark.

python console/dev/shots.py OUT_DIR [--chromium PATH] [--only TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aiohttp import web
from fixture import make_app
from playwright.async_api import Browser, Page, async_playwright

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"laptop": (1280, 800), "phone": (390, 844), "tablet": (1024, 768), "desk": (1920, 1080)}
USUAL = ("laptop", "phone")
HISTORY = 150


async def nothing(page: Page) -> None:
    pass


async def open_host(page: Page) -> None:
    await page.goto(page.url.split("#")[0] + "#/hosts/worker-1")
    await page.wait_for_selector("[data-testid=host-detail]")


async def open_event(page: Page) -> None:
    await page.locator("[data-testid=event-row] button").first.click()


async def drop(page: Page) -> None:
    await page.request.post(page.url.split("#")[0] + "dev/drop")
    await page.wait_for_selector("[data-testid=stale]")
    await page.wait_for_timeout(6_000)


async def heal(page: Page) -> None:
    await page.request.post(page.url.split("#")[0] + "dev/heal/worker-1")
    await page.wait_for_timeout(1_200)


async def open_alarm(page: Page) -> None:
    await page.locator("[data-testid^=alarm-row-] button").nth(1).click()
    await page.wait_for_selector("[data-testid=alarm-why]")


async def show_masked(page: Page) -> None:
    await page.get_by_test_id("alarms-masked").click()


VIEWS = [
    ("storm", "storm", nothing),
    ("alarm", "storm", open_alarm),
    ("masked", "storm", show_masked),
    ("well", "well", nothing),
    ("failed", "failed", nothing),
    ("detail", "failed", open_host),
    ("event", "failed", open_event),
    ("cleared", "failed", heal),
    ("locked", "locked", nothing),
    ("empty", "empty", nothing),
    ("many", "many", nothing),
    ("crowd", "crowd", nothing),
    ("drop", "failed", drop),
    ("unauthorized", "unauthorized", nothing),
]


async def shoot(browser: Browser, out: Path, view: tuple, port: int, only: str) -> None:
    name, scene, prepare = view
    widths = WIDTHS if only else USUAL
    shots = [(w, t) for w in widths for t in ("light", "dark") if only in f"{name}-{w}-{t}"]
    if not shots:
        return
    for width, theme in shots:
        runner = web.AppRunner(make_app(scene, history=HISTORY), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        size = WIDTHS[width]
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            device_scale_factor=2 if width == "phone" else 1,
        )
        page = await context.new_page()
        page.on(
            "console",
            lambda m: (
                print(f"  {name}: {m.type}: {m.text}") if m.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda e: print(f"  {name}: {e}"))
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.wait_for_selector(
            "[data-testid=unauthorized]" if scene == "unauthorized" else "[data-testid=health-line]"
        )
        await page.wait_for_timeout(1_300)
        await prepare(page)
        await page.wait_for_timeout(400)
        if width == "phone" and name not in {"many", "crowd", "detail", "unauthorized"}:
            tall = await page.evaluate("document.documentElement.scrollHeight")
            await page.set_viewport_size({"width": size[0], "height": min(tall, 3_000)})
            await page.wait_for_timeout(1_000)
        await page.screenshot(path=out / f"{name}-{width}-{theme}.png")
        wide = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if wide > 0:
            print(f"  {name}-{width}: {wide} px too wide")
        await context.close()
        await runner.cleanup()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--only", default="")
    parser.add_argument("--port", type=int, default=8799)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=options.chromium, args=ARGS)
        for view in VIEWS:
            await shoot(browser, options.out, view, options.port, options.only)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
