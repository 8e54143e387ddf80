"""Dispatchers at the page: headless Chromiums that are signed in and say when they painted which row."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import requests
from playwright.sync_api import Browser, Page, sync_playwright

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
_TIMEOUT_S: Final = 20


class Desk:
    """A signed-in page of the console."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def seen_us(self) -> dict[str, int]:
        """Alarm id → when its row was first painted, µs since 1970 by this machine's clock."""
        seen: dict[str, float] = self._page.evaluate("() => window.hearthwatch.seen")
        return {alarm_id: round(ms * 1000) for alarm_id, ms in seen.items()}

    def rows(self) -> list[str]:
        """Alarm ids in the queue, in order; one that stands there twice is there twice."""
        self._page.evaluate(
            "() => document.querySelectorAll('#rows [aria-expanded=false]').forEach(group => group.click())"
        )
        found: list[str] = self._page.locator("#rows [data-alarm-id]").evaluate_all(
            "rows => rows.map(row => row.dataset.alarmId)"
        )
        return found

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
    with browser_desks(settings, 1) as (desk,):
        yield desk


@contextmanager
def browser_desks(settings: Settings, count: int) -> Iterator[list[Desk]]:
    """As many, each in a browser context of its own."""
    ensure_user(settings.project, _EMAIL, _PASSWORD, "dispatcher", "Benchmark")
    with sync_playwright() as playwright:
        executable = next(filter(None, map(shutil.which, _CHROMIUMS)), None)
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield [_signed_in(browser, settings) for _ in range(count)]
        finally:
            browser.close()


def _signed_in(browser: Browser, settings: Settings) -> Desk:
    url = _url(settings)
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    page.goto(url)
    page.fill("#email", _EMAIL)
    page.fill("#password", _PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(url)
    page.wait_for_selector("body[data-live=live]")
    return Desk(page)


def session_cookie(settings: Settings, number: int) -> str:
    """Sign in an account without a browser → its session's id.

    Raises:
        requests.HTTPError: Not accepted.
    """
    email = f"benchmark-{number}@example.org"
    ensure_user(settings.project, email, _PASSWORD, "dispatcher", f"Benchmark {number}")
    with requests.Session() as session:
        page = _ok(session.get(f"{_url(settings)}sign-in", timeout=_TIMEOUT_S)).text
        attributes = dict(re.findall(r'data-([\w-]+)="([^"]*)"', page))
        secret: Any = {"email": email, "password": _PASSWORD, "returnSecureToken": True}
        identity = f"{attributes['identity-url']}/v1/accounts:signInWithPassword?key={attributes['api-key']}"
        token = _ok(session.post(identity, json=secret, timeout=_TIMEOUT_S)).json()["idToken"]
        headers = {"X-CSRF-Token": attributes["csrf"]}
        made = session.post(
            f"{_url(settings)}session", json={"id_token": token}, headers=headers, timeout=_TIMEOUT_S
        )
        _ok(made)
        return str(session.cookies["hearthwatch"])


def _ok(response: requests.Response) -> requests.Response:
    response.raise_for_status()
    return response


def _url(settings: Settings) -> str:
    return f"http://{settings.address(settings.web_port)}/"
