"""The queue in Chromium: what stands there, in which order, and who has it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from schemas.alarms import AlarmState
from schemas.events import Code
from schemas.incidents import HomePath, PathState, Supervision
from tests.webapp import acting, seed, test_watched
from tests.webapp.browsing import CHEF, PROBE, Console, prove_path
from transforms.supervision_store import FirestoreSupervision
from webapp.app import now_us
from webapp.lifecycle import Actor

pytestmark = pytest.mark.system


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
    page.context.clear_cookies()
    console.sign_in(CHEF)
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


def test_forty_alarms_are_read_without_scrolling_twice(console: Console) -> None:
    scenes = seed.scenes(now_us())
    storm: list[Any] = [(alarm, []) for alarm in seed.storm(now_us(), 40 - len(scenes))]
    seed.write(console.client, [*scenes, *storm])
    console.page.locator("[data-group]").click()
    expect(console.page.locator("[data-alarm-id]")).to_have_count(40)
    list_px = console.page.locator("#rows").evaluate("rows => [rows.scrollHeight, rows.clientHeight]")
    assert list_px[0] <= 2 * list_px[1]


def test_of_two_browsers_that_claim_at_once_one_wins_and_the_other_is_told_who(console: Console) -> None:
    alarm = seed.make_alarm("home-0001", Code.SMOKE, now_us(), 5)
    seed.write(console.client, [(alarm, [])])
    with console.colleague(CHEF) as other:
        pages = (console.page, other)
        for page in pages:
            console.row(alarm, page).click()
            expect(page.locator("#claim")).to_contain_text("Claim")
            # Both press at the same moment of the clock, wherever their scripts stand.
            page.evaluate(
                """at => setTimeout(() => document.querySelector("#claim").click(), at - Date.now())""",
                time.time() * 1000 + 1500,
            )
        expect(console.row(alarm)).to_have_class(re.compile(r"\bheld\b"))
        expect(console.row(alarm, other)).to_have_class(re.compile(r"\bheld\b"))
        won = console.repository.alarm(alarm.alarm_id)
        assert won.claim is not None
        assert won.fence == 1, "nobody took it from the other"
        names = {"A. Dispatcher": console.page, "C. Chef": other}
        loser = next(page for name, page in names.items() if name != won.claim.name)
        expect(names[won.claim.name].locator("#claim")).to_contain_text("Yours")
        expect(loser.locator("#outcome")).to_contain_text(won.claim.name)
        assert [e["action"] for e in console.repository.history(alarm.alarm_id)] == ["claimed"]
