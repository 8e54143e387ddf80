"""An owner's phone: the app in Chromium, its home in the emulators, and what was pushed to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import (
    BrowserContext,
    Page,
    ViewportSize,
    expect,
)

from local.simulator import enrol
from schemas.alarms import Alarm
from schemas.events import Code
from schemas.owners import LiveSensor, LiveSensors
from tests.webapp.browsing import PASSWORD
from tests.webapp.seed import SECOND, make_alarm
from webapp.app import now_us
from webapp.lifecycle import Actor
from webapp.push_sender import Fate, Outcome
from webapp.repository import AlarmRepository

PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
DESKTOP: Final[ViewportSize] = {"width": 1366, "height": 768}
HOME, OTHER = "home-0001", "home-0002"
OWNER: Final = "owner@example.org"
PROBE_PICTURE: Final = "google.com/images/cleardot.gif"
ANNA: Final = Actor("u-anna", "Anna")
LIVE: Final = {
    "contact-front-door": ("rest", {"open": 0, "changes": 0}),
    "contact-kitchen-window": ("rest", {"open": 1, "changes": 1}),
    "motion-hall": ("nobody", {"energy": 3}),
    "air-kitchen": ("normal", {"temperature_c": 21.4, "co2_ppm": 640, "co_ppm": 0}),
    "sound-kitchen": ("quiet", {"max_dba": 38}),
}


class KeepingSender:
    """Takes every push; `sent` is what arrived."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []

    def send(self, token: str, data: dict[str, str], collapse: str) -> Outcome:
        assert collapse
        self.sent.append((token, data))
        return Outcome(Fate.TAKEN)


class App:
    """The app on a phone, its database, and the notifier."""

    def __init__(
        self, url: str, client: Any, context: BrowserContext, sender: KeepingSender, shots: Path
    ) -> None:
        self.url, self.client, self.context, self.sender, self.shots = url, client, context, sender, shots
        self.repository = AlarmRepository(client)
        self.faults: list[str] = []
        self.page = self.opened(context)

    def opened(self, context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)
        return page

    def _heard(self, message: Any) -> None:
        # Without a network the SDK would load a picture from google.com to see whether there is one. The
        # policy forbids it, which is what we want.
        if "Content Security" in message.text and PROBE_PICTURE not in message.text:
            self.faults.append(message.text)

    def sign_in(self, page: Page | None = None) -> None:
        page = page or self.page
        page.goto(self.url)
        page.fill("#email", OWNER)
        page.fill("#password", PASSWORD)
        page.click("#sign-button")
        expect(page.locator("#home")).to_be_visible()
        expect(page.locator("#head")).not_to_have_attribute("data-stale", "")

    def raise_alarm(self, code: Code = Code.SMOKE, **fields: Any) -> Alarm:
        alarm = make_alarm(HOME, code, now_us(), 0, **{"room": "kitchen", **fields})
        self.client.document(f"alarms/{alarm.alarm_id}").set(alarm.document())
        return alarm

    def shot(self, name: str, page: Page | None = None) -> None:
        (page or self.page).screenshot(path=self.shots / f"owner-{name}.png")

    @property
    def head(self) -> Any:
        return self.page.locator("#head")


def furnish(client: Any) -> None:
    """Documents as the pipeline leaves them."""
    now = now_us()
    status = enrol.home_status(enrol.Member(HOME, "gw-0001", "")).document()
    status |= {"armed_mode": "away", "armed_phase": "set", "last_seen_us": now - 60 * SECOND}
    client.document(f"homes/{HOME}").set({**status, "path_state": "PATH_OK", "path_since_us": 0})
    client.document(f"homes/{OTHER}").set({**status, "home_id": OTHER})
    client.document(f"directory/{HOME}").set(enrol.directory_entry(7, HOME).document())
    client.document("operations/path").set({"urgent": {"proven_us": now, "sent_us": now}})
    sensors = {
        name: LiveSensor(
            **{"kind": status["sensors"][name]["kind"], "room": status["sensors"][name]["room"]},
            **{"minute_us": now - 60 * SECOND, "heard_us": now, "label": label, "quantities": measured},
        )
        for name, (label, measured) in LIVE.items()
    }
    live = LiveSensors(home_id=HOME, sensors=sensors)
    client.document(f"homes/{HOME}/live/sensors").set(live.document())
