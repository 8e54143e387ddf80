"""Every page of console and app, light and dark, small and wide: axe has no serious finding.

A blinking life alarm never ends its animation: the pages ask for less motion here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from schemas.homes import SensorStatus
from tests.webapp.browsing import CHEF, SIZE, Console, accessible
from tests.webapp.owner_phone import DESKTOP, PHONE, App
from tests.webapp.test_browser_storm import stormy

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
WIDE: Final[ViewportSize] = {"width": 1920, "height": 1080}
SENSORS: Final = {
    "smoke-kitchen": SensorStatus(kind="smoke", room="kitchen", battery_percent=9),
    "motion-hall": SensorStatus(kind="motion", room="hall", battery_percent=80),
}


def looks(page: Page, sizes: tuple[ViewportSize, ViewportSize]) -> Iterator[str]:
    """The page in each theme and size; the theme as it was in the end."""
    page.emulate_media(reduced_motion="reduce")
    root = page.locator("html")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        root.evaluate("(root, theme) => { if (root.dataset.theme) root.dataset.theme = theme; }", theme)
        for size in sizes:
            page.set_viewport_size(size)
            yield f"{theme}-{size['width']}"


def test_no_page_of_the_console_keeps_anybody_out(console: Console) -> None:
    stormy(console)
    sensors = {key: sensor.model_dump(mode="json") for key, sensor in SENSORS.items()}
    console.client.document("homes/home-0001").set({"home_id": "home-0001", "sensors": sensors})
    findings: dict[str, list[str]] = {}

    def look(name: str, page: Page) -> None:
        for how in looks(page, (SIZE, WIDE)):
            page.screenshot(path=console.shots / f"page-{name}-{how}.png")
            findings[f"{name}-{how}"] = accessible(page)

    with console.colleague(CHEF) as page:
        expect(page.locator("[data-group]")).to_have_count(1)
        look("queue", page)
        page.locator("[data-alarm-id]", has_text="Smoke").click()
        expect(page.locator("#evidence li")).to_have_count(2)
        page.keyboard.press("c")
        expect(page.locator("#claim")).to_contain_text("Yours")
        look("card", page)
        page.keyboard.press("x")
        expect(page.locator("#close-out")).to_be_visible()
        look("close", page)
        page.locator("[data-incident-id]").click()
        look("incident", page)
        page.keyboard.press("?")
        look("keys", page)
        for name, path in (
            ("homes", "homes/?q=Lind"),
            ("home", "homes/home-0001"),
            ("report", "report"),
        ):
            page.goto(f"{console.url}{path}")
            look(name, page)
        page.goto(f"{console.url}operations/")
        expect(page.locator("#operations")).to_have_attribute("aria-busy", "false")
        look("operations", page)
        page.click("#sign-out")
        page.wait_for_url("**/sign-in")
        look("sign-in", page)
    assert {name: found for name, found in findings.items() if found} == {}


def test_no_page_of_the_owners_app_keeps_anybody_out(app: App) -> None:
    findings: dict[str, list[str]] = {}
    page = app.page

    def look(name: str) -> None:
        for how in looks(page, (PHONE, DESKTOP)):
            app.shot(f"page-{name}-{how}")
            findings[f"{name}-{how}"] = accessible(page)

    page.goto(app.url)
    expect(page.locator("#sign")).to_be_visible()
    look("sign-in")
    app.sign_in()
    expect(app.head).to_contain_text("All is well.")
    look("well")
    page.click("#settings-open")
    expect(page.locator("#set-save")).to_be_visible()
    look("settings")
    page.get_by_role("button", name="Close", exact=True).click()
    page.locator("[data-sensor=air-kitchen]").click()
    expect(page.locator("#sheet")).to_be_visible()
    look("sensor")
    page.get_by_role("button", name="Close", exact=True).click()
    app.raise_alarm()
    expect(app.head).to_have_attribute("data-tone", "alarm")
    look("alarm")
    page.click("[data-say=it_was_me]")
    look("say")
    assert {name: found for name, found in findings.items() if found} == {}
