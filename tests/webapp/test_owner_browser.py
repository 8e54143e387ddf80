"""An owner's journey in Chromium at a phone's size, on real emulators, with a running notifier."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import (
    BrowserContext,
    CDPSession,
    Page,
    Playwright,
    ViewportSize,
    expect,
)

from local import install, tools
from local.config import Settings
from local.simulator import enrol
from schemas.alarms import Alarm
from schemas.events import Code
from schemas.owners import LiveSensor, LiveSensors
from tests.webapp import acting, emulators
from tests.webapp.browsing import PASSWORD, PROBE, PROJECT, Served, launched, shots_folder
from tests.webapp.seed import SECOND, make_alarm
from webapp import handling
from webapp.accounts import ensure_owner
from webapp.app import firestore_client, now_us
from webapp.delivery import Delivery
from webapp.lifecycle import Actor
from webapp.notifier import Notifier
from webapp.outbox import Outbox
from webapp.push_sender import Fate, Outcome
from webapp.repository import AlarmRepository

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
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


@pytest.fixture(scope="module")
def served(stand_ins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server with the Firebase SDK."""
    settings = Settings()
    install.ensure_firebase(settings, print)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**stand_ins, "HEARTHWATCH_WEB_SDK": str(tools.firebase_sdk(settings))}.items():
            patch.setenv(name, value)
        ensure_owner(PROJECT, OWNER, PASSWORD, [HOME])
        server = Served(emulators.free_port(), tmp_path_factory.mktemp("owner") / "server.log")
        yield server
        server.stop()


@pytest.fixture
def app(served: Served, playwright: Playwright, tmp_path: Path) -> Iterator[App]:
    """A phone that nobody has signed in to, and a home in which all is well."""
    client = firestore_client(PROJECT)
    for collection in client.collections():
        client.recursive_delete(collection)
    furnish(client)
    sender = KeepingSender()
    outbox = Outbox(client)
    notifier = Notifier(
        AlarmRepository(client), outbox, Delivery(outbox, sender, now_us, lambda: 0.0), now_us
    )
    notifier.start()
    browser = launched(playwright)
    context = browser.new_context(
        viewport=PHONE, locale="en-GB", timezone_id="Europe/Berlin", permissions=["notifications"]
    )
    made = App(f"{served.url}owner/", client, context, sender, shots_folder(tmp_path))
    yield made
    browser.close()
    notifier.stop()
    client.close()  # type: ignore[no-untyped-call]
    assert made.faults == []


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


def accessible(page: Page) -> list[str]:
    """Serious findings of axe-core, by rule and place."""
    axe = tools.node_dir(Settings(), "axe") / "node_modules" / "axe-core" / "axe.min.js"
    install.ensure_node_packages("axe", Settings(), print)
    page.evaluate(axe.read_text())  # by the debugger, to which the policy does not apply
    # A colour in the middle of its fade is nobody's colour.
    page.evaluate("() => Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    found = page.evaluate("async () => (await axe.run()).violations")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:120]}" for one in serious for node in one["nodes"]]


def test_the_home_at_a_glance_in_two_languages_light_and_dark(app: App) -> None:
    app.sign_in()
    page = app.page
    expect(app.head).to_contain_text("All is well. Armed, everyone out.")
    expect(app.head).to_contain_text("Armed · all 12 sensors fine")
    expect(page.locator("#title")).to_have_text(enrol.directory_entry(7, HOME).address)
    kitchen = page.locator(".room", has=page.get_by_role("heading", name="Kitchen"))
    expect(kitchen.locator("[data-sensor=contact-kitchen-window]")).to_have_text("Windowopen")
    expect(kitchen.locator("[data-sensor=air-kitchen]")).to_contain_text("21.4 °C, air good")
    assert "home-0001" not in page.locator("body").inner_text(), "rooms, not ids"
    assert "gw-0001" not in page.content()
    app.shot("well")
    assert accessible(page) == []
    page.emulate_media(color_scheme="dark")
    app.shot("well-dark")
    assert accessible(page) == []
    page.click("#settings-open")
    page.get_by_label("Language").select_option("de")
    expect(app.head).to_contain_text("Alles in Ordnung. Scharf, niemand zu Hause.")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    app.shot("well-german-dark")
    page.set_viewport_size(DESKTOP)
    app.shot("well-desktop")


