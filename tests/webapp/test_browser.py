"""The dispatcher's journey in Chromium, on real Firestore and Auth emulators.

Screenshots go to HEARTHWATCH_SCREENSHOTS if set, else to pytest's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from schemas.alarms import Alarm, AlarmState
from schemas.events import Code
from schemas.incidents import HomePath, PathState, Supervision
from tests.webapp import acting, emulators, seed, test_watched
from tests.webapp.conftest import PROJECT
from transforms.supervision_store import FirestoreSupervision
from webapp import safe_word
from webapp.accounts import ensure_user
from webapp.app import firestore_client, now_us
from webapp.lifecycle import Actor
from webapp.repository import AlarmRepository

pytestmark = pytest.mark.system
SIZE: ViewportSize = {"width": 1366, "height": 768}
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
EMAIL, PASSWORD = "dispatcher@example.org", "correct horse battery"
expect.set_options(timeout=15_000)  # a machine that does much else answers late
COLLECTIONS = (
    *("alarms", "open", "directory", "operations", "homes", "on_test", "safe_words"),
    *("incidents", "losses"),
)
PROBE = '<img src=x onerror="window.pwned=1"><b>bold</b>'


class Console:
    """A running console, its database, and a signed-in page."""

    def __init__(
        self, url: str, client: Any, server: subprocess.Popen[bytes], page: Page, shots: Path
    ) -> None:
        self.url, self.client, self.server, self.page, self.shots = url, client, server, page, shots
        self.repository = AlarmRepository(client)
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda m: self.faults.append(m.text) if "Content Security" in m.text else None)

    def sign_in(self, email: str = EMAIL) -> None:
        self.page.goto(self.url)
        self.page.fill("#email", email)
        self.page.fill("#password", PASSWORD)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(self.url)
        expect(self.page.locator("body")).to_have_attribute("data-live", "live")

    def row(self, alarm: Alarm) -> Any:
        return self.page.locator(f'[data-alarm-id="{alarm.alarm_id}"]')

    def shot(self, name: str) -> None:
        self.page.screenshot(path=self.shots / f"{name}.png")


@pytest.fixture(scope="module")
def served(
    firestore_host: str, auth_host: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The console as the supervisor starts it."""
    hosts = {"FIRESTORE_EMULATOR_HOST": firestore_host, "FIREBASE_AUTH_EMULATOR_HOST": auth_host}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**hosts, "HEARTHWATCH_WEB_PROJECT_ID": PROJECT}.items():
            patch.setenv(name, value)
        ensure_user(PROJECT, EMAIL, PASSWORD, "dispatcher", "A. Dispatcher")
        port = emulators.free_port()
        log = (tmp_path_factory.mktemp("console") / "console.log").open("wb")
        command = [sys.executable, "-m", "webapp.serve", "--port", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            emulators.wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/", server
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(15)
            log.close()


@pytest.fixture
def console(served: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> Iterator[Console]:
    """A signed-in page on an empty queue."""
    url, server = served
    client = firestore_client(PROJECT)
    for name in COLLECTIONS:
        client.recursive_delete(client.collection(name))
    shots = Path(os.environ.get("HEARTHWATCH_SCREENSHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = next(filter(None, map(shutil.which, CHROMIUMS)))
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport=SIZE, permissions=["clipboard-read", "clipboard-write"])
        desk = Console(url, client, server, page, shots)
        desk.sign_in()
        yield desk
        assert desk.faults == []
        browser.close()
    client.close()  # type: ignore[no-untyped-call]


def prove_path(client: Any) -> None:
    now = now_us()
    lanes = {"urgent": (12, 0.4), "minutes": (48, 0.9)}
    proofs = {
        lane: {"proven_us": now - int(ago * 1e6), "sent_us": now - int((ago + took) * 1e6)}
        for lane, (ago, took) in lanes.items()
    }
    client.collection("operations").document("path").set(proofs)


def test_alarm_appears_is_claimed_handled_closed_and_reopened(console: Console) -> None:
    page = console.page
    console.shot("1-quiet")
    expect(page.locator("#nothing-title")).to_have_text("No open alarms")
    prove_path(console.client)
    scenes = seed.scenes(now_us())
    fire = next(alarm for alarm, _ in scenes if alarm.code == Code.SMOKE)
    seed.write(console.client, scenes)

    expect(page.locator("[data-alarm-id]")).to_have_count(len(scenes))
    categories = page.locator("[data-alarm-id] .sign").evaluate_all("all => all.map(s => s.ariaLabel)")
    assert categories == ["Life", "Life", "Intrusion", "Trouble", "Trouble", "Trouble"]
    expect(page.locator("#path-urgent")).to_contain_text("s ago")
    expect(page.locator("#counts")).to_contain_text("6 open")
    console.shot("2-queue")

    console.row(fire).click()
    expect(page.locator("#address")).to_have_text("Lindenstraße 14, 3rd floor")
    expect(page.locator("#phones .number").first).to_have_text("+49 30 23125 010")
    expect(page.locator("#procedure li")).to_have_count(4)
    expect(page.locator("#evidence li")).to_have_count(2)
    expect(page.locator(".chart .limit")).to_have_count(1)
    assert page.locator(".chart .gap").count() >= 1
    places = {
        name: page.locator(name).bounding_box()
        for name in ("#claim", "#call", "#address", "#phones .number >> nth=0")
    }
    console.shot("3-fire")

    page.keyboard.press("c")
    expect(page.locator("#claim")).to_contain_text("Yours")
    assert console.repository.alarm(fire.alarm_id).state is AlarmState.CLAIMED
    assert console.repository.alarm(fire.alarm_id).presented_us is not None
    page.keyboard.press("p")
    expect(page.locator("#phones .copied").first).to_have_text(" · number copied")
    assert page.evaluate("navigator.clipboard.readText()") == "+493023125010"
    console.shot("4-calling")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#phones li").first).to_contain_text("no answer")
    page.keyboard.press("1")
    expect(page.locator("#procedure input").first).to_be_checked()
    page.click("[data-service=fire_brigade]")
    expect(page.locator("[data-service=fire_brigade]")).to_have_attribute("aria-pressed", "true")
    page.click("#on-scene")
    expect(page.locator("#on-scene")).to_have_attribute("aria-pressed", "true")
    page.fill("#note", PROBE)
    page.keyboard.press("Enter")
    expect(page.locator("#history")).to_contain_text(f"noted: {PROBE}")
    assert {name: page.locator(name).bounding_box() for name in places} == places, "nothing moves"
    console.shot("5-handled")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("Space")
    page.fill("#close-note", PROBE)
    console.shot("6-closing")
    page.click("#close")
    expect(console.row(fire)).to_have_count(0)
    expect(page.locator("#history")).to_contain_text(f"closed as “real”: {PROBE}")
    closed = console.repository.alarm(fire.alarm_id)
    assert (closed.state, closed.close_out) == (AlarmState.CLOSED, "real")
    assert [call.outcome for call in closed.calls] == ["no_answer"]
    assert (closed.steps_done, closed.services) == ([0], ["fire_brigade"])

    page.click("#claim")
    page.fill("#ask-text", PROBE)
    page.keyboard.press("Enter")
    expect(console.row(fire)).to_be_visible()
    expect(page.locator("#history")).to_contain_text(f"reopened: {PROBE}")
    expect(page.locator("#outcome")).to_contain_text("Back in the queue since")
    console.shot("7-reopened")
    page.click("#theme")
    page.keyboard.press("n")
    expect(page.locator("#evidence li")).not_to_have_count(0)
    console.shot("8-light")
    assert page.evaluate("window.pwned") is None


def test_row_is_visible_well_within_a_second_and_says_when(console: Console) -> None:
    page = console.page
    took_ms = []
    for number in range(5):
        alarm = seed.make_alarm(f"home-{number:04d}", Code.SMOKE, now_us(), 0)
        written_ms = time.time() * 1000
        seed.write(console.client, [(alarm, [])])
        console.row(alarm).wait_for()
        page.wait_for_function("id => id in hearthwatch.seen", arg=alarm.alarm_id)
        took_ms.append(page.evaluate("id => hearthwatch.seen[id]", alarm.alarm_id) - written_ms)
    print(f"write begun to row painted, ms: {[round(ms) for ms in took_ms]}")
    assert all(0 < ms < 1000 for ms in took_ms), took_ms


def test_other_dispatchers_claim_is_shown_and_ours_refused(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm("home-0001", Code.PERIMETER, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    console.row(alarm).click()
    acting.claim(console.repository, alarm.alarm_id, Actor("u-ben", "Ben"), now_us())
    expect(page.locator("#outcome")).to_contain_text("Ben has it since")
    expect(page.locator("#claim")).to_be_disabled()
    status = page.evaluate(
        """async id => {
            const headers = {"Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf};
            return (await fetch(`/alarms/${id}/claim`, {method: "POST", body: "{}", headers})).status;
        }""",
        alarm.alarm_id,
    )
    assert status == 409


def test_safe_word_cancels_and_a_wrong_one_is_told(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm("home-0002", Code.PERIMETER, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    stored = safe_word.make("home-0002", "Bergamot")
    console.client.collection("safe_words").document("home-0002").set(stored.document())
    console.row(alarm).click()
    page.keyboard.press("c")
    expect(page.locator("#claim")).to_contain_text("Yours")
    page.keyboard.press("x")
    page.check("[name=code][value=false_user]")
    page.fill("#word", PROBE)
    page.click("#close")
    expect(page.locator("#close-outcome")).to_have_text("This is not the home's safe word.")
    expect(page.locator("#word")).to_have_value("")
    page.fill("#word", "bergamot")
    expect(page.locator("#close")).to_have_text("Cancel by safe word")
    page.click("#close")
    expect(console.row(alarm)).to_have_count(0)
    assert console.repository.alarm(alarm.alarm_id).safe_word_us is not None


def test_home_on_test_stands_apart_and_its_fire_does_not(console: Console) -> None:
    page = console.page
    scenes = seed.scenes(now_us())
    seed.write(console.client, scenes)
    fire, broken = (next(a for a, _ in scenes if a.code == code) for code in (Code.SMOKE, Code.PERIMETER))
    for alarm in (fire, broken):
        console.client.collection("homes").document(alarm.home_id).set({"home_id": alarm.home_id})
        console.row(alarm).click()
        page.click("#test-go")
        page.fill("#ask-text", PROBE)
        page.keyboard.press("Enter")
        expect(page.locator("#test-go")).to_have_text("End test")
    order = page.locator("[data-alarm-id]").evaluate_all("all => all.map(row => row.dataset.alarmId)")
    assert fire.alarm_id in order[:2]
    expect(console.row(fire)).to_contain_text("test –")
    assert broken.alarm_id in order[-2:]
    page.wait_for_function("hearthwatch.tones.includes('life')")
    console.shot("9-on-test")
    page.click("#test-go")
    expect(page.locator("#test-go")).to_have_text("On test…")


def test_lapsed_claim_returns_and_escalates_before_everybodys_eyes(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm("home-0001", Code.SMOKE, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    acting.claim(console.repository, alarm.alarm_id, Actor("u-ben", "Ben"), now_us() - 120_000_000)
    console.row(alarm).click()
    expect(page.locator("#history")).to_contain_text("Ben’s claim ran out, back in the queue")
    assert console.repository.alarm(alarm.alarm_id).state is AlarmState.NEW
    expect(page.locator("#claim")).to_contain_text("Claim")
    old = seed.make_alarm("home-0002", Code.SMOKE, now_us(), 200)
    seed.write(console.client, [(old, [])])
    expect(console.row(old)).to_contain_text("supervisor")


def test_supervisor_takes_over_with_a_reason(console: Console) -> None:
    page = console.page
    ensure_user(PROJECT, "chef@example.org", PASSWORD, "supervisor", "C. Chef")
    page.context.clear_cookies()
    console.sign_in("chef@example.org")
    alarm = seed.make_alarm("home-0001", Code.PERIMETER, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    acting.claim(console.repository, alarm.alarm_id, Actor("u-ben", "Ben"), now_us())
    console.row(alarm).click()
    expect(page.locator("#claim")).to_contain_text("Take over…")
    page.keyboard.press("c")
    page.keyboard.type(PROBE)
    page.keyboard.press("Enter")
    expect(page.locator("#claim")).to_contain_text("Yours")
    expect(page.locator("#history")).to_contain_text(f"took over from Ben: {PROBE}")


def test_filters_hide_what_is_not_asked_for_but_never_a_life_alarm_that_nobody_has(console: Console) -> None:
    page = console.page
    scenes = seed.scenes(now_us())
    seed.write(console.client, scenes)
    expect(page.locator("[data-alarm-id]")).to_have_count(6)
    page.click("[data-filter=intrusion]")
    expect(page.locator("[data-alarm-id]")).to_have_count(3)
    expect(page.locator("#queue-note")).to_have_text("3 of 6 hidden by search or filter.")
    page.click("[data-filter=all]")
    expect(page.locator("[data-alarm-id]")).to_have_count(6)
    page.keyboard.press("m")
    expect(page.locator("#mute")).to_contain_text("Muted 1:5")


def test_incidents_losses_and_the_path_of_the_cards_home_are_shown(console: Console) -> None:
    page, now = console.page, now_us()
    prove_path(console.client)
    since = {"since_us": now - 300_000_000, "opened_us": now - 200_000_000, "updated_us": now}
    pipeline = FirestoreSupervision(console.client)
    pipeline.put_incident(test_watched.INCIDENT.model_copy(update=since))
    pipeline.put_losses(test_watched.LOSSES)
    report = {"homes": 20, "silent": 12, "roster_us": now, "as_of_us": now}
    pipeline.put_report(Supervision(**report))
    scenes = seed.scenes(now)
    storm: list[Any] = [(alarm, []) for alarm in seed.storm(now, 12 - len(scenes))]
    seed.write(console.client, [*scenes, *storm])
    broken = next(alarm for alarm, _ in scenes if alarm.code == Code.PERIMETER)
    console.client.collection("homes").document(broken.home_id).set({"home_id": broken.home_id})
    failing = HomePath(path_state=PathState.PATH_FAIL, path_since_us=now - 300_000_000)
    pipeline.put_paths({broken.home_id: failing})
    expect(page.locator("#incidents")).to_contain_text("212 homes offline, Ost, one operator")
    expect(page.locator("#operations")).to_have_text(
        "20 homes watched · 12 silent · 2 batches of 1 home missing without a reason"
    )
    console.row(broken).click()
    expect(page.locator("#home-path")).to_contain_text("Not heard since")
    expect(page.locator("#evidence li")).not_to_have_count(0)
    console.shot("12-silent-homes")
    page.keyboard.press("n")
    expect(page.locator("#home-path")).to_have_text("")


def test_markup_in_an_alarm_stays_text(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm(
        "home-0001", Code.SMOKE, now_us(), 5, title=PROBE, headline=PROBE, room=PROBE, avs_reasons=[PROBE]
    )
    piece = seed.make_evidence(alarm, 1, title=PROBE, sensor_id=PROBE)
    seed.write(console.client, [(alarm, [piece])])
    fields = {"address": PROBE, "place": PROBE, "phones": [PROBE], "contacts": [PROBE], "procedure": [PROBE]}
    entry = {"home_id": "home-0001", **fields}
    console.client.collection("directory").document("home-0001").set(entry)
    console.row(alarm).click()
    expect(page.locator("#address")).to_have_text(PROBE)
    expect(page.locator("#evidence li")).to_have_count(1)
    expect(page.locator("#procedure")).to_contain_text(PROBE)
    assert page.locator(".columns b, .columns img").filter(has_not_text="AVS").count() == 0
    assert page.evaluate("window.pwned") is None


def test_silent_server_greys_the_list_and_says_since_when(console: Console) -> None:
    page = console.page
    alarm = seed.make_alarm("home-0001", Code.SMOKE, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    expect(console.row(alarm)).to_be_visible()
    workers = psutil.Process(console.server.pid).children()
    for process in workers:
        process.suspend()
    try:
        expect(page.locator("#banner")).to_be_visible(timeout=20_000)
        expect(page.locator("#banner")).to_contain_text("Not live since")
        expect(console.row(alarm)).to_be_visible()
        expect(page.locator("body")).to_have_attribute("data-live", "stale")
        console.shot("10-not-live")
    finally:
        for process in workers:
            process.resume()
    later = seed.make_alarm("home-0002", Code.SMOKE, now_us(), 1)
    seed.write(console.client, [(later, [])])
    expect(console.row(later)).to_be_visible(timeout=15_000)
    expect(page.locator("body")).to_have_attribute("data-live", "live")


def test_forty_alarms_are_read_without_scrolling_twice(console: Console) -> None:
    scenes = seed.scenes(now_us())
    storm: list[Any] = [(alarm, []) for alarm in seed.storm(now_us(), 40 - len(scenes))]
    seed.write(console.client, [*scenes, *storm])
    expect(console.page.locator("[data-alarm-id]")).to_have_count(40)
    list_px = console.page.locator("#rows").evaluate("rows => [rows.scrollHeight, rows.clientHeight]")
    console.page.keyboard.press("n")
    expect(console.page.locator("#evidence li")).not_to_have_count(0)
    console.shot("11-storm")
    console.page.click("#theme")
    console.shot("11-storm-light")
    assert list_px[0] <= 2 * list_px[1]


def test_sign_out_ends_at_the_sign_in_page(console: Console) -> None:
    console.page.click("#sign-out")
    console.page.wait_for_url("**/sign-in")
    console.page.goto(console.url)
    expect(console.page.locator("#email")).to_be_visible()


def test_wrong_password_is_said_and_gives_no_session(console: Console) -> None:
    page = console.page
    page.context.clear_cookies()
    page.goto(console.url)
    page.fill("#email", EMAIL)
    page.fill("#password", "wrong password")
    page.click("button[type=submit]")
    expect(page.locator("#outcome")).to_have_text("E-mail or password is wrong.")


def test_account_without_a_role_is_refused(console: Console) -> None:
    from firebase_admin import auth

    from webapp.accounts import firebase_app

    app = firebase_app(PROJECT)
    user = auth.create_user(email="owner@example.org", password=PASSWORD, app=app)
    try:
        page = console.page
        page.context.clear_cookies()
        page.goto(console.url)
        page.fill("#email", "owner@example.org")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        expect(page.locator("#outcome")).to_contain_text(
            "no access to the dispatcher’s console".replace("’", "'")
        )
    finally:
        auth.delete_user(user.uid, app=app)
