"""A dispatcher at the page: a headless Chromium that is signed in and says when it painted which row."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Page, sync_playwright

from local.config import Settings
from webapp.accounts import ensure_user

_CHROMIUMS: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--no-sandbox",  # a container's root has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_EMAIL: Final = "benchmark@example.org"
_PASSWORD: Final = "not a secret: this account lives in an emulator"
_POLL_S: Final = 0.2


class Desk:
    """A signed-in page of the console."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def seen_us(self) -> dict[str, int]:
        """Alarm id → when its row was first painted, µs since 1970 by this machine's clock."""
        seen: dict[str, float] = self._page.evaluate("() => window.hearthwatch.seen")
        return {alarm_id: round(ms * 1000) for alarm_id, ms in seen.items()}

    def wait_for_rows(self, count: int, limit_s: float) -> int:
        """Wait until so many rows were painted → how many were."""
        deadline = time.monotonic() + limit_s
        while (have := len(self.seen_us())) < count and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return have


@contextmanager
def at_desk(settings: Settings) -> Iterator[Desk]:
    """Sign in at the page. The stand-ins' addresses must be in this process's environment.

    Raises:
        playwright.sync_api.Error: No Chromium, or the page did not open and go live.
    """
    ensure_user(settings.project, _EMAIL, _PASSWORD, "dispatcher", "Benchmark")
    url = f"http://{settings.address(settings.web_port)}/"
    with sync_playwright() as playwright:
        executable = next(filter(None, map(shutil.which, _CHROMIUMS)), None)
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(url)
            page.fill("#email", _EMAIL)
            page.fill("#password", _PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_url(url)
            page.wait_for_selector("body[data-live=live]")
            yield Desk(page)
        finally:
            browser.close()