def test_an_alarm_from_the_first_second_to_its_end(app: App) -> None:
    app.sign_in()
    page = app.page
    alarm = app.raise_alarm()
    expect(app.head).to_have_attribute("data-tone", "alarm")
    expect(app.head).to_contain_text(re.compile(r"Smoke in the kitchen, \d\d:\d\d\."))
    expect(app.head).to_contain_text("Nobody has taken it yet.")
    app.shot("alarm-new")
    claimed = acting.claim(app.repository, alarm.alarm_id, ANNA, now_us())
    expect(app.head).to_contain_text("We are on it.")
    app.repository.apply(
        alarm.alarm_id, ANNA, lambda a: handling.dispatch(a, ANNA, claimed.fence, "fire_brigade", now_us())
    )
    expect(app.head).to_contain_text("Fire brigade on the way.")
    assert "Anna" not in page.locator("body").inner_text(), "an owner learns no dispatcher's name"
    app.shot("alarm-help-sent")
    assert accessible(page) == []
    page.click("[data-say=it_was_me]")
    expect(page.locator("#sheet")).to_contain_text("A fire alarm is still checked.")
    app.shot("it-was-me")
    page.fill("#say-note", PROBE)
    page.click("#say-yes")
    expect(page.locator("#now")).to_contain_text("“It was me” was said in the app.")
    expect(page.locator("[data-say=it_was_me]")).to_have_count(0)
    said = app.repository.alarm(alarm.alarm_id)
    assert said.owner_said is not None
    assert (said.owner_said.kind, said.owner_said.note) == ("it_was_me", PROBE)
    assert said.state == "dispatched", "what an owner says ends nothing"
    acting.close(app.repository, alarm.alarm_id, ANNA, said.fence, "false_cooking", "", now_us())
    expect(app.head).to_contain_text("All is well.")
    expect(page.locator("#past")).to_contain_text("It was cooking.")
    assert app.client.document(f"labels/{alarm.alarm_id}").get().to_dict()["owner_said"] == "it_was_me"
    assert page.evaluate("window.pwned") is None


def test_help_is_sent_once_and_only_with_a_network(app: App) -> None:
    app.sign_in()
    page = app.page
    alarm = app.raise_alarm(Code.PERIMETER)
    expect(page.locator("#now")).to_contain_text("Window or door forced in the kitchen")
    app.context.set_offline(True)
    page.click("[data-say=help]")
    page.click("#say-yes")
    expect(page.locator("#sheet")).to_contain_text("No connection: this cannot be sent. In danger call 112.")
    app.shot("help-offline")
    page.get_by_role("button", name="Back", exact=True).click()
    app.context.set_offline(False)
    expect(app.head).not_to_have_attribute("data-stale", "", timeout=40_000)
    assert app.repository.alarm(alarm.alarm_id).owner_said is None, "and it was not kept for later"
    page.click("[data-say=help]")
    page.click("#say-yes")
    expect(page.locator("#now")).to_contain_text("Help was asked for in the app.")
    assert app.repository.alarm(alarm.alarm_id).escalation == 1


def test_without_a_network_the_last_known_state_is_shown_with_its_age(app: App) -> None:
    app.sign_in()
    page = app.page
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    app.context.set_offline(True)
    expect(page.locator("#age")).to_have_text(re.compile(r"(No connection|Connecting)\. As of \d\d:\d\d:"))
    app.shot("offline")
    page.reload()
    expect(page.locator("#age")).to_have_text(re.compile(r"No connection\. As of \d\d:\d\d:"))
    expect(app.head).to_contain_text("All is well. Armed, everyone out.")
    expect(page.locator("#rooms")).to_contain_text("Kitchen")
    expect(page.locator("#rooms-note")).to_have_text("As last known.")
    expect(page.locator("#works")).to_contain_text("no connection since")
    app.shot("offline-reloaded")
    app.context.set_offline(False)
    app.client.document(f"homes/{HOME}").update({"armed_mode": "disarmed"})
    expect(app.head).to_contain_text("All is well. Not armed.", timeout=40_000)
    expect(page.locator("#age")).to_be_hidden()


def test_a_silent_home_is_told_honestly(app: App) -> None:
    app.sign_in()
    since = now_us() - 400 * SECOND
    app.client.document(f"homes/{HOME}").update({"path_state": "PATH_FAIL", "path_since_us": since})
    expect(app.head).to_contain_text(re.compile(r"We cannot hear your home since \d\d:\d\d\. The dispatch"))
    app.shot("unheard")
    assert accessible(app.page) == []


