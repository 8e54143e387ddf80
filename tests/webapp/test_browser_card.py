"""The dispatcher's journey in Chromium: from an alarm to its end, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from schemas.alarms import AlarmState
from schemas.events import Code
from tests.webapp import seed
from tests.webapp.browsing import PROBE, Console, prove_path
from webapp import safe_word
from webapp.app import now_us

pytestmark = pytest.mark.system


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


def test_a_cry_for_help_stands_before_an_it_was_me_that_came_later(console: Console) -> None:
    page, now = console.page, now_us()
    help_, calm = ({"kind": k, "user": "u", "at_us": now + i} for i, k in enumerate(("help", "it_was_me")))
    alarm = seed.make_alarm(
        "home-0001", Code.PERIMETER, now, 5, owner_said=help_, owner_words=[help_, calm], room="kitchen"
    )
    seed.write(console.client, [(alarm, [seed.make_evidence(alarm, 1)])])
    expect(console.row(alarm).locator(".who")).to_contain_text("help!")
    console.row(alarm).click()
    expect(page.locator("#card-facts > :first-child")).to_contain_text("owner asks for help")
    expect(page.locator("#card-facts")).to_contain_text("owner says: it was me")
    console.shot("10-help")


def test_the_last_hour_is_drawn_when_it_is_asked_for_and_a_silent_archive_is_said(console: Console) -> None:
    page, now = console.page, now_us()
    scenes = seed.scenes(now)
    fire, pieces = scenes[0]
    seed.write(console.client, [(fire, pieces)])
    console.row(fire).click()
    expect(page.locator(".chart .limit")).to_have_count(1)
    with_the_alarm = page.locator(".chart").count()
    address = "**/homes/*/hour"
    page.route(address, lambda route: route.fulfill(status=503, json={"error": "The archive is silent."}))
    page.click("#span-hour")
    expect(page.locator("#span-note")).to_have_text("The archive is silent.")
    assert page.locator(".chart").count() == with_the_alarm, "what was there stays"
    page.unroute(address)
    start_us = now - 3600 * seed.SECOND
    curve = {
        "sensor_id": "air-kitchen",
        "kind": "air",
        "room": "kitchen",
        "quantity": "co_ppm",
        "unit": "ppm",
    }
    series = [{**curve, "start_us": start_us, "period_us": 4 * seed.SECOND, "values": [1, None, 40] * 300}]
    hour = {"start_us": start_us, "series": series, "spectrograms": [], "unread": 0}
    page.route(address, lambda route: route.fulfill(json=hour))
    page.click("#span-hour")
    expect(page.locator("#span-hour")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#span-note")).to_have_text("")
    expect(page.locator(".chart")).to_have_count(1)
    expect(page.locator("#charts")).to_contain_text("CO · kitchen")
    console.shot("11-last-hour")
    page.click("#span-minutes")
    expect(page.locator(".chart")).to_have_count(with_the_alarm)


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
