"""A dispatcher at the page: a running console on emulators, and a signed-in Chromium.

Screenshots go to HEARTHWATCH_SCREENSHOTS if set, else to pytest's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, ViewportSize, expect

from local import install, tools
from local.config import Settings
from schemas.alarms import Alarm
from tests.webapp import emulators
from webapp.accounts import ensure_user
from webapp.app import firestore_client, now_us
from webapp.repository import AlarmRepository

PROJECT = "demo-webapp-tests"
SIZE: ViewportSize = {"width": 1366, "height": 768}
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
PASSWORD = "correct horse battery"
ANNA, CHEF, ERIK = "dispatcher@example.org", "chef@example.org", "engineer@example.org"
ACCOUNTS = {
    ANNA: ("dispatcher", "A. Dispatcher"),
    CHEF: ("supervisor", "C. Chef"),
    ERIK: ("engineer", "E. Engineer"),
}
COLLECTIONS = (
    *("alarms", "open", "directory", "operations", "homes", "on_test", "safe_words"),
    *("incidents", "losses", "console_limits"),
)
PROBE = '<img src=x onerror="window.pwned=1"><b>bold</b>'
expect.set_options(timeout=15_000)  # a machine that does much else answers late


class Served:
    """A console's process, which can be started anew on its port."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self._log = port, log
        self.url = f"http://127.0.0.1:{port}/"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "webapp.serve", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        emulators.wait_for(f"{self.url}health", self.process)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(15)


class Console:
    """A signed-in page of a running console, and its database."""

    def __init__(self, served: Served, client: Any, page: Page, shots: Path) -> None:
        self.served, self.client, self.page, self.shots = served, client, page, shots
        self.url = served.url
        self.repository = AlarmRepository(client)
        self.faults: list[str] = []
        self.watch(page)

    def watch(self, page: Page) -> None:
        """Its errors and violations of the content security policy are faults of the test."""
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda m: self.faults.append(m.text) if "Content Security" in m.text else None)

    def sign_in(self, email: str = ANNA, page: Page | None = None) -> None:
        """Waits until the queue is live."""
        page = page or self.page
        page.goto(self.url)
        page.fill("#email", email)
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(self.url)
        expect(page.locator("body")).to_have_attribute("data-live", "live")

    @contextmanager
    def colleague(self, email: str = CHEF) -> Iterator[Page]:
        """Another signed-in browser beside the first."""
        browser = self.page.context.browser
        assert browser is not None
        context = browser.new_context(viewport=SIZE)
        page = context.new_page()
        self.watch(page)
        self.sign_in(email, page)
        yield page
        context.close()

    def row(self, alarm: Alarm, page: Page | None = None) -> Any:
        return (page or self.page).locator(f'[data-alarm-id="{alarm.alarm_id}"]')

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.shots / f"{name}.png")

    def both_themes(self, name: str) -> None:
        """A screenshot in each theme; the theme stays as it was."""
        self.shot(name)
        root = self.page.locator("html")
        before = root.get_attribute("data-theme")
        other = "light" if before == "dark" else "dark"
        root.evaluate("(root, theme) => { root.dataset.theme = theme; }", other)
        self.shot(f"{name}-{other}")
        root.evaluate("(root, theme) => { root.dataset.theme = theme; }", before)


def accessible(page: Page) -> list[str]:
    """Serious findings of axe-core, by rule and place."""
    axe = tools.node_dir(Settings(), "axe") / "node_modules" / "axe-core" / "axe.min.js"
    install.ensure_node_packages("axe", Settings(), print)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe.read_text())  # by the debugger, to which the policy does not apply
    # A colour in the middle of its fade is nobody's colour.
    page.evaluate("() => Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:120]}" for one in serious for node in one["nodes"]]


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium, without a window."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)))
    return playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))


def make_accounts() -> None:
    """Everybody who signs in, in the Auth emulator that the environment names."""
    for email, (role, name) in ACCOUNTS.items():
        ensure_user(PROJECT, email, PASSWORD, role, name)


def emptied() -> Any:
    """A client of the emulator, whose collections are empty now."""
    client = firestore_client(PROJECT)
    for name in COLLECTIONS:
        client.recursive_delete(client.collection(name))
    return client


def shots_folder(default: Path) -> Path:
    """Where screenshots go."""
    folder = Path(os.environ.get("HEARTHWATCH_SCREENSHOTS") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prove_path(client: Any) -> None:
    """As the synthetic gateway's tests leave it."""
    now = now_us()
    lanes = {"urgent": (12, 0.4), "minutes": (48, 0.9)}
    proofs = {
        lane: {"proven_us": now - int(ago * 1e6), "sent_us": now - int((ago + took) * 1e6)}
        for lane, (ago, took) in lanes.items()
    }
    client.collection("operations").document("path").set(proofs)