def test_notifications_are_turned_on_arrive_and_can_be_chosen(app: App) -> None:
    app.sign_in()
    page = app.page
    page.click("#settings-open")
    page.click("#push-toggle")
    expect(page.locator("#sheet")).to_contain_text(
        "On. Fire, carbon monoxide and break-ins always come through."
    )
    app.shot("settings")
    page.locator("#set-troubles").uncheck()
    page.fill("#set-quiet_from", "22:00")
    page.fill("#set-quiet_to", "06:30")
    page.click("#set-save")
    expect(page.locator("#sheet")).to_contain_text("Saved.")
    assert accessible(page) == []
    page.get_by_role("button", name="Close", exact=True).click()
    [chosen] = [s.to_dict() for s in app.client.collection(f"homes/{HOME}/choices").stream()]
    assert (chosen["quiet_from"], chosen["troubles"], chosen["zone"]) == ("22:00", False, "Europe/Berlin")
    assert isinstance(chosen["updated_at"], dt.datetime)
    app.raise_alarm()
    expect(app.head).to_have_attribute("data-tone", "alarm")
    page.wait_for_timeout(500)
    [(token, data)] = app.sender.sent
    assert token.startswith("local-")
    deliver(app.context, page, {"data": data})
    shown = notifications(page)
    assert [(n["title"], n["tag"]) for n in shown] == [("Smoke in the kitchen", data["tag"])]
    assert shown[0]["body"].endswith("Get out now. A dispatcher is on it.")
    assert shown[0]["interaction"] is True
    deliver(app.context, page, {"data": {**data, "title": "Fire brigade on the way"}})
    assert [n["title"] for n in notifications(page)] == ["Fire brigade on the way"], "in the same place"
    deliver(app.context, page, "not json")
    assert {n["title"] for n in notifications(page)} == {"Fire brigade on the way", "Hearthwatch"}


def deliver(context: BrowserContext, page: Page, payload: Any) -> None:
    """A push as the browser's push service hands it to the service worker."""
    session: CDPSession = context.new_cdp_session(page)
    known: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: known.extend(r["registrationId"] for r in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    for _ in range(50):
        if known:
            break
        page.wait_for_timeout(50)
    origin = page.evaluate("location.origin")
    data = payload if isinstance(payload, str) else json.dumps(payload)
    asked = {"origin": origin, "registrationId": known[-1], "data": data}
    session.send("ServiceWorker.deliverPushMessage", asked)
    page.wait_for_timeout(400)
    session.detach()


def notifications(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((all) => all.map("
        "(n) => ({title: n.title, body: n.body, tag: n.tag, interaction: n.requireInteraction})))"
    )
    return found


def test_an_account_without_a_home_sees_none(app: App) -> None:
    ensure_owner(PROJECT, "nobody@example.org", PASSWORD, [])
    app.page.goto(app.url)
    app.page.fill("#email", "nobody@example.org")
    app.page.fill("#password", "wrong")
    app.page.click("#sign-button")
    expect(app.page.locator("#sign-outcome")).to_have_text("E-mail or password is wrong.")
    app.page.fill("#password", PASSWORD)
    app.page.click("#sign-button")
    expect(app.page.locator("#sign-outcome")).to_have_text("This account has no home.")
    assert accessible(app.page) == []


def test_signing_out_leaves_nothing_on_the_phone(app: App) -> None:
    app.sign_in()
    app.page.click("#settings-open")
    with app.page.expect_navigation():
        app.page.click("#sign-out")
    expect(app.page.locator("#sign")).to_be_visible()
    kept = app.page.evaluate("JSON.stringify(localStorage)")
    assert enrol.directory_entry(7, HOME).address not in kept
    assert "last" not in json.loads(kept)


def test_without_a_network_a_phone_that_gets_alarms_is_not_signed_out(app: App) -> None:
    app.sign_in()
    page = app.page
    page.click("#settings-open")
    page.click("#push-toggle")
    expect(page.locator("#push-toggle")).to_have_text("Turn off")
    devices = app.client.collection(f"homes/{HOME}/devices")
    assert len(list(devices.stream())) == 1
    app.context.set_offline(True)
    page.click("#sign-out")
    expect(page.locator("#sheet [role=alert]").last).to_contain_text("would go on getting alarms")
    expect(page.locator("#sign-out")).to_be_enabled()
    app.context.set_offline(False)
    with page.expect_navigation():
        page.click("#sign-out")
    expect(page.locator("#sign")).to_be_visible()
    assert list(devices.stream()) == []


def test_everything_can_be_done_by_keyboard(app: App) -> None:
    app.sign_in()
    page = app.page
    app.raise_alarm()
    expect(page.locator("[data-say=help]")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.say") == "it_was_me":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("toast")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("“It was me” was said in the app.")


def test_large_type_still_fits_the_width(app: App) -> None:
    app.sign_in()
    app.page.evaluate("document.documentElement.style.fontSize = '200%'")
    wide = app.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    app.shot("large-type")
